package wire

import (
	"bufio"
	"crypto/tls"
	"net"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// testTLS is a server's configuration with a certificate for tests, which lets
// old versions in if it is up to it.
func testTLS(t *testing.T) *tls.Config {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	return &tls.Config{Certificates: s.TLS.Certificates, MinVersion: tls.VersionTLS10}
}

// dialTLS returns the client's end of a connection, no handshake done yet.
func (b *bench) dialTLS() net.Conn {
	ours, theirs := net.Pipe()
	b.start(tls.Server(theirs, b.opts.TLS))
	b.t.Cleanup(func() { _ = ours.Close() })
	_ = ours.SetDeadline(time.Now().Add(hanging))
	return ours
}

// TestTLSHandshake holds that a connection counts as not authenticated until its
// handshake is done, for which there is the time of authentication, and that
// versions before 1.2 are refused.
func TestTLSHandshake(t *testing.T) {
	config := testTLS(t)
	synctest.Test(t, func(t *testing.T) { testTLSHandshake(t, config) })
}

func testTLSHandshake(t *testing.T, config *tls.Config) {
	b := newBench(t, func(o *Options) { o.TLS = config })
	c, began := &testClient{t: t, nc: b.dialTLS()}, time.Now()
	c.r = bufio.NewReader(c.nc)
	c.closed("no handshake")
	if d := time.Since(began); d != authTimeout {
		t.Errorf("closed after %v, want %v", d, authTimeout)
	}

	b = newBench(t, func(o *Options) { o.TLS, o.MaxAnonymous = config, 2 })
	one := tls.Client(b.dialTLS(), &tls.Config{InsecureSkipVerify: true})
	b.dialTLS()
	third := &testClient{t: t, nc: b.dialTLS()}
	third.r = bufio.NewReader(third.nc)
	third.closed("a third without a handshake")
	if err := one.Handshake(); err != nil {
		t.Fatal(err)
	}
	in := &testClient{t: t, nc: one, r: bufio.NewReader(one)}
	if resp := ask[*kmsg.MetadataResponse](in, 9, kmsg.NewPtrMetadataRequest()); len(resp.Brokers) != 1 {
		t.Errorf("%+v", resp)
	}
	old := tls.Client(b.dialTLS(), &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
	if err := old.Handshake(); err == nil {
		t.Error("TLS 1.1 is taken")
	}
}
