package difftest

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"karst/server/wire/wiretest"
	realkafka "karst/testdata/kafka"
)

var (
	randomSeed  = flag.Uint64("seed", 0, "run the random conversation of this seed alone")
	randomSeeds = flag.Int("seeds", 30, "run so many random conversations")
	randomFirst = flag.Uint64("first", 1, "seed of the first random conversation")
)

// An action is one step of a random conversation. What it asks for is said
// relative to what its side has learnt so far, so that it means the same on both
// sides, and something still when other steps are taken away.
type action struct {
	text string
	do   func(*side)
}

// TestRandom holds random conversations with the Kafka door and a real broker,
// one step after the other, until an answer differs, and then looks for a short
// one that ends in the same difference.
func TestRandom(t *testing.T) {
	theirs := realkafka.Start(t, quietBroker...).Addr
	ours := wiretest.Start(t)
	for _, addr := range []string{ours, theirs} {
		warmUp(t, addr)
	}
	d := &duel{ours: ours, theirs: theirs, known: readExplained(t)}
	seeds := []uint64{*randomSeed}
	if *randomSeed == 0 {
		seeds = nil
		for i := range *randomSeeds {
			seeds = append(seeds, *randomFirst+uint64(i))
		}
	}
	t.Run("seeds", func(t *testing.T) {
		for _, seed := range seeds {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				d.seed(t, seed)
			})
		}
	})
	t.Logf("%d conversations, %d steps", len(seeds), d.steps.Load())
}

// quietBroker are the settings of a broker that deletes nothing by itself; see
// TestDifferences for the first.
var quietBroker = []string{"log.roll.hours=1000000", "log.initial.task.delay.ms=100000000"}

// A duel is two brokers that are asked the same, step by step.
type duel struct {
	ours, theirs string
	known        *explained
	mu           sync.Mutex // of known
	games        atomic.Int64
	steps        atomic.Int64
}

// seed holds the conversation of a seed.
func (d *duel) seed(t *testing.T, seed uint64) {
	list := conversation(rand.New(rand.NewPCG(seed, 1)))
	found := d.play(t, list)
	if len(found) == 0 {
		return
	}
	first := found
	list = d.shrink(t, list[:found[0].step+1], found[0])
	if found = d.play(t, list); len(found) == 0 {
		t.Errorf("seed %d: differs once, but not again:\n%s", seed, report(list, first))
		return
	}
	t.Errorf("seed %d: the last of these is answered differently:\n%s", seed, report(list, found))
}

func report(list []action, found []finding) string {
	var text strings.Builder
	for _, a := range list {
		fmt.Fprintf(&text, "\t%s\n", a.text)
	}
	for _, f := range found {
		fmt.Fprintf(&text, "%s\n\tours   %s\n\ttheirs %s\n", f.path, f.ours, f.theirs)
	}
	return text.String()
}

// A finding is a difference in the answers to a step.
type finding struct {
	difference
	step int
}

var (
	stepNumber = regexp.MustCompile(`^\d+ (\S+) v\d+`)
	element    = regexp.MustCompile(`\[[^\]]*\]`)
)

// kind is what findings of the same cause have in common.
func (f finding) kind() string {
	return element.ReplaceAllString(stepNumber.ReplaceAllString(f.path, "$1"), "") + "|" + f.ours + "|" + f.theirs
}

// play holds a conversation and returns the differences of the first step that
// has any that are not explained. Where an error code differs for a known reason the
// conversation is over: what was asked for has had its effect on one side only.
func (d *duel) play(t *testing.T, list []action) []finding {
	game := int(d.games.Add(1)) + 100_000
	a, b := newSide(t, d.ours, game), newSide(t, d.theirs, game)
	defer a.close()
	defer b.close()
	for i, step := range list {
		d.steps.Add(1)
		var both sync.WaitGroup
		for _, s := range []*side{a, b} {
			both.Go(func() {
				step.do(s)
				s.noteMembers()
			})
		}
		both.Wait()
		if t.Failed() {
			t.Logf("ours is %s, theirs %s; the last of these:\n%s", d.ours, d.theirs, report(list[:i+1], nil))
			return nil
		}
		var found []finding
		parted := false
		d.mu.Lock()
		for _, x := range compare("random", a.dump.out, b.dump.out) {
			if !d.known.explain(x) {
				found = append(found, finding{x, i})
			}
			parted = parted || strings.HasSuffix(x.path, ".ErrorCode")
		}
		d.mu.Unlock()
		if len(found) > 0 || parted {
			return found
		}
		clear(a.dump.out)
		clear(b.dump.out)
	}
	return nil
}

// maxGames bounds how often a conversation is held to find a shorter one.
const maxGames = 80

// shrink takes steps away as long as the difference stays.
func (d *duel) shrink(t *testing.T, list []action, want finding) []action {
	games := 0
	for size := len(list) / 2; size > 0 && games < maxGames; {
		smaller := false
		for at := 0; at+size < len(list); { // the last step stays
			games++
			shorter := slices.Concat(list[:at], list[at+size:])
			if found := d.play(t, shorter); slices.ContainsFunc(found, func(f finding) bool { return f.kind() == want.kind() }) {
				list, smaller = shorter[:found[0].step+1], true
				continue
			}
			at += size
		}
		if !smaller || size > len(list)/2 {
			size /= 2
		}
	}
	return list
}
