package wire

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"karst/log"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func setCRC(b []byte) {
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
}

// TestApiVersionsTable holds the keys and versions that are advertised.
func TestApiVersionsTable(t *testing.T) {
	want := map[int16][2]int16{
		0: {0, 13}, 1: {4, 18}, 2: {1, 11}, 3: {0, 13}, 8: {2, 9}, 9: {1, 9}, 10: {0, 6}, 11: {0, 9}, 12: {0, 4}, 13: {0, 5}, 14: {0, 5},
		15: {0, 6}, 16: {0, 5}, 17: {0, 1}, 18: {0, 4}, 19: {2, 7}, 20: {1, 6}, 21: {0, 2}, 22: {0, 5}, 23: {2, 4}, 24: {0, 5}, 25: {0, 4},
		26: {0, 5}, 28: {0, 5}, 29: {1, 3}, 30: {1, 3}, 31: {1, 3}, 32: {1, 4}, 33: {0, 2}, 35: {1, 4}, 36: {0, 2}, 37: {0, 3}, 42: {0, 2},
		43: {0, 2}, 44: {0, 1}, 45: {0, 1}, 46: {0, 0}, 47: {0, 0}, 48: {0, 1}, 50: {0, 0}, 60: {0, 2}, 61: {0, 0}, 65: {0, 0}, 66: {0, 2}, 74: {0, 1}, 75: {0, 0},
	}
	c := newBench(t, nil).dial()
	for version := range int16(5) {
		req := kmsg.NewPtrApiVersionsRequest()
		req.ClientSoftwareName, req.ClientSoftwareVersion = "test", "1.0"
		resp := ask[*kmsg.ApiVersionsResponse](c, version, req)
		if resp.ErrorCode != 0 || len(resp.ApiKeys) != len(want) {
			t.Fatalf("version %d: code %d, %d keys, want %d", version, resp.ErrorCode, len(resp.ApiKeys), len(want))
		}
		for _, k := range resp.ApiKeys {
			if got := [2]int16{k.MinVersion, k.MaxVersion}; got != want[k.ApiKey] {
				t.Errorf("key %d: %v, want %v", k.ApiKey, got, want[k.ApiKey])
			}
		}
		if version >= 3 && (len(resp.FinalizedFeatures) != 1 || resp.FinalizedFeatures[0].MaxVersionLevel != 2) {
			t.Errorf("version %d: features %+v", version, resp.FinalizedFeatures)
		}
	}
}

func TestApiVersionsUnsupported(t *testing.T) {
	c := newBench(t, nil).dial()
	req := kmsg.NewPtrApiVersionsRequest()
	req.Version = 5
	id := c.send(req)
	req.Version = 0 // how it is answered
	resp := c.receive(req, id).(*kmsg.ApiVersionsResponse)
	if resp.ErrorCode != codeUnsupportedVersion || len(resp.ApiKeys) != 1 || resp.ApiKeys[0].MaxVersion != 4 {
		t.Errorf("%+v", resp)
	}
	// The connection goes on.
	if resp := ask[*kmsg.ApiVersionsResponse](c, 0, req); resp.ErrorCode != 0 {
		t.Errorf("then code %d", resp.ErrorCode)
	}
	req.ClientSoftwareName = "not valid!"
	if resp := ask[*kmsg.ApiVersionsResponse](c, 3, req); resp.ErrorCode != codeInvalidRequest {
		t.Errorf("client software name: code %d", resp.ErrorCode)
	}
}

// TestGarbage holds that what can't be a request ends its own connection and no
// other, and takes no memory.
func TestGarbage(t *testing.T) {
	b := newBench(t, nil)
	other := b.dial()
	frame := func(key, version int16, body ...byte) []byte {
		f := binary.BigEndian.AppendUint32(nil, uint32(8+len(body)))
		f = binary.BigEndian.AppendUint16(f, uint16(key))
		f = binary.BigEndian.AppendUint16(f, uint16(version))
		return append(append(f, 0, 0, 0, 1), body...)
	}
	for name, bytes := range map[string][]byte{
		"length of 4 GB":        {0xff, 0xff, 0xff, 0xf0, 0, 0, 0, 0},
		"length of 0":           {0, 0, 0, 0},
		"http":                  []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"unknown key":           frame(999, 0, 0, 0),
		"negative key":          frame(-1, 0, 0, 0),
		"key not served":        frame(4, 0, 0, 0),
		"version not served":    frame(3, 99, 0, 0),
		"negative version":      frame(3, -1, 0, 0),
		"no client id":          frame(3, 1),
		"client id cut off":     frame(3, 1, 0, 50, 'a'),
		"body cut off":          frame(3, 1, 0, 1, 'a', 0, 0, 0, 9),
		"body missing":          frame(19, 2, 0, 0),
		"array of 2 billion":    frame(0, 9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 7),
		"huge frame, small key": append([]byte{0x06, 0x00, 0, 0}, 0, 3, 0, 1, 0, 0, 0, 1),
	} {
		c := b.dial()
		go func() { _, _ = c.nc.Write(bytes) }() // the server may close before all is written
		c.closed(name)
	}
	if resp := ask[*kmsg.MetadataResponse](other, 1, kmsg.NewPtrMetadataRequest()); len(resp.Brokers) != 1 {
		t.Errorf("another connection suffers: %+v", resp)
	}
}

// panicking is a log whose Topics panics.
type panicking struct{ log.Broker }

func (panicking) ClusterID() string { panic("a mistake of ours") }

func TestPanicClosesItsConnectionOnly(t *testing.T) {
	b := newBench(t, func(o *Options) { o.Log = panicking{o.Log} })
	c, other := b.dial(), b.dial()
	c.send(kmsg.NewPtrMetadataRequest())
	c.closed("a panic")
	if resp := ask[*kmsg.ListGroupsResponse](other, 0, kmsg.NewPtrListGroupsRequest()); resp.ErrorCode != 0 {
		t.Errorf("another connection suffers: %+v", resp)
	}
}

// TestPipelining holds that requests sent at once are answered in order, and
// appends take effect in order.
func TestPipelining(t *testing.T) {
	b := newBench(t, nil)
	b.topic("t", 1, nil)
	c := b.dial()
	const n = 200
	go func() {
		f := kmsg.NewRequestFormatter()
		for i := range int32(n) {
			var req kmsg.Request = produceRequestOf("t", 0, batch(nil, 0, false, "v"))
			if i%5 == 4 {
				req = kmsg.NewPtrListGroupsRequest()
			}
			req.SetVersion(3 * int16(1-i%5/4))
			if _, err := c.nc.Write(f.AppendRequest(nil, req, i)); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	offset := int64(0)
	for i := range int32(n) {
		if i%5 == 4 {
			req := kmsg.NewPtrListGroupsRequest()
			c.receive(req, i)
			continue
		}
		req := produceRequestOf("t", 0, nil)
		req.Version = 3
		p := c.receive(req, i).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
		if p.ErrorCode != 0 || p.BaseOffset != offset {
			t.Fatalf("request %d: code %d, offset %d, want %d", i, p.ErrorCode, p.BaseOffset, offset)
		}
		offset++
	}
}

func TestConnectionLimit(t *testing.T) {
	b := newBench(t, func(o *Options) { o.MaxConnections = 1 })
	first := b.dial()
	ask[*kmsg.MetadataResponse](first, 1, kmsg.NewPtrMetadataRequest())
	b.dial().closed("one connection too many")
	ask[*kmsg.MetadataResponse](first, 1, kmsg.NewPtrMetadataRequest())
}

// A shortListener can't accept for a while, as in a process that has as many files
// open as it may, and is broken after that.
type shortListener struct {
	net.Listener
	short  int
	broken error
}

func (l *shortListener) Accept() (net.Conn, error) {
	if l.short--; l.short >= 0 {
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	if l.broken != nil {
		return nil, l.broken
	}
	return l.Listener.Accept()
}

// TestAcceptAgain goes on listening when no connection can be accepted for a
// while, but not when the listener is broken.
func TestAcceptAgain(t *testing.T) {
	b := newBench(t, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = b.Serve(&shortListener{Listener: l, short: 3}) }() // ends with the bench
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(hanging))
	c := &testClient{t: t, nc: nc, r: bufio.NewReader(nc)}
	ask[*kmsg.MetadataResponse](c, 1, kmsg.NewPtrMetadataRequest())

	broken := errors.New("broken")
	if err := b.Serve(&shortListener{Listener: l, broken: broken}); !errors.Is(err, broken) {
		t.Errorf("a broken listener: %v", err)
	}
}

func TestAdvertised(t *testing.T) {
	for _, addr := range []string{"", "host", "host:0", "host:x", ":9092", "host:99999"} {
		if _, err := New(Options{Advertised: addr}); err == nil {
			t.Errorf("%q is taken", addr)
		}
	}
}

func TestReadGrowing(t *testing.T) {
	free := func(int) error { return nil }
	want := bytes.Repeat([]byte("0123456789"), 100_000)
	got, err := readGrowing(bytes.NewReader(want), make([]byte, 0, 10), len(want), free)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	got, err = readGrowing(io.LimitReader(strings.NewReader("abc"), 3), nil, 1<<30, free)
	if err == nil || cap(got) > 1<<20 {
		t.Errorf("capacity %d for 3 bytes, %v", cap(got), err)
	}
}

// FuzzRequest sends every kind of request to the handlers: none may panic or
// hang, and whatever is answered must encode.
func FuzzRequest(f *testing.F) {
	for k, a := range keys {
		for v := a.min; v <= a.max; v++ {
			req := kmsg.RequestForKey(k)
			req.SetVersion(v)
			f.Add(k, v, req.AppendTo(nil))
		}
	}
	req := produceRequestOf("t", 0, batch(nil, 0, false, "v"))
	for v := int16(3); v <= 13; v++ {
		req.Version = v
		f.Add(int16(0), v, req.AppendTo(nil))
	}
	fetch := fetchRequestOf("t", 0)
	for v := int16(4); v <= 12; v++ {
		fetch.Version = v
		f.Add(int16(1), v, fetch.AppendTo(nil))
	}
	b := newBench(f, nil)
	b.topic("t", 2, nil)
	f.Fuzz(func(t *testing.T, key, version int16, body []byte) {
		a := keys[key]
		if a == nil || version < a.min || version > a.max {
			return
		}
		if key == int16(kmsg.Fetch) && len(body) >= 8 { // it would wait
			body = slices.Clone(body)
			at := 4
			if version >= 15 {
				at = 0
			}
			copy(body[at:], []byte{0, 0, 0, 0})
		}
		c := &conn{srv: b.Server, nc: nopConn{}, host: "h"}
		c.ctx, c.cancel = b.ctx, func(error) {}
		answer, err := a.handle(&call{conn: c, srv: b.Server, ctx: b.ctx}, version, body)
		if err != nil || key == int16(kmsg.JoinGroup) || key == int16(kmsg.SyncGroup) {
			return
		}
		if answer.ready != nil {
			<-answer.ready
		}
		if resp := answer.response(); resp != nil {
			resp.AppendTo(nil)
		}
	})
}
