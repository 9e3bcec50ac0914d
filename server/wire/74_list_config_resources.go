package wire

import (
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// configKinds are the kinds of resources that have settings, in the order they
// are listed by. There are none for groups and for clients' metrics.
var configKinds = []kmsg.ConfigResourceType{
	kmsg.ConfigResourceTypeGroupConfig, kmsg.ConfigResourceTypeClientMetrics, kmsg.ConfigResourceTypeBrokerLogger,
	kmsg.ConfigResourceTypeBroker, kmsg.ConfigResourceTypeTopic,
}

// listConfigResources lists what has settings, of all kinds if none are given.
// Version 0 asks for clients' metrics only.
func (c *call) listConfigResources(req *kmsg.ListConfigResourcesRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ListConfigResourcesResponse)
	resp.ConfigResources = []kmsg.ListConfigResourcesResponseConfigResource{}
	if req.Version == 0 {
		return resp
	}
	for _, k := range req.ResourceTypes {
		if !slices.Contains(configKinds, kmsg.ConfigResourceType(k)) {
			resp.ErrorCode = codeUnsupportedVersion
			return resp
		}
	}
	for _, kind := range configKinds {
		if len(req.ResourceTypes) > 0 && !slices.Contains(req.ResourceTypes, int8(kind)) {
			continue
		}
		names, err := c.configResources(kind)
		if resp.ErrorCode = codeOf(err); err != nil {
			return resp
		}
		for _, name := range names {
			x := kmsg.NewListConfigResourcesResponseConfigResource()
			x.Name, x.Type = name, int8(kind)
			resp.ConfigResources = append(resp.ConfigResources, x)
		}
	}
	return resp
}

// configResources returns the names of the resources of a kind.
func (c *call) configResources(kind kmsg.ConfigResourceType) (names []string, err error) {
	switch kind {
	case kmsg.ConfigResourceTypeBroker, kmsg.ConfigResourceTypeBrokerLogger:
		names = []string{strconv.Itoa(int(nodeID))}
	case kmsg.ConfigResourceTypeTopic:
		topics, err := c.srv.opts.Log.Topics(c.ctx)
		for _, t := range topics {
			names = append(names, t.Name)
		}
		return names, err
	}
	return names, nil
}
