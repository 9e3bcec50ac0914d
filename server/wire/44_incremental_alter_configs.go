package wire

import (
	"fmt"

	"karst/log"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// incrementalAlterConfigs changes single settings of topics.
func (c *call) incrementalAlterConfigs(req *kmsg.IncrementalAlterConfigsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.IncrementalAlterConfigsResponse)
	for i := range req.Resources {
		r := &req.Resources[i]
		out := kmsg.NewIncrementalAlterConfigsResponseResource()
		out.ResourceType, out.ResourceName = r.ResourceType, r.ResourceName
		changes, err := configChanges(r.Configs)
		if err == nil {
			err = c.alter(r.ResourceType, r.ResourceName, changes, req.ValidateOnly)
		}
		out.ErrorCode, out.ErrorMessage = codeOf(err), reason(err)
		resp.Resources = append(resp.Resources, out)
	}
	return resp
}

func configChanges(list []kmsg.IncrementalAlterConfigsRequestResourceConfig) ([]log.ConfigChange, error) {
	var changes []log.ConfigChange
	seen := map[string]bool{}
	for _, x := range list {
		op := log.ConfigOp(x.Op)
		switch {
		case seen[x.Name]:
			return nil, wireError{codeInvalidRequest, fmt.Sprintf("%s is changed twice", x.Name)}
		case op < log.ConfigSet || op > log.ConfigSubtract:
			return nil, wireError{codeInvalidRequest, fmt.Sprintf("operation %d on %s is not known", x.Op, x.Name)}
		case x.Value == nil && op != log.ConfigDelete:
			return nil, wireError{codeInvalidRequest, fmt.Sprintf("%s is null", x.Name)}
		}
		seen[x.Name] = true
		changes = append(changes, log.ConfigChange{Name: x.Name, Op: op, Value: str(x.Value)})
	}
	return changes, nil
}
