package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"karst/server/api"
)

var kills = flag.Int("kills", 6, "how often TestKill kills the server")

// TestMain makes the test binary a ksh where a test starts it as one.
func TestMain(m *testing.M) {
	if os.Getenv("KSH_TEST_RUN") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// A served is a `ksh serve` in a process of its own.
type served struct {
	cmd    *exec.Cmd
	client *api.Client
	ended  chan struct{}
}

var listening = regexp.MustCompile(`msg=listening.* http=([0-9.:]+)`)

func serveProcess(t *testing.T, dir string) *served {
	t.Helper()
	s := &served{cmd: exec.Command(os.Args[0], "serve", "--data", dir, "--http", "127.0.0.1:0", "--kafka", "off"), ended: make(chan struct{})}
	s.cmd.Env = append(os.Environ(), "KSH_TEST_RUN=1")
	out, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	var seen []string
	for lines.Scan() {
		seen = append(seen, lines.Text())
		if m := listening.FindStringSubmatch(lines.Text()); m != nil {
			s.client = api.NewClient("http://" + m[1])
			go func() {
				defer close(s.ended)
				for lines.Scan() { // so that it can go on writing
				}
				_ = s.cmd.Wait() // killed
			}()
			return s
		}
	}
	t.Fatalf("ksh serve has ended: %v\n%s", s.cmd.Wait(), strings.Join(seen, "\n"))
	return nil
}

// kill ends the process as kill -9 does, and waits until it is gone.
func (s *served) kill(t *testing.T) {
	if err := s.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
	<-s.ended
}

// rows returns a query's answer, sorted.
func (s *served) rows(t *testing.T, text string) []string {
	t.Helper()
	var out []string
	err := s.client.Query(context.Background(), text, map[string]string{"auto.offset.reset": "earliest"}, nil, func(api.Header) {}, func(row []json.RawMessage) bool {
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
func (s *served) produceChunk(chunk int) error {
	var body strings.Builder
	for n := chunk * killChunk; n < (chunk+1)*killChunk; n++ {
		k, v, ts := killRecord(n)
		fmt.Fprintf(&body, `{"key":%q,"value":"{\"V\":%d}","timestamp":%d}`+"\n", k, v, ts)
	}
	_, err := s.client.Produce(context.Background(), "s", strings.NewReader(body.String()), func(int64) {})
	return err
}

// TestKill kills a server in the middle of a load, again and again, at random
// moments. In the end nothing is lost and nothing counted twice, in tables, in
// streams and in what is made of those.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	rng := rand.New(rand.NewPCG(uint64(os.Getpid()), 1))
	s := serveProcess(t, dir)
	if _, err := s.client.Execute(context.Background(), killStatements, map[string]string{"auto.offset.reset": "earliest"}, nil); err != nil {
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
						runtime.KeepAlive(s)
					}
					s.kill(t)
				}()
			}
			if err := s.produceChunk(chunk); err != nil {
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
		s = serveProcess(t, dir)
		n := len(s.rows(t, "SELECT v FROM s;"))
		if n%killChunk != 0 || n < chunk*killChunk || n > (chunk+1)*killChunk {
			t.Fatalf("after kill %d: %d chunks of %d were acknowledged, %d records are there", killed, chunk, killChunk, n)
		}
		chunk = n / killChunk
	}
	defer s.kill(t)
	t.Logf("killed %d times", killed)
	s.checkExact(t)
}

func (s *served) checkExact(t *testing.T) {
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
		if got := s.rows(t, c.text); !slices.Equal(got, c.want) {
			t.Errorf("%s\n got %q\nwant %q", c.text, got, c.want)
		}
	}
	if got := len(s.rows(t, "SELECT v FROM odd;")); got != odds {
		t.Errorf("the stream has %d records, want %d", got, odds)
	}
}
