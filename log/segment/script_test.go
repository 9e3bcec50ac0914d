package segment

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"karst/log"

	"github.com/cockroachdb/datadriven"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestScripts runs the files of testdata: each command is one call of the log,
// what it gives follows the ---- behind an arrow. Run with -rewrite after a change, and read the
// difference. Time stands at 1,000,000 ms until "advance".
//
//	create t [partitions=2] [name=value…]     config t    alter t name=value|-name|+name=v|~name=v
//	produce t/0 [id=0/0] [seq=0] [txn] [join] [ts=1] k=v…    a value of "-" is null
//	init ID [timeout=60s] [current=0/0]       join ID/0/0 t/0…     join-group ID/0/0 g
//	txn-offsets ID/0/0 g t/0=5 [join]         end ID/0/0 commit|abort [bump]
//	fetch t/0 [from=0]        decoded, committed
//	raw t/0 [from=0] [committed] [max=n]      batch by batch
//	offsets g    store g t/0=5    find t/0 TIME [committed]    bounds t/0
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata/scripts", func(t *testing.T, path string) {
		s := &scripted{t: t, fs: vfs.NewCrashableMem(), clock: newFakeClock(), rng: rand.New(rand.NewPCG(1, 2))}
		s.open()
		defer func() { _ = s.log.Close() }()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			s.t = t
			var out strings.Builder
			for _, line := range append([]string{d.Cmd + argText(d)}, strings.Split(strings.TrimSpace(d.Input), "\n")...) {
				if line = strings.TrimSpace(line); line == "" || line == "run" {
					continue
				}
				text := strings.TrimSuffix(s.run(strings.Fields(line)), "\n")
				if strings.Contains(text, "\n") {
					text = "\n  " + strings.ReplaceAll(text, "\n", "\n  ")
				}
				fmt.Fprintln(&out, strings.ReplaceAll(strings.TrimSpace(line+" -> "+text), "-> \n", "->\n"))
			}
			return out.String()
		})
	})
}

func argText(d *datadriven.TestData) string {
	out := ""
	for _, a := range d.CmdArgs {
		out += " " + a.Key
		if len(a.Vals) > 0 {
			out += "=" + strings.Join(a.Vals, ",")
		}
	}
	return out
}

type scripted struct {
	t     *testing.T
	fs    *vfs.MemFS
	clock *fakeClock
	rng   *rand.Rand
	log   *Log
}

func (s *scripted) open() {
	l, err := Open(Options{
		FS: s.fs, Dir: "data", Rand: s.rng.Uint64, Inline: true, Clock: s.clock, HousekeepingEvery: time.Hour * 24 * 365,
		SegmentBytes: 300, JournalBytes: 100_000, LargeRunBytes: 1000, CompactionKeys: 10,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.log = l
}

func (s *scripted) run(f []string) string {
	verb, args := f[0], f[1:]
	switch verb {
	case "reopen":
		if err := s.log.Close(); err != nil {
			return errText(err)
		}
		s.open()
	case "crash":
		clone := s.fs.CrashClone(vfs.CrashCloneCfg{})
		s.fs = clone
		_ = s.log.Close()
		s.open()
	case "advance":
		d, err := time.ParseDuration(args[0])
		if err != nil {
			s.t.Fatal(err)
		}
		s.clock.advance(d)
	case "housekeep":
		s.log.Housekeep()
	case "create":
		return s.create(args)
	case "delete":
		return errText(s.log.DeleteTopic(ctx, args[0]))
	case "check":
		return errText(s.log.CheckTopic(ctx, args[0], int32(atoi(args[1])), nil))
	case "delete-by-id":
		t, err := s.log.Topic(ctx, args[0])
		if err == nil {
			t, err = s.log.TopicByID(ctx, t.ID)
		}
		if err == nil {
			err = s.log.DeleteTopicID(ctx, t.ID)
		}
		if err == nil {
			_, err = s.log.TopicByID(ctx, t.ID)
		}
		return errText(err)
	case "size":
		n, err := s.log.Size(ctx, at(args[0]))
		return orError(err, "%d", n)
	case "cluster":
		return s.log.ClusterID()
	case "add-partitions":
		return errText(s.log.AddPartitions(ctx, args[0], int32(atoi(args[1])), false))
	case "config", "alter":
		return s.config(verb, args)
	case "trim":
		return errText(s.log.Trim(ctx, at(args[0]), atoi(args[1])))
	case "produce":
		return s.produce(args)
	case "fetch":
		return s.fetch(at(args[0]), parse(args[1:]))
	case "raw":
		return s.raw(at(args[0]), parse(args[1:]))
	case "bounds":
		b, err := s.log.Bounds(ctx, at(args[0]))
		return orError(err, "start=%d stable=%d end=%d epoch=%d", b.Start, b.LastStable, b.HighWatermark, b.LeaderEpoch)
	case "find":
		q := log.OffsetQuery{Partition: at(args[0]), Time: atoi(args[1]), Committed: len(args) > 2}
		o, err := s.log.FindOffset(ctx, q)
		return orError(err, "offset=%d time=%d epoch=%d", o.Offset, o.Timestamp, o.LeaderEpoch)
	case "epoch-end":
		last, end, err := s.log.LeaderEpochEnd(ctx, at(args[0]), int32(atoi(args[1])))
		return orError(err, "epoch=%d end=%d", last, end)
	case "segments":
		return s.segments(at(args[0]))
	case "producers":
		list, err := s.log.Producers(ctx, at(args[0]))
		out := ""
		for _, p := range list {
			out += fmt.Sprintf("%d/%d seq=%d time=%d txn=%d\n", p.ID, p.Epoch, p.LastSequence, p.LastTimestamp, p.TxnStart)
		}
		return orError(err, "%s", out)
	default:
		return s.transaction(verb, args)
	}
	return ""
}

func (s *scripted) transaction(verb string, args []string) string {
	var err error
	done := func(e error) { err = e }
	o := parse(args[min(1, len(args)):])
	switch verb {
	case "init":
		timeout, current, id := time.Minute, log.NoProducer, args[0]
		if id == "-" {
			id = ""
		}
		if v, ok := o["timeout"]; ok {
			timeout, _ = time.ParseDuration(v)
		}
		if v, ok := o["current"]; ok {
			current = producer(v)
		}
		p, err := s.log.InitProducer(ctx, id, timeout, current)
		return orError(err, "%d/%d", p.ID, p.Epoch)
	case "join":
		var parts []log.Partition
		for _, a := range args[1:] {
			parts = append(parts, at(a))
		}
		return errText(s.log.JoinTxn(ctx, txnProducer(args[0]), parts))
	case "join-group":
		return errText(s.log.JoinTxnGroup(ctx, txnProducer(args[0]), args[1]))
	case "txn-offsets":
		s.log.TxnOffsets(txnProducer(args[0]), args[1], groupOffsets(args[2:]), has(o, "join"), done)
		return errText(err)
	case "end":
		p, err := s.log.EndTxn(ctx, txnProducer(args[0]), has(o, "commit"), has(o, "bump"))
		return orError(err, "%d/%d", p.ID, p.Epoch)
	case "txns":
		list, err := s.log.Transactions(ctx)
		out := ""
		for _, i := range list {
			out += fmt.Sprintf("%s %d/%d %s timeout=%v began=%d partitions=%v groups=%v\n", i.TransactionalID, i.ID, i.Epoch, i.State, i.Timeout, i.Began, i.Partitions, i.Groups)
		}
		return orError(err, "%s", out)
	case "store":
		s.log.StoreOffsets(args[0], groupOffsets(args[1:]), done)
		return errText(err)
	case "store-group":
		state := []byte(args[1])
		if args[1] == "-" {
			state = nil
		}
		s.log.StoreGroup(args[0], state, done)
		return errText(err)
	case "delete-offsets":
		return errText(s.log.DeleteOffsets(ctx, args[0], []log.Partition{at(args[1])}))
	case "delete-group":
		return errText(s.log.DeleteGroup(ctx, args[0]))
	case "groups":
		m, err := s.log.StoredGroups(ctx)
		out := ""
		for _, g := range slices.Sorted(maps.Keys(m)) {
			out += fmt.Sprintf("%s %q\n", g, m[g])
		}
		return orError(err, "%s", out)
	case "offsets":
		committed, pending, err := s.log.GroupOffsets(ctx, args[0])
		out := ""
		for _, p := range sortedPartitions(committed) {
			out += fmt.Sprintf("%s/%d=%d time=%d\n", p.Topic, p.Index, committed[p].Offset, committed[p].CommitTime)
		}
		for _, p := range sortedPartitions(pending) {
			out += fmt.Sprintf("%s/%d pending\n", p.Topic, p.Index)
		}
		return orError(err, "%s", out)
	}
	s.t.Fatalf("unknown command %q", verb)
	return ""
}

func (s *scripted) create(args []string) string {
	partitions, config := int64(1), map[string]string{}
	for k, v := range parse(args[1:]) {
		if k == "partitions" {
			partitions = atoi(v)
		} else {
			config[k] = v
		}
	}
	_, err := s.log.CreateTopic(ctx, args[0], int32(partitions), config)
	return errText(err)
}

func (s *scripted) config(verb string, args []string) string {
	if verb == "config" {
		list, err := s.log.TopicConfig(ctx, args[0])
		out := ""
		for _, e := range list {
			if e.Set || has(parse(args[1:]), "all") {
				out += fmt.Sprintf("%s=%s (%s)\n", e.Name, e.Value, e.Default)
			}
		}
		return orError(err, "%s", out)
	}
	var changes []log.ConfigChange
	for _, a := range args[1:] {
		op := log.ConfigSet
		switch a[0] {
		case '-':
			op, a = log.ConfigDelete, a[1:]
		case '+':
			op, a = log.ConfigAppend, a[1:]
		case '~':
			op, a = log.ConfigSubtract, a[1:]
		}
		name, value, _ := strings.Cut(a, "=")
		changes = append(changes, log.ConfigChange{Name: name, Op: op, Value: value})
	}
	return errText(s.log.AlterTopicConfig(ctx, args[0], changes, false))
}

func (s *scripted) produce(args []string) string {
	r := log.RawProduce{}
	p, seq, txn, ts := log.NoProducer, int32(-1), false, s.clock.Now().UnixMilli()
	var b log.Builder
	for _, a := range args[1:] {
		k, v, pair := strings.Cut(a, "=")
		switch {
		case k == "id":
			p = producer(v)
		case k == "seq":
			seq = int32(atoi(v))
		case k == "ts":
			ts = atoi(v)
		case k == "txid":
			r.TransactionalID = v
		case k == "txn":
			txn = true
		case k == "join":
			r.JoinTxn = true
		default:
			b.Add(ts, nullable(k), nullable(v), nil)
		}
		_ = pair
	}
	batch := b.Finish()
	if p.ID >= 0 || txn {
		log.SetProducer(batch, p, seq, txn)
	}
	r.Batches = []log.Append{{Partition: at(args[0]), Batch: batch}}
	var res log.RawResult
	s.log.ProduceRaw(r, func(x []log.RawResult) { res = x[0] })
	return orError(res.Err, "offset=%d%s", res.BaseOffset, map[bool]string{true: fmt.Sprintf(" time=%d", res.AppendTime)}[res.AppendTime >= 0])
}

func nullable(v string) []byte {
	if v == "-" {
		return nil
	}
	return []byte(v)
}

func (s *scripted) fetch(p log.Partition, o map[string]string) string {
	var r log.Records
	next := atoi(cmp.Or(o["from"], "0"))
	out := ""
	for {
		from := next
		var err error
		if next, err = s.log.Fetch(ctx, p, from, 1<<20, &r); err != nil {
			return out + errText(err)
		}
		for i := range r.Len() {
			out += fmt.Sprintf("%d:%s=%s ", r.Offsets[i], show(r.Key(i)), show(r.Value(i)))
		}
		if next == from {
			return fmt.Sprintf("%snext=%d", out, next)
		}
	}
}

func show(b []byte) string {
	if b == nil {
		return "-"
	}
	return string(b)
}

func (s *scripted) raw(p log.Partition, o map[string]string) string {
	r := log.RawFetch{Partition: p, Offset: atoi(cmp.Or(o["from"], "0")), MaxBytes: int(atoi(cmp.Or(o["max"], "1000000"))), AtLeastOne: !has(o, "strict"), Committed: has(o, "committed")}
	out := ""
	for {
		f, err := s.log.FetchRaw(ctx, r, nil)
		if err != nil {
			return out + errText(err)
		}
		if len(f.Aborted) > 0 {
			out += fmt.Sprintf("aborted=%v\n", f.Aborted)
		}
		for rest := f.Batches; len(rest) > 0; {
			b, err := log.CheckBatch(rest[:batchBytes(rest)])
			if err != nil {
				return out + errText(err)
			}
			out += fmt.Sprintf("%d-%d n=%d", b.BaseOffset, b.LastOffset, b.Count)
			if b.Producer.ID >= 0 {
				out += fmt.Sprintf(" id=%d/%d seq=%d", b.Producer.ID, b.Producer.Epoch, b.BaseSequence)
			}
			if b.Transactional() {
				out += " txn"
			}
			if b.Control() {
				out += map[bool]string{true: " abort", false: " commit"}[log.AbortMarker(rest)]
			}
			if b.Horizon() >= 0 {
				out += fmt.Sprintf(" horizon=%d", b.Horizon())
			}
			out += "\n"
			rest, r.Offset = rest[b.Bytes:], b.LastOffset+1
		}
		if len(f.Batches) == 0 || has(o, "once") {
			return out
		}
	}
}

func (s *scripted) segments(p log.Partition) string {
	part, err := s.log.partition(p)
	if err != nil {
		return errText(err)
	}
	out := ""
	for _, f := range part.segments {
		out += fmt.Sprintf("%s bytes=%d\n", f.name(), f.size)
	}
	return out + fmt.Sprintf("start=%d cleaned=%d aborted=%d\n", part.start, part.cleaned, len(part.aborted))
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return fmt.Sprintf("error %d: %v", log.Code(err), err)
}

func orError(err error, format string, args ...any) string {
	if err != nil {
		return errText(err)
	}
	return fmt.Sprintf(format, args...)
}

func at(s string) log.Partition {
	topic, index, _ := strings.Cut(s, "/")
	return log.Partition{Topic: topic, Index: int32(atoi(cmp.Or(index, "0")))}
}

func producer(s string) log.Producer {
	id, epoch, _ := strings.Cut(s, "/")
	return log.Producer{ID: atoi(id), Epoch: int16(atoi(epoch))}
}

func txnProducer(s string) log.TxnProducer {
	id, p, _ := strings.Cut(s, "/")
	return log.TxnProducer{TransactionalID: id, Producer: producer(p)}
}

func groupOffsets(args []string) map[log.Partition]log.GroupOffset {
	out := map[log.Partition]log.GroupOffset{}
	for _, a := range args {
		if p, v, ok := strings.Cut(a, "="); ok {
			out[at(p)] = log.GroupOffset{Offset: atoi(v), LeaderEpoch: -1}
		}
	}
	return out
}

func parse(args []string) map[string]string {
	out := map[string]string{}
	for _, a := range args {
		k, v, _ := strings.Cut(a, "=")
		out[k] = v
	}
	return out
}

func has(m map[string]string, k string) bool { _, ok := m[k]; return ok }

func atoi(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}
