package difftest

import "github.com/twmb/franz-go/pkg/kmsg"

// Requests about the placement of partitions and the settings of a cluster,
// which has one broker, number 1, on both sides.
func init() {
	define(43, "elect leaders", func(s *session) {
		t := s.topic("t", 2)
		try := func(kind kmsg.ElectLeadersRequestTopic, unclean int8) {
			req := kmsg.NewPtrElectLeadersRequest()
			req.TimeoutMillis, req.ElectionType = 60_000, unclean
			req.Topics = append(req.Topics, kind)
			s.try(req)
		}
		for _, unclean := range []int8{0, 1} {
			try(kmsg.ElectLeadersRequestTopic{Topic: t, Partitions: []int32{0, 1, 2, -1}}, unclean)
			try(kmsg.ElectLeadersRequestTopic{Topic: s.name("nobody"), Partitions: []int32{0}}, unclean)
			try(kmsg.ElectLeadersRequestTopic{Topic: "bad name", Partitions: []int32{0}}, unclean)
			try(kmsg.ElectLeadersRequestTopic{Topic: t}, unclean)
		}
		req := kmsg.NewPtrElectLeadersRequest()
		req.TimeoutMillis = 60_000
		s.onlyOwn = true
		s.try(req)
		req.Topics = []kmsg.ElectLeadersRequestTopic{}
		s.try(req)
	})
	defineFrom(43, 1, "elect leaders/kinds", func(s *session) {
		t := s.topic("t", 1)
		for _, kind := range []int8{2, -1} {
			req := kmsg.NewPtrElectLeadersRequest()
			req.TimeoutMillis, req.ElectionType = 60_000, kind
			req.Topics = []kmsg.ElectLeadersRequestTopic{{Topic: t, Partitions: []int32{0}}}
			s.try(req)
		}
	})

	define(45, "alter partition reassignments", func(s *session) {
		t := s.topic("t", 2)
		try := func(topic string, partition int32, replicas []int32) {
			for _, fixed := range []bool{false, true} {
				req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
				req.TimeoutMillis, req.AllowReplicationFactorChange = 60_000, !fixed
				x := kmsg.NewAlterPartitionAssignmentsRequestTopic()
				x.Topic = topic
				p := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
				p.Partition, p.Replicas = partition, replicas
				x.Partitions = append(x.Partitions, p)
				req.Topics = append(req.Topics, x)
				s.try(req)
			}
		}
		try(t, 0, []int32{1})
		try(t, 0, nil)
		try(t, 0, []int32{})
		try(t, 0, []int32{77})
		try(t, 0, []int32{1, 1})
		try(t, 0, []int32{1, 77})
		try(t, 0, []int32{-1})
		try(t, 2, []int32{1})
		try(t, -1, []int32{1})
		try(t, 2, nil)
		try(s.name("nobody"), 0, []int32{1})
		try(s.name("nobody"), 0, nil)
		try("bad name", 0, []int32{1})
		s.try(kmsg.NewPtrAlterPartitionAssignmentsRequest())
	})
	define(46, "list partition reassignments", func(s *session) {
		t := s.topic("t", 2)
		req := kmsg.NewPtrListPartitionReassignmentsRequest()
		req.TimeoutMillis = 60_000
		s.try(req)
		for _, topic := range []string{t, s.name("nobody"), "bad name"} {
			req.Topics = []kmsg.ListPartitionReassignmentsRequestTopic{{Topic: topic, Partitions: []int32{0, 1, 2}}}
			s.try(req)
		}
		req.Topics = []kmsg.ListPartitionReassignmentsRequestTopic{}
		s.try(req)
	})

	define(74, "list config resources", func(s *session) {
		s.topic("t", 1)
		for _, kinds := range [][]int8{nil, {2}, {4}, {8}, {16}, {32}, {2, 4}, {4, 2}, {4, 4}, {0}, {3}, {77}, {4, 77}} {
			req := kmsg.NewPtrListConfigResourcesRequest()
			req.ResourceTypes = kinds
			s.try(req)
		}
	})

	// Nothing may be set here: the broker is that of all scripts.
	define(44, "incremental alter configs/broker", func(s *session) {
		for _, broker := range []string{"1", "", "77", "abc"} {
			for _, config := range []string{"log.cleaner.threads", "leader.replication.throttled.rate", "no.such", ""} {
				req := kmsg.NewPtrIncrementalAlterConfigsRequest()
				r := kmsg.NewIncrementalAlterConfigsRequestResource()
				r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeBroker, broker
				if config != "" {
					c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
					c.Name, c.Op = config, kmsg.IncrementalAlterConfigOpDelete
					r.Configs = append(r.Configs, c)
				}
				req.Resources = append(req.Resources, r)
				s.try(req)
			}
		}
	})
	define(33, "alter configs/broker", func(s *session) {
		for _, broker := range []string{"1", "77"} {
			req := kmsg.NewPtrAlterConfigsRequest()
			r := kmsg.NewAlterConfigsRequestResource()
			r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeBroker, broker
			req.Resources = append(req.Resources, r)
			s.try(req)
		}
	})
}
