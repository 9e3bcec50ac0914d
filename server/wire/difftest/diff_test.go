package difftest

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"karst/server/wire/wiretest"
	realkafka "karst/testdata/kafka"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestMain lets more scripts run at once than there are cores: they wait for
// brokers most of the time.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "6"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// TestDifferences runs the scripts against the Kafka door and a real broker, for
// the lowest and the highest version of each key, with KSH_DIFF=all for all.
func TestDifferences(t *testing.T) {
	// The records' times are old and those of markers are not: without this they
	// stand in different segments, and a fetch ends with its segment.
	theirs := realkafka.Start(t, "log.roll.hours=1000000").Addr
	ours := wiretest.Start(t)
	for _, addr := range []string{ours, theirs} {
		warmUp(t, addr)
	}
	scripts := expand(advertised(t, ours))
	all := os.Getenv("KSH_DIFF") == "all"
	if !all {
		scripts = slices.DeleteFunc(scripts, func(sc *script) bool { return !sc.ends })
	}
	known := readExplained(t)
	var mu sync.Mutex
	var unexplained []difference
	t.Run("scripts", func(t *testing.T) {
		for i, sc := range scripts {
			t.Run(sc.name, func(t *testing.T) {
				t.Parallel()
				var a, b map[string]string
				var both sync.WaitGroup
				both.Go(func() { a = sc.play(t, ours, i) })
				both.Go(func() { b = sc.play(t, theirs, i) })
				both.Wait()
				if a == nil || b == nil {
					return // it has failed already
				}
				for _, d := range compare(sc.name, a, b) {
					mu.Lock()
					if !known.explain(d) {
						unexplained = append(unexplained, d)
						t.Errorf("unexplained difference:\n\t%s\n\tours   %s\n\ttheirs %s", d.path, d.ours, d.theirs)
					}
					mu.Unlock()
				}
			})
		}
	})
	t.Logf("%d scripts, %d unexplained differences", len(scripts), len(unexplained))
	if len(scripts) < 200 {
		t.Errorf("only %d scripts", len(scripts))
	}
	if all && !t.Failed() {
		known.unused(t)
	}
	if file := os.Getenv("KSH_DIFF_OUT"); file != "" {
		write(t, file, unexplained)
	}
}

// advertised asks what versions a broker says it serves, and takes away what it
// only says to please old clients.
func advertised(t *testing.T, addr string) map[int16]span {
	t.Helper()
	s := &session{T: t, addr: addr, conns: map[string]*conn{}, quiet: true, dump: &dumper{}}
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "difftest", "1"
	resp := s.do(3, req).(*kmsg.ApiVersionsResponse)
	_ = s.conns[""].Close()
	out := map[int16]span{}
	for _, k := range resp.ApiKeys {
		out[k.ApiKey] = span{k.MinVersion, k.MaxVersion}
	}
	return out
}

// warmUp waits until a broker has made what it makes at first use.
func warmUp(t *testing.T, addr string) {
	t.Helper()
	sc := &script{name: "warm up", version: 7, run: func(s *session) {
		for kind := range int8(2) {
			req := kmsg.NewPtrFindCoordinatorRequest()
			req.CoordinatorType, req.CoordinatorKey = kind, s.name("x")
			s.do(3, req)
		}
		topic := s.topic("t", 1)
		s.silently(func() { s.do(7, s.commitRequest(s.name("g"), topic, 0, 1)) })
		s.endTxn(s.openTxn(topic), true)
	}}
	sc.play(t, addr, 999_999)
}

// explained is testdata/differences.txt: under a line with a reason, patterns
// of differences, each of script, path, ours and theirs, with * for anything.
type explained struct {
	patterns []*pattern
}

type pattern struct {
	line   int
	fields [4]*regexp.Regexp
	used   bool
}

const explainedFile = "testdata/differences.txt"

func readExplained(t *testing.T) *explained {
	t.Helper()
	f, err := os.Open(explainedFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	e := &explained{}
	reason := false
	s := bufio.NewScanner(f)
	for n := 1; s.Scan(); n++ {
		line := strings.TrimSpace(s.Text())
		switch {
		case line == "":
			reason = false
		case strings.HasPrefix(line, "#"):
			reason = true
		case !reason:
			t.Fatalf("%s:%d: a difference without a reason above it", explainedFile, n)
		default:
			fields := strings.Split(line, "|")
			if len(fields) != 4 {
				t.Fatalf("%s:%d: not SCRIPT | PATH | OURS | THEIRS", explainedFile, n)
			}
			p := &pattern{line: n}
			for i, f := range fields {
				p.fields[i] = glob(strings.TrimSpace(f))
			}
			e.patterns = append(e.patterns, p)
		}
	}
	return e
}

func glob(text string) *regexp.Regexp {
	return regexp.MustCompile("(?s)^" + strings.ReplaceAll(regexp.QuoteMeta(text), `\*`, ".*") + "$")
}

// explain reports whether a difference is one of the known ones.
func (e *explained) explain(d difference) bool {
	found := false
	for _, p := range e.patterns {
		if p.fields[0].MatchString(d.script) && p.fields[1].MatchString(d.path) && p.fields[2].MatchString(d.ours) && p.fields[3].MatchString(d.theirs) {
			p.used, found = true, true
		}
	}
	return found
}

// unused complains about explanations of what is no difference any more, but for
// those that random conversations have, too, since it takes chance to come upon them.
func (e *explained) unused(t *testing.T) {
	t.Helper()
	for _, p := range e.patterns {
		if !p.used && !p.fields[0].MatchString("random") {
			t.Errorf("%s:%d: there is no such difference any more", explainedFile, p.line)
		}
	}
}

// write gathers differences by what they have in common, for somebody to look
// at.
func write(t *testing.T, file string, list []difference) {
	t.Helper()
	version := regexp.MustCompile(`/v\d+$`)
	step := regexp.MustCompile(`^\d+ (\S+) v\d+`)
	groups := map[string][]string{}
	for _, d := range list {
		k := fmt.Sprintf("%s | %s | %s | %s", version.ReplaceAllString(d.script, ""), step.ReplaceAllString(d.path, "* $1 *"), d.ours, d.theirs)
		groups[k] = append(groups[k], path.Base(d.script)+"@"+d.path[:2])
	}
	var lines []string
	for k, v := range groups {
		slices.Sort(v)
		lines = append(lines, fmt.Sprintf("%s   [%s]", k, strings.Join(v, " ")))
	}
	slices.Sort(lines)
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}
