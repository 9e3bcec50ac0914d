package function

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestTimePatternFormats(t *testing.T) {
	at := time.Date(2001, 3, 9, 15, 4, 5, 67_000_000, time.UTC).UnixMilli()
	paris, err := Zone("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		pattern, want string
		loc           *time.Location
	}{
		{"yyyy-MM-dd'T'HH:mm:ss.SSSX", "2001-03-09T15:04:05.067Z", time.UTC},
		{"yy M d H m s", "01 3 9 15 4 5", time.UTC},
		{"EEE, dd MMM yyyy hh:mm a", "Fri, 09 Mar 2001 03:04 PM", time.UTC},
		{"EEEE d MMMM uuuu", "Friday 9 March 2001", time.UTC},
		{"DDD kk KK A", "068 15 03 54245067", time.UTC},
		{"HH:mm XXX", "16:04 +01:00", paris},
		{"HH Z ZZZZ ZZZZZ xx X", "16 +0100 GMT+01:00 +01:00 +0100 +01", paris},
		{"VV z", "Europe/Paris CET", paris},
		{"yyyy[-MM[-dd]]", "2001-03-09", time.UTC},
		{"''yyyy 'o''clock'", "'2001 o'clock", time.UTC},
		{"SSSSSSSSS", "067000000", time.UTC},
		{"y G GGGG, QQQ q QQQQ", "2001 AD Anno Domini, Q1 1 1st quarter", time.UTC},
		{"O OOOO", "GMT+1 GMT+01:00", paris},
	} {
		p, err := ParseTimePattern(c.pattern)
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
			continue
		}
		if got := string(p.Format(nil, at, c.loc)); got != c.want {
			t.Errorf("%s is %q, want %q", c.pattern, got, c.want)
		}
	}
}

func TestTimePatternParses(t *testing.T) {
	for _, c := range []struct{ pattern, text, want string }{
		{"yyyy/MM/dd HH:mm", "2001/03/09 06:07", "2001-03-09T06:07:00Z"},
		{"yyyyMMdd", "20010309", "2001-03-09T00:00:00Z"},
		{"yyyy-MM-dd'T'HH:mm:ssX", "2020-05-11t21:58:33z", "2020-05-11T21:58:33Z"},
		{"yyyy-MM-dd HH:mm:ss zzz", "2018-05-11 21:58:33 PST", "2018-05-12T04:58:33Z"},
		{"yyyy-MM-dd HH:mm VV", "2018-05-11 21:58 Europe/Paris", "2018-05-11T19:58:00Z"},
		{"yyyy-MM-dd HH:mm Z", "2018-05-11 21:58 +0200", "2018-05-11T19:58:00Z"},
		{"yyyy[-MM[-dd]]", "2001-03", "2001-03-01T00:00:00Z"},
		{"yyyy[-MM[-dd]]", "2001", "2001-01-01T00:00:00Z"},
		{"d MMM yy, hh:mm a", "9 mar 01, 12:30 am", "2001-03-09T00:30:00Z"},
		{"yyyy-MM-dd", "2001-02-31", "2001-02-28T00:00:00Z"},
		{"yyyy DDD", "2001 032", "2001-02-01T00:00:00Z"},
		{"mm", "05", "1970-01-01T00:05:00Z"},
		{"d MMM y G", "9 Mar 2001 AD", "2001-03-09T00:00:00Z"},
	} {
		p, err := ParseTimePattern(c.pattern)
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
			continue
		}
		ms, err := p.Parse([]byte(c.text), time.UTC)
		if err != nil {
			t.Error(err)
			continue
		}
		if got := time.UnixMilli(ms).UTC().Format(time.RFC3339Nano); got != c.want {
			t.Errorf("%s %q is %s, want %s", c.pattern, c.text, got, c.want)
		}
	}
}

func TestTimePatternRefuses(t *testing.T) {
	for pattern, want := range map[string]string{"yyyy-ww": `letter "w"`, "yyyy 'x": "quote", "yyyy]": "']' without '['", "HHH": "too many", "{": `"{"`} {
		if _, err := ParseTimePattern(pattern); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", pattern, err, want)
		}
	}
	for text, pattern := range map[string]string{"2001-13-01": "yyyy-MM-dd", "2001-02-32": "yyyy-MM-dd", "2001-1": "yyyy-MM", "25:00": "HH:mm", "2001x": "yyyy", "21:00 +": "HH:mm Z"} {
		p, err := ParseTimePattern(pattern)
		if err != nil {
			t.Fatal(err)
		}
		if ms, err := p.Parse([]byte(text), time.UTC); err == nil {
			t.Errorf("%q is taken for %s: %d", text, pattern, ms)
		}
	}
	for _, zone := range []string{"", "Local", "Europe/Nowhere", "+", "UTC+x"} {
		if _, err := Zone(zone); err == nil {
			t.Errorf("zone %q is taken", zone)
		}
	}
}

// TestTimePatternRoundTrip holds that what a pattern with all fields writes it
// reads back as the same instant.
func TestTimePatternRoundTrip(t *testing.T) {
	patterns := []string{"yyyy-MM-dd HH:mm:ss.SSS XXX", "uuuuMMddHHmmssSSSZ", "EEEE, d MMMM yyyy hh:mm:ss a SSS z", "yyyy DDD A X", "d.M.yyyy k:m:s[.SSS]x"}
	rapid.Check(t, func(t *rapid.T) {
		p, err := ParseTimePattern(rapid.SampledFrom(patterns).Draw(t, "pattern"))
		if err != nil {
			t.Fatal(err)
		}
		loc := time.UTC
		if !strings.Contains(p.String(), "z") {
			loc = time.FixedZone("", 60*rapid.IntRange(-14*60, 14*60).Draw(t, "offset"))
		}
		ms := rapid.Int64Range(-60_000_000_000_000, 250_000_000_000_000).Draw(t, "ms")
		text := p.Format(nil, ms, loc)
		got, err := p.Parse(text, time.UTC)
		if err != nil || got != ms {
			t.Fatalf("%s: %q is %d, want %d (%v)", p, text, got, ms, err)
		}
	})
}

func TestTimePatternParseDoesNotAllocate(t *testing.T) {
	p, err := ParseTimePattern("yyyy/MM/dd HH:mm")
	if err != nil {
		t.Fatal(err)
	}
	text := []byte("2001/03/09 06:07")
	if n := testing.AllocsPerRun(100, func() { _, _ = p.Parse(text, time.UTC) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzTimePattern(f *testing.F) {
	f.Add("yyyy-MM-dd'T'HH:mm:ss[.SSS]X", "2001-03-09T06:07:08.9Z")
	f.Add("[[yy]M", "011")
	f.Add("zVVAN", "PST")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		p, err := ParseTimePattern(pattern)
		if err != nil {
			return
		}
		ms, err := p.Parse([]byte(text), time.UTC)
		if err != nil {
			ms = 0
		}
		p.Format(nil, ms, time.UTC)
	})
}

func FuzzJSONPath(f *testing.F) {
	f.Add(`{"a":{"b":[1,2]}}`, "$.a.b[1]")
	f.Add(`[`, "$[")
	f.Fuzz(func(t *testing.T, text, path string) {
		if raw, ok := jsonPath([]byte(text), path); ok {
			appendJSONText(nil, raw)
		}
	})
}
