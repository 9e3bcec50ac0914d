package difftest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// answerTime is how long an answer may take: the brokers may hardly get a
// processor. Where one is known to never come, neverTime is enough.
const (
	answerTime = 2 * time.Minute
	neverTime  = 8 * time.Second
)

// A conn is a connection that sends requests as they are.
type conn struct {
	net.Conn
	correlation int32
	format      *kmsg.RequestFormatter
}

func dial(addr string) (*conn, error) {
	c, err := net.DialTimeout("tcp", addr, answerTime)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, format: kmsg.NewRequestFormatter(kmsg.FormatterClientID("difftest"))}, nil
}

// send writes a request, whose version must be set and whose answer is waited for
// so long.
func (c *conn) send(req kmsg.Request, wait time.Duration) error {
	c.correlation++
	_ = c.SetDeadline(time.Now().Add(wait))
	_, err := c.Write(c.format.AppendRequest(nil, req, c.correlation))
	return err
}

// errShape says that an answer is not one of the request's.
var errShape = errors.New("malformed answer")

// receive reads the answer to the last request.
func (c *conn) receive(req kmsg.Request) (kmsg.Response, error) {
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return nil, err
	}
	body := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(c, body); err != nil {
		return nil, err
	}
	if len(body) < 4 || int32(binary.BigEndian.Uint32(body)) != c.correlation {
		return nil, fmt.Errorf("%w: correlation id", errShape)
	}
	body = body[4:]
	if req.IsFlexible() && req.Key() != 18 {
		if len(body) == 0 || body[0] != 0 {
			return nil, fmt.Errorf("%w: header tags", errShape)
		}
		body = body[1:]
	}
	resp := req.ResponseKind()
	if err := resp.ReadFrom(body); err != nil {
		return nil, fmt.Errorf("%w: %w", errShape, err)
	}
	return resp, nil
}
