package difftest

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func (s *session) deleteTopic(name string) {
	s.Helper()
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TimeoutMillis, req.TopicNames = 60_000, []string{name}
	if resp := s.do(5, req).(*kmsg.DeleteTopicsResponse); resp.Topics[0].ErrorCode != 0 {
		s.Fatalf("deleting %s: code %d", name, resp.Topics[0].ErrorCode)
	}
	for range 5000 {
		if resp := s.do(9, metadataRequest(name)).(*kmsg.MetadataResponse); resp.Topics[0].ErrorCode == 3 {
			return
		}
	}
	s.Fatalf("topic %s does not go", name)
}

// barrier waits until what was changed before is in effect: a broker takes
// changes up in order, so a topic made after them shows it.
func (s *session) barrier() {
	s.Helper()
	s.barriers++
	s.topic("barrier-"+itoa(int64(s.barriers)), 1)
}

func metadataRequest(names ...string) *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{}
	for _, n := range names {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(n)
		req.Topics = append(req.Topics, t)
	}
	return req
}

// newTopic is a topic to be made.
type newTopic struct {
	name        string
	partitions  int32
	replication int16
	config      []string
	assignment  []int32 // brokers of partition 0
}

func (s *session) create(validate bool, topics ...newTopic) *kmsg.CreateTopicsRequest {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis, req.ValidateOnly = 60_000, validate
	for _, n := range topics {
		t := kmsg.NewCreateTopicsRequestTopic()
		t.Topic, t.NumPartitions, t.ReplicationFactor = n.name, n.partitions, n.replication
		for i := 0; i < len(n.config); i += 2 {
			c := kmsg.NewCreateTopicsRequestTopicConfig()
			c.Name, c.Value = n.config[i], &n.config[i+1]
			t.Configs = append(t.Configs, c)
		}
		if n.assignment != nil {
			a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
			a.Replicas = n.assignment
			t.ReplicaAssignment = append(t.ReplicaAssignment, a)
		}
		req.Topics = append(req.Topics, t)
	}
	return req
}

func resource(kind kmsg.ConfigResourceType, name string, names ...string) kmsg.DescribeConfigsRequestResource {
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName, r.ConfigNames = kind, name, names
	return r
}

func (s *session) describeConfigs(version int16, list ...kmsg.DescribeConfigsRequestResource) {
	s.Helper()
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.Resources = list
	s.do(version, req)
}

func init() {
	const apiVersions = 18
	define(apiVersions, "api versions", func(s *session) {
		req := kmsg.NewPtrApiVersionsRequest()
		req.ClientSoftwareName, req.ClientSoftwareVersion = "difftest", "1"
		s.try(req)
		req.ClientSoftwareName, req.ClientSoftwareVersion = "not a name!", ""
		s.try(req)
	})

	const metadata = 3
	define(metadata, "metadata", func(s *session) {
		t := s.topic("t", 3)
		s.try(metadataRequest(t))
		s.try(metadataRequest(t, s.name("nobody")))
		s.try(metadataRequest(t, t))
		s.try(metadataRequest("bad name", "", ".", strings.Repeat("x", 250)))
	})
	defineFrom(metadata, 1, "metadata/none", func(s *session) { s.try(metadataRequest()) })
	defineFrom(metadata, 4, "metadata/auto", func(s *session) {
		for _, auto := range []bool{true, false} {
			req := metadataRequest(s.name("nobody"))
			req.AllowAutoTopicCreation = auto
			s.try(req)
		}
	})
	defineFrom(metadata, 8, "metadata/operations", func(s *session) {
		req := metadataRequest(s.topic("t", 1))
		req.IncludeTopicAuthorizedOperations, req.IncludeClusterAuthorizedOperations = true, true
		s.try(req)
	})
	withID := func(id [16]byte, name *string) kmsg.MetadataRequestTopic {
		x := kmsg.NewMetadataRequestTopic()
		x.TopicID, x.Topic = id, name
		return x
	}
	ask := func(s *session, topics ...kmsg.MetadataRequestTopic) {
		req := kmsg.NewPtrMetadataRequest()
		req.Topics = topics
		s.try(req)
	}
	defineFrom(metadata, 12, "metadata/by id", func(s *session) {
		t := s.topic("t", 2)
		ask(s, withID(s.topics[t], nil))
		ask(s, withID([16]byte{5, 5}, nil))
		ask(s, withID([16]byte{}, nil))
	})
	defineFrom(metadata, 12, "metadata/by id and name", func(s *session) {
		t, other := s.topic("t", 2), s.topic("other", 1)
		id := s.topics[t]
		ask(s, withID(id, kmsg.StringPtr(""))) // as Java clients send it
		ask(s, withID(id, kmsg.StringPtr(t)))
		ask(s, withID(id, kmsg.StringPtr(other)))
		ask(s, withID([16]byte{5, 5}, kmsg.StringPtr(other)))
		ask(s, withID(id, kmsg.StringPtr("")), withID([16]byte{}, kmsg.StringPtr(other)))
		ask(s, withID(id, kmsg.StringPtr(other)), withID(id, kmsg.StringPtr("")))
	})

	const create = 19
	for _, validate := range []bool{false, true} {
		n := map[bool]string{false: "create topics", true: "create topics/validate"}[validate]
		define(create, n, func(s *session) {
			for _, x := range []newTopic{
				{s.name("a"), 3, 1, nil, nil}, {s.name("a"), 3, 1, nil, nil}, {s.name("b"), -1, -1, nil, nil}, {s.name("c"), 0, 1, nil, nil},
				{s.name("d"), -2, 1, nil, nil}, {s.name("e"), 1, 0, nil, nil}, {s.name("f"), 1, 2, nil, nil}, {s.name("g"), 1, -2, nil, nil},
				{"", 1, 1, nil, nil}, {".", 1, 1, nil, nil}, {"a b", 1, 1, nil, nil}, {strings.Repeat("x", 250), 1, 1, nil, nil},
				{s.name("x.y"), 1, 1, nil, nil}, {s.name("x_y"), 1, 1, nil, nil},
				{s.name("h"), 1, 1, []string{"retention.ms", "1000", "cleanup.policy", "compact"}, nil},
				{s.name("i"), 1, 1, []string{"retention.ms", "soon"}, nil}, {s.name("j"), 1, 1, []string{"no.such", "1"}, nil},
				{s.name("k"), 1, 1, []string{"cleanup.policy", "burn"}, nil}, {s.name("l"), 1, 1, []string{"retention.ms", "-2"}, nil},
				{s.name("m"), 1, 1, []string{"max.message.bytes", "-1"}, nil}, {s.name("n"), 1, 1, []string{"compression.type", "zip"}, nil},
				{s.name("o"), 1, 1, []string{"segment.bytes", "1"}, nil}, {s.name("p"), 1, 1, []string{"retention.ms", ""}, nil},
				{s.name("q"), -1, -1, nil, []int32{1}}, {s.name("r"), 1, 1, nil, []int32{1}}, {s.name("s"), -1, -1, nil, []int32{77}},
				{s.name("t"), -1, -1, nil, []int32{1, 1}}, {s.name("u"), -1, -1, nil, []int32{}},
				{s.name("v"), 1, 1, []string{"min.insync.replicas", "2"}, nil}, {s.name("w"), 1, 1, []string{"message.timestamp.type", "Never"}, nil},
				{s.name("aa"), 1, 1, []string{"min.compaction.lag.ms", "1000", "max.compaction.lag.ms", "500"}, nil},
				{s.name("ab"), 1, 1, []string{"min.compaction.lag.ms", "1000", "max.compaction.lag.ms", "1000"}, nil},
				{s.name("ac"), 1, 1, []string{"cleanup.policy", ""}, nil}, {s.name("ad"), 1, 1, []string{"cleanup.policy", "delete,delete"}, nil},
				{s.name("ae"), 1, 1, []string{"retention.ms", " 5 "}, nil}, {s.name("af"), 1, 1, []string{"preallocate", "TRUE"}, nil},
				{s.name("ag"), 1, 1, []string{"preallocate", "yes"}, nil}, {s.name("ah"), 1, 1, []string{"compression.type", "GZIP"}, nil},
				{s.name("ai"), 1, 1, []string{"compression.gzip.level", "0"}, nil}, {s.name("aj"), 1, 1, []string{"RETENTION.MS", "5"}, nil},
			} {
				s.try(s.create(validate, x))
			}
			s.try(s.create(validate, newTopic{s.name("y"), 1, 1, nil, nil}, newTopic{s.name("y"), 1, 1, nil, nil}))
			s.try(s.create(validate, newTopic{s.name("z"), 1, 1, nil, nil}, newTopic{"bad name", 1, 1, nil, nil}))
			s.try(s.create(validate))
		})
	}

	// Whatever is asked for: that it is there already is said first.
	define(create, "create topics/again", func(s *session) {
		s.topic("t", 1)
		for _, x := range []newTopic{
			{s.name("t"), 1, 3, nil, nil}, {s.name("t"), 0, 1, nil, nil}, {s.name("t"), 1, 1, []string{"max.message.bytes", "-1"}, nil},
			{s.name("t"), -1, -1, nil, []int32{77}},
		} {
			s.try(s.create(false, x))
		}
	})

	const remove = 20
	define(remove, "delete topics", func(s *session) {
		a, b := s.topic("a", 1), s.topic("b", 1)
		del := func(names ...string) {
			req := kmsg.NewPtrDeleteTopicsRequest()
			req.TimeoutMillis, req.TopicNames = 60_000, names
			for _, n := range names {
				t := kmsg.NewDeleteTopicsRequestTopic()
				t.Topic = kmsg.StringPtr(n)
				req.Topics = append(req.Topics, t)
			}
			s.try(req)
		}
		del(a, s.name("nobody"))
		del(a)
		del("", "bad name")
		del(b, b)
		del()
	})
	defineFrom(remove, 6, "delete topics/by id", func(s *session) {
		t := s.topic("a", 1)
		del := func(id [16]byte, name *string) {
			req := kmsg.NewPtrDeleteTopicsRequest()
			req.TimeoutMillis = 60_000
			x := kmsg.NewDeleteTopicsRequestTopic()
			x.TopicID, x.Topic = id, name
			req.Topics = append(req.Topics, x)
			s.try(req)
		}
		del([16]byte{7, 7}, nil)
		del([16]byte{}, nil)
		del(s.topics[t], kmsg.StringPtr(t))
		del(s.topics[t], nil)
		del(s.topics[t], nil)
	})

	const partitions = 37
	define(partitions, "create partitions", func(s *session) {
		t := s.topic("t", 2)
		grow := func(name string, count int32, validate bool, assignment ...[]int32) {
			req := kmsg.NewPtrCreatePartitionsRequest()
			req.TimeoutMillis, req.ValidateOnly = 60_000, validate
			x := kmsg.NewCreatePartitionsRequestTopic()
			x.Topic, x.Count = name, count
			for _, a := range assignment {
				y := kmsg.NewCreatePartitionsRequestTopicAssignment()
				y.Replicas = a
				x.Assignment = append(x.Assignment, y)
			}
			req.Topics = append(req.Topics, x)
			s.try(req)
		}
		grow(t, 3, true)
		grow(t, 2, false)
		grow(t, 1, false)
		grow(t, 0, false)
		grow(t, -1, false)
		grow(s.name("nobody"), 3, false)
		grow("", 3, false)
		grow(t, 4, false, []int32{1})
		grow(t, 3, false, []int32{99})
		grow(t, 3, false, []int32{1})
		grow(t, 5, false)
		grow(t, 5, false)
	})

	const describe = 32
	define(describe, "describe configs/topic", func(s *session) {
		t := s.topic("t", 1, "retention.ms", "1234", "cleanup.policy", "compact,delete")
		names := []string{"retention.ms", "cleanup.policy", "max.message.bytes", "compression.type", "segment.bytes", "no.such"}
		s.describeConfigs(s.version, resource(kmsg.ConfigResourceTypeTopic, t, names...))
		req := kmsg.NewPtrDescribeConfigsRequest()
		req.Resources = append(req.Resources, resource(kmsg.ConfigResourceTypeTopic, t, "retention.ms", "max.message.bytes"))
		req.IncludeSynonyms, req.IncludeDocumentation = true, true
		s.try(req)
	})
	define(describe, "describe configs/all of a topic", func(s *session) {
		req := kmsg.NewPtrDescribeConfigsRequest()
		r := resource(kmsg.ConfigResourceTypeTopic, s.topic("t", 1))
		r.ConfigNames = nil
		req.Resources = append(req.Resources, r)
		s.try(req)
	})
	define(describe, "describe configs/bad", func(s *session) {
		s.describeConfigs(s.version, resource(kmsg.ConfigResourceTypeTopic, s.name("nobody"), "retention.ms"))
		s.describeConfigs(s.version, resource(kmsg.ConfigResourceTypeTopic, "", "retention.ms"))
		s.describeConfigs(s.version, resource(kmsg.ConfigResourceTypeTopic, "bad name", "retention.ms"))
		s.describeConfigs(s.version, resource(kmsg.ConfigResourceTypeBroker, "9999", "num.partitions"))
		s.describeConfigs(s.version, resource(kmsg.ConfigResourceTypeBroker, "abc", "num.partitions"))
		s.describeConfigs(s.version, resource(77, "x", "retention.ms"))
		s.describeConfigs(s.version, resource(kmsg.ConfigResourceTypeBroker, "", "num.partitions"))
		s.describeConfigs(s.version)
	})
	show := func(s *session, t string) {
		s.silently(func() { s.barrier() })
		s.describeConfigs(1, resource(kmsg.ConfigResourceTypeTopic, t, "retention.ms", "cleanup.policy", "max.message.bytes"))
	}

	const alter = 33
	define(alter, "alter configs", func(s *session) {
		t := s.topic("t", 1, "retention.ms", "1234")
		try := func(name string, validate bool, config ...string) {
			req := kmsg.NewPtrAlterConfigsRequest()
			req.ValidateOnly = validate
			r := kmsg.NewAlterConfigsRequestResource()
			r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, name
			for i := 0; i < len(config); i += 2 {
				c := kmsg.NewAlterConfigsRequestResourceConfig()
				c.Name, c.Value = config[i], &config[i+1]
				r.Configs = append(r.Configs, c)
			}
			req.Resources = append(req.Resources, r)
			s.try(req)
		}
		try(t, true, "cleanup.policy", "compact")
		show(s, t)
		try(t, false, "cleanup.policy", "compact")
		show(s, t)
		try(t, false, "retention.ms", "later")
		try(t, false, "no.such", "1")
		try(s.name("nobody"), false, "retention.ms", "1")
		try("", false, "retention.ms", "1")
		try(t, false)
		show(s, t)
	})

	const incremental = 44
	define(incremental, "incremental alter configs", func(s *session) {
		t := s.topic("t", 1, "retention.ms", "1234")
		try := func(name string, config string, op kmsg.IncrementalAlterConfigOp, value *string, validate bool) {
			req := kmsg.NewPtrIncrementalAlterConfigsRequest()
			req.ValidateOnly = validate
			r := kmsg.NewIncrementalAlterConfigsRequestResource()
			r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, name
			c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
			c.Name, c.Op, c.Value = config, op, value
			r.Configs = append(r.Configs, c)
			req.Resources = append(req.Resources, r)
			s.try(req)
		}
		v := kmsg.StringPtr
		try(t, "retention.ms", kmsg.IncrementalAlterConfigOpSet, v("99"), true)
		show(s, t)
		try(t, "retention.ms", kmsg.IncrementalAlterConfigOpSet, v("99"), false)
		try(t, "cleanup.policy", kmsg.IncrementalAlterConfigOpAppend, v("compact"), false)
		show(s, t)
		try(t, "cleanup.policy", kmsg.IncrementalAlterConfigOpSubtract, v("delete"), false)
		show(s, t)
		try(t, "retention.ms", kmsg.IncrementalAlterConfigOpDelete, nil, false)
		show(s, t)
		try(t, "cleanup.policy", kmsg.IncrementalAlterConfigOpAppend, v("compact,delete"), false)
		try(t, "cleanup.policy", kmsg.IncrementalAlterConfigOpSubtract, v("nonsense"), false)
		try(t, "cleanup.policy", kmsg.IncrementalAlterConfigOpAppend, v("nonsense"), false)
		show(s, t)
		try(t, "cleanup.policy", kmsg.IncrementalAlterConfigOpSubtract, v("compact,delete"), false)
		show(s, t)
		try(t, "cleanup.policy", kmsg.IncrementalAlterConfigOpSet, v("compact, delete"), false)
		show(s, t)
		try(t, "max.compaction.lag.ms", kmsg.IncrementalAlterConfigOpSet, v("5"), false)
		s.silently(func() { s.barrier() })
		try(t, "min.compaction.lag.ms", kmsg.IncrementalAlterConfigOpSet, v("6"), false)
		try(t, "retention.ms", kmsg.IncrementalAlterConfigOpAppend, v("5"), false)
		try(t, "retention.ms", kmsg.IncrementalAlterConfigOpSet, v("soon"), false)
		try(t, "retention.ms", kmsg.IncrementalAlterConfigOpSet, nil, false)
		try(t, "no.such", kmsg.IncrementalAlterConfigOpSet, v("1"), false)
		try(t, "no.such", kmsg.IncrementalAlterConfigOpDelete, nil, false)
		try(t, "retention.ms", 9, v("1"), false)
		try(s.name("nobody"), "retention.ms", kmsg.IncrementalAlterConfigOpSet, v("1"), false)
		try("", "retention.ms", kmsg.IncrementalAlterConfigOpSet, v("1"), false)
		show(s, t)
	})

	define(60, "describe cluster", func(s *session) {
		req := kmsg.NewPtrDescribeClusterRequest()
		req.EndpointType = 1
		s.try(req)
		req.IncludeClusterAuthorizedOperations = true
		s.try(req)
	})
	define(75, "describe topic partitions", func(s *session) {
		t := s.topic("t", 3)
		try := func(limit int32, names ...string) {
			req := kmsg.NewPtrDescribeTopicPartitionsRequest()
			req.ResponsePartitionLimit = limit
			for _, n := range names {
				x := kmsg.NewDescribeTopicPartitionsRequestTopic()
				x.Topic = n
				req.Topics = append(req.Topics, x)
			}
			s.try(req)
		}
		try(2000, t)
		try(2, t)
		try(0, t)
		try(-1, t)
		try(2000, t, s.name("nobody"))
		try(2000, "bad name")
	})
	define(35, "describe log dirs", func(s *session) {
		t := s.topic("t", 2)
		req := kmsg.NewPtrDescribeLogDirsRequest()
		x := kmsg.NewDescribeLogDirsRequestTopic()
		x.Topic, x.Partitions = t, []int32{0, 1}
		req.Topics = append(req.Topics, x)
		s.try(req)
	})
	define(29, "describe acls", func(s *session) {
		req := kmsg.NewPtrDescribeACLsRequest()
		req.ResourceType, req.ResourcePatternType, req.Operation, req.PermissionType = 1, 1, 1, 1
		s.try(req)
	})
	define(30, "create acls", func(s *session) {
		req := kmsg.NewPtrCreateACLsRequest()
		c := kmsg.NewCreateACLsRequestCreation()
		c.ResourceType, c.ResourceName, c.ResourcePatternType, c.Principal, c.Host, c.Operation, c.PermissionType = 2, "t", 3, "User:a", "*", 3, 3
		req.Creations = append(req.Creations, c)
		s.try(req)
	})
	define(31, "delete acls", func(s *session) {
		req := kmsg.NewPtrDeleteACLsRequest()
		f := kmsg.NewDeleteACLsRequestFilter()
		f.ResourceType, f.ResourcePatternType, f.Operation, f.PermissionType = 1, 1, 1, 1
		req.Filters = append(req.Filters, f)
		s.try(req)
	})
	define(48, "describe client quotas", func(s *session) {
		req := kmsg.NewPtrDescribeClientQuotasRequest()
		c := kmsg.NewDescribeClientQuotasRequestComponent()
		c.EntityType, c.MatchType = "user", 2
		req.Components = append(req.Components, c)
		s.try(req)
	})
	define(50, "describe scram users", func(s *session) {
		req := kmsg.NewPtrDescribeUserSCRAMCredentialsRequest()
		s.try(req)
		u := kmsg.NewDescribeUserSCRAMCredentialsRequestUser()
		u.Name = "nobody"
		req.Users = append(req.Users, u)
		s.try(req)
	})
	define(17, "sasl handshake", func(s *session) {
		req := kmsg.NewPtrSASLHandshakeRequest()
		req.Mechanism = "PLAIN"
		s.try(req)
	})
	define(36, "sasl authenticate", func(s *session) {
		req := kmsg.NewPtrSASLAuthenticateRequest()
		req.SASLAuthBytes = []byte("\x00u\x00p")
		s.try(req)
	})
}
