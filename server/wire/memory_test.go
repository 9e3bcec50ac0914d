package wire

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"karst/log/segment"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A stalledFS has files whose syncs wait while stalled is locked. begun is sent to
// when one begins.
type stalledFS struct {
	vfs.FS
	stalled sync.RWMutex
	begun   chan struct{}
}

type stalledFile struct {
	vfs.File
	fs *stalledFS
}

func (f stalledFile) wait() {
	select {
	case f.fs.begun <- struct{}{}:
	default:
	}
	f.fs.stalled.RLock()
	defer f.fs.stalled.RUnlock()
}

func (f stalledFile) Sync() error {
	f.wait()
	return f.File.Sync()
}

func (f stalledFile) SyncData() error {
	f.wait()
	return f.File.SyncData()
}

func (fs *stalledFS) wrap(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return stalledFile{f, fs}, nil
}

func (fs *stalledFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return fs.wrap(fs.FS.Create(name, c))
}

func (fs *stalledFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return fs.wrap(fs.FS.OpenReadWrite(name, c, o...))
}

// A laterClock is ahead of the time by what it has been moved.
type laterClock struct{ ahead atomic.Int64 }

func (c *laterClock) now() time.Time           { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *laterClock) advance(by time.Duration) { c.ahead.Add(int64(by)) }

// TestSlowDiskIsNobodysFault keeps the connections of producers that wait for the
// disk and hold all the memory there is meanwhile.
func TestSlowDiskIsNobodysFault(t *testing.T) {
	fs := &stalledFS{FS: vfs.NewMem(), begun: make(chan struct{}, 1)}
	clock := new(laterClock)
	b := newBenchOver(t,
		func(o *segment.Options) { o.FS = fs },
		func(o *Options) { o.MaxMemory, o.Now = 8<<20, clock.now })
	b.topic("t", 1, map[string]string{"max.message.bytes": "67108864"})
	fs.stalled.Lock()
	select { // one of the topic's
	case <-fs.begun:
	default:
	}
	req := produceRequestOf("t", 0, batch(nil, 0, false, string(make([]byte, 9<<20))))
	req.SetVersion(9)
	c := b.dial()
	id := c.send(req)
	<-fs.begun
	for range 1000 { // whenever it is that the writer begins to wait
		clock.advance(time.Hour)
		b.relieve()
		runtime.Gosched()
	}
	fs.stalled.Unlock()
	if p := c.receive(req, id).(*kmsg.ProduceResponse).Topics[0].Partitions[0]; p.ErrorCode != 0 {
		t.Errorf("code %d", p.ErrorCode)
	}
}

// TestStandstillIsNobodysFault closes no connection for a time in which the server had
// no processor itself, but the next time that it stands still.
func TestStandstillIsNobodysFault(t *testing.T) { synctest.Test(t, testStandstillIsNobodysFault) }

func testStandstillIsNobodysFault(t *testing.T) {
	clock := new(laterClock)
	b := newBench(t, func(o *Options) { o.MaxMemory, o.Now = 1<<20, clock.now })
	half := append([]byte{0x06, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1}, make([]byte, 1<<20)...) // of a Produce of 96 MiB
	still, waits := b.dial(), b.dial()
	if _, err := still.nc.Write(half); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = waits.nc.Write(half) }() // closed with the bench
	synctest.Wait()
	if b.memory.free() > 0 {
		t.Fatal("nobody waits for memory")
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = still.nc.Read(make([]byte, 1))
	}()
	clock.advance(2 * b.patience)
	time.Sleep(b.patience)
	synctest.Wait()
	select {
	case <-ended:
		t.Error("closed for a standstill of the server")
	default:
	}
	began := time.Now()
	if <-ended; time.Since(began) != b.patience {
		t.Errorf("closed after %v more, want %v", time.Since(began), b.patience)
	}
}

// TestWaitingForMemory closes a connection whose client sends nothing, and not one
// that sends and has more, as long as there is another; but where there is
// none, not even that one holds up the others for good.
func TestWaitingForMemory(t *testing.T) { synctest.Test(t, testWaitingForMemory) }

func testWaitingForMemory(t *testing.T) {
	clock := new(laterClock)
	b := newBench(t, func(o *Options) { o.MaxMemory, o.Now = 1<<20, clock.now })
	b.patience = time.Hour // the test relieves
	b.topic("t", 1, nil)
	half := append([]byte{0x06, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1}, make([]byte, 4<<20)...) // of a Produce of 96 MiB
	send := func(c *testClient, n int) <-chan error {
		end := make(chan error, 1)
		go func() {
			_, err := c.nc.Write(half[:n])
			if err == nil {
				_, err = c.nc.Read(make([]byte, 1)) // it is not answered
			}
			end <- err
		}()
		return end
	}
	still := send(b.dial(), 100<<10)
	synctest.Wait()
	busy := send(b.dial(), len(half))
	synctest.Wait()
	clock.advance(b.patience)
	b.relieve()
	<-still // the only one that is closed: the other one goes on with what it had
	synctest.Wait()
	clock.advance(b.patience)
	b.relieve()
	synctest.Wait()
	select {
	case err := <-busy:
		t.Fatalf("closed while it waited for memory: %v", err)
	default:
	}
	clock.advance(deadlock * b.patience)
	b.relieve()
	<-busy
}
