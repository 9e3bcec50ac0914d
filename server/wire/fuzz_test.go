package wire

import (
	"bytes"
	"testing"
)

// FuzzFrame reads a frame from any bytes and takes its header off: what it asks
// for memory is no more than twice what has come.
func FuzzFrame(f *testing.F) {
	f.Add([]byte{0, 0, 0, 13, 0, 3, 0, 9, 0, 0, 0, 1, 0, 1, 'a', 0, 1})
	f.Add([]byte{0x06, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1, 0xff, 0xff})
	f.Add([]byte{0, 0, 0, 20, 0, 0, 0, 13, 0, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		held := freeBytes
		fr, err := readFrame(bytes.NewReader(data), maxFrameBytes, func(n int) error { held += n; return nil })
		if held > freeBytes+2*len(data) {
			t.Fatalf("%d bytes of memory for %d", held, len(data))
		}
		if err != nil {
			return
		}
		for _, flexible := range []bool{false, true} {
			id, body, err := fr.skipHeader(flexible)
			if err == nil && len(id)+len(body) > len(fr.buf) {
				t.Fatalf("client id of %d and body of %d bytes in %d", len(id), len(body), len(fr.buf))
			}
			if fr.key == 0 && err == nil {
				_, _ = decodeProduce(fr.version, body)
			}
		}
		fr.free()
	})
}

// FuzzPlain feeds PLAIN's one message: only the right password gets in, and who
// gets in is who the password is of.
func FuzzPlain(f *testing.F) {
	f.Add([]byte("\x00ann\x00secret"))
	f.Add([]byte("bob\x00ann\x00secret"))
	f.Add([]byte("\x00\x00\x00"))
	users := testUsers(f, Plain)
	passwords := map[string]string{"ann": "secret", "bob": "pass:word"}
	f.Fuzz(func(t *testing.T, message []byte) {
		_, user, err := newExchange(Plain, users, nil).step(message)
		if err != nil {
			return
		}
		if p, ok := passwords[user]; !ok || !bytes.HasSuffix(message, []byte("\x00"+user+"\x00"+p)) {
			t.Fatalf("%q got in as %q", message, user)
		}
	})
}
