package function

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A TimePattern is a date pattern of Java's DateTimeFormatter, compiled. These
// letters are known: y u M d H h a m s S n E D X x Z z V and quoted text;
// others are refused by name.
type TimePattern struct {
	text  string
	parts []timePart
}

type timePart struct {
	letter  byte // 0: literal
	n       int
	literal string
}

// ParseTimePattern compiles a pattern.
func ParseTimePattern(text string) (*TimePattern, error) {
	p := &TimePattern{text: text}
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c == '\'':
			end := strings.IndexByte(text[i+1:], '\'')
			if end < 0 {
				return nil, fmt.Errorf("date pattern %q: a quote is not closed", text)
			}
			literal := text[i+1 : i+1+end]
			if end == 0 {
				literal = "'"
			}
			p.parts = append(p.parts, timePart{literal: literal})
			i += end + 2
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			n := 1
			for i+n < len(text) && text[i+n] == c {
				n++
			}
			if !strings.ContainsRune("yuMdHhamsSnEDXxZzV", rune(c)) {
				return nil, fmt.Errorf("date pattern %q: the letter %q is not supported", text, string(c))
			}
			p.parts = append(p.parts, timePart{letter: c, n: n})
			i += n
		case c == '[' || c == ']' || c == '{' || c == '}' || c == '#':
			return nil, fmt.Errorf("date pattern %q: %q is not supported", text, string(c))
		default:
			p.parts = append(p.parts, timePart{literal: text[i : i+1]})
			i++
		}
	}
	return p, nil
}

// String returns the pattern's text.
func (p *TimePattern) String() string { return p.text }

// Zone returns a time zone by name or offset.
func Zone(name string) (*time.Location, error) {
	if len(name) >= 2 && (name[0] == '+' || name[0] == '-') {
		if secs, _, ok := offset([]byte(name), 0); ok {
			return time.FixedZone(name, secs), nil
		}
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("unknown time zone %q", name)
	}
	return loc, nil
}

// A parsedTime gathers what a text says.
type parsedTime struct {
	year, month, day, yearDay    int
	hour, hour12, minute, second int
	nano                         int
	pm                           int // -1: not given
	loc                          *time.Location
}

// Parse returns the milliseconds since the epoch that text means; without a
// zone in the text it is taken in loc. It does not allocate for numeric
// patterns.
func (p *TimePattern) Parse(text []byte, loc *time.Location) (int64, error) {
	t := parsedTime{year: 1970, month: 1, day: 1, hour12: -1, pm: -1, loc: loc}
	at := 0
	for k := range p.parts {
		part := &p.parts[k]
		if part.letter == 0 {
			if len(text)-at < len(part.literal) || string(text[at:at+len(part.literal)]) != part.literal {
				return 0, p.mismatch(text, at)
			}
			at += len(part.literal)
			continue
		}
		adjacent := k+1 < len(p.parts) && p.parts[k+1].letter != 0
		next, ok := t.read(part, text, at, adjacent)
		if !ok {
			return 0, p.mismatch(text, at)
		}
		at = next
	}
	if at != len(text) {
		return 0, p.mismatch(text, at)
	}
	return t.millis(p, text)
}

func (p *TimePattern) mismatch(text []byte, at int) error {
	return fmt.Errorf("text %q does not fit the date pattern %q at position %d", text, p.text, at+1)
}

func (t *parsedTime) millis(p *TimePattern, text []byte) (int64, error) {
	if t.hour12 >= 0 {
		t.hour = t.hour12 % 12
		if t.pm == 1 {
			t.hour += 12
		}
	}
	if t.month < 1 || t.month > 12 || t.day < 1 || t.day > daysIn(t.year, t.month) || t.hour > 23 || t.minute > 59 || t.second > 59 {
		return 0, fmt.Errorf("text %q holds a date or time that does not exist (pattern %q)", text, p.text)
	}
	if t.yearDay > 0 {
		t.month, t.day = 1, t.yearDay
	}
	return time.Date(t.year, time.Month(t.month), t.day, t.hour, t.minute, t.second, t.nano, t.loc).UnixMilli(), nil
}

func daysIn(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

func digits(text []byte, at, least, most int) (n, end int, ok bool) {
	end = at
	for end < len(text) && end-at < most && text[end]-'0' <= 9 {
		n = n*10 + int(text[end]-'0')
		end++
	}
	return n, end, end-at >= least
}

func (t *parsedTime) read(part *timePart, text []byte, at int, adjacent bool) (int, bool) {
	most := 2
	if part.n > 2 || adjacent {
		most = part.n
	}
	n, end, ok := 0, at, true
	switch part.letter {
	case 'y', 'u':
		return t.readYear(part, text, at, adjacent)
	case 'M':
		if part.n >= 3 {
			t.month, end, ok = named(text, at, part.n, monthNames)
			return end, ok
		}
		t.month, end, ok = digits(text, at, part.n, most)
	case 'd':
		t.day, end, ok = digits(text, at, part.n, most)
	case 'D':
		t.yearDay, end, ok = digits(text, at, part.n, 3)
	case 'H':
		t.hour, end, ok = digits(text, at, part.n, most)
	case 'h':
		t.hour12, end, ok = digits(text, at, part.n, most)
		ok = ok && t.hour12 >= 1 && t.hour12 <= 12
	case 'm':
		t.minute, end, ok = digits(text, at, part.n, most)
	case 's':
		t.second, end, ok = digits(text, at, part.n, most)
	case 'S':
		n, end, ok = digits(text, at, part.n, part.n)
		for k := part.n; k < 9; k++ {
			n *= 10
		}
		t.nano = n
	case 'n':
		t.nano, end, ok = digits(text, at, 1, 9)
	case 'E':
		_, end, ok = named(text, at, part.n, dayNames)
	case 'a':
		return t.readHalf(text, at)
	default:
		return t.readZone(part, text, at)
	}
	return end, ok
}

func (t *parsedTime) readYear(part *timePart, text []byte, at int, adjacent bool) (int, bool) {
	if part.n == 2 {
		n, end, ok := digits(text, at, 2, 2)
		t.year = 2000 + n
		return end, ok
	}
	most := 9
	if adjacent || part.n == 4 {
		most = 4
	}
	n, end, ok := digits(text, at, min(part.n, 4), most)
	t.year = n
	return end, ok
}

func (t *parsedTime) readHalf(text []byte, at int) (int, bool) {
	if len(text)-at < 2 {
		return at, false
	}
	switch strings.ToUpper(string(text[at : at+2])) {
	case "AM":
		t.pm = 0
	case "PM":
		t.pm = 1
	default:
		return at, false
	}
	return at + 2, true
}

func (t *parsedTime) readZone(part *timePart, text []byte, at int) (int, bool) {
	if at < len(text) && text[at] == 'Z' && part.letter != 'x' {
		t.loc = time.UTC
		return at + 1, true
	}
	if at < len(text) && (text[at] == '+' || text[at] == '-') {
		secs, end, ok := offset(text, at)
		t.loc = time.FixedZone("", secs)
		return end, ok
	}
	end := at
	for end < len(text) && (text[end] == '/' || text[end] == '_' || text[end]|0x20 >= 'a' && text[end]|0x20 <= 'z') {
		end++
	}
	loc, err := Zone(string(text[at:end]))
	t.loc = loc
	return end, err == nil && end > at
}

// offset reads ±hh, ±hhmm or ±hh:mm.
func offset(text []byte, at int) (secs, end int, ok bool) {
	sign := 1
	if text[at] == '-' {
		sign = -1
	}
	h, end, ok := digits(text, at+1, 1, 2)
	if !ok {
		return 0, at, false
	}
	m, next := 0, end
	if next < len(text) && text[next] == ':' {
		next++
	}
	if mm, e, ok := digits(text, next, 2, 2); ok {
		m, end = mm, e
	}
	return sign * (h*3600 + m*60), end, true
}

var monthNames = []string{"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"}
var dayNames = []string{"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"}

func named(text []byte, at, n int, names []string) (value, end int, ok bool) {
	for i, name := range names {
		if n < 4 {
			name = name[:3]
		}
		if len(text)-at >= len(name) && strings.EqualFold(string(text[at:at+len(name)]), name) {
			return i + 1, at + len(name), true
		}
	}
	return 0, at, false
}

// Format appends the time in the pattern.
func (p *TimePattern) Format(buf []byte, ms int64, loc *time.Location) []byte {
	t := time.UnixMilli(ms).In(loc)
	for i := range p.parts {
		buf = p.parts[i].format(buf, t)
	}
	return buf
}

func (part *timePart) format(buf []byte, t time.Time) []byte {
	number := func(n int) []byte { return append(buf, fmt.Sprintf("%0*d", part.n, n)...) }
	switch part.letter {
	case 0:
		return append(buf, part.literal...)
	case 'y', 'u':
		if part.n == 2 {
			return number(t.Year() % 100)
		}
		return number(t.Year())
	case 'M':
		switch {
		case part.n >= 4:
			return append(buf, t.Month().String()...)
		case part.n == 3:
			return append(buf, t.Month().String()[:3]...)
		}
		return number(int(t.Month()))
	case 'd':
		return number(t.Day())
	case 'D':
		return number(t.YearDay())
	case 'H':
		return number(t.Hour())
	case 'h':
		return number((t.Hour()+11)%12 + 1)
	case 'm':
		return number(t.Minute())
	case 's':
		return number(t.Second())
	case 'S':
		s := fmt.Sprintf("%09d", t.Nanosecond())
		return append(buf, (s + strings.Repeat("0", 9))[:part.n]...)
	case 'n':
		return number(t.Nanosecond())
	case 'E':
		if part.n >= 4 {
			return append(buf, t.Weekday().String()...)
		}
		return append(buf, t.Weekday().String()[:3]...)
	case 'a':
		return append(buf, t.Format("PM")...)
	case 'z':
		name, _ := t.Zone()
		return append(buf, name...)
	case 'V':
		return append(buf, t.Location().String()...)
	}
	return part.formatOffset(buf, t)
}

func (part *timePart) formatOffset(buf []byte, t time.Time) []byte {
	_, secs := t.Zone()
	if secs == 0 && part.letter == 'X' {
		return append(buf, 'Z')
	}
	sign := byte('+')
	if secs < 0 {
		sign, secs = '-', -secs
	}
	buf = append(buf, sign)
	buf = append(buf, fmt.Sprintf("%02d", secs/3600)...)
	colon := part.n == 3 && part.letter != 'Z' || part.n == 5
	if colon {
		buf = append(buf, ':')
	}
	if part.n == 1 && part.letter != 'Z' && secs%3600 == 0 {
		return buf
	}
	return strconv.AppendInt(append(buf, byte('0'+secs/60%60/10)), int64(secs/60%60%10), 10)
}
