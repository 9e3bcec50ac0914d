package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"

	realkafka "karst/testdata/kafka"

	"github.com/rogpeppe/go-internal/testscript"
)

// hanging is when a test hangs, however seldom it gets a processor.
const hanging = 5 * time.Minute

// asKsh makes the test binary be ksh.
const asKsh = "KARST_TEST_AS_KSH"

func TestMain(m *testing.M) {
	if os.Getenv(asKsh) != "" {
		main()
		os.Exit(0)
	}
	testscript.Main(m, map[string]func(){"ksh": main})
}

// kshCommand returns the command ksh with those arguments.
func kshCommand(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asKsh+"=1")
	return cmd
}

// A kshServer is a running 'ksh serve'.
type kshServer struct {
	t    testing.TB
	args []string
	cmd  *exec.Cmd
	// Kafka and HTTP are the addresses it listens on.
	Kafka, HTTP string
	output      lockedBuffer
	read        sync.WaitGroup
}

// startServer runs 'ksh serve' on free ports with a new directory and more
// arguments until the test ends.
func startServer(t testing.TB, args ...string) *kshServer {
	t.Helper()
	s := &kshServer{t: t, Kafka: "127.0.0.1:" + realkafka.FreePort(t), args: append([]string{"--data", t.TempDir()}, args...)}
	s.start()
	t.Cleanup(s.stop)
	return s
}

var listening = regexp.MustCompile(`msg=listening (kafka|http)=([^ ]+)`)

// start runs the server and waits until it listens. Each time it has the same
// address for Kafka, if it has a port of its own, and another one for HTTP.
func (s *kshServer) start() {
	s.t.Helper()
	s.cmd = kshCommand(append([]string{"serve", "--http", "127.0.0.1:0", "--kafka", s.Kafka}, s.args...)...)
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	up := make(chan error, 1)
	s.read.Go(func() {
		found := 0
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			s.output.write(lines.Text())
			if m := listening.FindStringSubmatch(lines.Text()); m != nil && found < 2 {
				if m[1] == "kafka" {
					s.Kafka = m[2]
				} else {
					s.HTTP = m[2]
				}
				if found++; found == 2 {
					up <- nil
				}
			}
		}
		if found < 2 {
			up <- fmt.Errorf("ksh serve did not come up:\n%s", s.output.String())
		}
	})
	if err := <-up; err != nil {
		s.t.Fatal(err)
	}
}

// kill ends the server as a crash would.
func (s *kshServer) kill() {
	_ = s.cmd.Process.Kill()
	s.read.Wait()
	_ = s.cmd.Wait()
}

// stop ends the server in order, if it runs.
func (s *kshServer) stop() {
	if s.cmd.ProcessState != nil {
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	s.read.Wait()
	if err := s.cmd.Wait(); err != nil || s.t.Failed() {
		s.t.Logf("ksh serve: %v\n%s", err, s.output.String())
	}
}

// A lockedBuffer gathers lines.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) write(line string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buf.WriteString(line + "\n")
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
