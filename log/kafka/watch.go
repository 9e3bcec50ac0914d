package kafka

import (
	"cmp"
	"slices"
	"sync"

	"karst/log"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// lanes is how many long polls each broker may hold for us at once. A broker
// works the requests of a connection one after the other, so each lane has
// connections of its own; with several, a partition whose reader has just come
// to its end does not wait for the polls of others to run out.
const lanes = 3

// pollMS is how long a broker holds a poll that finds nothing.
const pollMS = 500

// A watcher polls where readers have come to the end of partitions.
type watcher struct {
	log   *Log
	lanes []*kgo.Client

	mu       sync.Mutex
	watchers map[int]func(topic string)
	last     int // key of the last watcher
	// waiting are the positions at which readers wait. They are with a lane, or
	// in queue; one that moves on leaves its lane, and what comes of the old one is
	// dropped.
	waiting map[log.Partition]*place
	queue   []log.Partition
	// found is what polls brought, until a reader takes it.
	found map[log.Partition]found
	bytes int // of found
	idle  []*kgo.Client
}

// A place is where readers of a partition wait, and the lane that polls there;
// nil: it is in the queue.
type place struct {
	offset int64
	lane   *kgo.Client
}

type found struct {
	fetched
	offset int64
}

func newWatcher(l *Log) (*watcher, error) {
	w := &watcher{log: l, watchers: map[int]func(string){}, waiting: map[log.Partition]*place{}, found: map[log.Partition]found{}}
	for range lanes {
		c, err := kgo.NewClient(l.clientOptions()...)
		if err != nil {
			w.close()
			return nil, err
		}
		w.lanes = append(w.lanes, c)
	}
	w.idle = slices.Clone(w.lanes)
	return w, nil
}

// close gives the connections free; the polls have ended with the Log's
// context.
func (w *watcher) close() {
	for _, c := range w.lanes {
		c.Close()
	}
}

// Watch implements log.Log.
func (l *Log) Watch(wake func(topic string)) (stop func()) {
	w := l.watcher
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last++
	key := w.last
	w.watchers[key] = wake
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.watchers, key)
	}
}

// wake tells the watchers of a topic. It is called with mu held, so that no
// watcher hears anything after it has stopped; wake must not block.
func (w *watcher) wake(topic string) {
	for _, f := range w.watchers {
		f(topic)
	}
}

// take returns what a poll brought from an offset on.
func (w *watcher) take(p log.Partition, offset int64) (fetched, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f, ok := w.found[p]
	if !ok {
		return fetched{}, false
	}
	delete(w.found, p)
	w.bytes -= len(f.batches)
	return f.fetched, f.offset == offset
}

// wait notes that a reader has come to the end of a partition. If another one
// waits at another place there are records between the two, and whoever waits
// before them must look again: nobody polls there any more.
func (w *watcher) wait(p log.Partition, offset int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := w.waiting[p]
	if at != nil && at.offset == offset || len(w.watchers) == 0 {
		return
	}
	w.waiting[p] = &place{offset: offset}
	w.queue = append(w.queue, p)
	w.poll()
	if at != nil {
		w.wake(p.Topic)
	}
}

// see is told a last stable offset by the way.
func (w *watcher) see(p log.Partition, stable int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if at := w.waiting[p]; at != nil && stable > at.offset {
		delete(w.waiting, p)
		w.wake(p.Topic)
	}
}

// changed is told of a topic that has more partitions, or is another one.
func (w *watcher) changed(topic string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wake(topic)
}

// wrote is told of batches that have become readable.
func (w *watcher) wrote(list []log.Append) {
	w.mu.Lock()
	defer w.mu.Unlock()
	topics := map[string]bool{}
	for _, a := range list {
		topics[a.Partition.Topic] = true
		delete(w.waiting, a.Partition)
	}
	for t := range topics {
		w.wake(t)
	}
}

// poll gives what is queued to a lane, if one is idle. The caller holds mu.
func (w *watcher) poll() {
	if len(w.queue) == 0 || len(w.idle) == 0 || w.log.ctx.Err() != nil {
		return
	}
	lane := w.idle[len(w.idle)-1]
	w.idle = w.idle[:len(w.idle)-1]
	list := w.mine(lane, nil)
	w.log.goWork(func() { w.runLane(lane, list) })
}

// mine returns what a lane has to poll for: what is still to be of what it had,
// and what is queued. The caller holds mu.
func (w *watcher) mine(lane *kgo.Client, had []log.Partition) []log.Partition {
	had = slices.DeleteFunc(had, func(p log.Partition) bool { return w.waiting[p] == nil || w.waiting[p].lane != lane })
	for _, p := range w.queue {
		if at := w.waiting[p]; at != nil && at.lane == nil {
			at.lane = lane
			had = append(had, p)
		}
	}
	w.queue = nil
	return had
}

// runLane polls for partitions until nobody waits for any of them any more.
func (w *watcher) runLane(lane *kgo.Client, list []log.Partition) {
	var wait backoff
	failed := errShape // the lane has not heard of the brokers yet
	for {
		// A lane's client asks for nothing but fetches, and hears of no changes.
		if failed != nil {
			_, failed = lane.Request(w.log.ctx, noTopics())
		}
		byLeader, err := w.positions(lane, list)
		failed = cmp.Or(failed, err)
		var mu sync.Mutex
		var wg sync.WaitGroup
		for broker, positions := range byLeader {
			wg.Go(func() {
				if err := w.pollOnce(lane, broker, positions); err != nil {
					mu.Lock()
					failed = err
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if failed == nil {
			wait = backoff{}
		} else if w.log.sleep(w.log.ctx, &wait) != nil {
			return
		}
		w.mu.Lock()
		list = w.mine(lane, list)
		if len(list) == 0 || w.log.ctx.Err() != nil {
			w.idle = append(w.idle, lane)
			w.mu.Unlock()
			return
		}
		w.mu.Unlock()
	}
}

// noTopics asks for brokers only.
func noTopics() *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{}
	return req
}

// positions returns where to poll, by broker.
func (w *watcher) positions(lane *kgo.Client, list []log.Partition) (map[int32][]position, error) {
	out := map[int32][]position{}
	var failed error
	for _, p := range list {
		w.mu.Lock()
		at := w.waiting[p]
		w.mu.Unlock()
		if at == nil || at.lane != lane {
			continue
		}
		t, lead, err := w.log.partition(w.log.ctx, p)
		if err != nil { // the reader will see for itself
			failed = err
			w.stopWaiting(p, at.offset)
			continue
		}
		out[lead.broker] = append(out[lead.broker], position{p, t.ID, lead.epoch, at.offset})
	}
	return out, failed
}

// stopWaiting wakes the reader of a partition to look for itself.
func (w *watcher) stopWaiting(p log.Partition, offset int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if at := w.waiting[p]; at != nil && at.offset == offset {
		delete(w.waiting, p)
	}
	w.wake(p.Topic)
}

// pollOnce asks one broker and keeps what it gives.
func (w *watcher) pollOnce(lane *kgo.Client, broker int32, list []position) error {
	resp, err := sendFetch(w.log.ctx, lane, broker, fetchRequest(list, w.log.opts.FetchBytes/4, pollMS))
	if err != nil {
		for _, at := range list {
			w.log.forget(at.Topic)
		}
		return err
	}
	names := map[log.TopicID]string{}
	offsets := map[log.Partition]int64{}
	for _, at := range list {
		names[at.id] = at.Topic
		offsets[at.Partition] = at.offset
	}
	var failed error
	for _, t := range resp.Topics {
		name := t.Topic
		if name == "" {
			name = names[t.TopicID]
		}
		for i := range t.Partitions {
			p := log.Partition{Topic: name, Index: t.Partitions[i].Partition}
			offset, ok := offsets[p]
			switch err := codeError(t.Partitions[i].ErrorCode, nil); {
			case !ok:
			case err != nil && moved(err):
				failed = err
				w.log.forget(name)
			case err != nil:
				failed = err
				w.stopWaiting(p, offset)
			default:
				w.keep(p, offset, readFetched(&t.Partitions[i]))
			}
		}
	}
	return failed
}

// keep takes what a poll brought, and tells the watchers if it is anything.
func (w *watcher) keep(p log.Partition, offset int64, f fetched) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if at := w.waiting[p]; at == nil || at.offset != offset || len(f.batches) == 0 && f.stable <= offset {
		return
	}
	delete(w.waiting, p)
	if old, ok := w.found[p]; ok {
		w.bytes -= len(old.batches)
		delete(w.found, p)
	}
	if len(f.batches) > 0 {
		w.bytes += len(f.batches)
		w.found[p] = found{f, offset}
	}
	// What is dropped will be fetched again, if its reader is still there.
	for other, old := range w.found {
		if w.bytes <= int(w.log.opts.FetchBytes) {
			break
		}
		w.bytes -= len(old.batches)
		delete(w.found, other)
	}
	w.wake(p.Topic)
}
