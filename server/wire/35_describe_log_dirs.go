package wire

import (
	"karst/log"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// describeLogDirs tells how many bytes partitions take, without those that are
// offline. The one directory is not named by its path, which is nobody's
// business.
func (c *call) describeLogDirs(req *kmsg.DescribeLogDirsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DescribeLogDirsResponse)
	dir := kmsg.NewDescribeLogDirsResponseDir()
	dir.Dir = "log"
	dir.TotalBytes, dir.UsableBytes = c.srv.opts.Log.Space()
	topics, err := c.srv.opts.Log.Topics(c.ctx)
	wanted := wantedPartitions(req)
	dir.ErrorCode = codeOf(err)
	for _, t := range topics {
		x := kmsg.NewDescribeLogDirsResponseDirTopic()
		x.Topic = t.Name
		for i := range t.Partitions {
			size, err := c.srv.opts.Log.Size(c.ctx, log.Partition{Topic: t.Name, Index: i})
			if err != nil || !wanted(log.Partition{Topic: t.Name, Index: i}) {
				continue
			}
			p := kmsg.NewDescribeLogDirsResponseDirTopicPartition()
			p.Partition, p.Size = i, size
			x.Partitions = append(x.Partitions, p)
		}
		if len(x.Partitions) > 0 {
			dir.Topics = append(dir.Topics, x)
		}
	}
	resp.Dirs = append(resp.Dirs, dir)
	return resp
}

// wantedPartitions tells which partitions are asked for.
func wantedPartitions(req *kmsg.DescribeLogDirsRequest) func(log.Partition) bool {
	if req.Topics == nil {
		return func(log.Partition) bool { return true }
	}
	set := map[log.Partition]bool{}
	for _, t := range req.Topics {
		for _, i := range t.Partitions {
			set[log.Partition{Topic: t.Topic, Index: i}] = true
		}
	}
	return func(p log.Partition) bool { return set[p] }
}
