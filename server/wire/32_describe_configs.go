package wire

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"karst/log"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// describeConfigs shows the settings of topics, and of this broker those that
// clients ask about.
func (c *call) describeConfigs(req *kmsg.DescribeConfigsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DescribeConfigsResponse)
	for i := range req.Resources {
		r := &req.Resources[i]
		out := kmsg.NewDescribeConfigsResponseResource()
		out.ResourceType, out.ResourceName = r.ResourceType, r.ResourceName
		entries, readOnly, err := c.resourceConfig(r.ResourceType, r.ResourceName)
		out.ErrorCode, out.ErrorMessage = codeOf(err), reason(err)
		for j := range entries {
			const entryBytes = 200
			if !c.spend(entryBytes) {
				return resp
			}
			if r.ConfigNames == nil || slices.Contains(r.ConfigNames, entries[j].Name) {
				if req.IncludeSynonyms && !c.spend(2*entryBytes) || req.IncludeDocumentation && !c.spend(len(entries[j].Doc)) {
					return resp
				}
				out.Configs = append(out.Configs, describeConfig(req, &entries[j], readOnly))
			}
		}
		resp.Resources = append(resp.Resources, out)
	}
	return resp
}

// resourceConfig returns the settings of a topic or a broker.
func (c *call) resourceConfig(kind kmsg.ConfigResourceType, name string) (entries []log.ConfigEntry, readOnly bool, err error) {
	switch kind {
	case kmsg.ConfigResourceTypeTopic:
		if entries, err = c.srv.opts.Log.TopicConfig(c.ctx, name); err != nil {
			err = c.unlessInvalid(name, err)
		}
		return entries, c.srv.opts.Own(name), err
	case kmsg.ConfigResourceTypeBroker:
		if err = checkBroker(name); err != nil || name == "" { // of all brokers together nothing is set
			return nil, true, err
		}
		return c.srv.brokerConfig(), true, nil
	case kmsg.ConfigResourceTypeBrokerLogger, kmsg.ConfigResourceTypeClientMetrics, kmsg.ConfigResourceTypeGroupConfig:
		return nil, true, nil
	}
	return nil, true, wireError{codeInvalidRequest, fmt.Sprintf("resources of type %d have no settings", kind)}
}

// checkBroker returns an error unless name is that of this broker, or the empty
// one, which stands for all brokers that are not told otherwise.
func checkBroker(name string) error {
	if name != "" && name != strconv.Itoa(int(nodeID)) {
		return wireError{codeInvalidRequest, fmt.Sprintf("broker %q: there is broker %d and no other", name, nodeID)}
	}
	return nil
}

// unlessInvalid returns err, or that no topic can have that name.
func (c *call) unlessInvalid(topic string, err error) error {
	if invalid := c.srv.opts.Log.CheckTopic(c.ctx, topic, 1, nil); errors.Is(invalid, log.ErrInvalidTopic) {
		return invalid
	}
	return err
}

// brokerConfig are the broker's settings that clients make decisions by; they
// are ksh serve's flags and constants.
func (s *Server) brokerConfig() []log.ConfigEntry {
	entry := func(name, value string, kind log.ConfigType) log.ConfigEntry {
		return log.ConfigEntry{Name: name, Value: value, Default: value, Type: kind}
	}
	return []log.ConfigEntry{
		entry("advertised.listeners", fmt.Sprintf("PLAINTEXT://%s:%d", s.host, s.port), log.ConfigString),
		entry("auto.create.topics.enable", strconv.FormatBool(s.opts.AutoCreate), log.ConfigBool),
		entry("broker.id", strconv.Itoa(int(nodeID)), log.ConfigInt),
		entry("default.replication.factor", "1", log.ConfigInt),
		entry("node.id", strconv.Itoa(int(nodeID)), log.ConfigInt),
		entry("num.partitions", strconv.Itoa(int(s.opts.DefaultPartitions)), log.ConfigInt),
		entry("offset.metadata.max.bytes", strconv.Itoa(maxMetadataBytes), log.ConfigInt),
		entry("socket.request.max.bytes", strconv.Itoa(maxFrameBytes), log.ConfigInt),
	}
}

func configSource(e *log.ConfigEntry) kmsg.ConfigSource {
	if e.Set {
		return kmsg.ConfigSourceDynamicTopicConfig
	}
	return kmsg.ConfigSourceDefaultConfig
}

func describeConfig(req *kmsg.DescribeConfigsRequest, e *log.ConfigEntry, readOnly bool) kmsg.DescribeConfigsResponseResourceConfig {
	out := kmsg.NewDescribeConfigsResponseResourceConfig()
	out.Name, out.Value, out.ReadOnly = e.Name, text(e.Value), readOnly
	out.Source, out.IsDefault, out.ConfigType = configSource(e), !e.Set, kmsg.ConfigType(e.Type)
	if req.IncludeSynonyms {
		if e.Set {
			out.ConfigSynonyms = append(out.ConfigSynonyms, synonym(e.Name, e.Value, kmsg.ConfigSourceDynamicTopicConfig))
		}
		out.ConfigSynonyms = append(out.ConfigSynonyms, synonym(e.Name, e.Default, kmsg.ConfigSourceDefaultConfig))
	}
	if req.IncludeDocumentation {
		out.Documentation = null(e.Doc)
	}
	return out
}

func synonym(name, value string, source kmsg.ConfigSource) kmsg.DescribeConfigsResponseResourceConfigConfigSynonym {
	s := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
	s.Name, s.Value, s.Source = name, text(value), source
	return s
}
