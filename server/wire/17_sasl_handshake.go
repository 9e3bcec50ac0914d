package wire

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// saslHandshake agrees on a mechanism. In version 0 the exchange that follows
// is not made of requests; it is not served, and neither does any client of the
// last years use it.
func (c *call) saslHandshake(req *kmsg.SASLHandshakeRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.SASLHandshakeResponse)
	s := &c.conn.sasl
	switch {
	case c.srv.opts.Auth == nil || s.user != "" || s.exchange != nil:
		resp.ErrorCode = codeIllegalSASLState
		return resp
	case req.Version == 0:
		resp.ErrorCode = codeUnsupportedVersion
		return resp
	}
	resp.SupportedMechanisms = c.srv.opts.Auth.Mechanisms()
	if !slices.Contains(resp.SupportedMechanisms, req.Mechanism) {
		resp.ErrorCode = codeUnsupportedSASL
		return resp
	}
	s.exchange = newExchange(req.Mechanism, c.srv.opts.Auth, c.srv.opts.Rand)
	return resp
}
