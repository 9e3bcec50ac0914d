package logtest

import (
	"fmt"
	"math/rand/v2"

	"karst/log"
)

// randomWriters lets several writers and plain producers do as they like and
// compares what can be read with a model: of each writer exactly the records
// of its committed transactions, in order. In between writers are opened again
// while their transactions are open.
func randomWriters(h *harness) {
	const seed, steps, writers, parts = 11, 400, 3, 2
	rng := rand.New(rand.NewPCG(seed, seed))
	m := &model{harness: h, topic: h.topic(parts), input: h.topic(writers), group: h.name("group"), committed: make([][][]string, writers+1), open: make([][][]string, writers)}
	for i := range m.committed {
		m.committed[i] = make([][]string, parts)
	}
	for i := range writers {
		m.ids = append(m.ids, h.name("writer"))
		m.writers = append(m.writers, h.writer(m.ids[i]))
		m.offsets = append(m.offsets, -1)
		m.clear(i)
	}
	for step := range steps {
		m.step(rng, step)
		if step%50 == 49 {
			m.check()
		}
	}
	for i, w := range m.writers {
		m.commit(i)
		w.Close()
	}
	m.check()
}

type model struct {
	*harness
	topic, input string
	group        string
	ids          []string
	writers      []log.Writer
	offsets      []int64      // committed with each writer's last transaction
	committed    [][][]string // by writer and partition; the last are the plain records
	open         [][][]string // of open transactions
	pending      []int64      // offsets of open transactions
}

func (m *model) clear(i int) {
	m.open[i] = make([][]string, len(m.committed[0]))
	for len(m.pending) <= i {
		m.pending = append(m.pending, -1)
	}
	m.pending[i] = -1
}

func (m *model) step(rng *rand.Rand, step int) {
	i, part := rng.IntN(len(m.writers)), rng.IntN(len(m.committed[0]))
	p, v := at(m.topic, int32(part)), fmt.Sprintf("%d:%d", i, step)
	switch n := rng.IntN(20); {
	case n < 10:
		m.ok(m.writers[i].Append(p, batch(v, v)))
		m.open[i][part] = append(m.open[i][part], v, v)
	case n < 12:
		v = fmt.Sprintf("%d:%d", len(m.writers), step)
		m.produce(p, v)
		m.committed[len(m.writers)][part] = append(m.committed[len(m.writers)][part], v)
	case n < 15:
		m.commit(i)
	case n < 17:
		m.writers[i].Abort()
		m.clear(i)
	case n < 19:
		m.ok(m.writers[i].Offsets(m.group, map[log.Partition]int64{at(m.input, int32(i)): int64(step)}))
		m.pending[i] = int64(step)
	default:
		if rng.IntN(2) == 0 {
			m.writers[i].Close()
		}
		m.writers[i] = m.writer(m.ids[i])
		m.clear(i)
	}
}

func (m *model) commit(i int) {
	m.Helper()
	m.ok(m.harness.commit(m.writers[i]))
	for part, values := range m.open[i] {
		m.committed[i][part] = append(m.committed[i][part], values...)
	}
	if m.pending[i] >= 0 {
		m.offsets[i] = m.pending[i]
	}
	m.clear(i)
}

// check compares what is below the last stable offset; while transactions are
// open, records behind them may not be readable yet.
func (m *model) check() {
	m.Helper()
	for part := range m.committed[0] {
		p := at(m.topic, int32(part))
		got := make([][]string, len(m.committed))
		for _, v := range m.values(p) {
			var i, step int
			if _, err := fmt.Sscanf(v, "%d:%d", &i, &step); err != nil {
				m.Fatal(err)
			}
			got[i] = append(got[i], v)
		}
		b := m.bounds(p)
		for i, values := range got {
			want := m.committed[i][part]
			whole := len(values) == len(want) || len(values) < len(want) && b.LastStable < b.HighWatermark
			if !whole || fmt.Sprint(values) != fmt.Sprint(want[:len(values)]) {
				m.Fatalf("partition %d: of writer %d there is %q, want %q; %+v", part, i, values, want, b)
			}
		}
	}
	offsets, err := m.CommittedOffsets(m.ctx, m.group)
	m.ok(err)
	for i, want := range m.offsets {
		if got, ok := offsets[at(m.input, int32(i))]; ok != (want >= 0) || ok && got != want {
			m.Fatalf("offset of writer %d is %d (%v), want %d", i, got, ok, want)
		}
	}
}
