package shell

import (
	"fmt"
	"strings"

	prompt "github.com/c-bata/go-prompt"
	"golang.org/x/sys/unix"
)

const (
	pasteOn    = "\x1b[?2004h"
	pasteOff   = "\x1b[?2004l"
	pasteBegin = "\x1b[200~"
	pasteEnd   = "\x1b[201~"
)

// A terminal is the console for go-prompt. The library's own changes the
// settings it saved, so that it never restores the terminal; this one restores
// a copy.
type terminal struct {
	fd       int
	original unix.Termios
}

func newTerminal() (*terminal, error) {
	fd, err := unix.Open("/dev/tty", unix.O_RDONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("opening the terminal: %w", err)
	}
	saved, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("reading the terminal's settings: %w", err)
	}
	return &terminal{fd: fd, original: *saved}, nil
}

// Setup implements prompt.ConsoleParser: raw mode.
func (t *terminal) Setup() error {
	raw := t.original
	raw.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	raw.Lflag &^= unix.ECHO | unix.ICANON | unix.IEXTEN | unix.ISIG | unix.ECHONL
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
	if err := unix.SetNonblock(t.fd, true); err != nil {
		return err
	}
	return unix.IoctlSetTermios(t.fd, unix.TCSETS, &raw)
}

// TearDown implements prompt.ConsoleParser.
func (t *terminal) TearDown() error {
	if err := unix.SetNonblock(t.fd, false); err != nil {
		return err
	}
	original := t.original
	return unix.IoctlSetTermios(t.fd, unix.TCSETS, &original)
}

// GetWinSize implements prompt.ConsoleParser.
func (t *terminal) GetWinSize() *prompt.WinSize {
	ws, err := unix.IoctlGetWinsize(t.fd, unix.TIOCGWINSZ)
	if err != nil || ws.Col == 0 {
		return &prompt.WinSize{Row: 24, Col: 80}
	}
	return &prompt.WinSize{Row: ws.Row, Col: ws.Col}
}

// Read implements prompt.ConsoleParser; the end of input is Ctrl-D.
func (t *terminal) Read() ([]byte, error) {
	buf := make([]byte, 4096)
	n, err := unix.Read(t.fd, buf)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return []byte{4}, nil
	}
	return buf[:n], nil
}

// A keyReader gives go-prompt one key at a time, which it expects, and turns a
// paste of several lines into one.
type keyReader struct {
	prompt.ConsoleParser
	keys  [][]byte
	rest  []byte // a key that is not whole yet
	paste bool
	// held: a line has been entered; what is typed ahead waits for the next
	// one. ended: the last key was Ctrl-D.
	held, ended bool
}

// Read implements prompt.ConsoleParser.
func (k *keyReader) Read() ([]byte, error) {
	if k.held {
		return []byte{0}, nil // no key
	}
	if len(k.keys) == 0 {
		b, err := k.ConsoleParser.Read()
		if err != nil {
			return b, err
		}
		k.split(append(k.rest, b...))
	}
	if len(k.keys) == 0 {
		return []byte{0}, nil
	}
	key := k.keys[0]
	k.keys = k.keys[1:]
	k.held = len(key) == 1 && (key[0] == '\r' || key[0] == '\n')
	k.ended = len(key) == 1 && key[0] == 4
	return key, nil
}

var pasteCleaner = strings.NewReplacer("\r\n", " ", "\r", " ", "\n", " ", "\t", " ")

func (k *keyReader) split(b []byte) {
	k.rest = nil
	for len(b) > 0 {
		if k.paste {
			text, after, found := strings.Cut(string(b), pasteEnd)
			if !found { // the end may have come in part
				text, k.rest = cutPartial(text)
			}
			k.paste = !found
			b = []byte(after)
			if text = pasteCleaner.Replace(text); text != "" {
				k.keys = append(k.keys, []byte(text))
			}
			continue
		}
		if after, found := strings.CutPrefix(string(b), pasteBegin); found {
			k.paste, b = true, []byte(after)
			continue
		}
		n := keyLength(b)
		if n == 0 {
			k.rest = append([]byte(nil), b...)
			return
		}
		k.keys = append(k.keys, append([]byte(nil), b[:n]...))
		b = b[n:]
	}
}

// cutPartial takes the beginning of a paste's end off the end of text.
func cutPartial(text string) (string, []byte) {
	for n := min(len(text), len(pasteEnd)-1); n > 0; n-- {
		if strings.HasSuffix(text, pasteEnd[:n]) {
			return text[:len(text)-n], []byte(pasteEnd[:n])
		}
	}
	return text, nil
}

// keyLength returns the length of the key sequence that b begins with: an
// escape sequence, a control character, or a run of text; 0 if the rest of an
// escape sequence is still to come.
func keyLength(b []byte) int {
	switch {
	case b[0] == 0x1b && len(b) > 1 && (b[1] == '[' || b[1] == 'O'):
		for i := 2; i < len(b); i++ {
			if b[1] == 'O' || b[i] >= 0x40 && b[i] <= 0x7e {
				return i + 1
			}
		}
		return 0
	case b[0] == 0x1b:
		return min(len(b), 2)
	case b[0] < 0x20 || b[0] == 0x7f:
		return 1
	}
	n := 1
	for n < len(b) && b[n] >= 0x20 && b[n] != 0x7f {
		n++
	}
	return n
}
