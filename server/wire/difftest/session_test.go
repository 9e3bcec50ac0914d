package difftest

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"karst/log"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A script is a conversation, for one version of its key.
type script struct {
	name    string
	key     int16
	version int16
	ends    bool // the version is the lowest or the highest
	run     func(s *session)
}

// A session is a script's run against one broker.
type session struct {
	*testing.T
	addr     string
	prefix   string // of the names the script makes up
	version  int16  // of the key that is tried
	dump     *dumper
	conns    map[string]*conn
	steps    int
	quiet    bool          // what is done is not compared
	wait     time.Duration // for an answer; answerTime if 0
	topics   map[string][16]byte
	txns     int // opened
	barriers int
	onlyOwn  bool // groups and topics of others are left out of what is compared
}

// run plays a script and returns what was answered, by step and path.
func (sc *script) play(t *testing.T, addr string, number int) (out map[string]string) {
	s := &session{T: t, addr: addr, prefix: fmt.Sprintf("d%d-", number), version: sc.version, conns: map[string]*conn{}, topics: map[string][16]byte{}}
	s.dump = &dumper{seen: map[string]map[string]string{}, prefix: s.prefix, out: map[string]string{}}
	defer func() {
		for _, c := range s.conns {
			_ = c.Close()
		}
	}()
	sc.run(s)
	return s.dump.out
}

// name makes a name that no other script has.
func (s *session) name(n string) string { return s.prefix + n }

// silently does what is not compared.
func (s *session) silently(f func()) {
	was := s.quiet
	s.quiet = true
	f()
	s.quiet = was
}

// transient are error codes that pass by themselves: what is asked is asked
// again.
var transient = regexp.MustCompile(`^(5|14|15|16|51)$`)

// transientTime is how long what passes by itself may take to. None of the
// scripts has such an answer in the end.
const transientTime = 2 * time.Minute

// try sends a request of the script's key in its version.
func (s *session) try(req kmsg.Request) kmsg.Response { return s.do(s.version, req) }

// do sends a request and notes the answer.
func (s *session) do(version int16, req kmsg.Request) kmsg.Response {
	return s.on("", version, req)
}

// on does so on a connection of that name.
func (s *session) on(name string, version int16, req kmsg.Request) kmsg.Response {
	return s.later(name, version, req)()
}

// later sends a request now; the function that it returns waits for the answer
// and notes it.
func (s *session) later(name string, version int16, req kmsg.Request) func() kmsg.Response {
	s.Helper()
	if !s.quiet { // how often one has to look is not the same everywhere
		s.steps++
	}
	path := fmt.Sprintf("%02d %s v%d", s.steps, kmsg.NameForKey(req.Key()), version)
	quiet, wait := s.quiet, cmp.Or(s.wait, answerTime)
	req.SetVersion(version)
	c, err := s.conn(name)
	if err == nil {
		err = c.send(req, wait)
	}
	return func() kmsg.Response {
		s.Helper()
		var resp kmsg.Response
		if err == nil {
			resp, err = c.receive(req)
		}
		for end := time.Now().Add(transientTime); err == nil && s.passes(resp) && time.Now().Before(end); {
			time.Sleep(10 * time.Millisecond) // nothing tells when another broker's coordinator is ready
			if err = c.send(req, wait); err == nil {
				resp, err = c.receive(req)
			}
		}
		if err != nil {
			s.lost(name, path, err, quiet)
			return nil
		}
		s.dropOthers(resp)
		if !quiet {
			s.dump.response(path, resp)
		}
		return resp
	}
}

// dropOthers takes away what other scripts have made.
func (s *session) dropOthers(resp kmsg.Response) {
	others := func(name string) bool { return !strings.HasPrefix(name, s.prefix) }
	switch resp := resp.(type) {
	case *kmsg.ListGroupsResponse:
		if s.onlyOwn {
			resp.Groups = slices.DeleteFunc(resp.Groups, func(g kmsg.ListGroupsResponseGroup) bool { return others(g.Group) })
		}
	case *kmsg.FetchResponse:
		if s.onlyOwn {
			resp.Topics = joined(resp.Topics)
		}
	case *kmsg.DescribeTransactionsResponse:
		for i := range resp.TransactionStates { // whose there is none of has no producer, which is not the one with id 0
			if t := &resp.TransactionStates[i]; s.onlyOwn && t.ErrorCode != 0 {
				t.ProducerID, t.ProducerEpoch = -1, -1
			}
			t := &resp.TransactionStates[i]
			t.Topics = slices.DeleteFunc(t.Topics, func(t kmsg.DescribeTransactionsResponseTransactionStateTopic) bool {
				return s.onlyOwn && others(t.Topic)
			})
		}
	case *kmsg.ListTransactionsResponse:
		if s.onlyOwn {
			resp.TransactionStates = slices.DeleteFunc(resp.TransactionStates, func(t kmsg.ListTransactionsResponseTransactionState) bool { return others(t.TransactionalID) })
		}
	case *kmsg.ListConfigResourcesResponse:
		resp.ConfigResources = slices.DeleteFunc(resp.ConfigResources, func(r kmsg.ListConfigResourcesResponseConfigResource) bool {
			return kmsg.ConfigResourceType(r.Type) == kmsg.ConfigResourceTypeTopic && others(r.Name)
		})
	case *kmsg.ElectLeadersResponse:
		if s.onlyOwn {
			resp.Topics = slices.DeleteFunc(resp.Topics, func(t kmsg.ElectLeadersResponseTopic) bool { return others(t.Topic) })
		}
	}
}

// joined puts the partitions of each topic together: Kafka answers for those that
// are not there first.
func joined(list []kmsg.FetchResponseTopic) []kmsg.FetchResponseTopic {
	var out []kmsg.FetchResponseTopic
	for _, t := range list {
		i := slices.IndexFunc(out, func(o kmsg.FetchResponseTopic) bool { return o.Topic == t.Topic && o.TopicID == t.TopicID })
		if i < 0 {
			out = append(out, t)
			continue
		}
		out[i].Partitions = append(out[i].Partitions, t.Partitions...)
	}
	return out
}

// passes reports whether an answer holds an error that passes.
func (s *session) passes(resp kmsg.Response) bool {
	d := &dumper{seen: map[string]map[string]string{}, out: map[string]string{}}
	d.response("", resp)
	for path, v := range d.out {
		if errorField.MatchString(path) && transient.MatchString(v) {
			return true
		}
	}
	return false
}

var errorField = regexp.MustCompile(`\.ErrorCode$`)

// lost notes that no answer came, and opens a new connection next time.
func (s *session) lost(name, path string, err error, quiet bool) {
	s.Helper()
	what := "connection closed"
	var n net.Error
	switch {
	case errors.As(err, &n) && n.Timeout():
		what = "no answer"
	case errors.Is(err, errShape):
		what = err.Error()
	}
	if quiet {
		s.Fatalf("%s: %s: %v", path, what, err)
	}
	s.dump.out[path] = what
	if c := s.conns[name]; c != nil {
		_ = c.Close()
		delete(s.conns, name)
	}
}

func (s *session) conn(name string) (*conn, error) {
	c := s.conns[name]
	if c == nil {
		var err error
		if c, err = dial(s.addr); err != nil {
			s.Fatal(err)
		}
		s.conns[name] = c
	}
	return c, nil
}

// topic makes a topic and waits until it can be written to.
func (s *session) topic(n string, partitions int32, config ...string) string {
	s.Helper()
	name := s.name(n)
	s.silently(func() {
		req := kmsg.NewPtrCreateTopicsRequest()
		req.TimeoutMillis = 60_000
		t := kmsg.NewCreateTopicsRequestTopic()
		t.Topic, t.NumPartitions, t.ReplicationFactor = name, partitions, 1
		for i := 0; i < len(config); i += 2 {
			c := kmsg.NewCreateTopicsRequestTopicConfig()
			c.Name, c.Value = config[i], &config[i+1]
			t.Configs = append(t.Configs, c)
		}
		req.Topics = append(req.Topics, t)
		resp := s.do(7, req).(*kmsg.CreateTopicsResponse)
		if resp.Topics[0].ErrorCode != 0 {
			s.Fatalf("making %s: %+v", name, resp)
		}
		s.topics[name] = resp.Topics[0].TopicID
		for end := time.Now().Add(answerTime); !s.writable(name, partitions); {
			if time.Now().After(end) {
				s.Fatalf("topic %s does not come up", name)
			}
			time.Sleep(5 * time.Millisecond) // another broker's
		}
	})
	return name
}

func (s *session) writable(name string, partitions int32) bool {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = name
	for i := range partitions {
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition, p.Timestamp, p.CurrentLeaderEpoch = i, -1, -1
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	resp := s.do(7, req).(*kmsg.ListOffsetsResponse)
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if p.ErrorCode != 0 {
				return false
			}
		}
	}
	return true
}

// batch encodes values with the key "k".
func batch(values ...string) []byte {
	var b log.Builder
	for i, v := range values {
		b.Add(1_700_000_000_000+int64(i), []byte("k"), []byte(v), nil)
	}
	return b.Finish()
}

// fill writes a batch of each group of values to a partition.
func (s *session) fill(topic string, partition int32, batches ...[]byte) {
	s.Helper()
	s.silently(func() {
		for _, b := range batches {
			resp := s.do(9, produceRequest(topic, [16]byte{}, partition, b)).(*kmsg.ProduceResponse)
			if code := resp.Topics[0].Partitions[0].ErrorCode; code != 0 {
				s.Fatalf("writing to %s: code %d", topic, code)
			}
		}
	})
}

func produceRequest(topic string, id [16]byte, partition int32, records []byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 60_000
	t, p := kmsg.NewProduceRequestTopic(), kmsg.NewProduceRequestTopicPartition()
	t.Topic, t.TopicID, p.Partition, p.Records = topic, id, partition, records
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

// A difference is a field in which the two brokers differ.
type difference struct{ script, path, ours, theirs string }

func (d difference) String() string {
	return fmt.Sprintf("%s | %s | %s | %s", d.script, d.path, d.ours, d.theirs)
}

// compare lists the differences of two runs of a script.
func compare(name string, ours, theirs map[string]string) []difference {
	paths := map[string]bool{}
	for p := range ours {
		paths[p] = true
	}
	for p := range theirs {
		paths[p] = true
	}
	var out []difference
	for _, p := range slices.Sorted(maps.Keys(paths)) {
		a, inOurs := ours[p]
		b, inTheirs := theirs[p]
		if !inOurs {
			a = "(nothing)"
		}
		if !inTheirs {
			b = "(nothing)"
		}
		if a != b {
			out = append(out, difference{name, p, a, b})
		}
	}
	return withoutConsequences(out)
}

// withoutConsequences leaves out the fields beside and below an error code that
// differs, and what an answer would have held that never came.
func withoutConsequences(list []difference) []difference {
	var roots []string
	for _, d := range list {
		if p, ok := strings.CutSuffix(d.path, ".ErrorCode"); ok || step.MatchString(d.path) {
			roots = append(roots, p+".")
		}
	}
	return slices.DeleteFunc(list, func(d difference) bool {
		return slices.ContainsFunc(roots, func(r string) bool { return strings.HasPrefix(d.path, r) && d.path != r+"ErrorCode" })
	})
}

// step is the path of an answer as a whole.
var step = regexp.MustCompile(`^\d+ \w+ v\d+$`)
