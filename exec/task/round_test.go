package task_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"karst/exec/task"
	"karst/sql/vector"
)

// longRounds are queries of which a few rows make many, with how many rows of their
// result there are to be.
var longRounds = []struct {
	name, text string
	produce    func(b *bench)
	sink       string
	want       int
}{
	{"join of streams", `CREATE STREAM a (k STRING KEY, v STRING) WITH (KAFKA_TOPIC = 'a', PARTITIONS = 1, VALUE_FORMAT = 'DELIMITED');
		CREATE STREAM b (k STRING KEY, v STRING) WITH (KAFKA_TOPIC = 'b', PARTITIONS = 1, VALUE_FORMAT = 'DELIMITED');
		CREATE STREAM j AS SELECT a.k AS k, a.v AS va, b.v AS vb FROM a JOIN b WITHIN 1 DAYS ON a.k = b.k;`, func(b *bench) {
		b.produce("a", lines(150, "k v%d @%d"))
		b.produce("b", lines(150, "k v%d @%d"))
	}, "J", 150 * 150},
	{"explode", `CREATE STREAM a (k STRING KEY, v INT) WITH (KAFKA_TOPIC = 'a', PARTITIONS = 1, VALUE_FORMAT = 'DELIMITED');
		CREATE STREAM x AS SELECT k, EXPLODE(GENERATE_SERIES(1, v + 500)) AS n FROM a;`, func(b *bench) {
		b.produce("a", lines(50, "k %d @%d"))
	}, "X", 50*500 + 50*49/2},
	{"foreign key", `CREATE TABLE l (id STRING PRIMARY KEY, fk STRING) WITH (KAFKA_TOPIC = 'l', PARTITIONS = 1, VALUE_FORMAT = 'DELIMITED');
		CREATE TABLE r (fk STRING PRIMARY KEY, v STRING) WITH (KAFKA_TOPIC = 'r', PARTITIONS = 1, VALUE_FORMAT = 'DELIMITED');
		CREATE TABLE j AS SELECT l.id AS id, l.fk AS fk, r.v AS v FROM l JOIN r ON l.fk = r.fk;`, func(b *bench) {
		b.produce("l", lines(300, "id%d f @%d"))
		b.produce("r", lines(100, "f v%d @%d"))
	}, "J", -1},
	{"hopping windows", `CREATE STREAM a (k STRING KEY, v INT) WITH (KAFKA_TOPIC = 'a', PARTITIONS = 1, VALUE_FORMAT = 'DELIMITED');
		CREATE TABLE h AS SELECT k, COUNT(*) AS n FROM a WINDOW HOPPING (SIZE 1000 SECONDS, ADVANCE BY 1 SECONDS) GROUP BY k;`, func(b *bench) {
		b.produce("a", lines(50, "k%d 1 @100000000%d"))
	}, "H", -1},
}

// lines are records for produce; each has its number twice.
func lines(n int, format string) string {
	var s strings.Builder
	for i := range n {
		fmt.Fprintf(&s, strings.ReplaceAll(format, "%d", "%[1]d")+"\n", i)
	}
	return s.String()
}

// latest is a topic's content as a table, and how many records it has.
func (b *bench) latest(name string) (table map[string]string, records int) {
	table = map[string]string{}
	for line := range strings.Lines(b.topic(name, showRecord)) {
		p, rest, _ := strings.Cut(line, ": ")
		key, value, _ := strings.Cut(rest, " ")
		table[p+key] = value
		records++
	}
	return table, records
}

// TestLongRounds has a round that takes too much memory broken off and done again in
// parts, and one that nobody waits for any more broken off: the result is that
// of rounds without bounds.
func TestLongRounds(t *testing.T) {
	for _, q := range longRounds {
		t.Run(q.name, func(t *testing.T) {
			run := func(change func(*task.Config)) (b *bench, full int) {
				b = newBench(t)
				b.change = change
				if text := b.define(q.text); text != "" {
					t.Fatal(text)
				}
				q.produce(b)
				if text := b.open(4096); strings.HasPrefix(text, "error") {
					t.Fatal(text)
				}
				for {
					worked, err := b.unit.Step(ctx)
					switch {
					case errors.Is(err, vector.ErrFull):
						full++
						err = b.unit.Recover(ctx)
					case errors.Is(err, task.ErrQuit):
						b.unit.Halt()
						b.change = nil
						if text := b.open(4096); strings.HasPrefix(text, "error") {
							t.Fatal(text)
						}
						full++
						continue
					case err == nil && worked:
						err = b.unit.Commit(ctx)
					case err == nil:
						return b, full
					}
					if err != nil {
						t.Fatal(err)
					}
				}
			}
			whole, _ := run(nil)
			want, n := whole.latest(q.sink)
			if q.want >= 0 && n != q.want || len(want) == 0 {
				t.Fatalf("%d records, want %d", n, q.want)
			}
			whole.unmount(false)
			quit := make(chan struct{})
			close(quit)
			for what, change := range map[string]func(*task.Config){
				"bounded": func(c *task.Config) { c.RoundBytes = 200 << 10 },
				"stopped": func(c *task.Config) { c.Quit = quit },
			} {
				b, full := run(change)
				if got, m := b.latest(q.sink); full == 0 && (what == "bounded" || q.want >= 0) || fmt.Sprint(got) != fmt.Sprint(want) || q.want >= 0 && m != n {
					t.Errorf("%s: broken off %d times, %d records, want %d", what, full, m, n)
				}
				b.unmount(false)
			}
		})
	}
}
