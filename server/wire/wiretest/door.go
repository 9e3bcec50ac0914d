// Package wiretest opens the Kafka door over a new embedded log in memory, for
// tests.
package wiretest

import (
	"log/slog"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"karst/log/segment"
	"karst/server/wire"

	"github.com/cockroachdb/pebble/v2/vfs"
)

type clock struct{}

func (clock) Now() time.Time { return time.Now() }

func (clock) AfterFunc(d time.Duration, f func()) func() bool { return time.AfterFunc(d, f).Stop }

// Start opens a door on the loopback until the test ends, and returns its
// address. Topics are not made by asking for them, groups do not wait for more
// members, and nothing expires meanwhile.
func Start(t testing.TB) (addr string) { return StartBehind(t, "") }

// StartBehind is Start for a door that tells clients another address than its
// own, that of a proxy.
func StartBehind(t testing.TB, advertised string) (addr string) {
	t.Helper()
	return StartOn(t, vfs.NewMem(), advertised)
}

// StartOn is StartBehind for a door over what a file system holds; "": it tells
// its own address.
func StartOn(t testing.TB, fs vfs.FS, advertised string) (addr string) {
	t.Helper()
	logger := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	l, err := segment.Open(segment.Options{FS: fs, Dir: "data", Rand: rand.Uint64, Clock: clock{}, Logger: logger, HousekeepingEvery: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	groups, err := segment.NewGroups(segment.GroupOptions{Store: l, Clock: clock{}, Rand: rand.Uint64, InitialDelay: time.Nanosecond})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if advertised == "" {
		advertised = listener.Addr().String()
	}
	door, err := wire.New(wire.Options{
		Log: l, Groups: groups, Logger: logger, Now: time.Now, Rand: rand.Uint64, Advertised: advertised,
	})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- door.Serve(listener) }() // ends by Close
	t.Cleanup(func() {
		door.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
		groups.Close()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}
