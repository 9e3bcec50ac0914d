package function

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"karst/sql/types"
	"karst/sql/vector"
)

func jsonFunctions() []Def {
	return []Def{
		{Name: "EXTRACTJSONFIELD", Kind: Scalar, Category: CategoryJSON, Description: "The value at a path such as $.a.b[0] of a JSON text, as text.", Examples: []Example{{`EXTRACTJSONFIELD('{"a":{"b":[1,2]}}', '$.a.b[1]')`, "'2'"}},
			Signatures: []Signature{scalar("input STRING, path STRING", types.String, stringKernel(extractJSON))}},
		{Name: "IS_JSON_STRING", Kind: Scalar, Category: CategoryJSON, Description: "Whether a text is JSON.", Examples: []Example{{"IS_JSON_STRING('[1]')", "TRUE"}},
			Signatures: []Signature{{Params: params("input STRING"), Returns: always(types.Boolean), NullTolerant: true, Scalar: plain(boolKernel(func(c *Call, i int) bool {
				return !c.Args[0].IsNull(i) && json.Valid(str(c, 0, i))
			}))}}},
		{Name: "JSON_ARRAY_LENGTH", Kind: Scalar, Category: CategoryJSON, Description: "The number of elements of a JSON array.", Examples: []Example{{"JSON_ARRAY_LENGTH('[1, 2]')", "2"}},
			Signatures: []Signature{scalar("jsonArray STRING", types.Int, intKernel(func(c *Call, i int) (int32, bool) {
				var list []json.RawMessage
				err := json.Unmarshal(str(c, 0, i), &list)
				return int32(len(list)), err == nil && list != nil
			}))}},
		{Name: "JSON_KEYS", Kind: Scalar, Category: CategoryJSON, Description: "The keys of a JSON object.", Examples: []Example{{`JSON_KEYS('{"a":1,"b":2}')`, "ARRAY['a', 'b']"}},
			Signatures: []Signature{scalar("jsonObj STRING", types.Array(types.String), func(c *Call) (*vector.Vector, error) {
				return rows(c, types.Array(types.String), func(b *vector.Builder, i int) {
					d := json.NewDecoder(bytes.NewReader(str(c, 0, i)))
					if t, err := d.Token(); err != nil || t != json.Delim('{') || !json.Valid(str(c, 0, i)) {
						return
					}
					for d.More() {
						k, _ := d.Token()
						b.Kid(0).String(fmt.Sprint(k))
						var skip json.RawMessage
						_ = d.Decode(&skip)
					}
					b.Close()
				}), nil
			})}},
	}
}

// extractJSON walks a path through a JSON text.
func extractJSON(c *Call, i int, buf []byte) ([]byte, bool) {
	raw, ok := jsonPath(str(c, 0, i), string(str(c, 1, i)))
	if !ok || string(raw) == "null" {
		return nil, false
	}
	var text string
	if raw[0] == '"' && json.Unmarshal(raw, &text) == nil {
		return append(buf, text...), true
	}
	return append(buf, raw...), true
}

func jsonPath(raw json.RawMessage, path string) (json.RawMessage, bool) {
	path, ok := strings.CutPrefix(path, "$")
	for ok && path != "" {
		if path[0] == '[' {
			end := strings.IndexByte(path, ']')
			if end < 0 {
				return nil, false
			}
			n, err := strconv.Atoi(path[1:end])
			var list []json.RawMessage
			if err != nil || json.Unmarshal(raw, &list) != nil || n < 0 || n >= len(list) {
				return nil, false
			}
			raw, path = list[n], path[end+1:]
			continue
		}
		path = strings.TrimPrefix(path, ".")
		end := strings.IndexAny(path, ".[")
		if end < 0 {
			end = len(path)
		}
		var object map[string]json.RawMessage
		if json.Unmarshal(raw, &object) != nil {
			return nil, false
		}
		if raw, ok = object[path[:end]]; !ok {
			return nil, false
		}
		path = path[end:]
	}
	return bytes.TrimSpace(raw), ok && len(raw) > 0 && json.Valid(raw)
}

func otherFunctions() []Def {
	return []Def{
		{Name: "AS_VALUE", Kind: Scalar, Category: CategoryOther, Description: "A copy of a key column among the value columns.", Examples: []Example{{"AS_VALUE(1)", "1"}},
			Signatures: []Signature{{Params: params("keyColumn T"), Returns: variable("T"), NullTolerant: true, Scalar: plain(func(c *Call) (*vector.Vector, error) { return c.Args[0], nil })}}},
		{Name: "UUID", Kind: Scalar, Category: CategoryString, Description: "A random universally unique identifier.", Examples: []Example{{"LEN(UUID())", "36"}},
			Signatures: []Signature{{Returns: always(types.String), Volatile: true, Scalar: plain(stringKernel(func(c *Call, _ int, buf []byte) ([]byte, bool) {
				hi, lo := c.Rand()&^0xf000|0x4000, c.Rand()&^(3<<62)|2<<62
				return fmt.Appendf(buf, "%08x-%04x-%04x-%04x-%012x", hi>>32, hi>>16&0xffff, hi&0xffff, lo>>48, lo&(1<<48-1)), true
			}))}}},
		{Name: "GEO_DISTANCE", Kind: Scalar, Category: CategoryOther, Description: "The great-circle distance of two points given in degrees, in kilometres or, with 'MILES', in miles.", Examples: []Example{{"ROUND(GEO_DISTANCE(37.4439, -122.1663, 51.5257, -0.1122), 0)", "8635E0"}},
			Signatures: []Signature{scalar("lat1 DOUBLE, lon1 DOUBLE, lat2 DOUBLE, lon2 DOUBLE", types.Double, geoDistance), scalar("lat1 DOUBLE, lon1 DOUBLE, lat2 DOUBLE, lon2 DOUBLE, units STRING", types.Double, geoDistance)}},
		{Name: "REGEXP_EXTRACT", Kind: Scalar, Category: CategoryRegex, Description: "The first match of a regular expression, or one of its groups.", Examples: []Example{{"REGEXP_EXTRACT('(a)(b)', 'xab', 2)", "'b'"}},
			Signatures: []Signature{regexSignature("pattern STRING, input STRING", types.String, 0, regexpExtract), regexSignature("pattern STRING, input STRING, group INT", types.String, 0, regexpExtract)}},
		{Name: "REGEXP_REPLACE", Kind: Scalar, Category: CategoryRegex, Description: "The text with every match of a regular expression replaced.", Examples: []Example{{"REGEXP_REPLACE('a1b2', '[0-9]', '#')", "'a#b#'"}},
			Signatures: []Signature{regexSignature("str STRING, regexp STRING, new STRING", types.String, 1, func(c *Call, re *regexp.Regexp, b *vector.Builder, i int) {
				b.Bytes(re.ReplaceAll(str(c, 0, i), javaReplacement.ReplaceAll(str(c, 2, i), []byte("$${$1}"))))
			})}},
		{Name: "REGEXP_SPLIT_TO_ARRAY", Kind: Scalar, Category: CategoryRegex, Description: "The parts of a text between the matches of a regular expression.", Examples: []Example{{"REGEXP_SPLIT_TO_ARRAY('a1b', '[0-9]')", "ARRAY['a', 'b']"}},
			Signatures: []Signature{regexSignature("string STRING, regexp STRING", types.Array(types.String), 1, func(c *Call, re *regexp.Regexp, b *vector.Builder, i int) {
				for _, s := range re.Split(string(str(c, 0, i)), -1) {
					b.Kid(0).String(s)
				}
				b.Close()
			})}},
		urlDef("URL_ENCODE_PARAM", "The text escaped for use in a URL's query.", Example{"URL_ENCODE_PARAM('a b&c')", "'a+b%26c'"}, func(s string) (string, bool) { return url.QueryEscape(s), true }),
		urlDef("URL_DECODE_PARAM", "The text that an escaped one stands for.", Example{"URL_DECODE_PARAM('a+b%26c')", "'a b&c'"}, func(s string) (string, bool) { t, err := url.QueryUnescape(s); return t, err == nil }),
		urlDef("URL_EXTRACT_HOST", "The host of a URL.", Example{"URL_EXTRACT_HOST('http://karst.dev:80/x')", "'karst.dev'"}, urlPart((*url.URL).Hostname)),
		urlDef("URL_EXTRACT_PATH", "The path of a URL.", Example{"URL_EXTRACT_PATH('http://karst.dev/x/y?z')", "'/x/y'"}, urlPart(func(u *url.URL) string { return u.Path })),
		urlDef("URL_EXTRACT_PROTOCOL", "The protocol of a URL.", Example{"URL_EXTRACT_PROTOCOL('https://karst.dev')", "'https'"}, urlPart(func(u *url.URL) string { return u.Scheme })),
		urlDef("URL_EXTRACT_QUERY", "The query of a URL.", Example{"URL_EXTRACT_QUERY('http://karst.dev/?a=b')", "'a=b'"}, urlPart(func(u *url.URL) string { return u.RawQuery })),
		urlDef("URL_EXTRACT_FRAGMENT", "The fragment of a URL.", Example{"URL_EXTRACT_FRAGMENT('http://karst.dev/#top')", "'top'"}, urlPart(func(u *url.URL) string { return u.Fragment })),
	}
}

func geoDistance(c *Call) (*vector.Vector, error) {
	v := vector.New(c.Arena, types.Double, c.N)
	rad := math.Pi / 180
	for _, i := range c.Sel {
		lat1, lon1, lat2, lon2 := c.Args[0].F64[i]*rad, c.Args[1].F64[i]*rad, c.Args[2].F64[i]*rad, c.Args[3].F64[i]*rad
		s, t := math.Sin((lat2-lat1)/2), math.Sin((lon2-lon1)/2)
		h := s*s + math.Cos(lat1)*math.Cos(lat2)*t*t
		radius := 6371.0
		if len(c.Args) == 5 && strings.HasPrefix(strings.ToUpper(string(str(c, 4, int(i)))), "MI") {
			radius = 3959
		}
		v.F64[i] = 2 * radius * math.Asin(math.Min(1, math.Sqrt(h)))
	}
	return v, nil
}

// javaReplacement finds $1 in a replacement; Go wants ${1}.
var javaReplacement = regexp.MustCompile(`\$(\d)`)

// regexSignature builds a signature whose argument pattern is a regular
// expression, compiled once for each new text. RE2 has no lookaround and no
// back references; such a pattern is refused.
func regexSignature(ps string, t *types.Type, pattern int, f func(c *Call, re *regexp.Regexp, b *vector.Builder, i int)) Signature {
	return Signature{Params: params(ps), Returns: always(t), Scalar: func(args []Arg) (ScalarKernel, error) {
		if k := args[pattern].Const; k != nil && !k.IsNull(0) {
			if _, err := regexp.Compile(string(k.Str(0))); err != nil {
				return nil, err
			}
		}
		cache := map[string]*regexp.Regexp{}
		return func(c *Call) (*vector.Vector, error) {
			return rows(c, t, func(b *vector.Builder, i int) {
				text := string(str(c, pattern, i))
				re, ok := cache[text]
				if !ok {
					var err error
					if re, err = regexp.Compile(text); err != nil {
						c.Fail(int32(i), err.Error())
						return
					}
					if len(cache) < 64 {
						cache[text] = re
					}
				}
				f(c, re, b, i)
			}), nil
		}, nil
	}}
}

func regexpExtract(c *Call, re *regexp.Regexp, b *vector.Builder, i int) {
	group := 0
	if len(c.Args) == 3 {
		group = int(c.Args[2].I32[i])
	}
	m := re.FindSubmatch(str(c, 1, i))
	if m == nil || group < 0 || group >= len(m) || m[group] == nil {
		return
	}
	b.Bytes(m[group])
}

func urlPart(part func(*url.URL) string) func(string) (string, bool) {
	return func(s string) (string, bool) {
		u, err := url.Parse(s)
		if err != nil || part(u) == "" {
			return "", false
		}
		return part(u), true
	}
}

func urlDef(name, description string, e Example, f func(string) (string, bool)) Def {
	return Def{Name: name, Kind: Scalar, Category: CategoryURL, Description: description, Examples: []Example{e},
		Signatures: []Signature{scalar("input STRING", types.String, stringKernel(func(c *Call, i int, buf []byte) ([]byte, bool) {
			s, ok := f(string(str(c, 0, i)))
			return append(buf, s...), ok
		}))}}
}
