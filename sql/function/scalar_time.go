package function

import (
	"fmt"
	"strings"
	"time"

	"karst/sql/types"
	"karst/sql/vector"
)

const dayMS = 86_400_000

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func dateTimeFunctions() []Def {
	date := func(i int32) int64 { return int64(i) * dayMS }
	return []Def{
		{Name: "UNIX_TIMESTAMP", Kind: Scalar, Category: CategoryDateTime, Description: "Milliseconds since the epoch, now or of a timestamp.", Examples: []Example{{"UNIX_TIMESTAMP(TIMESTAMP '1970-01-01T00:00:01')", "CAST(1000 AS BIGINT)"}},
			Signatures: []Signature{{Returns: always(types.Bigint), Volatile: true, Scalar: plain(func(c *Call) (*vector.Vector, error) {
				v, now := vector.New(c.Arena, types.Bigint, c.N), c.Now().UnixMilli()
				for i := range v.I64 {
					v.I64[i] = now
				}
				return v, nil
			})}, scalar("timestamp TIMESTAMP", types.Bigint, bigintKernel(types.Bigint, func(c *Call, i int) (int64, bool) { return c.Args[0].I64[i], true }))}},
		{Name: "UNIX_DATE", Kind: Scalar, Category: CategoryDateTime, Description: "Days since the epoch, today or of a date.", Examples: []Example{{"UNIX_DATE(DATE '1970-01-02')", "1"}},
			Signatures: []Signature{{Returns: always(types.Int), Volatile: true, Scalar: plain(intKernel(func(c *Call, _ int) (int32, bool) { return int32(floorDiv(c.Now().UnixMilli(), dayMS)), true }))},
				scalar("date DATE", types.Int, intKernel(func(c *Call, i int) (int32, bool) { return c.Args[0].I32[i], true }))}},
		{Name: "FROM_UNIXTIME", Kind: Scalar, Category: CategoryDateTime, Description: "The timestamp of milliseconds since the epoch.", Examples: []Example{{"FROM_UNIXTIME(1000)", "TIMESTAMP '1970-01-01T00:00:01'"}},
			Signatures: []Signature{scalar("epochMilli BIGINT", types.Timestamp, bigintKernel(types.Timestamp, func(c *Call, i int) (int64, bool) { return c.Args[0].I64[i], true }))}},
		{Name: "FROM_DAYS", Kind: Scalar, Category: CategoryDateTime, Description: "The date of days since the epoch.", Examples: []Example{{"FROM_DAYS(1)", "DATE '1970-01-02'"}},
			Signatures: []Signature{scalar("days INT", types.Date, func(c *Call) (*vector.Vector, error) {
				v := *c.Args[0]
				v.Type = types.Date
				return &v, nil
			})}},
		formatDef("FORMAT_TIMESTAMP", "timestamp TIMESTAMP, formatPattern STRING", "timestamp TIMESTAMP, formatPattern STRING, timeZone STRING", Example{"FORMAT_TIMESTAMP(TIMESTAMP '2001-03-09T06:07:08', 'yyyy/MM/dd HH:mm')", "'2001/03/09 06:07'"}, func(c *Call, i int) int64 { return c.Args[0].I64[i] }),
		formatDef("TIMESTAMPTOSTRING", "epochMilli BIGINT, formatPattern STRING", "epochMilli BIGINT, formatPattern STRING, timeZone STRING", Example{"TIMESTAMPTOSTRING(0, 'yyyy-MM-dd')", "'1970-01-01'"}, func(c *Call, i int) int64 { return c.Args[0].I64[i] }),
		formatDef("FORMAT_DATE", "date DATE, formatPattern STRING", "", Example{"FORMAT_DATE(DATE '2001-03-09', 'dd.MM.yy')", "'09.03.01'"}, func(c *Call, i int) int64 { return date(c.Args[0].I32[i]) }),
		formatDef("DATETOSTRING", "epochDays INT, formatPattern STRING", "", Example{"DATETOSTRING(1, 'yyyy-MM-dd')", "'1970-01-02'"}, func(c *Call, i int) int64 { return date(c.Args[0].I32[i]) }),
		formatDef("FORMAT_TIME", "time TIME, formatPattern STRING", "", Example{"FORMAT_TIME(TIME '06:07:08', 'HH-mm')", "'06-07'"}, func(c *Call, i int) int64 { return int64(c.Args[0].I32[i]) }),
		parseDef("PARSE_TIMESTAMP", types.Timestamp, true, Example{"PARSE_TIMESTAMP('2001/03/09 06:07', 'yyyy/MM/dd HH:mm')", "TIMESTAMP '2001-03-09T06:07:00'"}),
		parseDef("STRINGTOTIMESTAMP", types.Bigint, true, Example{"STRINGTOTIMESTAMP('1970-01-02', 'yyyy-MM-dd')", "CAST(86400000 AS BIGINT)"}),
		parseDef("PARSE_DATE", types.Date, false, Example{"PARSE_DATE('09.03.2001', 'dd.MM.yyyy')", "DATE '2001-03-09'"}),
		parseDef("STRINGTODATE", types.Int, false, Example{"STRINGTODATE('1970-01-03', 'yyyy-MM-dd')", "2"}),
		parseDef("PARSE_TIME", types.Time, false, Example{"PARSE_TIME('06-07', 'HH-mm')", "TIME '06:07'"}),
		addDef("TIMESTAMPADD", "timestamp TIMESTAMP", types.Timestamp, 1, Example{"TIMESTAMPADD(DAYS, 1, TIMESTAMP '2001-02-28T00:00:00')", "TIMESTAMP '2001-03-01T00:00:00'"}),
		addDef("TIMESTAMPSUB", "timestamp TIMESTAMP", types.Timestamp, -1, Example{"TIMESTAMPSUB(HOURS, 1, TIMESTAMP '2001-03-01T00:00:00')", "TIMESTAMP '2001-02-28T23:00:00'"}),
		addDef("DATEADD", "date DATE", types.Date, 1, Example{"DATEADD(MONTHS, 1, DATE '2001-01-31')", "DATE '2001-02-28'"}),
		addDef("DATESUB", "date DATE", types.Date, -1, Example{"DATESUB(DAYS, 1, DATE '2001-01-01')", "DATE '2000-12-31'"}),
		addDef("TIMEADD", "time TIME", types.Time, 1, Example{"TIMEADD(MINUTES, 90, TIME '23:00')", "TIME '00:30'"}),
		addDef("TIMESUB", "time TIME", types.Time, -1, Example{"TIMESUB(MINUTES, 30, TIME '00:15')", "TIME '23:45'"}),
		{Name: "CONVERT_TZ", Kind: Scalar, Category: CategoryDateTime, Description: "The timestamp of one time zone's wall clock shown on another's.", Examples: []Example{{"CONVERT_TZ(TIMESTAMP '2001-01-01T12:00:00', 'UTC', '+02:00')", "TIMESTAMP '2001-01-01T14:00:00'"}},
			Signatures: []Signature{scalar("timestamp TIMESTAMP, fromTimeZone STRING, toTimeZone STRING", types.Timestamp, bigintKernel(types.Timestamp, func(c *Call, i int) (int64, bool) {
				from, err1 := Zone(string(str(c, 1, i)))
				to, err2 := Zone(string(str(c, 2, i)))
				if err1 != nil || err2 != nil {
					c.Fail(int32(i), "unknown time zone")
					return 0, false
				}
				t := c.Args[0].I64[i]
				wall := time.UnixMilli(t).UTC()
				instant := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), wall.Second(), wall.Nanosecond(), from)
				_, offset := instant.In(to).Zone()
				return instant.UnixMilli() + int64(offset)*1000, true
			}))}},
	}
}

// A timeSource gives a row's date pattern and time zone: once for the call if
// they are constant, else parsed once for each new text.
type timeSource struct {
	pattern  *TimePattern // of a constant
	zone     *time.Location
	patterns map[string]*TimePattern // nil: wrong
}

// newTimeSource refuses constants that can't be used.
func newTimeSource(args []Arg) (*timeSource, error) {
	s := &timeSource{patterns: map[string]*TimePattern{}}
	if len(args) < 3 {
		s.zone = time.UTC
	}
	var err error
	if k := args[1].Const; k != nil && !k.IsNull(0) {
		if s.pattern, err = ParseTimePattern(string(k.Str(0))); err != nil {
			return nil, err
		}
	}
	if len(args) == 3 && args[2].Const != nil && !args[2].Const.IsNull(0) {
		s.zone, err = Zone(string(args[2].Const.Str(0)))
	}
	return s, err
}

// of returns row i's pattern and zone; false if one of them is wrong, which it
// has reported.
func (s *timeSource) of(c *Call, i int) (*TimePattern, *time.Location, bool) {
	p, loc := s.pattern, s.zone
	if p == nil {
		p = s.patternOf(c, i)
	}
	if loc == nil {
		var err error
		if loc, err = Zone(string(str(c, 2, i))); err != nil {
			c.Fail(int32(i), err.Error())
		}
	}
	return p, loc, p != nil && loc != nil
}

func (s *timeSource) patternOf(c *Call, i int) *TimePattern {
	if p := s.patterns[string(str(c, 1, i))]; p != nil {
		return p
	}
	text := string(str(c, 1, i))
	p, err := ParseTimePattern(text)
	if err != nil {
		c.Fail(int32(i), err.Error())
		return nil
	}
	if len(s.patterns) < 64 {
		s.patterns[text] = p
	}
	return p
}

func formatDef(name, ps, zoned string, e Example, ms func(c *Call, i int) int64) Def {
	kernel := func(args []Arg) (ScalarKernel, error) {
		source, err := newTimeSource(args)
		return stringKernel(func(c *Call, i int, buf []byte) ([]byte, bool) {
			p, loc, ok := source.of(c, i)
			if !ok {
				return nil, false
			}
			return p.Format(buf, ms(c, i), loc), true
		}), err
	}
	d := Def{Name: name, Kind: Scalar, Category: CategoryDateTime, Description: "The value as text in a date pattern.", Examples: []Example{e}}
	for _, s := range []string{ps, zoned} {
		if s != "" {
			d.Signatures = append(d.Signatures, Signature{Params: params(s), Returns: always(types.String), Scalar: kernel})
		}
	}
	return d
}

func parseDef(name string, t *types.Type, zoned bool, e Example) Def {
	kernel := func(args []Arg) (ScalarKernel, error) {
		source, err := newTimeSource(args)
		if err == nil && source.pattern != nil {
			err = source.pattern.Readable()
		}
		return func(c *Call) (*vector.Vector, error) {
			return rows(c, t, func(b *vector.Builder, i int) {
				p, loc, ok := source.of(c, i)
				if !ok {
					return
				}
				text := str(c, 0, i)
				ms, n, err := p.ParsePrefix(text, loc)
				if err == nil && n < len(text) && name != "PARSE_DATE" { // which ignores what follows
					err = p.mismatch(text, n)
				}
				if err != nil {
					c.Fail(int32(i), err.Error())
					return
				}
				switch {
				case name == "PARSE_TIME":
					b.Int32(int32(ms - floorDiv(ms, dayMS)*dayMS))
				case t.Kind() == types.KindDate || t.Kind() == types.KindInt:
					b.Int32(int32(floorDiv(ms, dayMS)))
				default:
					b.Int64(ms)
				}
			}), nil
		}, err
	}
	text := map[types.Kind]string{types.KindDate: "formattedDate", types.KindInt: "formattedDate", types.KindTime: "formattedTime"}[t.Kind()]
	if text == "" {
		text = "formattedTimestamp"
	}
	d := Def{Name: name, Kind: Scalar, Category: CategoryDateTime, Description: "The value that a text in a date pattern means.", Examples: []Example{e},
		Signatures: []Signature{{Params: params(text + " STRING, formatPattern STRING"), Returns: always(t), Scalar: kernel}}}
	if zoned {
		d.Signatures = append(d.Signatures, Signature{Params: params(text + " STRING, formatPattern STRING, timeZone STRING"), Returns: always(t), Scalar: kernel})
	}
	return d
}

var unitLengths = map[string]int64{"MILLISECONDS": 1, "SECONDS": 1000, "MINUTES": 60_000, "HOURS": 3_600_000, "DAYS": dayMS, "WEEKS": 7 * dayMS}

// addDef adds, or takes away, a number of units of time.
func addDef(name, operand string, t *types.Type, sign int64, e Example) Def {
	kernel := func(args []Arg) (ScalarKernel, error) {
		unit := strings.ToUpper(string(args[0].Const.Str(0)))
		length, months := unitLengths[unit], map[string]int{"MONTHS": 1, "YEARS": 12}[unit]
		if length == 0 && months == 0 || t.Kind() == types.KindTime && length == 0 {
			return nil, fmt.Errorf("%s can't be added to a %s", unit, t)
		}
		add := func(ms, n int64) int64 {
			if months == 0 {
				return ms + n*length
			}
			d := time.UnixMilli(ms).UTC()
			first := time.Date(d.Year(), d.Month()+time.Month(int(n)*months), 1, d.Hour(), d.Minute(), d.Second(), d.Nanosecond(), time.UTC)
			last := first.AddDate(0, 1, -1).Day() // the 31st becomes the month's last
			return first.AddDate(0, 0, min(d.Day(), last)-1).UnixMilli()
		}
		return func(c *Call) (*vector.Vector, error) {
			v := vector.New(c.Arena, t, c.N)
			for _, i := range c.Sel {
				n := sign * int64(c.Args[1].I32[i])
				switch t.Kind() {
				case types.KindTimestamp:
					v.I64[i] = add(c.Args[2].I64[i], n)
				case types.KindDate:
					v.I32[i] = int32(floorDiv(add(int64(c.Args[2].I32[i])*dayMS, n), dayMS))
				default:
					ms := add(int64(c.Args[2].I32[i]), n)
					v.I32[i] = int32(ms - floorDiv(ms, dayMS)*dayMS)
				}
			}
			return v, nil
		}, nil
	}
	return Def{Name: name, Kind: Scalar, Category: CategoryDateTime, Description: "The value a number of units of time later or earlier.", Examples: []Example{e},
		Signatures: []Signature{{Params: params("unit INTERVAL, interval INT, " + operand), Returns: always(t), Scalar: kernel}}}
}
