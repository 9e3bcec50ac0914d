package wire

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// scramIterations is what RFC 7677 asks for at least, and Kafka's default.
const scramIterations = 4096

// Users are an Authenticator made of a file of users and passwords. Passwords
// are not kept, only what SCRAM derives from them.
type Users struct {
	mechanisms []string
	secret     []byte // of the credentials that nobody has
	byName     map[string]map[string]ScramCredential
}

// ReadUsers reads lines of NAME:PASSWORD; empty ones and those that begin with #
// are left out. rand must not be foreseeable.
func ReadUsers(r io.Reader, mechanisms []string, rand func() uint64) (*Users, error) {
	u := &Users{mechanisms: mechanisms, byName: map[string]map[string]ScramCredential{}}
	u.secret = randomBytes(rand, 32)
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimRight(lines.Text(), "\r")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, password, ok := strings.Cut(line, ":")
		if !ok || name == "" || password == "" {
			return nil, fmt.Errorf("line %d of the users is not NAME:PASSWORD", n)
		}
		if u.byName[name] != nil {
			return nil, fmt.Errorf("line %d of the users names %s again", n, name)
		}
		u.byName[name] = map[string]ScramCredential{}
		for _, m := range []string{ScramSHA256, ScramSHA512} {
			c, err := NewScramCredential(m, password, randomBytes(rand, 16), scramIterations)
			if err != nil {
				return nil, err
			}
			u.byName[name][m] = c
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading the users: %w", err)
	}
	if len(u.byName) == 0 {
		return nil, errors.New("the users' file names nobody")
	}
	return u, nil
}

func randomBytes(rand func() uint64, n int) []byte {
	var b []byte
	for len(b) < n {
		b = binary.BigEndian.AppendUint64(b, rand())
	}
	return b[:n]
}

// Mechanisms implements Authenticator.
func (u *Users) Mechanisms() []string { return u.mechanisms }

// Credential implements Authenticator. Somebody unknown has the same salt each
// time, as somebody known has.
func (u *Users) Credential(mechanism, user string) (ScramCredential, bool) {
	if c, ok := u.byName[user][mechanism]; ok {
		return c, true
	}
	m := hmac.New(sha256.New, u.secret)
	m.Write([]byte(mechanism + "\x00" + user))
	sum := m.Sum(nil)
	size := scramHash(mechanism)().Size()
	return ScramCredential{Salt: sum[:16], Iterations: scramIterations, StoredKey: make([]byte, size), ServerKey: make([]byte, size)}, false
}
