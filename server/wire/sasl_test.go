package wire

import (
	"context"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

func testUsers(t testing.TB, mechanisms ...string) *Users {
	t.Helper()
	n := uint64(0)
	u, err := ReadUsers(strings.NewReader("# who may come in\nann:secret\n\nbob:pass:word\n"), mechanisms, func() uint64 { n++; return n * 7919 })
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// pipes makes a kgo client dial a bench.
func (b *bench) pipes() kgo.Opt {
	return kgo.Dialer(func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		b.start(theirs)
		return ours, nil
	})
}

// TestSASL lets franz-go authenticate by each mechanism.
func TestSASL(t *testing.T) { synctest.Test(t, testSASL) }

func testSASL(t *testing.T) {
	b := newBench(t, func(o *Options) {
		o.Auth, o.FailureDelay = testUsers(t, Plain, ScramSHA256, ScramSHA512), time.Millisecond
	})
	for _, x := range []struct {
		name, user, password string
		ok                   bool
	}{
		{"right", "ann", "secret", true},
		{"with a colon", "bob", "pass:word", true},
		{"wrong password", "ann", "Secret", false},
		{"no password", "ann", "x", false},
		{"unknown user", "eve", "secret", false},
	} {
		for mechanism, m := range map[string]sasl.Mechanism{
			Plain:       plain.Auth{User: x.user, Pass: x.password}.AsMechanism(),
			ScramSHA256: scram.Auth{User: x.user, Pass: x.password}.AsSha256Mechanism(),
			ScramSHA512: scram.Auth{User: x.user, Pass: x.password}.AsSha512Mechanism(),
		} {
			cl, err := kgo.NewClient(kgo.SeedBrokers("broker:9092"), b.pipes(), kgo.SASL(m), kgo.RequestRetries(0))
			if err != nil {
				t.Fatal(err)
			}
			_, err = kmsg.NewPtrMetadataRequest().RequestWith(t.Context(), cl)
			if (err == nil) != x.ok {
				t.Errorf("%s by %s: %v", x.name, mechanism, err)
			}
			cl.Close()
		}
	}
}

// TestBeforeAuthentication holds what a connection may do that has not said who
// it is.
func TestBeforeAuthentication(t *testing.T) { synctest.Test(t, testBeforeAuthentication) }

func testBeforeAuthentication(t *testing.T) {
	b := newBench(t, func(o *Options) { o.Auth = testUsers(t, ScramSHA512) })
	b.topic("t", 1, nil)

	c := b.dial()
	if resp := ask[*kmsg.ApiVersionsResponse](c, 0, kmsg.NewPtrApiVersionsRequest()); len(resp.ApiKeys) == 0 {
		t.Error("ApiVersions is not answered")
	}
	shake := kmsg.NewPtrSASLHandshakeRequest()
	shake.Mechanism = "PLAIN"
	if resp := ask[*kmsg.SASLHandshakeResponse](c, 1, shake); resp.ErrorCode != codeUnsupportedSASL || len(resp.SupportedMechanisms) != 1 {
		t.Errorf("PLAIN, which is not enabled: %+v", resp)
	}
	if resp := ask[*kmsg.SASLAuthenticateResponse](c, 1, kmsg.NewPtrSASLAuthenticateRequest()); resp.ErrorCode != codeIllegalSASLState {
		t.Errorf("authenticating without a handshake: %+v", resp)
	}
	c.send(kmsg.NewPtrMetadataRequest())
	c.closed("Metadata")

	for k, a := range keys {
		if a.anonymous {
			continue
		}
		c := b.dial()
		req := kmsg.RequestForKey(k)
		req.SetVersion(a.max)
		c.send(req)
		c.closed(kmsg.NameForKey(k))
	}

	c = b.dial()
	go func() { _, _ = c.nc.Write([]byte{0, 1, 0, 1}) }() // 65,537
	c.closed("a frame above 64 KiB")

	c = b.dial()
	shake.Mechanism = ScramSHA512
	ask[*kmsg.SASLHandshakeResponse](c, 1, shake)
	auth := kmsg.NewPtrSASLAuthenticateRequest()
	auth.SASLAuthBytes = []byte("nonsense")
	if resp := ask[*kmsg.SASLAuthenticateResponse](c, 1, auth); resp.ErrorCode != codeSASLFailed {
		t.Errorf("%+v", resp)
	}
	c.closed("after a failure")
}

// TestAnonymousLimit holds that one host can't take all connections without
// saying who it is.
func TestAnonymousLimit(t *testing.T) { synctest.Test(t, testAnonymousLimit) }

func testAnonymousLimit(t *testing.T) {
	b := newBench(t, func(o *Options) { o.Auth, o.MaxAnonymous = testUsers(t, Plain), 2 })
	enter := func(c *testClient) {
		shake := kmsg.NewPtrSASLHandshakeRequest()
		shake.Mechanism = Plain
		ask[*kmsg.SASLHandshakeResponse](c, 1, shake)
		auth := kmsg.NewPtrSASLAuthenticateRequest()
		auth.SASLAuthBytes = []byte("\x00ann\x00secret")
		if resp := ask[*kmsg.SASLAuthenticateResponse](c, 1, auth); resp.ErrorCode != 0 {
			t.Fatalf("code %d", resp.ErrorCode)
		}
	}
	one, two := b.dial(), b.dial()
	b.dial().closed("a third that is not authenticated")
	enter(one)
	three := b.dial()
	enter(three)
	enter(two)
	b.dial()
	if n := b.anonymous["pipe"]; n != 1 {
		t.Errorf("%d count as not authenticated", n)
	}
}

// TestScramNonce holds that the proof is for the server's own nonce.
func TestScramNonce(t *testing.T) {
	users := testUsers(t, ScramSHA256)
	x := newExchange(ScramSHA256, users, func() uint64 { return 42 })
	if _, _, err := x.step([]byte("n,,n=ann,r=abc")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := x.step([]byte("c=biws,r=abc,p=" + strings.Repeat("A", 43) + "=")); err == nil || !strings.Contains(err.Error(), "nonce") {
		t.Errorf("%v", err)
	}
}

func TestReadUsers(t *testing.T) {
	for _, text := range []string{"", "# none\n", "ann\n", ":x\n", "ann:\n", "ann:x\nann:y\n"} {
		if _, err := ReadUsers(strings.NewReader(text), nil, func() uint64 { return 1 }); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

// FuzzSCRAM feeds both steps of the exchange.
func FuzzSCRAM(f *testing.F) {
	f.Add("n,,n=ann,r=abc", "c=biws,r=abc,p=AAAA")
	f.Add("y,a=ann,n=ann,r=abc", "c=eSxhPWFubiw=,r=abc16,p=")
	f.Add("n,,n=a=2Cb,r=", ",p=")
	users := testUsers(f, ScramSHA256)
	f.Fuzz(func(t *testing.T, first, second string) {
		x := newExchange(ScramSHA256, users, func() uint64 { return 42 })
		if _, _, err := x.step([]byte(first)); err != nil {
			return
		}
		if _, user, err := x.step([]byte(second)); err == nil {
			t.Fatalf("%q got in", user)
		}
	})
}
