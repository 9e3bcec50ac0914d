package exectest

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A Workload is statements and input whose outcome must not depend on how they
// are run.
type Workload struct {
	// Sources and Queries are statements that may be executed again; %d stands for
	// the number of partitions.
	Sources, Queries []string
	// Steps are appended one after the other, each once everything before has been
	// processed.
	Steps []Step
	// Answers returns what has come out.
	Answers func(e *Engine) string
}

// A Step is records for one topic, appended at once.
type Step struct {
	Topic   string
	Records []Record
}

// A Run says how a workload is run.
type Run struct {
	Partitions int
	// Late is the number of steps that are there before the queries are made.
	Late int
	// Until is the number of steps to run; 0: all.
	Until int
}

// Run runs what is left to do of a workload: sources and queries that are not
// there, and steps whose records are not.
func (w *Workload) Run(e *Engine, r Run) {
	e.t.Helper()
	w.execute(e, w.Sources, r)
	done := map[string]int{}
	for _, s := range w.Steps {
		if _, ok := done[s.Topic]; !ok {
			done[s.Topic] = len(e.Read(s.Topic))
		}
	}
	if r.Until == 0 {
		r.Until = len(w.Steps)
	}
	for n, s := range w.Steps[:r.Until] {
		if n == r.Late {
			w.execute(e, w.Queries, r)
			e.Settle()
		}
		if done[s.Topic] -= len(s.Records); done[s.Topic] >= 0 {
			continue
		}
		e.Produce(s.Topic, s.Records...)
		if n >= r.Late {
			e.Settle()
		}
	}
}

func (w *Workload) execute(e *Engine, statements []string, r Run) {
	for _, s := range statements {
		e.Run(strings.ReplaceAll(s, "%d", strconv.Itoa(r.Partitions)))
	}
}

// A crashed engine's disk is what a power cut left.
type crashed struct {
	fs vfs.FS
	at int
}

// Metamorphic runs a workload in n random ways: sizes of batches, numbers of partitions,
// moments of commits, power cuts and clean stops; all must give the same answers.
func Metamorphic(t *testing.T, w *Workload, late int, partitions []int, n int) {
	t.Helper()
	e := Open(t, Options{EveryChange: true})
	w.Run(e, Run{Partitions: partitions[0], Late: late})
	want := w.Answers(e)
	e.Close()
	for seed := range uint64(n) {
		rng := rand.New(rand.NewPCG(seed, 77))
		o := Options{EveryChange: true, BatchRows: []int{1, 7, 4096}[rng.IntN(3)], Tick: []time.Duration{0, 30 * time.Millisecond}[rng.IntN(2)]}
		r := Run{Partitions: partitions[rng.IntN(len(partitions))], Late: late}
		how := fmt.Sprintf("seed %d, batches of %d, tick %v, %d partitions", seed, o.BatchRows, o.Tick, r.Partitions)
		var disk vfs.FS
		for range rng.IntN(4) {
			c := crashRun(t, w, o, r, disk, rng)
			how += fmt.Sprintf(", cut at write %d", c.at)
			disk = c.fs
		}
		o.FS = disk
		e := Open(t, o)
		w.Run(e, r)
		if got := w.Answers(e); got != want {
			t.Errorf("%s:\n%s", how, FirstDifference(got, want))
		}
		e.Close()
	}
}

// crashRun runs a workload on a disk and cuts the power at some write; it
// returns what is left.
func crashRun(t *testing.T, w *Workload, o Options, r Run, from vfs.FS, rng *rand.Rand) crashed {
	at, percent := rng.IntN(500), rng.IntN(3)*50
	cut := make(chan vfs.FS, 1)
	var disk *Disk
	disk = NewDisk(func(write int) error {
		if write == at {
			cut <- disk.PowerCut(percent, rng)
		}
		return nil
	})
	if from != nil {
		for _, dir := range []string{"log", "state"} {
			if _, err := vfs.Clone(from, disk.mem, dir, dir, vfs.CloneSync); err != nil {
				t.Fatal(err)
			}
		}
	}
	o.FS = disk
	e := Open(t, o)
	w.Run(e, r)
	e.Close()
	select {
	case fs := <-cut:
		return crashed{fs, at}
	default: // it ended before
		return crashed{disk.PowerCut(percent, rng), disk.Writes()}
	}
}

// FirstDifference describes where two answers part.
func FirstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("got  %s\nwant %s", g[i], w[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(g), len(w))
}
