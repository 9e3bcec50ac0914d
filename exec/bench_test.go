package exec

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"karst/exec/state"
	"karst/log"
	"karst/log/segment"
	"karst/sql/format"
	"karst/sql/types"
	"karst/sql/vector"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const benchRows = 400_000

// bids fills a topic with JSON bids: 10,000 auctions, 185 bytes or so a row.
func bids(b *testing.B, l log.Log) {
	if _, err := l.CreateTopic(context.Background(), "bid", 1, nil); err != nil {
		b.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for n := 0; n < benchRows; {
		var bl log.Builder
		for range 4000 {
			v := fmt.Appendf(nil, `{"auction":%d,"bidder":%d,"price":%d,"channel":"channel-%d","url":"https://www.nexmark.com/item.htm?query=%d","datetime":%d,"extra":"%032d"}`,
				rng.IntN(10000), rng.IntN(1000), rng.IntN(100000), rng.IntN(100), n, 1600000000000+n, n)
			bl.Add(int64(n), nil, v, nil)
			n++
		}
		if err := l.Produce(context.Background(), []log.Append{{Partition: log.Partition{Topic: "bid"}, Batch: bl.Finish()}}); err != nil {
			b.Fatal(err)
		}
	}
}

// bareScan reads, checks and decodes the projected columns, and returns how
// long it took: what the ratios below are to.
func bareScan(b *testing.B, l log.Log, needed ...string) time.Duration {
	cols := []types.Column{}
	want := []bool{}
	for _, c := range []struct {
		name string
		t    *types.Type
	}{{"AUCTION", types.Bigint}, {"BIDDER", types.Bigint}, {"PRICE", types.Bigint}, {"CHANNEL", types.String}, {"URL", types.String}, {"DATETIME", types.Bigint}, {"EXTRA", types.String}} {
		cols = append(cols, types.Column{Name: c.name, Type: c.t})
		use := false
		for _, n := range needed {
			use = use || n == c.name
		}
		want = append(want, use)
	}
	d, err := format.NewDecoder(format.Options{Name: "JSON"}, cols, want)
	if err != nil {
		b.Fatal(err)
	}
	a := vector.NewArena()
	var r log.Records
	start := time.Now()
	for offset := int64(0); offset < benchRows; {
		next, err := l.Fetch(context.Background(), log.Partition{Topic: "bid"}, offset, 1<<20, &r)
		if err != nil {
			b.Fatal(err)
		}
		a.Reset()
		in := format.Cells{Buf: r.Buf, Off: r.ValueOff, Len: r.ValueLen}
		d.Decode(a, &in, r.Len(), func(int, string, string) {})
		offset = next
	}
	return time.Since(start)
}

const bidStream = `CREATE STREAM bid (auction BIGINT, bidder BIGINT, price BIGINT, channel STRING, url STRING, datetime BIGINT, extra STRING) WITH (KAFKA_TOPIC='bid', VALUE_FORMAT='JSON');`

// benchQuery runs a persistent query over all bids and reports rows a second
// and the ratio to the bare scan.
func benchQuery(b *testing.B, query string, needed ...string) {
	for b.Loop() {
		b.StopTimer()
		fs := vfs.NewMem()
		l, err := segment.Open(segment.Options{FS: fs, Dir: "log", Rand: rand.Uint64})
		if err != nil {
			b.Fatal(err)
		}
		db, err := state.OpenDB(fs, "state", slog.New(slog.DiscardHandler))
		if err != nil {
			b.Fatal(err)
		}
		bids(b, l)
		e, err := Open(Options{Log: l, DB: db, Now: time.Now, Rand: rand.Uint64})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := e.Execute(context.Background(), bidStream, &Session{}); err != nil {
			b.Fatal(err)
		}
		bare := bareScan(b, l, needed...)
		b.StartTimer()
		start := time.Now()
		if _, err := e.Execute(context.Background(), query, &Session{}); err != nil {
			b.Fatal(err)
		}
		if err := e.Quiesce(context.Background()); err != nil {
			b.Fatal(err)
		}
		took := time.Since(start)
		b.StopTimer()
		b.ReportMetric(benchRows/took.Seconds()/1e6, "Mrows/s")
		b.ReportMetric(100*bare.Seconds()/took.Seconds(), "%ofscan")
		if err := e.Close(); err != nil {
			b.Fatal(err)
		}
		_ = db.Close()
		_ = l.Close()
		b.StartTimer()
	}
}

func BenchmarkFilterProject(b *testing.B) {
	benchQuery(b, "CREATE STREAM out AS SELECT auction, bidder, price * 2 AS p FROM bid WHERE price > 50000;", "AUCTION", "BIDDER", "PRICE")
}

func BenchmarkGroupedCount(b *testing.B) {
	benchQuery(b, "CREATE TABLE out AS SELECT auction, COUNT(*) AS n FROM bid GROUP BY auction;", "AUCTION")
}

// BenchmarkRestart opens an engine whose process was killed with much state: what
// the database had not flushed is read from the changelog.
func BenchmarkRestart(b *testing.B) {
	const keys = 500_000
	fs := vfs.NewCrashableMem()
	in := open(b, fs, 0)
	if _, err := in.log.CreateTopic(context.Background(), "bid", 1, nil); err != nil {
		b.Fatal(err)
	}
	in.run(`SET 'auto.offset.reset'='earliest';` + bidStream + `CREATE TABLE out AS SELECT auction, COUNT(*) AS n FROM bid GROUP BY auction;`)
	for n := 0; n < keys; {
		var bl log.Builder
		for range 5000 {
			bl.Add(int64(n), nil, fmt.Appendf(nil, `{"auction":%d}`, n), nil)
			n++
		}
		if err := in.log.Produce(context.Background(), []log.Append{{Partition: log.Partition{Topic: "bid"}, Batch: bl.Finish()}}); err != nil {
			b.Fatal(err)
		}
	}
	if err := in.e.Quiesce(context.Background()); err != nil {
		b.Fatal(err)
	}
	defer in.close()
	for b.Loop() {
		b.StopTimer()
		clone := fs.CrashClone(vfs.CrashCloneCfg{})
		b.StartTimer()
		start := time.Now()
		again := open(b, clone, 0)
		again.want("SELECT n FROM out WHERE auction = 77;", "1")
		took := time.Since(start)
		b.StopTimer()
		b.ReportMetric(keys/took.Seconds()/1e6, "Mkeys/s")
		again.close()
		b.StartTimer()
	}
}
