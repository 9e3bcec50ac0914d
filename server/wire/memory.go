package wire

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// A memory bounds what all connections hold together: requests from their first
// bytes on, what handling them takes, and answers until they are sent. Whoever
// wants some waits while there is none left; the last one may overdraw it, so
// that nothing is too large to go through. If nothing comes free for a while, the
// connection goes that holds the most of those whose clients neither send nor
// take anything: a client that stops reading holds up no other. Who waits for the
// log holds up nobody by that; but where requests that have come by half wait for
// each other's memory, one of them goes in the end.
type memory struct {
	mu    sync.Mutex
	left  int
	freed chan struct{} // closed when there is some again; nil if nobody waits
	since time.Time     // when the first of those who wait began to
}

// free returns how many bytes are left.
func (m *memory) free() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.left
}

// patience is how long a connection may keep others waiting for memory, and
// deadlock after how many of it one goes that waits for memory itself.
const (
	patience = time.Second
	deadlock = 10
)

// try takes want bytes, or if that is more than a quarter of what is left, so
// much but at least least. It returns a channel to wait for if nothing is left.
func (m *memory) try(want, least int, now time.Time) (got int, freed <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.left > 0 {
		got = min(want, max(m.left/4, least))
		m.left -= got
		return got, nil
	}
	if m.freed == nil {
		m.freed, m.since = make(chan struct{}), now
	}
	return 0, m.freed
}

// shortFor reports whether nothing has come free for d, and somebody waits.
func (m *memory) shortFor(d time.Duration, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.freed != nil && now.Sub(m.since) >= d
}

// give gives back n bytes; below 0 it takes them, whatever is left.
func (m *memory) give(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.left += n
	if m.left > 0 && m.freed != nil {
		close(m.freed)
		m.freed = nil
	}
}

// hold waits for memory, see memory.try; the connection owns it until release.
func (c *conn) hold(want, least int) (int, error) {
	for waits := false; ; {
		got, freed := c.srv.memory.try(want, least, c.srv.opts.Now())
		if freed == nil {
			c.held.Add(int64(got))
			return got, nil
		}
		if !waits {
			waits = true
			c.wanting.begin(c.srv.opts.Now())
			defer c.wanting.end()
		}
		began, timer := c.srv.opts.Now(), time.NewTimer(c.srv.patience)
		select {
		case <-freed:
		case <-timer.C:
			// If it took much longer the process had no processor, and no client could be heard.
			if c.srv.opts.Now().Sub(began) < 2*c.srv.patience {
				c.srv.relieve()
			}
		case <-c.ctx.Done():
			timer.Stop()
			return 0, context.Cause(c.ctx)
		}
		timer.Stop()
	}
}

// release gives back n bytes that the connection holds; below 0 it takes them
// without waiting.
func (c *conn) release(n int) {
	c.held.Add(int64(-n))
	c.srv.memory.give(n)
}

// errHeld is why a connection is closed that keeps others waiting.
var errHeld = errors.New("closed because others waited for the memory it held")

// relieve closes the connection that holds the most of those that stand still.
func (s *Server) relieve() {
	now := s.opts.Now()
	dead := s.memory.shortFor(deadlock*s.patience, now) // else it is just not a connection's turn
	var worst *conn
	most := int64(0)
	s.mu.Lock()
	for c := range s.conns {
		still := c.reading.longer(now, s.patience) || c.writing.longer(now, s.patience) || dead && c.wanting.longer(now, deadlock*s.patience)
		if n := c.held.Load(); still && n > most {
			worst, most = c, n
		}
	}
	s.mu.Unlock()
	if worst != nil {
		worst.close(fmt.Errorf("%w: %d bytes", errHeld, most))
	}
}

// A since is when something began that is going on.
type since struct{ ns atomic.Int64 }

func (s *since) begin(now time.Time) { s.ns.Store(now.UnixNano()) }
func (s *since) end()                { s.ns.Store(0) }

func (s *since) longer(now time.Time, d time.Duration) bool {
	ns := s.ns.Load()
	return ns != 0 && now.UnixNano()-ns >= int64(d)
}

// Bounds of an answer.
const (
	maxAnswerBytes = 64 << 20 // apart from fetched records
	maxWide        = 4        // answers at a time that may become as large
)

// errAnswer is why a connection is closed that asks for too much at once.
var errAnswer = errors.New("the answer would be too large; ask for less at a time")

// spend counts bytes of an answer, about, where it may be out of proportion to
// the request. It reports false, and the connection is closed, once they are
// too many.
func (c *call) spend(n int) bool {
	c.spent += n
	c.conn.release(-n)
	if c.spent <= maxAnswerBytes {
		return true
	}
	c.conn.close(fmt.Errorf("%w: more than %d bytes", errAnswer, maxAnswerBytes))
	return false
}
