package function

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A TimePattern is a date pattern of Java's DateTimeFormatter, compiled. These
// letters are known: G y u M L Q q d D E H h k K a m s S n A N X x Z z O V, quoted
// text and optional sections in brackets; others are refused by name. Quarters
// and O are written only, not read. The letters of weeks (Y w W e c) are among
// those refused: what they mean depends on a server's locale.
type TimePattern struct {
	text  string
	parts []timePart
}

type timePart struct {
	letter  byte // 0: literal; '[': the start of an optional section, ']': its end
	n       int  // letters; of '[' the position of the part after the section
	literal string
}

// maxLetters is how often each letter may stand in a row.
var maxLetters = map[byte]int{'y': 19, 'u': 19, 'M': 5, 'L': 5, 'd': 2, 'H': 2, 'h': 2, 'k': 2, 'K': 2, 'm': 2, 's': 2, 'D': 3,
	'S': 9, 'n': 19, 'A': 19, 'N': 19, 'E': 5, 'a': 1, 'z': 4, 'V': 2, 'X': 5, 'x': 5, 'Z': 5, 'G': 5, 'Q': 5, 'q': 5, 'O': 4}

// ParseTimePattern compiles a pattern.
func ParseTimePattern(text string) (*TimePattern, error) {
	p := &TimePattern{text: text}
	var open []int // positions of the sections not closed yet
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c == '\'':
			literal, n, ok := quoted(text[i:])
			if !ok {
				return nil, fmt.Errorf("date pattern %q: a quote is not closed", text)
			}
			p.parts = append(p.parts, timePart{literal: literal})
			i += n
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			n := 1
			for i+n < len(text) && text[i+n] == c {
				n++
			}
			if maxLetters[c] == 0 {
				return nil, fmt.Errorf("date pattern %q: the letter %q is not supported", text, string(c))
			}
			if n > maxLetters[c] {
				return nil, fmt.Errorf("date pattern %q: too many letters %q", text, string(c))
			}
			p.parts = append(p.parts, timePart{letter: c, n: n})
			i += n
		case c == '[':
			open = append(open, len(p.parts))
			p.parts = append(p.parts, timePart{letter: c})
			i++
		case c == ']':
			if len(open) == 0 {
				return nil, fmt.Errorf("date pattern %q: ']' without '['", text)
			}
			p.parts = append(p.parts, timePart{letter: c})
			p.parts[open[len(open)-1]].n = len(p.parts)
			open = open[:len(open)-1]
			i++
		case c == '{' || c == '}' || c == '#':
			return nil, fmt.Errorf("date pattern %q: %q is not supported", text, string(c))
		default:
			p.parts = append(p.parts, timePart{literal: text[i : i+1]})
			i++
		}
	}
	for _, k := range open { // a section may be left open
		p.parts[k].n = len(p.parts)
	}
	return p, nil
}

// quoted reads the quoted text that s begins with, in which two quotes stand
// for one; two quotes alone are one too.
func quoted(s string) (literal string, n int, ok bool) {
	if strings.HasPrefix(s, "''") {
		return "'", 2, true
	}
	for n = 1; n < len(s); n++ {
		if s[n] != '\'' {
			continue
		}
		if n+1 < len(s) && s[n+1] == '\'' {
			n++
			continue
		}
		return strings.ReplaceAll(s[1:n], "''", "'"), n + 1, true
	}
	return "", 0, false
}

// Readable refuses a pattern whose texts can be written only.
func (p *TimePattern) Readable() error {
	for _, part := range p.parts {
		if strings.IndexByte("QqO", part.letter) >= 0 {
			return fmt.Errorf("date pattern %q: the letter %q can be written, not read", p.text, string(part.letter))
		}
	}
	return nil
}

// String returns the pattern's text.
func (p *TimePattern) String() string { return p.text }

// zones holds the time zones loaded so far by name; only names that exist get
// in, so that it stays small.
var zones sync.Map // string to *time.Location

// Zone returns a time zone by name (Europe/Paris), offset (+02:00) or both
// (UTC+2).
func Zone(name string) (*time.Location, error) {
	if loc, ok := zones.Load(name); ok {
		return loc.(*time.Location), nil
	}
	if name == "Z" {
		return time.UTC, nil
	}
	offsetText := name
	for _, prefix := range []string{"UTC", "GMT", "UT"} {
		if rest, ok := strings.CutPrefix(name, prefix); ok && rest != "" {
			offsetText = rest
			break
		}
	}
	if len(offsetText) >= 2 && (offsetText[0] == '+' || offsetText[0] == '-') {
		if secs, end, ok := offset([]byte(offsetText), 0); ok && end == len(offsetText) {
			return time.FixedZone(name, secs), nil
		}
	}
	if name == "" || name == "Local" { // which LoadLocation takes as the machine's
		return nil, fmt.Errorf("unknown time zone %q", name)
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("unknown time zone %q", name)
	}
	zones.Store(name, loc)
	return loc, nil
}

// zoneAbbreviations are the short names that a text may use, in either half of
// the year.
var zoneAbbreviations = map[string]string{
	"PST": "America/Los_Angeles", "PDT": "America/Los_Angeles", "MST": "America/Denver", "MDT": "America/Denver",
	"CST": "America/Chicago", "CDT": "America/Chicago", "EST": "America/New_York", "EDT": "America/New_York",
	"AKST": "America/Anchorage", "AKDT": "America/Anchorage", "HST": "Pacific/Honolulu", "BST": "Europe/London",
	"WET": "Europe/Lisbon", "WEST": "Europe/Lisbon", "CET": "Europe/Paris", "CEST": "Europe/Paris", "EET": "Europe/Athens",
	"EEST": "Europe/Athens", "MSK": "Europe/Moscow", "IST": "Asia/Kolkata", "JST": "Asia/Tokyo", "KST": "Asia/Seoul",
	"AEST": "Australia/Sydney", "AEDT": "Australia/Sydney", "ACST": "Australia/Adelaide", "AWST": "Australia/Perth",
	"NZST": "Pacific/Auckland", "NZDT": "Pacific/Auckland",
}

// A parsedTime gathers what a text says.
type parsedTime struct {
	year, month, day, yearDay    int
	hour, hour12, minute, second int
	nano                         int
	pm                           int  // -1: not given
	before                       bool // the year counts backwards from the first
	loc                          *time.Location
}

// Parse returns the milliseconds since the epoch that text means; without a
// zone in the text it is taken in loc. It does not allocate for numeric
// patterns.
func (p *TimePattern) Parse(text []byte, loc *time.Location) (int64, error) {
	ms, at, err := p.ParsePrefix(text, loc)
	if err == nil && at != len(text) {
		return 0, p.mismatch(text, at)
	}
	return ms, err
}

// ParsePrefix is Parse for text in which something may follow; n is the number
// of bytes that the time takes.
func (p *TimePattern) ParsePrefix(text []byte, loc *time.Location) (ms int64, n int, err error) {
	t := parsedTime{year: 1970, month: 1, day: 1, hour12: -1, pm: -1, loc: loc}
	at, ok := t.readParts(p.parts, 0, len(p.parts), text, 0)
	if !ok {
		return 0, at, p.mismatch(text, at)
	}
	ms, err = t.millis(p, text)
	return ms, at, err
}

// readParts reads the parts from one position to another. An optional section
// that does not fit is passed over.
func (t *parsedTime) readParts(parts []timePart, from, to int, text []byte, at int) (int, bool) {
	for k := from; k < to; k++ {
		part := &parts[k]
		switch part.letter {
		case 0:
			if len(text)-at < len(part.literal) || !equalFold(text[at:at+len(part.literal)], part.literal) {
				return at, false
			}
			at += len(part.literal)
		case '[':
			saved := *t
			if next, ok := t.readParts(parts, k+1, part.n, text, at); ok {
				at = next
			} else {
				*t = saved
			}
			k = part.n - 1
		case ']':
		default:
			adjacent := k+1 < to && parts[k+1].letter != 0 && parts[k+1].letter != '[' && parts[k+1].letter != ']'
			next, ok := t.read(part, text, at, adjacent)
			if !ok {
				return at, false
			}
			at = next
		}
	}
	return at, true
}

// equalFold compares without regard to the case of ASCII letters.
func equalFold(text []byte, literal string) bool {
	for k, c := range text {
		if d := literal[k]; c != d && (c|0x20 != d|0x20 || c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return true
}

func (p *TimePattern) mismatch(text []byte, at int) error {
	return fmt.Errorf("text %q does not fit the date pattern %q at position %d", text, p.text, at+1)
}

func (t *parsedTime) millis(p *TimePattern, text []byte) (int64, error) {
	if t.before {
		t.year = 1 - t.year
	}
	if t.hour12 >= 0 {
		t.hour = t.hour12 % 12
		if t.pm == 1 {
			t.hour += 12
		}
	}
	// The 31st of a shorter month is its last day, as in Java.
	if t.month >= 1 && t.month <= 12 && t.day <= 31 {
		t.day = min(t.day, daysIn(t.year, t.month))
	}
	if t.month < 1 || t.month > 12 || t.day < 1 || t.day > 31 || t.hour > 23 || t.minute > 59 || t.second > 59 {
		return 0, fmt.Errorf("text %q holds a date or time that does not exist (pattern %q)", text, p.text)
	}
	if t.yearDay > 366 {
		return 0, fmt.Errorf("text %q holds a date that does not exist (pattern %q)", text, p.text)
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
	case 'G':
		for k, name := range eraNames[part.n] {
			if len(text)-at >= len(name) && equalFold(text[at:at+len(name)], name) {
				t.before = k == 0
				return at + len(name), true
			}
		}
		return at, false
	case 'Q', 'q', 'O':
		return at, false
	case 'M', 'L':
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
	case 'k':
		t.hour, end, ok = digits(text, at, part.n, most)
		ok = ok && t.hour >= 1 && t.hour <= 24
		t.hour %= 24
	case 'K':
		t.hour12, end, ok = digits(text, at, part.n, most)
		ok = ok && t.hour12 <= 11
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
	case 'A':
		n, end, ok = digits(text, at, 1, 8)
		t.ofDay(int64(n) * int64(time.Millisecond))
	case 'N':
		n, end, ok = digits(text, at, 1, 14)
		t.ofDay(int64(n))
	case 'E':
		_, end, ok = named(text, at, part.n, dayNames)
	case 'a':
		return t.readHalf(text, at)
	default:
		return t.readZone(part, text, at)
	}
	return end, ok
}

// ofDay takes the nanoseconds since midnight.
func (t *parsedTime) ofDay(nanos int64) {
	t.hour, t.minute = int(nanos/int64(time.Hour)), int(nanos/int64(time.Minute)%60)
	t.second, t.nano = int(nanos/int64(time.Second)%60), int(nanos%int64(time.Second))
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
	if at < len(text) && text[at]|0x20 == 'z' && part.letter != 'x' {
		t.loc = time.UTC
		return at + 1, true
	}
	if at < len(text) && (text[at] == '+' || text[at] == '-') {
		secs, end, ok := offset(text, at)
		t.loc = time.FixedZone("", secs)
		return end, ok
	}
	if part.letter == 'X' || part.letter == 'x' || part.letter == 'Z' {
		return at, false
	}
	end := at
	for end < len(text) && (text[end] == '/' || text[end] == '_' || text[end]|0x20 >= 'a' && text[end]|0x20 <= 'z') {
		end++
	}
	name := string(text[at:end])
	if long := zoneAbbreviations[strings.ToUpper(name)]; long != "" && part.letter == 'z' {
		name = long
	}
	loc, err := Zone(name)
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
	number := func(n int) []byte { return appendPadded(buf, n, part.n) }
	switch part.letter {
	case 0:
		return append(buf, part.literal...)
	case '[', ']':
		return buf
	case 'y', 'u':
		year := t.Year()
		if part.letter == 'y' && year < 1 { // of the era before
			year = 1 - year
		}
		if part.n == 2 {
			return number(year % 100)
		}
		return number(year)
	case 'M', 'L':
		switch {
		case part.n == 5:
			return append(buf, t.Month().String()[0])
		case part.n == 4:
			return append(buf, t.Month().String()...)
		case part.n == 3:
			return append(buf, t.Month().String()[:3]...)
		}
		return number(int(t.Month()))
	case 'G':
		return append(buf, eraNames[part.n][btoi(t.Year() > 0)]...)
	case 'Q', 'q':
		return part.formatQuarter(buf, (int(t.Month())+2)/3)
	case 'd':
		return number(t.Day())
	case 'D':
		return number(t.YearDay())
	case 'H':
		return number(t.Hour())
	case 'h':
		return number((t.Hour()+11)%12 + 1)
	case 'k':
		return number((t.Hour()+23)%24 + 1)
	case 'K':
		return number(t.Hour() % 12)
	case 'm':
		return number(t.Minute())
	case 's':
		return number(t.Second())
	case 'S':
		return appendPadded(buf, t.Nanosecond(), 9)[:len(buf)+part.n]
	case 'n':
		return number(t.Nanosecond())
	case 'A', 'N':
		nanos := time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute + time.Duration(t.Second())*time.Second + time.Duration(t.Nanosecond())
		if part.letter == 'A' {
			nanos /= time.Millisecond
		}
		return number(int(nanos))
	case 'E':
		if part.n == 5 {
			return append(buf, t.Weekday().String()[0])
		}
		if part.n == 4 {
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

// eraNames are written by the number of letters, the era before Christ first.
var eraNames = [...][2]string{1: {"BC", "AD"}, 2: {"BC", "AD"}, 3: {"BC", "AD"}, 4: {"Before Christ", "Anno Domini"}, 5: {"B", "A"}}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (part *timePart) formatQuarter(buf []byte, q int) []byte {
	switch part.n {
	case 3:
		buf = append(buf, 'Q')
	case 4:
		return append(append(strconv.AppendInt(buf, int64(q), 10), [...]string{1: "st", "nd", "rd", "th"}[q]...), " quarter"...)
	case 5:
		return strconv.AppendInt(buf, int64(q), 10)
	}
	if part.n == 2 {
		buf = append(buf, '0')
	}
	return strconv.AppendInt(buf, int64(q), 10)
}

// appendPadded appends n in at least width digits.
func appendPadded(buf []byte, n, width int) []byte {
	if n < 0 {
		buf, n = append(buf, '-'), -n
	}
	for limit := 10; width > 1; width-- {
		if n < limit {
			for ; width > 1; width-- {
				buf = append(buf, '0')
			}
			break
		}
		limit *= 10
	}
	return strconv.AppendInt(buf, int64(n), 10)
}

// appendGMT appends an offset as GMT+8, in full as GMT+08:00.
func appendGMT(buf []byte, secs int, full bool) []byte {
	if buf = append(buf, "GMT"...); secs == 0 {
		return buf
	}
	sign := byte('+')
	if secs < 0 {
		sign, secs = '-', -secs
	}
	width := 1
	if full {
		width = 2
	}
	buf = appendPadded(append(buf, sign), secs/3600, width)
	if full || secs%3600 != 0 {
		buf = appendPadded(append(buf, ':'), secs/60%60, 2)
	}
	return buf
}

// formatOffset appends the offset: X writes Z for none; one letter leaves out
// minutes of 0, three (of Z five) put a colon.
func (part *timePart) formatOffset(buf []byte, t time.Time) []byte {
	_, secs := t.Zone()
	if part.letter == 'O' {
		return appendGMT(buf, secs, part.n == 4)
	}
	if secs == 0 && (part.letter == 'X' || part.letter == 'Z' && part.n == 5) {
		return append(buf, 'Z')
	}
	if part.letter == 'Z' && part.n == 4 {
		if buf = append(buf, "GMT"...); secs == 0 {
			return buf
		}
	}
	sign := byte('+')
	if secs < 0 {
		sign, secs = '-', -secs
	}
	buf = appendPadded(append(buf, sign), secs/3600, 2)
	if part.letter != 'Z' && part.n == 1 && secs%3600 == 0 {
		return buf
	}
	if part.letter == 'Z' && part.n >= 4 || part.letter != 'Z' && (part.n == 3 || part.n == 5) {
		buf = append(buf, ':')
	}
	return appendPadded(buf, secs/60%60, 2)
}
