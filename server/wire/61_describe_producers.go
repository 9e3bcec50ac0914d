package wire

import (
	"karst/log"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// describeProducers tells who writes to partitions.
func (c *call) describeProducers(req *kmsg.DescribeProducersRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DescribeProducersResponse)
	for _, t := range req.Topics {
		x := kmsg.NewDescribeProducersResponseTopic()
		x.Topic = t.Topic
		for _, index := range t.Partitions {
			p := kmsg.NewDescribeProducersResponseTopicPartition()
			p.Partition = index
			list, err := c.srv.opts.Log.Producers(c.ctx, log.Partition{Topic: t.Topic, Index: index})
			p.ErrorCode, p.ErrorMessage = codeOf(err), reason(err)
			const producerBytes = 80
			if !c.spend(producerBytes * len(list)) {
				return resp
			}
			for _, i := range list {
				a := kmsg.NewDescribeProducersResponseTopicPartitionActiveProducer()
				a.ProducerID, a.ProducerEpoch, a.LastSequence = i.ID, int32(i.Epoch), i.LastSequence
				a.LastTimestamp, a.CurrentTxnStartOffset = i.LastTimestamp, i.TxnStart
				if !i.Marked {
					a.CoordinatorEpoch = -1 // else that of its markers, 0
				}
				p.ActiveProducers = append(p.ActiveProducers, a)
			}
			x.Partitions = append(x.Partitions, p)
		}
		resp.Topics = append(resp.Topics, x)
	}
	return resp
}
