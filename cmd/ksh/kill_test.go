package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"karst/server/api"
)

var kills = flag.Int("kills", 6, "how often tests that kill the server do so")

func clientOf(s *kshServer) *api.Client { return api.NewClient("http://" + s.HTTP) }

// rows returns a query's answer, sorted.
func rows(s *kshServer, t *testing.T, text string) []string {
	t.Helper()
	var out []string
	err := clientOf(s).Query(context.Background(), text, map[string]string{"auto.offset.reset": "earliest"}, nil, func(api.Header) {}, func(row []json.RawMessage) bool {
		out = append(out, string(bytes.Join(rawBytes(row), []byte(" "))))
		return true
	})
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	slices.Sort(out)
	return out
}

func rawBytes(row []json.RawMessage) [][]byte {
	var out [][]byte
	for _, c := range row {
		out = append(out, c)
	}
	return out
}

const killStatements = `
CREATE STREAM s (k STRING KEY, v BIGINT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON', PARTITIONS=3);
CREATE STREAM odd AS SELECT k, v FROM s WHERE v % 2 = 1;
CREATE TABLE counts AS SELECT k, COUNT(*) AS n, SUM(v) AS total FROM s GROUP BY k;
CREATE TABLE windows AS SELECT k, COUNT(*) AS n FROM s WINDOW TUMBLING (SIZE 1 SECOND) GROUP BY k;
CREATE TABLE odd_counts AS SELECT k, COUNT(*) AS n, SUM(v) AS total FROM odd GROUP BY k;
`

const (
	killChunks = 300
	killChunk  = 40 // records, acknowledged together
)

// killRecord is the n-th record of the load.
func killRecord(n int) (key string, value, time int64) {
	return fmt.Sprint("k", n*7%50), int64(n), int64(1_000_000 + n/10)
}

// produceChunk sends a chunk; an error leaves open whether it is there.
func produceChunk(s *kshServer, chunk int) error {
	var body strings.Builder
	for n := chunk * killChunk; n < (chunk+1)*killChunk; n++ {
		k, v, ts := killRecord(n)
		fmt.Fprintf(&body, `{"key":%q,"value":"{\"V\":%d}","timestamp":%d}`+"\n", k, v, ts)
	}
	_, err := clientOf(s).Produce(context.Background(), "s", "", strings.NewReader(body.String()), func(api.Ack) {})
	return err
}

// TestKill kills a server in the middle of a load, again and again, at random
// moments. In the end nothing is lost and nothing counted twice, in tables, in
// streams and in what is made of those.
func TestKill(t *testing.T) {
	rng := rand.New(rand.NewPCG(uint64(os.Getpid()), 1))
	s := startServer(t)
	if _, err := clientOf(s).Execute(context.Background(), killStatements, map[string]string{"auto.offset.reset": "earliest"}, nil); err != nil {
		t.Fatal(err)
	}
	chunk, killed := 0, 0
	for chunk < killChunks {
		// The kill comes beside the requests that follow the at-th chunk.
		at, dead, pending := chunk+rng.IntN(2*killChunks / *kills), make(chan struct{}), false
		for chunk < killChunks {
			if chunk == at && killed < *kills {
				pending = true
				go func() {
					defer close(dead)
					for range rng.IntN(1 << 22) { // a random moment, without a clock
						runtime.KeepAlive(dead)
					}
					s.kill()
				}()
			}
			if err := produceChunk(s, chunk); err != nil {
				if !pending {
					t.Fatal(err)
				}
				break
			}
			chunk++
		}
		if !pending {
			break
		}
		<-dead
		killed++
		s.start()
		n := len(rows(s, t, "SELECT v FROM s;"))
		if n%killChunk != 0 || n < chunk*killChunk || n > (chunk+1)*killChunk {
			t.Fatalf("after kill %d: %d chunks of %d were acknowledged, %d records are there", killed, chunk, killChunk, n)
		}
		chunk = n / killChunk
	}
	t.Logf("killed %d times", killed)
	checkExact(s, t)
}

func checkExact(s *kshServer, t *testing.T) {
	type sum struct{ n, total, odd, oddTotal int64 }
	sums, windows, odds := map[string]*sum{}, map[string]int64{}, 0
	for n := range killChunks * killChunk {
		k, v, ts := killRecord(n)
		if sums[k] == nil {
			sums[k] = &sum{}
		}
		sums[k].n++
		sums[k].total += v
		windows[fmt.Sprintf("%q %d", k, ts/1000*1000)]++
		if v%2 == 1 {
			sums[k].odd++
			sums[k].oddTotal += v
			odds++
		}
	}
	var counts, oddCounts, perWindow []string
	for k, x := range sums {
		counts = append(counts, fmt.Sprintf("%q %d %d", k, x.n, x.total))
		if x.odd > 0 {
			oddCounts = append(oddCounts, fmt.Sprintf("%q %d %d", k, x.odd, x.oddTotal))
		}
	}
	for k, n := range windows {
		perWindow = append(perWindow, fmt.Sprintf("%s %d", k, n))
	}
	for _, c := range []struct {
		text string
		want []string
	}{
		{"SELECT k, n, total FROM counts;", counts},
		{"SELECT k, n, total FROM odd_counts;", oddCounts},
		{"SELECT k, windowstart, n FROM windows;", perWindow},
	} {
		slices.Sort(c.want)
		if got := rows(s, t, c.text); !slices.Equal(got, c.want) {
			t.Errorf("%s\n got %q\nwant %q", c.text, got, c.want)
		}
	}
	if got := len(rows(s, t, "SELECT v FROM odd;")); got != odds {
		t.Errorf("the stream has %d records, want %d", got, odds)
	}
}
