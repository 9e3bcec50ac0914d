package wire

import (
	"sync"
	"time"

	"karst/log"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Bounds of the records of one response in bytes: it has at most maxFetchBytes,
// and less than minGrantBytes only if the client says so.
const (
	maxFetchBytes = 50 << 20
	minGrantBytes = 64 << 10
)

// fetch answers with encoded batches, waiting up to MaxWaitMillis until there
// are MinBytes of them, as many as the limits leave room for, or a partition has an
// error. Sessions are not kept: the
// answer's SessionId is 0, upon which clients ask for all partitions each time.
func (c *call) fetch(req *kmsg.FetchRequest) kmsg.Response {
	resp := &fetchResponse{FetchResponse: req.ResponseKind().(*kmsg.FetchResponse)}
	if req.SessionEpoch > 0 { // 0 begins a session, -1 ends one: both ask for everything
		resp.ErrorCode = codeFetchSessionNotFound
		return resp
	}
	f := c.newFetcher(req)
	w := c.srv.waiters.add(f.topics)
	defer c.srv.waiters.remove(w, f.topics)
	// Never longer than a connection may be idle, whatever the client says.
	wait := min(time.Duration(max(req.MaxWaitMillis, 0))*time.Millisecond, idleTimeout/2)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for f.read(resp) < int(req.MinBytes) && !f.urgent && !(f.more && f.found > 0) && wait > 0 {
		select {
		case <-w.ready:
			continue
		case <-timer.C:
		case <-c.ctx.Done():
		}
		f.read(resp)
		break
	}
	return resp
}

// A fetchResponse keeps its records in a buffer of the pool until it is
// encoded.
type fetchResponse struct {
	*kmsg.FetchResponse
	buf []byte
}

// AppendTo implements kmsg.Response and ends the use of the buffer.
func (r *fetchResponse) AppendTo(dst []byte) []byte {
	dst = r.FetchResponse.AppendTo(dst)
	putBuffer(r.buf)
	r.buf = nil
	return dst
}

// A fetcher carries out one Fetch, as often as it takes.
type fetcher struct {
	c      *call
	req    *kmsg.FetchRequest
	names  []string // of the request's topics; "" if not known
	topics []string // to wait for
	urgent bool     // the answer must not wait: a partition has an error or diverges, or none is asked for
	more   bool     // a partition has more than the limits leave room for
	budget int      // bytes left
	found  int      // bytes of records
}

func (c *call) newFetcher(req *kmsg.FetchRequest) *fetcher {
	// Who closes a consumer ends its session by a request for nothing, and waits for the answer.
	f := &fetcher{c: c, req: req, names: make([]string, len(req.Topics)), urgent: true}
	for i := range req.Topics {
		t := &req.Topics[i]
		f.urgent = f.urgent && len(t.Partitions) == 0
		f.names[i] = t.Topic
		if req.Version >= 13 {
			if info, err := c.srv.opts.Log.TopicByID(c.ctx, t.TopicID); err == nil {
				f.names[i] = info.Name
			}
		}
		if f.names[i] != "" {
			f.topics = append(f.topics, f.names[i])
		}
	}
	return f
}

// read fills the response anew and returns how many bytes of records it has,
// for which it holds memory.
func (f *fetcher) read(resp *fetchResponse) int {
	conn := f.c.conn
	conn.release(f.c.spent) // by the last time
	f.c.spent, f.found, f.more = 0, 0, false
	granted, err := conn.hold(min(max(int(f.req.MaxBytes), 0), maxFetchBytes), minGrantBytes)
	if err != nil {
		f.urgent = true // nobody waits for the answer
		return 0
	}
	f.budget = granted
	if resp.buf == nil {
		resp.buf = getBuffer()
	}
	resp.buf, resp.Topics = resp.buf[:0], resp.Topics[:0]
	for i := range f.req.Topics {
		t := kmsg.NewFetchResponseTopic()
		t.Topic, t.TopicID = f.req.Topics[i].Topic, f.req.Topics[i].TopicID
		t.Partitions = make([]kmsg.FetchResponseTopicPartition, len(f.req.Topics[i].Partitions))
		for j := range t.Partitions {
			p := &t.Partitions[j]
			p.Default()
			p.Partition = f.req.Topics[i].Partitions[j].Partition
			p.RecordBatches = emptyRecords
			if p.ErrorCode = f.partition(f.names[i], &f.req.Topics[i].Partitions[j], p, &resp.buf); p.ErrorCode != codeNone {
				f.urgent = true
				p.HighWatermark, p.LastStableOffset, p.LogStartOffset = -1, -1, -1
			}
		}
		resp.Topics = append(resp.Topics, t)
	}
	f.c.spent = f.found
	conn.release(granted - f.found)
	if f.found == 0 { // none is held while waiting
		putBuffer(resp.buf)
		resp.buf = nil
	}
	return f.found
}

// abortedBytes is what an aborted transaction takes in an answer.
const abortedBytes = 64

// emptyRecords is not nil, which some clients take for an error.
var emptyRecords = []byte{}

// partition reads one partition into out and buf and returns its error code.
func (f *fetcher) partition(topic string, p *kmsg.FetchRequestTopicPartition, out *kmsg.FetchResponseTopicPartition, buf *[]byte) int16 {
	if topic == "" {
		return codeUnknownTopicID
	}
	store, part := f.c.srv.opts.Log, log.Partition{Topic: topic, Index: p.Partition}
	b, err := store.Bounds(f.c.ctx, part)
	if err != nil {
		return codeOf(err)
	}
	if code := epochError(max(p.CurrentLeaderEpoch, -1), b.LeaderEpoch); code != codeNone {
		return code
	}
	committed := f.req.IsolationLevel == 1
	end := b.HighWatermark
	if committed {
		end = b.LastStable
		out.AbortedTransactions = []kmsg.FetchResponseTopicPartitionAbortedTransaction{}
	}
	out.HighWatermark, out.LastStableOffset, out.LogStartOffset = b.HighWatermark, b.LastStable, b.Start
	// Before the range: a position beyond the end is where the logs part.
	if code, diverged := f.diverged(part, p, out); diverged || code != codeNone {
		return code
	}
	if p.FetchOffset < b.Start || p.FetchOffset > b.HighWatermark {
		return codeOf(log.ErrOffsetRange)
	}
	limit := min(int(p.PartitionMaxBytes), f.budget)
	if p.FetchOffset >= end {
		return codeNone
	}
	if (f.budget <= 0 || limit <= 0) && f.found > 0 {
		f.more = true
		return codeNone
	}
	before := len(*buf)
	got, err := store.FetchRaw(f.c.ctx, log.RawFetch{
		Partition: part, Offset: p.FetchOffset, MaxBytes: max(limit, 0), AtLeastOne: f.found == 0, Committed: committed,
	}, *buf)
	if err != nil {
		return codeOf(err)
	}
	*buf = got.Batches
	if end = got.Bounds.HighWatermark; committed {
		end = got.Bounds.LastStable
	}
	f.more = f.more || got.Next < end
	n := len(*buf) - before + abortedBytes*len(got.Aborted)
	f.found, f.budget = f.found+n, f.budget-n
	out.RecordBatches = (*buf)[before:len(*buf):len(*buf)]
	out.HighWatermark, out.LastStableOffset, out.LogStartOffset = got.Bounds.HighWatermark, got.Bounds.LastStable, got.Bounds.Start
	for _, a := range got.Aborted {
		t := kmsg.NewFetchResponseTopicPartitionAbortedTransaction()
		t.ProducerID, t.FirstOffset = a.ProducerID, a.FirstOffset
		out.AbortedTransactions = append(out.AbortedTransactions, t)
	}
	return codeNone
}

// diverged tells a client that says what epoch it has read last, from version
// 12 on, if its log and ours part before its position.
func (f *fetcher) diverged(part log.Partition, p *kmsg.FetchRequestTopicPartition, out *kmsg.FetchResponseTopicPartition) (code int16, diverged bool) {
	if f.req.Version < 12 || p.LastFetchedEpoch < 0 {
		return codeNone, false
	}
	last, end, err := f.c.srv.opts.Log.LeaderEpochEnd(f.c.ctx, part, p.LastFetchedEpoch)
	switch {
	case err != nil:
		return codeOf(err), false
	case end < 0:
		return codeOf(log.ErrOffsetRange), false
	case last < p.LastFetchedEpoch || end < p.FetchOffset:
		out.DivergingEpoch.Epoch, out.DivergingEpoch.EndOffset = last, end
		f.urgent = true
		return codeNone, true
	}
	return codeNone, false
}

// waiters are the fetches that wait for records of topics.
type waiters struct {
	mu      sync.Mutex
	byTopic map[string]map[*waiter]struct{}
}

type waiter struct{ ready chan struct{} }

// add registers a waiter, before its topics are read: a wake between that and
// the waiting is kept.
func (w *waiters) add(topics []string) *waiter {
	x := &waiter{ready: make(chan struct{}, 1)}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range topics {
		m := w.byTopic[t]
		if m == nil {
			m = map[*waiter]struct{}{}
			w.byTopic[t] = m
		}
		m[x] = struct{}{}
	}
	return x
}

func (w *waiters) remove(x *waiter, topics []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range topics {
		if delete(w.byTopic[t], x); len(w.byTopic[t]) == 0 {
			delete(w.byTopic, t)
		}
	}
}

// wake is called by the log.
func (w *waiters) wake(topic string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for x := range w.byTopic[topic] {
		select {
		case x.ready <- struct{}{}:
		default:
		}
	}
}
