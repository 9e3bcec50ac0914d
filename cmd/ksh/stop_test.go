//go:build unix

package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
)

// TestSecondSignal ends a server at once that takes its time to stop: it waits for a
// request of which half has come.
func TestSecondSignal(t *testing.T) {
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
			fmt.Fprintf(c, "POST /ksql HTTP/1.1\r\nHost: %s\r\nContent-Length: 100\r\n\r\n{", m[2])
		}
		if strings.Contains(lines.Text(), "a second signal") || listening.MatchString(lines.Text()) {
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGINT {
		t.Errorf("it ended otherwise: %v", cmd.ProcessState)
	}
}
