package kafka_test

import (
	"log/slog"
	"sync"
	"testing"
	"time"

	"karst/log"
	"karst/log/kafka"
	"karst/log/logtest"
	"karst/server/wire/wiretest"
	realkafka "karst/testdata/kafka"
)

// A clock is one by which nobody's patience ends because the machine is slow: time
// passes by what is waited for, however long that takes, as much of it as share
// says, and when a test lets it.
type clock struct {
	mu    sync.Mutex
	now   time.Time
	share float64
}

// patiently is a share with which what fails is tried for very long.
const patiently = 0.001

func newClock(share float64) *clock { return &clock{now: time.Unix(1e9, 0), share: share} }

func (c *clock) pass(share float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.share = share
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Now implements log.Clock.
func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// AfterFunc implements log.Clock.
func (c *clock) AfterFunc(d time.Duration, f func()) func() bool {
	return time.AfterFunc(d, func() {
		c.mu.Lock()
		c.now = c.now.Add(time.Duration(c.share * float64(d)))
		c.mu.Unlock()
		f()
	}).Stop
}

func open(t testing.TB, opts kafka.Options) *kafka.Log {
	t.Helper()
	if opts.Clock == nil {
		opts.Clock = newClock(1)
	}
	opts.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	l, err := kafka.Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// TestContractOnKafka runs the suite on a real broker.
func TestContractOnKafka(t *testing.T) {
	b := realkafka.Start(t)
	logtest.Run(t, logtest.Backend{TooLarge: 2 << 20, Open: func(t testing.TB) log.Log {
		return open(t, kafka.Options{Brokers: []string{b.Addr}})
	}})
}

// TestContractOnKarst runs the suite on our own Kafka door: the log over the
// protocol over the log.
func TestContractOnKarst(t *testing.T) {
	addr := wiretest.Start(t)
	logtest.Run(t, logtest.Backend{TooLarge: 2 << 20, Open: func(t testing.TB) log.Log {
		return open(t, kafka.Options{Brokers: []string{addr}})
	}})
}
