//go:build unix

package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
)

// TestSecondSignal ends a server at once that takes its time to stop: it waits for a
// request of which half has come. On a machine that stands still for that time the
// second signal comes too late: then it is tried again.
func TestSecondSignal(t *testing.T) {
	var state *os.ProcessState
	for range 5 {
		state = interruptTwice(t)
		if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGINT {
			return
		}
	}
	t.Errorf("it ended otherwise: %v", state)
}

// interruptTwice starts a server and interrupts it while it has half a request, and
// once more when it says that it stops.
func interruptTwice(t *testing.T) *os.ProcessState {
	t.Helper()
	cmd := kshCommand("serve", "--data", t.TempDir(), "--http", "127.0.0.1:0", "--kafka", "off")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		if m := listening.FindStringSubmatch(lines.Text()); m != nil {
			c, err := net.Dial("tcp", m[2])
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			fmt.Fprintf(c, "POST /ksql HTTP/1.1\r\nHost: %s\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n{", m[2])
			// Before that the server may not have taken the connection, and would not wait for it.
			if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
				t.Fatalf("the server says %q, %v", line, err)
			}
		}
		if strings.Contains(lines.Text(), "a second signal") || listening.MatchString(lines.Text()) {
			if err := cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait()
	return cmd.ProcessState
}
