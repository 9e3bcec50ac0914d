package segment

import (
	"fmt"
	"runtime"
	"sync"
	"time"

	"karst/log"
)

// A request is what must become durable together.
type request struct {
	ops []op
	// check, if set, is called by the committer before anything is written. It
	// sees what all requests before have done, and may refuse the request,
	// complete its operations or take more (see Log.take).
	check func(*request) error
	// bytes is how much of the journal operations may take that check is yet to
	// add.
	bytes   int
	batches int // of these, with those that bypass the journal
	// alone requests are the only one of their entry: others are checked against
	// their outcome.
	alone bool
	done  func(error) // called once, by the committer or by add
	err   error       // set by the commit if the request was refused
}

// sizes returns about how much of the journal r takes, and that with all of its
// batches, those that bypass the journal, too.
func (r *request) sizes(large int) (journal, all int) {
	journal, all = r.bytes, max(r.bytes, r.batches)
	for i := range r.ops {
		o := &r.ops[i]
		n := o.journalBytes(large)
		journal += n
		all += max(n, len(o.batch))
	}
	return journal, all
}

// A committer is the queue in front of the journal: whoever works it takes all
// that has gathered while the last fsync ran and commits it as one. Without
// start it is worked by whoever adds. Its owner, the Log, waits for the
// goroutine in stop.
type committer struct {
	// commit makes a part of the requests, from the first on, durable.
	commit func([]*request) (int, error)
	// onFailure, if set, is told once why; it must not block.
	onFailure func(error)

	mu      sync.Mutex
	pending []*request
	working bool  // somebody works an inline queue
	failed  error // why nothing is accepted any more
	closed  bool
	ready   chan struct{} // nil if inline
	ended   chan struct{}

	// The goroutine's.
	now      func() time.Time // nil if inline
	answered int              // requests that the last commit took in
	took     time.Duration    // the last commit
}

func newCommitter(commit func([]*request) (int, error)) *committer {
	return &committer{commit: commit}
}

// start has a goroutine work the queue, which measures by the clock now.
func (q *committer) start(now func() time.Time) {
	q.now = now
	q.ready, q.ended = make(chan struct{}, 1), make(chan struct{})
	go q.run()
}

func (q *committer) run() {
	defer close(q.ended)
	var batch []*request
	for {
		var closed bool
		q.gather()
		q.mu.Lock()
		batch, q.pending, closed = q.pending, batch[:0], q.closed
		q.mu.Unlock()
		if len(batch) == 0 {
			if closed {
				return
			}
			<-q.ready
			continue
		}
		began := q.now()
		q.work(batch)
		q.answered, q.took = len(batch), q.now().Sub(began)
		clear(batch)
	}
}

// gather waits a little for as many requests as the last commit has answered:
// those who got the answers are about to send their next, and would all have to
// wait for an fsync of the first one's alone. A little is an eighth of what the
// last commit took, and bounded where the clock stands still.
func (q *committer) gather() {
	var began time.Time
	for i := range 1000 {
		q.mu.Lock()
		n := len(q.pending)
		q.mu.Unlock()
		if n == 0 || n >= q.answered {
			return
		}
		if now := q.now(); i == 0 {
			began = now
		} else if now.Sub(began) > q.took/8 {
			return
		}
		runtime.Gosched()
	}
}

// work commits requests and calls their done.
func (q *committer) work(batch []*request) {
	for len(batch) > 0 {
		n, err := len(batch), q.failure()
		if err == nil {
			if n, err = q.commit(batch); err != nil {
				err = q.fail(err)
			}
		}
		for _, r := range batch[:n] {
			if r.err != nil {
				r.done(r.err)
			} else {
				r.done(err)
			}
		}
		batch = batch[n:]
	}
}

// fail makes the queue refuse everything from now on.
func (q *committer) fail(cause error) error {
	q.mu.Lock()
	first := q.failed == nil
	if first {
		q.failed = fmt.Errorf("%w: %w", log.ErrFailed, cause)
	}
	err := q.failed
	q.mu.Unlock()
	if first && q.onFailure != nil {
		q.onFailure(err)
	}
	return err
}

func (q *committer) failure() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.failed
}

// add queues a request; its done is told if it is refused.
func (q *committer) add(r *request) {
	q.mu.Lock()
	err := q.failed
	if err == nil && q.closed {
		err = log.ErrClosed
	}
	if err == nil {
		q.pending = append(q.pending, r)
	}
	work := err == nil && q.ready == nil && !q.working
	q.working = q.working || work
	q.mu.Unlock()
	switch {
	case err != nil:
		r.done(err)
	case work:
		q.workInline()
	case q.ready != nil:
		select {
		case q.ready <- struct{}{}:
		default:
		}
	}
}

// workInline works the queue until it is empty.
func (q *committer) workInline() {
	for {
		q.mu.Lock()
		batch := q.pending
		q.pending = nil
		q.working = len(batch) > 0
		q.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		q.work(batch)
	}
}

// stop refuses what comes and waits for what is queued.
func (q *committer) stop() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	if q.ready != nil {
		select {
		case q.ready <- struct{}{}:
		default:
		}
		<-q.ended
	}
}
