package wire

import (
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A call is one request being handled.
type call struct {
	conn     *conn
	spent    int // bytes of the answer; see spend
	srv      *Server
	ctx      context.Context // ends with the connection
	clientID string
}

// An api is a row of the table of keys.
type api struct {
	min, max  int16
	anonymous bool  // served before authentication
	advertise int16 // lowest version that ApiVersions tells of; min unless said
	// weight is how many bytes handling takes, about, for each byte of the frame:
	// the elements of arrays are larger decoded than encoded, and so are answers.
	weight int
	wide   bool // the answer may be out of proportion to the request; see maxWide
	// handle decodes the body and begins the work. The answer may wait; what it
	// points to in body stays until then.
	handle func(c *call, version int16, body []byte) (answer, error)
}

// An answer is a response that may not be there yet.
type answer struct {
	ready    <-chan struct{}      // closed when response may be called; nil if it may now
	byPeers  bool                 // it depends on other clients when that is
	response func() kmsg.Response // nil is none
}

// A promise is a value that somebody else gives, once.
type promise[T any] struct {
	ready chan struct{}
	value T
}

func newPromise[T any]() *promise[T] { return &promise[T]{ready: make(chan struct{})} }

func (p *promise[T]) keep(value T) {
	p.value = value
	close(p.ready)
}

// Weights of requests. A Fetch is counted while it waits for records, so its is
// what it takes and not what one could make of it. An answer that is waited for
// takes what is left of its request.
const (
	weight        = 64
	fetchWeight   = 16
	waitingWeight = 4
)

// request is a pointer to a kmsg request type.
type request[T any] interface {
	*T
	kmsg.Request
}

// on makes an api of a handler that answers before it returns.
func on[T any, R request[T]](low, high int16, handler func(*call, R) kmsg.Response) *api {
	return &api{min: low, max: high, advertise: low, weight: weight, handle: func(c *call, version int16, body []byte) (answer, error) {
		req, err := decode[T, R](version, body)
		if err != nil {
			return answer{}, err
		}
		resp := handler(c, req)
		return answer{response: func() kmsg.Response { return resp }}, nil
	}}
}

// later makes an api of a handler whose answer is waited for while the next
// request is read.
func later[T any, R request[T]](low, high int16, handler func(*call, R) answer) *api {
	return &api{min: low, max: high, advertise: low, weight: weight, handle: func(c *call, version int16, body []byte) (answer, error) {
		req, err := decode[T, R](version, body)
		if err != nil {
			return answer{}, err
		}
		return handler(c, req), nil
	}}
}

func decode[T any, R request[T]](version int16, body []byte) (R, error) {
	req := R(new(T))
	req.SetVersion(version)
	if err := req.ReadFrom(body); err != nil {
		return nil, fmt.Errorf("%w: %s version %d: %w", errFrame, kmsg.NameForKey(req.Key()), version, err)
	}
	return req, nil
}

// keys are the APIs that are served, in exactly the versions that were tried
// against Apache Kafka. ApiVersions is told of them.
var keys map[int16]*api

func init() { // not a literal: ApiVersions reads it
	keys = map[int16]*api{
		0:  produceAPI(),
		1:  weighing(fetchWeight, on(4, 18, (*call).fetch)),
		2:  on(1, 11, (*call).listOffsets),
		3:  on(0, 13, (*call).metadata),
		8:  later(2, 9, (*call).offsetCommit),
		9:  wide(on(1, 9, (*call).offsetFetch)),
		10: on(0, 6, (*call).findCoordinator),
		11: later(0, 9, (*call).joinGroup),
		12: on(0, 4, (*call).heartbeat),
		13: on(0, 5, (*call).leaveGroup),
		14: later(0, 5, (*call).syncGroup),
		15: wide(on(0, 6, (*call).describeGroups)),
		16: wide(on(0, 5, (*call).listGroups)),
		17: anonymous(on(0, 1, (*call).saslHandshake)),
		18: anonymous(on(0, 4, (*call).apiVersions)),
		19: on(2, 7, (*call).createTopics),
		20: on(1, 6, (*call).deleteTopics),
		21: on(0, 2, (*call).deleteRecords),
		22: on(0, 5, (*call).initProducerID),
		23: on(2, 4, (*call).offsetForLeaderEpoch),
		24: on(0, 5, (*call).addPartitionsToTxn),
		25: on(0, 4, (*call).addOffsetsToTxn),
		26: on(0, 5, (*call).endTxn),
		28: later(0, 5, (*call).txnOffsetCommit),
		29: on(1, 3, (*call).describeACLs),
		30: on(1, 3, (*call).createACLs),
		31: on(1, 3, (*call).deleteACLs),
		32: wide(on(1, 4, (*call).describeConfigs)),
		33: on(0, 2, (*call).alterConfigs),
		35: wide(on(1, 4, (*call).describeLogDirs)),
		36: anonymous(later(0, 2, (*call).saslAuthenticate)),
		37: on(0, 3, (*call).createPartitions),
		42: on(0, 2, (*call).deleteGroups),
		43: on(0, 2, (*call).electLeaders),
		44: on(0, 1, (*call).incrementalAlterConfigs),
		45: on(0, 1, (*call).alterPartitionReassignments),
		46: on(0, 0, (*call).listPartitionReassignments),
		47: on(0, 0, (*call).offsetDelete),
		48: on(0, 1, (*call).describeClientQuotas),
		50: on(0, 0, (*call).describeUserScramCredentials),
		60: on(0, 2, (*call).describeCluster),
		61: wide(on(0, 0, (*call).describeProducers)),
		65: wide(on(0, 0, (*call).describeTransactions)),
		66: wide(on(0, 2, (*call).listTransactions)),
		74: on(0, 1, (*call).listConfigResources),
		75: on(0, 0, (*call).describeTopicPartitions),
	}
}

func wide(a *api) *api {
	a.wide = true
	return a
}

func weighing(n int, a *api) *api {
	a.weight = n
	return a
}

func anonymous(a *api) *api {
	a.anonymous = true
	return a
}

// sortedKeys lists the keys that are served.
func sortedKeys() []int16 {
	out := make([]int16, 0, len(keys))
	for k := range keys {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
