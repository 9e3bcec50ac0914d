package wire

import "github.com/twmb/franz-go/pkg/kmsg"

// describeCluster describes the one broker there is.
func (c *call) describeCluster(req *kmsg.DescribeClusterRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DescribeClusterResponse)
	resp.ClusterID, resp.ControllerID, resp.EndpointType = c.srv.opts.Log.ClusterID(), nodeID, req.EndpointType
	resp.ClusterAuthorizedOperations = noOperations
	if req.IncludeClusterAuthorizedOperations {
		resp.ClusterAuthorizedOperations = clusterOperations
	}
	if req.Version >= 1 && req.EndpointType != 1 {
		const mismatched, unsupported int16 = 114, 115
		if resp.ErrorCode = unsupported; req.EndpointType == 2 { // a controller
			resp.ErrorCode = mismatched
		}
		resp.ErrorMessage = text("this is a broker's address")
		return resp
	}
	b := kmsg.NewDescribeClusterResponseBroker()
	b.NodeID, b.Host, b.Port = nodeID, c.srv.host, c.srv.port
	resp.Brokers = append(resp.Brokers, b)
	return resp
}
