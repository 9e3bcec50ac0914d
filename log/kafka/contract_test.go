package kafka_test

import (
	"log/slog"
	"testing"
	"time"

	"karst/log"
	"karst/log/kafka"
	"karst/log/logtest"
	"karst/server/wire/wiretest"
	realkafka "karst/testdata/kafka"
)

// A clock is the real one.
type clock struct{}

func (clock) Now() time.Time { return time.Now() }

func (clock) AfterFunc(d time.Duration, f func()) func() bool { return time.AfterFunc(d, f).Stop }

func open(t testing.TB, opts kafka.Options) *kafka.Log {
	t.Helper()
	opts.Clock = clock{}
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
