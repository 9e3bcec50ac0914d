package segment_test

import (
	"math/rand/v2"
	"testing"

	"karst/log"
	"karst/log/logtest"
	"karst/log/segment"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestContract runs the suite that log/kafka passes, too.
func TestContract(t *testing.T) {
	logtest.Run(t, logtest.Backend{TooLarge: 65 << 20, Open: func(t testing.TB) log.Log {
		l, err := segment.Open(segment.Options{FS: vfs.NewMem(), Dir: "data", Rand: rand.Uint64})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
		return l
	}})
}
