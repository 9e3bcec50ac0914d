package main

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// BenchmarkStart is what a new server costs: from its start on an empty
// directory to a Kafka client's first acknowledged record, the topic made by it,
// and what is resident then. The goals are 100 ms and 60 MB. The binary is that
// of the tests, which is somewhat larger than ksh.
func BenchmarkStart(b *testing.B) {
	var took time.Duration
	resident := 0
	for b.Loop() {
		began := time.Now()
		s := startServer(b)
		cl, err := kgo.NewClient(kgo.SeedBrokers(s.Kafka), kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(-1), kgo.MetadataMinAge(10*time.Millisecond))
		if err != nil {
			b.Fatal(err)
		}
		if err := cl.ProduceSync(b.Context(), &kgo.Record{Topic: "first", Value: []byte("v")}).FirstErr(); err != nil {
			b.Fatal(err)
		}
		took += time.Since(began)
		if resident, err = residentKiB(s.cmd.Process.Pid); err != nil {
			b.Fatal(err)
		}
		cl.Close()
		s.stop()
	}
	b.ReportMetric(float64(took.Milliseconds())/float64(b.N), "ms-to-first-ack")
	b.ReportMetric(float64(resident)/1024, "MiB-resident")
}

var vmRSS = regexp.MustCompile(`VmRSS:\s+(\d+) kB`)

// residentKiB is the memory of a process that is in RAM, as Linux tells it.
func residentKiB(pid int) (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	m := vmRSS.FindSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("no VmRSS in %q", text)
	}
	return strconv.Atoi(string(m[1]))
}
