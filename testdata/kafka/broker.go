// Package kafka runs a real Apache Kafka broker for tests, from its Maven jars
// by broker.sh; where they cannot be had the test is skipped with a word.
package kafka

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// exitMissing is broker.sh's exit code for what cannot be had here.
const exitMissing = 77

// up is what the broker logs once it accepts connections.
const up = "Kafka Server started"

// A Broker is a running broker.
type Broker struct {
	Addr string // host:port
	Dir  string // its files
	args []string
	cmd  *exec.Cmd
	out  *output
}

// Script returns the path of broker.sh.
func Script() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "broker.sh")
}

// QuickReturn is the setting of a broker that is killed and run again: the broker before counts as alive for
// so long. One that gets no processor for as long is taken for dead meanwhile, and leads nothing.
const QuickReturn = "broker.session.timeout.ms=1500"

// Start runs a broker with a new directory until the test ends; settings are
// KEY=VALUE, or --OPTION=VALUE of formatting. Without Java, Maven or the jars it skips the test.
func Start(t testing.TB, settings ...string) *Broker {
	t.Helper()
	port := FreePort(t)
	b := &Broker{Dir: t.TempDir(), Addr: "127.0.0.1:" + port}
	b.args = append([]string{"run", b.Dir, port, FreePort(t)}, settings...)
	b.Run(t)
	t.Cleanup(b.Kill) // nobody needs what an orderly end would keep
	return b
}

// Run starts the broker, at first or again after Kill.
func (b *Broker) Run(t testing.TB) {
	t.Helper()
	b.cmd = exec.Command(Script(), b.args...)
	// The broker ends when its standard input does: with this process at the latest.
	b.cmd.Env = append(os.Environ(), "KSH_KAFKA_STDIN=1")
	stdin, err := b.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	b.out = &output{up: make(chan struct{}), stdin: stdin, ended: make(chan struct{})}
	stdout, err := b.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	b.cmd.Stderr = b.cmd.Stdout
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go b.out.read(stdout) // ends with the broker
	select {
	case <-b.out.up:
	case <-b.out.ended:
		err := b.cmd.Wait()
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == exitMissing {
			t.Skip(b.out.String())
		}
		t.Fatalf("the broker did not start: %v\n%s", err, b.out)
	}
}

// Pause stops the broker's process for as long as resume is not called.
func (b *Broker) Pause() (resume func()) {
	_ = b.cmd.Process.Signal(syscall.SIGSTOP)
	return func() { _ = b.cmd.Process.Signal(syscall.SIGCONT) }
}

// PID is the broker's process id.
func (b *Broker) PID() int { return b.cmd.Process.Pid }

// Kill ends the broker, if it runs, as a crash would.
func (b *Broker) Kill() {
	if b.cmd == nil {
		return
	}
	_ = b.cmd.Process.Kill()
	<-b.out.ended
	_ = b.cmd.Wait()
	_ = b.out.stdin.Close()
	b.cmd = nil
}

// Output is what the broker has logged so far.
func (b *Broker) Output() string { return b.out.String() }

// An output gathers what the broker logs.
type output struct {
	stdin     io.Closer
	up, ended chan struct{}

	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) read(r io.Reader) {
	defer close(o.ended)
	started := false
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		o.mu.Lock()
		fmt.Fprintln(&o.buf, s.Text())
		o.mu.Unlock()
		if !started && strings.Contains(s.Text(), up) {
			started = true
			close(o.up)
		}
	}
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.TrimSpace(o.buf.String())
}

// The ports that FreePort returns: systems give none of these to whoever asks for any.
const firstPort, ports = 20_000, 10_000

// FreePort returns a port of the loopback for the test alone, though nobody
// listens on it for a while: nobody gets it by chance, and FreePort returns it
// nowhere else, in this process or another, while the test runs.
func FreePort(t testing.TB) string {
	t.Helper()
	for range ports {
		addr := fmt.Sprint("127.0.0.1:", firstPort+rand.IntN(ports))
		// The port of the same number of a protocol that nobody needs says that it is taken.
		held, err := net.ListenPacket("udp", addr)
		if err != nil {
			continue
		}
		l, err := net.Listen("tcp", addr)
		if err != nil {
			_ = held.Close()
			continue
		}
		_ = l.Close()
		t.Cleanup(func() { _ = held.Close() })
		_, port, _ := net.SplitHostPort(addr)
		return port
	}
	t.Fatal("no port is free")
	return ""
}
