package task_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"karst/exec/operator"
	"karst/exec/state"
	"karst/exec/task"
	"karst/log"
	"karst/log/segment"
	"karst/planner"
	"karst/planner/catalog"
	"karst/planner/plan"
	"karst/sql"
	"karst/sql/vector"

	"github.com/cockroachdb/datadriven"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// A bench is one unit over a log and a database on a disk in memory.
type bench struct {
	t    *testing.T
	fs   *vfs.MemFS
	log  *segment.Log
	db   *state.DB
	plan *plan.Plan
	unit *task.Unit
	// What the next commit answers: lost is an error though it has happened.
	fail   string
	change func(*task.Config) // of the next open
	rng    *rand.Rand
	faults []string // since the last open
}

var ctx = context.Background()

func newBench(t *testing.T) *bench {
	b := &bench{t: t, fs: vfs.NewCrashableMem(), rng: rand.New(rand.NewPCG(1, 1))}
	b.mount()
	return b
}

func (b *bench) mount() {
	var err error
	if b.log, err = segment.Open(segment.Options{FS: b.fs, Dir: "log", Rand: rand.Uint64}); err != nil {
		b.t.Fatal(err)
	}
	if b.db, err = state.OpenDB(b.fs, "state", slog.New(slog.DiscardHandler)); err != nil {
		b.t.Fatal(err)
	}
}

// unmount closes what is open; with cut the disk is as a power cut leaves it.
func (b *bench) unmount(cut bool) {
	fs := b.fs
	if cut {
		fs = b.fs.CrashClone(vfs.CrashCloneCfg{RNG: b.rng})
	}
	if b.unit != nil {
		b.unit.Close()
		b.unit = nil
	}
	if err := errors.Join(b.db.Close(), b.log.Close()); err != nil {
		b.t.Fatal(err)
	}
	b.fs = fs
}

// A failingLog answers commits as the bench says.
type failingLog struct {
	log.Log
	b *bench
}

// OpenWriter implements log.Log.
func (l failingLog) OpenWriter(ctx context.Context, id string) (log.Writer, error) {
	w, err := l.Log.OpenWriter(ctx, id)
	return failingWriter{w, l.b}, err
}

type failingWriter struct {
	log.Writer
	b *bench
}

// Commit implements log.Writer.
func (w failingWriter) Commit(done func(error)) {
	how := w.b.fail
	w.b.fail = ""
	switch how {
	case "refused":
		w.Abort()
		done(errors.New("refused"))
	case "lost":
		w.Writer.Commit(func(error) { done(errors.New("the answer is lost")) })
	default:
		w.Writer.Commit(done)
	}
}

// define plans statements; the last query is the unit's. Topics are made.
func (b *bench) define(text string) string {
	stmts, err := sql.Parse(text, sql.Options{})
	if err != nil {
		return err.Error()
	}
	cat := catalog.New()
	for i, s := range stmts {
		facts := planner.Facts{Topics: map[string]int{}}
		for _, name := range planner.Topics(s, cat) {
			if t, err := b.log.Topic(ctx, name); err == nil {
				facts.Topics[name] = int(t.Partitions)
			}
		}
		r, err := planner.Plan(s, planner.Input{Catalog: cat, Facts: facts, Offset: int64(i), Settings: map[string]string{"auto.offset.reset": "earliest", "ksql.streams.cache.max.bytes.buffering": "0"}})
		if err != nil {
			return err.Error()
		}
		if cat, err = cat.Apply(r.Change); err != nil {
			return err.Error()
		}
		if r.CreateTopic != nil {
			if _, err := b.log.CreateTopic(ctx, r.CreateTopic.Name, int32(r.CreateTopic.Partitions), nil); err != nil {
				return err.Error()
			}
		}
		if r.Change.Start != nil {
			b.plan = r.Change.Start.Plan
		}
	}
	return ""
}

func (b *bench) open(batch int) string {
	b.faults = nil
	cfg := task.Config{Log: failingLog{b.log, b}, DB: b.db, Now: func() time.Time { return time.UnixMilli(0) }, Rand: b.rng.Uint64,
		BatchRows: batch, NewArena: vector.NewPoisonedArena, Report: func(f operator.Fault) {
			b.faults = append(b.faults, fmt.Sprintf("\n%s: %s", f.Reason, f.Message))
		}}
	if b.change != nil {
		b.change(&cfg)
	}
	u, err := task.New(ctx, b.plan, cfg)
	if err != nil {
		return "error: " + err.Error()
	}
	b.unit = u
	n := u.Counts()
	out := b.positions()
	if n.Loaded > 0 {
		out += ", state from the database"
	}
	if n.Replayed > 0 { // how many records there are is up to compaction
		out += ", state from the changelog"
	}
	return out + strings.Join(b.faults, "")
}

func (b *bench) positions() string {
	var out []string
	for at, next := range b.unit.Positions() {
		out = append(out, fmt.Sprintf("%s/%d at %d", at.Topic, at.Index, next))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// produce appends lines "key value @time [partition]" at once.
func (b *bench) produce(topic, input string) string {
	info, err := b.log.Topic(ctx, topic)
	if err != nil {
		return err.Error()
	}
	builders := make([]log.Builder, info.Partitions)
	for _, line := range strings.Split(strings.TrimSpace(input), "\n") {
		f := strings.Fields(line)
		ms, err := strconv.ParseInt(strings.TrimPrefix(f[2], "@"), 10, 64)
		if err != nil {
			return err.Error()
		}
		p := log.PartitionForKey([]byte(f[0]), len(builders))
		if len(f) > 3 {
			p, _ = strconv.Atoi(f[3])
		}
		builders[p].Add(ms, []byte(f[0]), bytesOf(f[1]), nil)
	}
	var batches []log.Append
	for p := range builders {
		if batch := builders[p].Finish(); batch != nil {
			batches = append(batches, log.Append{Partition: log.Partition{Topic: topic, Index: int32(p)}, Batch: batch})
		}
	}
	if err := b.log.Produce(ctx, batches); err != nil {
		return err.Error()
	}
	return ""
}

func bytesOf(s string) []byte {
	if s == "null" {
		return nil
	}
	return []byte(s)
}

// topic lists a topic's records.
func (b *bench) topic(name string, show func(partition int32, r *log.Records, i int) string) string {
	info, err := b.log.Topic(ctx, name)
	if err != nil {
		return err.Error()
	}
	var out strings.Builder
	var r log.Records
	for p := range info.Partitions {
		at := log.Partition{Topic: name, Index: p}
		for offset := int64(0); ; {
			next, err := b.log.Fetch(ctx, at, offset, 1<<20, &r)
			if err != nil {
				return err.Error()
			}
			for i := range r.Len() {
				fmt.Fprintln(&out, show(p, &r, i))
			}
			if next == offset {
				break
			}
			offset = next
		}
	}
	return out.String()
}

func showRecord(p int32, r *log.Records, i int) string {
	value := "null"
	if v := r.Value(i); v != nil {
		value = string(v)
	}
	return fmt.Sprintf("%d: %q %s @%d", p, r.Key(i), value, r.Timestamps[i])
}

// topicIDs are different in each run.
var topicIDs = regexp.MustCompile(`[0-9a-f]{32}`)

// showState prints the frontier whole, of other values only whether there is one.
func showState(p int32, r *log.Records, i int) string {
	key, value := r.Key(i), "a value"
	switch {
	case r.Value(i) == nil:
		value = "gone"
	case string(key) == "f":
		value = topicIDs.ReplaceAllString(string(r.Value(i)), "an id")
	case key[0] == 'm':
		value = fmt.Sprint(state.Int64(r.Value(i), -1))
	}
	return fmt.Sprintf("%d: %q %s", p, key, value)
}

func (b *bench) command(d *datadriven.TestData) string {
	result := func(err error) string {
		if err != nil {
			return "error: " + err.Error()
		}
		return b.positions()
	}
	switch d.Cmd {
	case "define":
		return b.define(d.Input)
	case "open":
		batch := 4096
		d.MaybeScanArgs(b.t, "batch", &batch)
		return b.open(batch)
	case "produce":
		return b.produce(d.CmdArgs[0].Key, d.Input)
	case "step": // rounds, without a commit
		rounds := 1
		d.MaybeScanArgs(b.t, "rounds", &rounds)
		for range rounds {
			if worked, err := b.unit.Step(ctx); err != nil || !worked {
				return fmt.Sprintf("worked: %v, error: %v", worked, err)
			}
		}
		return ""
	case "commit":
		d.MaybeScanArgs(b.t, "answer", &b.fail)
		return result(b.unit.Commit(ctx))
	case "recover":
		return result(b.unit.Recover(ctx))
	case "stop":
		err := b.unit.Stop(ctx)
		b.unit = nil
		b.unmount(false)
		b.mount()
		if err != nil {
			return err.Error()
		}
		return ""
	case "power-cut":
		b.unmount(true)
		b.mount()
		return ""
	case "lose-database":
		if err := b.db.Drop(b.plan.QueryID); err != nil {
			return err.Error()
		}
		return ""
	case "delete-topic":
		if err := b.log.DeleteTopic(ctx, d.CmdArgs[0].Key); err != nil {
			return err.Error()
		}
		return ""
	case "trim":
		var p, to int
		d.ScanArgs(b.t, "partition", &p)
		d.ScanArgs(b.t, "to", &to)
		if err := b.log.Trim(ctx, log.Partition{Topic: d.CmdArgs[0].Key, Index: int32(p)}, int64(to)); err != nil {
			return err.Error()
		}
		return ""
	case "add-partitions":
		total := 0
		d.ScanArgs(b.t, "total", &total)
		if err := b.log.AddPartitions(ctx, d.CmdArgs[0].Key, int32(total), false); err != nil {
			return err.Error()
		}
		return ""
	case "topic":
		return b.topic(d.CmdArgs[0].Key, showRecord)
	case "changelog":
		return b.topic(plan.ChangelogTopic(b.plan.QueryID), showState)
	}
	return "unknown command"
}

// TestUnits runs scripts of testdata: statements, input, rounds, commits and
// power cuts of one unit, one by one.
func TestUnits(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		b := newBench(t)
		defer b.unmount(false)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			b.t = t
			out := b.command(d)
			if out != "" && !strings.HasSuffix(out, "\n") {
				out += "\n"
			}
			return out
		})
	})
}
