package wire

import (
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// saslAuthenticate is one step of the exchange that proves who the client is. A
// failure is answered after a while, then the connection is closed.
func (c *call) saslAuthenticate(req *kmsg.SASLAuthenticateRequest) answer {
	resp := c.authenticate(req)
	a := answer{response: func() kmsg.Response { return resp }}
	if c.conn.sasl.failed {
		p := newPromise[struct{}]()
		a.ready = p.ready
		time.AfterFunc(c.srv.opts.FailureDelay, func() { p.keep(struct{}{}) })
	}
	return a
}

func (c *call) authenticate(req *kmsg.SASLAuthenticateRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
	s := &c.conn.sasl
	if s.exchange == nil {
		resp.ErrorCode, resp.ErrorMessage = codeIllegalSASLState, text("SaslHandshake comes first")
		return resp
	}
	reply, user, err := s.exchange.step(req.SASLAuthBytes)
	if err != nil {
		s.exchange = nil
		c.srv.metrics.failedLogins.Inc()
		c.srv.opts.Logger.Warn("Kafka client failed to authenticate", "client", c.conn.nc.RemoteAddr().String(), "reason", err)
		resp.ErrorCode, resp.ErrorMessage = codeSASLFailed, text(errAuthentication.Error())
		s.failed = true
		return resp
	}
	if resp.SASLAuthBytes = reply; reply == nil {
		resp.SASLAuthBytes = []byte{}
	}
	if user != "" {
		s.user, s.exchange = user, nil
		c.conn.known()
	}
	return resp
}

// errAuthentication is all that a client gets to know of a failure.
var errAuthentication = errors.New("authentication failed: the user or the password is wrong")
