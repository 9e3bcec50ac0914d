package exectest

import (
	"math/rand/v2"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// A Disk is a filesystem in memory, for log and state together, that can be
// cloned as a power cut would leave it.
type Disk struct {
	vfs.FS
	mem *vfs.MemFS

	mu     sync.Mutex
	writes int
	hook   func(write int) error
}

// NewDisk returns an empty disk. hook, if not nil, is called before each
// operation that changes it, with its number; an error makes the operation
// fail.
func NewDisk(hook func(write int) error) *Disk {
	d := &Disk{mem: vfs.NewCrashableMem(), hook: hook}
	d.FS = errorfs.Wrap(d.mem, d)
	return d
}

// MaybeError implements errorfs.Injector.
func (d *Disk) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
		return nil
	}
	d.mu.Lock()
	n := d.writes
	d.writes++
	d.mu.Unlock()
	if d.hook == nil {
		return nil
	}
	return d.hook(n)
}

// String implements errorfs.Injector.
func (d *Disk) String() string { return "disk" }

// Writes returns how many operations have changed the disk.
func (d *Disk) Writes() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.writes
}

// PowerCut returns the disk as a power cut now would leave it: with all that
// was synced, and that percentage of what was not.
func (d *Disk) PowerCut(unsyncedPercent int, rng *rand.Rand) vfs.FS {
	return d.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: unsyncedPercent, RNG: rng})
}
