package wire

import "github.com/twmb/franz-go/pkg/kmsg"

// apiVersions tells which keys and versions are served. It may be asked before
// authentication.
func (c *call) apiVersions(req *kmsg.ApiVersionsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ApiVersionsResponse)
	if req.Version >= 3 && !validSoftware(req.ClientSoftwareName) || req.Version >= 3 && !validSoftware(req.ClientSoftwareVersion) {
		resp.ErrorCode = codeInvalidRequest
		return resp
	}
	resp.ApiKeys = advertised()
	if req.Version >= 3 {
		// Transactions by the second protocol: producers learn of it here.
		resp.SupportedFeatures = []kmsg.ApiVersionsResponseSupportedFeature{{Name: "transaction.version", MinVersion: 0, MaxVersion: 2}}
		resp.FinalizedFeatures = []kmsg.ApiVersionsResponseFinalizedFeature{{Name: "transaction.version", MinVersionLevel: 2, MaxVersionLevel: 2}}
		resp.FinalizedFeaturesEpoch = 0
		if req.Version < 4 {
			// Before version 4 a minimum of 0 is not known to clients (KAFKA-17011).
			resp.SupportedFeatures[0].MinVersion = 1
		}
	}
	return resp
}

func advertised() []kmsg.ApiVersionsResponseApiKey {
	var out []kmsg.ApiVersionsResponseApiKey
	for _, k := range sortedKeys() {
		a := kmsg.NewApiVersionsResponseApiKey()
		a.ApiKey, a.MinVersion, a.MaxVersion = k, keys[k].advertise, keys[k].max
		out = append(out, a)
	}
	return out
}

// unsupportedApiVersions is the answer to a version of ApiVersions that isn't
// served: encoded as version 0, which every client reads, with what there is.
func unsupportedApiVersions() kmsg.Response {
	resp := kmsg.NewPtrApiVersionsResponse()
	resp.ErrorCode = codeUnsupportedVersion
	a := kmsg.NewApiVersionsResponseApiKey()
	a.ApiKey, a.MinVersion, a.MaxVersion = int16(kmsg.ApiVersions), keys[int16(kmsg.ApiVersions)].min, keys[int16(kmsg.ApiVersions)].max
	resp.ApiKeys = append(resp.ApiKeys, a)
	return resp
}

// validSoftware is Kafka's rule for the names and versions of client software:
// letters, digits, dots and hyphens, those not at an end.
func validSoftware(s string) bool {
	for i := range len(s) {
		b := s[i]
		letter := b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z'
		if !letter && (b != '.' && b != '-' || i == 0 || i == len(s)-1) {
			return false
		}
	}
	return s != ""
}
