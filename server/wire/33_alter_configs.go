package wire

import (
	"fmt"
	"slices"

	"karst/log"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// alterConfigs replaces all settings of topics: what the request doesn't name
// goes back to its default.
func (c *call) alterConfigs(req *kmsg.AlterConfigsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.AlterConfigsResponse)
	for i := range req.Resources {
		r := &req.Resources[i]
		out := kmsg.NewAlterConfigsResponseResource()
		out.ResourceType, out.ResourceName = r.ResourceType, r.ResourceName
		changes, err := c.replacement(r)
		if err == nil {
			err = c.alter(r.ResourceType, r.ResourceName, changes, req.ValidateOnly)
		}
		out.ErrorCode, out.ErrorMessage = codeOf(err), reason(err)
		resp.Resources = append(resp.Resources, out)
	}
	return resp
}

// replacement turns a whole new configuration into changes of the one there is.
func (c *call) replacement(r *kmsg.AlterConfigsRequestResource) ([]log.ConfigChange, error) {
	var changes []log.ConfigChange
	if r.ResourceType == kmsg.ConfigResourceTypeTopic && r.ResourceName != "" { // else alter says so
		entries, err := c.srv.opts.Log.TopicConfig(c.ctx, r.ResourceName)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if e.Set {
				changes = append(changes, log.ConfigChange{Name: e.Name, Op: log.ConfigDelete})
			}
		}
	}
	for _, x := range r.Configs {
		if x.Value == nil {
			return nil, fmt.Errorf("%w: %s is null", log.ErrInvalidConfig, x.Name)
		}
		changes = append(changes, log.ConfigChange{Name: x.Name, Op: log.ConfigSet, Value: *x.Value})
	}
	return changes, nil
}

// alter changes settings of a topic; those of a broker are flags of ksh serve.
func (c *call) alter(kind kmsg.ConfigResourceType, name string, changes []log.ConfigChange, validateOnly bool) error {
	switch kind {
	case kmsg.ConfigResourceTypeTopic:
		if name == "" {
			return wireError{codeInvalidRequest, "the topic has no name"}
		}
		if c.srv.opts.Own(name) {
			return fmt.Errorf("%w: %s is Karst's own", log.ErrInvalidTopic, name)
		}
		return c.srv.opts.Log.AlterTopicConfig(c.ctx, name, changes, validateOnly)
	case kmsg.ConfigResourceTypeBroker:
		return alterBroker(name, changes)
	}
	return wireError{codeInvalidRequest, fmt.Sprintf("settings of resources of type %d can't be changed", kind)}
}

// alterBroker refuses to set anything. There is nothing set that could be
// deleted, either, and so to delete is to succeed: tools tidy up that way.
func alterBroker(name string, changes []log.ConfigChange) error {
	if err := checkBroker(name); err != nil {
		return err
	}
	if slices.ContainsFunc(changes, func(x log.ConfigChange) bool { return x.Op != log.ConfigDelete }) {
		return wireError{codeInvalidRequest, "a broker's settings are set by the flags of ksh serve"}
	}
	return nil
}
