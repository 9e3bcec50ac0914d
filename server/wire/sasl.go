package wire

import (
	"bytes"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"
)

// Mechanisms of SASL that are served.
const (
	Plain       = "PLAIN"
	ScramSHA256 = "SCRAM-SHA-256"
	ScramSHA512 = "SCRAM-SHA-512"
)

// An Authenticator knows the users.
type Authenticator interface {
	// Mechanisms lists those that clients may use.
	Mechanisms() []string
	// Credential returns what is known of a user for a SCRAM mechanism; of PLAIN,
	// the one for SHA-512 is used. For somebody unknown it returns false and a
	// credential that looks like others and fits no password, so that neither
	// answer nor time tells.
	Credential(mechanism, user string) (ScramCredential, bool)
}

// A ScramCredential is what RFC 5802 has the server keep of a password.
type ScramCredential struct {
	Salt       []byte
	Iterations int
	StoredKey  []byte
	ServerKey  []byte
}

// NewScramCredential derives the credential of a password for one of the SCRAM
// mechanisms.
func NewScramCredential(mechanism, password string, salt []byte, iterations int) (ScramCredential, error) {
	h := scramHash(mechanism)
	salted, err := pbkdf2.Key(h, password, salt, iterations, h().Size())
	if err != nil {
		return ScramCredential{}, fmt.Errorf("deriving key: %w", err)
	}
	stored := h()
	stored.Write(mac(h, salted, "Client Key"))
	return ScramCredential{Salt: salt, Iterations: iterations, StoredKey: stored.Sum(nil), ServerKey: mac(h, salted, "Server Key")}, nil
}

func scramHash(mechanism string) func() hash.Hash {
	if mechanism == ScramSHA256 {
		return sha256.New
	}
	return sha512.New
}

func mac(h func() hash.Hash, key []byte, message string) []byte {
	m := hmac.New(h, key)
	m.Write([]byte(message))
	return m.Sum(nil)
}

// saslState is how far a connection has come.
type saslState struct {
	exchange exchange // under way
	user     string   // who it is, once that is known
	failed   bool
}

// authenticated reports whether the connection may ask for everything.
func (c *conn) authenticated() bool { return c.srv.opts.Auth == nil || c.sasl.user != "" }

// An exchange is a mechanism's conversation. step answers a message of the
// client; user is set once it has proved who it is.
type exchange interface {
	step(message []byte) (reply []byte, user string, err error)
}

func newExchange(mechanism string, auth Authenticator, rand func() uint64) exchange {
	if mechanism == Plain {
		return &plainExchange{auth}
	}
	return &scramExchange{mechanism: mechanism, auth: auth, rand: rand}
}

// maxNameBytes bounds users' names, which are logged when they fail.
const maxNameBytes = 255

var errMessage = errors.New("malformed SASL message")

// A plainExchange is RFC 4616: authorization id, user and password in clear.
type plainExchange struct{ auth Authenticator }

func (x *plainExchange) step(message []byte) ([]byte, string, error) {
	parts := bytes.Split(message, []byte{0})
	if len(parts) != 3 || len(parts[1]) == 0 || len(parts[1]) > maxNameBytes {
		return nil, "", errMessage
	}
	user := string(parts[1])
	if as := string(parts[0]); as != "" && as != user {
		return nil, "", fmt.Errorf("%q wants to act as somebody else", user)
	}
	known, ok := x.auth.Credential(ScramSHA512, user)
	got, err := NewScramCredential(ScramSHA512, string(parts[2]), known.Salt, known.Iterations)
	if err != nil {
		return nil, "", err
	}
	if subtle.ConstantTimeCompare(got.StoredKey, known.StoredKey) != 1 || !ok {
		return nil, "", fmt.Errorf("wrong password for %q", user)
	}
	return nil, user, nil
}

// A scramExchange is RFC 5802 without channel binding:
//
//	client  n,,n=user,r=nonce
//	server  r=nonce+ours,s=salt,i=iterations
//	client  c=biws,r=nonce+ours,p=proof
//	server  v=signature
type scramExchange struct {
	mechanism string
	auth      Authenticator
	rand      func() uint64

	user       string
	credential ScramCredential
	known      bool
	nonce      string
	first      string // client's bare first message, ',' and server's first
	gs2        string
}

func (x *scramExchange) step(message []byte) ([]byte, string, error) {
	if x.first == "" {
		reply, err := x.begin(string(message))
		return reply, "", err
	}
	return x.finish(string(message))
}

func (x *scramExchange) begin(message string) ([]byte, error) {
	// gs2-header: n or y, an optional authorization id.
	parts := strings.SplitN(message, ",", 3)
	if len(parts) != 3 || parts[0] != "n" && parts[0] != "y" {
		return nil, errMessage
	}
	x.gs2 = parts[0] + "," + parts[1] + ","
	bare := parts[2]
	fields := strings.Split(bare, ",")
	if len(fields) < 2 || !strings.HasPrefix(fields[0], "n=") || !strings.HasPrefix(fields[1], "r=") || len(fields[1]) < 3 {
		return nil, errMessage
	}
	x.user = strings.NewReplacer("=2C", ",", "=3D", "=").Replace(fields[0][2:])
	if as, ok := strings.CutPrefix(parts[1], "a="); x.user == "" || len(x.user) > maxNameBytes || ok && as != fields[0][2:] {
		return nil, errMessage
	}
	x.credential, x.known = x.auth.Credential(x.mechanism, x.user)
	x.nonce = fields[1][2:] + strconv.FormatUint(x.rand(), 36) + strconv.FormatUint(x.rand(), 36)
	reply := fmt.Sprintf("r=%s,s=%s,i=%d", x.nonce, base64.StdEncoding.EncodeToString(x.credential.Salt), x.credential.Iterations)
	x.first = bare + "," + reply
	return []byte(reply), nil
}

func (x *scramExchange) finish(message string) ([]byte, string, error) {
	at := strings.LastIndex(message, ",p=")
	if at < 0 {
		return nil, "", errMessage
	}
	without := message[:at]
	fields := strings.Split(without, ",")
	if len(fields) < 2 || fields[0] != "c="+base64.StdEncoding.EncodeToString([]byte(x.gs2)) {
		return nil, "", errMessage
	}
	// librdkafka before 2.6.1 repeats its own nonce in front; what counts is that
	// ours is in it, which the proof is made over.
	if nonce, ok := strings.CutPrefix(fields[1], "r="); !ok || !strings.HasSuffix(nonce, x.nonce) {
		return nil, "", fmt.Errorf("wrong nonce of %q", x.user)
	}
	proof, err := base64.StdEncoding.DecodeString(message[at+3:])
	if err != nil {
		return nil, "", errMessage
	}
	h := scramHash(x.mechanism)
	signed := x.first + "," + without
	key := mac(h, x.credential.StoredKey, signed)
	if len(proof) != len(key) {
		return nil, "", errMessage
	}
	subtle.XORBytes(key, key, proof)
	stored := h()
	stored.Write(key)
	if subtle.ConstantTimeCompare(stored.Sum(nil), x.credential.StoredKey) != 1 || !x.known {
		return nil, "", fmt.Errorf("wrong password for %q", x.user)
	}
	return []byte("v=" + base64.StdEncoding.EncodeToString(mac(h, x.credential.ServerKey, signed))), x.user, nil
}
