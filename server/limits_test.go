package server

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"karst/exec/exectest"
)

// limited serves with other limits, and returns the address.
func limited(t *testing.T, change func(*limits)) string {
	t.Helper()
	e := exectest.Open(t, exectest.Options{})
	t.Cleanup(e.Close)
	e.Run("CREATE STREAM s (a INT) WITH (kafka_topic='t', value_format='JSON', partitions=1);")
	s := New(e.Engine, slog.New(slog.DiscardHandler), time.Now)
	change(&s.limits)
	srv := httptest.NewUnstartedServer(nil)
	srv.Config = s.HTTP()
	srv.Start()
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

func post(t *testing.T, url, path, body string) (int, string) {
	t.Helper()
	resp, err := http.Post(url+path, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// hanging is when a test hangs, however seldom it gets a processor.
const hanging = 5 * time.Minute

// half begins a request to path and stops in the middle of its body.
func half(t *testing.T, addr, path, body string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(hanging))
	fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n%s", path, body)
	return c
}

// TestSlowBodies holds that who stops in the middle of a body is given up,
// whatever the endpoint makes of the body.
func TestSlowBodies(t *testing.T) {
	addr := limited(t, func(l *limits) { l.body, l.line = 30*time.Millisecond, 60*time.Millisecond })
	for _, x := range []struct{ path, body string }{
		{"/ksql", `{"ksql": "SHOW`}, {"/query", "{"}, {"/query-stream", ""}, {"/close-query", "{"},
		{"/inserts-stream", ""}, {"/inserts-stream", `{"target": "S"}` + "\n" + `{"a": `},
		{"/topics/t/records", ""}, {"/topics/t/records", `{"value": "x"}` + "\n" + `{"va`},
		{"/nothing", "x"}, {"/topics/nothing/records", "x"},
	} {
		c := half(t, addr, x.path, x.body)
		if _, err := io.Copy(io.Discard, c); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Errorf("%s %q: the connection is still open", x.path, x.body)
		}
	}
	resp, err := http.Get("http://" + addr + "/info") // without a body, which would have as little time
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("another client: %s, %v", resp.Status, err)
	}
}

// TestTooManyConnections closes what is beyond the limit, and takes new ones
// when others have gone.
func TestTooManyConnections(t *testing.T) {
	addr := limited(t, func(l *limits) { l.connections = 3 })
	info := func(c net.Conn) error {
		fmt.Fprint(c, "GET /info HTTP/1.1\r\nHost: localhost\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err == nil {
			err = resp.Body.Close()
		}
		return err
	}
	dial := func() net.Conn {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(hanging))
		return c
	}
	var first net.Conn
	opened, refused := 0, 0
	for range 6 {
		c := dial()
		if err := info(c); err != nil {
			refused++
		} else if opened++; first == nil {
			first = c
		}
	}
	if opened > 3 || refused < 3 {
		t.Fatalf("%d connections were served, %d refused", opened, refused)
	}
	if err := info(first); err != nil {
		t.Errorf("one that is there: %v", err)
	}
	_ = first.Close()
	for end := time.Now().Add(hanging); ; { // until the server has seen the end
		c := dial()
		if info(c) == nil {
			break
		}
		if _ = c.Close(); time.Now().After(end) {
			t.Fatal("no place is taken again")
		}
	}
}

// TestTooManyUploads refuses more requests that send rows than may run.
func TestTooManyUploads(t *testing.T) {
	addr := limited(t, func(l *limits) { l.uploads = 1 })
	c := half(t, addr, "/inserts-stream", `{"target": "S"}`+"\n"+`{"a": 1}`+"\n")
	head := bufio.NewReader(c)
	if line, err := head.ReadString('\n'); err != nil || !strings.Contains(line, "200") {
		t.Fatalf("%q %v", line, err)
	}
	for _, path := range []string{"/inserts-stream", "/topics/t/records"} {
		if code, text := post(t, "http://"+addr, path, `{"target": "S"}`+"\n"); code != http.StatusServiceUnavailable || !strings.Contains(text, "1 requests") {
			t.Errorf("%s: %d %s", path, code, text)
		}
	}
}

// TestLargeRecordsInChunks holds that large records are not gathered by the
// thousand.
func TestLargeRecordsInChunks(t *testing.T) {
	addr := limited(t, func(*limits) {})
	var body bytes.Buffer
	for range 20 {
		fmt.Fprintf(&body, "{\"value\": %q}\n", strings.Repeat("v", 200_000))
	}
	code, text := post(t, "http://"+addr, "/topics/t/records", body.String())
	if n := strings.Count(text, "\n"); code != http.StatusOK || n < 4 || !strings.Contains(text, `{"acknowledged":20}`) {
		t.Errorf("%d, %d acknowledgements: %s", code, n, text)
	}
}

// TestHeadersAreBounded holds time and size of a request's head.
func TestHeadersAreBounded(t *testing.T) {
	srv := New(nil, slog.New(slog.DiscardHandler), time.Now).HTTP()
	if srv.ReadHeaderTimeout != 5*time.Second || srv.MaxHeaderBytes != 64<<10 || srv.IdleTimeout == 0 {
		t.Errorf("%+v", srv)
	}
}

// A shortListener has no file for a connection, then ends.
type shortListener struct {
	net.Listener
	ends bool
}

func (l *shortListener) Accept() (net.Conn, error) {
	if l.ends {
		return nil, net.ErrClosed
	}
	l.ends = true
	return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
}

func (l *shortListener) Close() error { return nil }

// TestHTTPMessages has what the HTTP library says be in the server's log, as all else is.
func TestHTTPMessages(t *testing.T) {
	var text bytes.Buffer
	srv := New(nil, slog.New(slog.NewTextHandler(&text, nil)), time.Now).HTTP()
	if err := srv.Serve(&shortListener{}); !errors.Is(err, net.ErrClosed) {
		t.Fatal(err)
	}
	if got := text.String(); !strings.Contains(got, "level=WARN") || !strings.Contains(got, "too many open files") {
		t.Errorf("the log has %q", got)
	}
}
