package function

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"karst/sql/types"
	"karst/sql/vector"
)

func jsonFunctions() []Def {
	return []Def{
		{Name: "EXTRACTJSONFIELD", Kind: Scalar, Category: CategoryJSON, Description: "The value at a path such as $.a.b[0] of a JSON text, as text.", Examples: []Example{{`EXTRACTJSONFIELD('{"a":{"b":[1,2]}}', '$.a.b[1]')`, "'2'"}, {`EXTRACTJSONFIELD('{"a b":1}', '$[''a b'']')`, "'1'"}},
			Signatures: []Signature{scalar("input STRING, path STRING", types.String, stringKernel(extractJSON))}},
		{Name: "IS_JSON_STRING", Kind: Scalar, Category: CategoryJSON, Description: "Whether a text is JSON.", Examples: []Example{{"IS_JSON_STRING('[1]')", "TRUE"}},
			Signatures: []Signature{{Params: params("input STRING"), Returns: always(types.Boolean), NullTolerant: true, Scalar: plain(boolKernel(func(c *Call, i int) bool {
				return !c.Args[0].IsNull(i) && json.Valid(str(c, 0, i))
			}))}}},
		{Name: "JSON_ARRAY_LENGTH", Kind: Scalar, Category: CategoryJSON, Description: "The number of elements of a JSON array.", Examples: []Example{{"JSON_ARRAY_LENGTH('[1, 2]')", "2"}},
			Signatures: []Signature{scalar("jsonArray STRING", types.Int, intKernel(func(c *Call, i int) (int32, bool) {
				list, ok := jsonList(str(c, 0, i))
				return int32(len(list)), ok
			}))}},
		{Name: "JSON_KEYS", Kind: Scalar, Category: CategoryJSON, Description: "The keys of a JSON object.", Examples: []Example{{`JSON_KEYS('{"a":1,"b":2}')`, "ARRAY['a', 'b']"}},
			Signatures: []Signature{scalar("jsonObj STRING", types.Array(types.String), func(c *Call) (*vector.Vector, error) {
				return rows(c, types.Array(types.String), func(b *vector.Builder, i int) {
					members, ok := jsonMembers(str(c, 0, i))
					if !ok {
						return
					}
					for _, m := range members {
						b.Kid(0).String(m.key)
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
	return appendJSONText(buf, raw), true
}

func jsonMemberOf(raw json.RawMessage, key string) (json.RawMessage, bool) {
	var object map[string]json.RawMessage
	if json.Unmarshal(raw, &object) != nil {
		return nil, false
	}
	value, ok := object[key]
	return value, ok
}

// jsonPath follows a path of .key, ['key'] and [position] from $.
func jsonPath(raw json.RawMessage, path string) (json.RawMessage, bool) {
	raw, valid := jsonValue(raw)
	path, ok := strings.CutPrefix(path, "$")
	ok = ok && valid
	for ok && path != "" {
		if path[0] == '[' {
			end := strings.IndexByte(path, ']')
			if end < 0 {
				return nil, false
			}
			if inner := path[1:end]; len(inner) >= 2 && (inner[0] == '\'' || inner[0] == '"') && inner[len(inner)-1] == inner[0] {
				if raw, ok = jsonMemberOf(raw, inner[1:len(inner)-1]); !ok {
					return nil, false
				}
				path = path[end+1:]
				continue
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
		if raw, ok = jsonMemberOf(raw, path[:end]); !ok {
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
		{Name: "UUID", Kind: Scalar, Category: CategoryString, Description: "A random universally unique identifier, or the one that 16 bytes hold.", Examples: []Example{{"LEN(UUID())", "36"}, {"UUID(TO_BYTES('00112233445566778899aabbccddeeff', 'hex'))", "'00112233-4455-6677-8899-aabbccddeeff'"}},
			Signatures: []Signature{{Returns: always(types.String), Volatile: true, Scalar: plain(stringKernel(func(c *Call, _ int, buf []byte) ([]byte, bool) {
				hi, lo := c.Rand()&^0xf000|0x4000, c.Rand()&^(3<<62)|2<<62
				return appendUUID(buf, hi, lo), true
			}))}, scalar("bytes BYTES", types.String, stringKernel(func(c *Call, i int, buf []byte) ([]byte, bool) {
				raw := str(c, 0, i)
				if len(raw) != 16 {
					c.Fail(int32(i), fmt.Sprintf("16 bytes are needed, found %d", len(raw)))
					return nil, false
				}
				return appendUUID(buf, binary.BigEndian.Uint64(raw), binary.BigEndian.Uint64(raw[8:])), true
			}))}},
		{Name: "GEO_DISTANCE", Kind: Scalar, Category: CategoryOther, Description: "The great-circle distance of two points given in degrees, in kilometres or, with 'MILES', in miles.", Examples: []Example{{"ROUND(GEO_DISTANCE(37.4439, -122.1663, 51.5257, -0.1122), 0)", "8635E0"}},
			Signatures: []Signature{scalar("lat1 DOUBLE, lon1 DOUBLE, lat2 DOUBLE, lon2 DOUBLE", types.Double, geoDistance), scalar("lat1 DOUBLE, lon1 DOUBLE, lat2 DOUBLE, lon2 DOUBLE, units STRING", types.Double, geoDistance)}},
		{Name: "REGEXP_EXTRACT", Kind: Scalar, Category: CategoryRegex, Description: "The first match of a regular expression, or one of its groups.", Examples: []Example{{"REGEXP_EXTRACT('(a)(b)', 'xab', 2)", "'b'"}},
			Signatures: []Signature{regexSignature("pattern STRING, input STRING", types.String, 0, regexpExtract), regexSignature("pattern STRING, input STRING, group INT", types.String, 0, regexpExtract)}},
		{Name: "REGEXP_EXTRACT_ALL", Kind: Scalar, Category: CategoryRegex, Description: "All matches of a regular expression, or what one of its groups holds in each.", Examples: []Example{{"REGEXP_EXTRACT_ALL('t(.)', 'ta tb')", "ARRAY['ta', 'tb']"}, {"REGEXP_EXTRACT_ALL('t(.)', 'ta tb', 1)", "ARRAY['a', 'b']"}},
			Signatures: []Signature{regexSignature("pattern STRING, input STRING", types.Array(types.String), 0, regexpExtractAll), regexSignature("pattern STRING, input STRING, group INT", types.Array(types.String), 0, regexpExtractAll)}},
		{Name: "REGEXP_REPLACE", Kind: Scalar, Category: CategoryRegex, Description: "The text with every match of a regular expression replaced.", Examples: []Example{{"REGEXP_REPLACE('a1b2', '[0-9]', '#')", "'a#b#'"}},
			Signatures: []Signature{regexSignature("str STRING, regexp STRING, newStr STRING", types.String, 1, func(c *Call, re *javaRegex, b *vector.Builder, i int) {
				out, err := replaceAllJava(re, str(c, 0, i), str(c, 2, i))
				if err != nil {
					c.Fail(int32(i), err.Error())
					return
				}
				b.Bytes(out)
			})}},
		{Name: "REGEXP_SPLIT_TO_ARRAY", Kind: Scalar, Category: CategoryRegex, Description: "The parts of a text between the matches of a regular expression.", Examples: []Example{{"REGEXP_SPLIT_TO_ARRAY('a1b', '[0-9]')", "ARRAY['a', 'b']"}},
			Signatures: []Signature{regexSignature("string STRING, regexp STRING", types.Array(types.String), 1, func(c *Call, re *javaRegex, b *vector.Builder, i int) {
				parts, err := re.split(str(c, 0, i))
				if err != nil {
					c.Fail(int32(i), err.Error())
					return
				}
				for _, s := range parts {
					b.Kid(0).String(s)
				}
				b.Close()
			})}},
	}
}

func appendUUID(buf []byte, hi, lo uint64) []byte {
	return fmt.Appendf(buf, "%08x-%04x-%04x-%04x-%012x", hi>>32, hi>>16&0xffff, hi&0xffff, lo>>48, lo&(1<<48-1))
}

// earthRadius is in the units that GEO_DISTANCE knows.
var earthRadius = map[string]float64{"KM": 6371, "KMS": 6371, "KILOMETER": 6371, "KILOMETERS": 6371, "KILOMETRE": 6371, "KILOMETRES": 6371,
	"MI": 3959, "MILE": 3959, "MILES": 3959}

// geoDistance is the haversine formula.
func geoDistance(c *Call) (*vector.Vector, error) {
	v := vector.New(c.Arena, types.Double, c.N)
	rad := func(x float64) float64 { return x / 180 * math.Pi }
	for _, i := range c.Sel {
		lat1, lon1, lat2, lon2 := c.Args[0].F64[i], c.Args[1].F64[i], c.Args[2].F64[i], c.Args[3].F64[i]
		if !(math.Abs(lat1) <= 90 && math.Abs(lat2) <= 90 && math.Abs(lon1) <= 180 && math.Abs(lon2) <= 180) {
			c.Fail(i, "a latitude lies between -90 and 90, a longitude between -180 and 180")
			continue
		}
		radius := earthRadius["KM"]
		if len(c.Args) == 5 {
			if radius = earthRadius[strings.ToUpper(string(str(c, 4, int(i))))]; radius == 0 {
				c.Fail(i, fmt.Sprintf("the unit %q is neither KM nor MILES", str(c, 4, int(i))))
				continue
			}
		}
		s, t := sine(rad(lat2-lat1)/2), sine(rad(lon2-lon1)/2)
		h := s*s + t*t*cosine(rad(lat1))*cosine(rad(lat2))
		v.F64[i] = radius * (2 * asin(math.Min(1, math.Sqrt(h))))
	}
	return v, nil
}

// regexSignature builds a signature whose argument pattern is a regular
// expression, compiled once: with the call if it is constant, else for each
// new text.
func regexSignature(ps string, t *types.Type, pattern int, f func(c *Call, re *javaRegex, b *vector.Builder, i int)) Signature {
	return Signature{Params: params(ps), Returns: always(t), Scalar: func(args []Arg) (ScalarKernel, error) {
		of, err := regexSource(args[pattern].Const, pattern)
		if err != nil {
			return nil, err
		}
		return func(c *Call) (*vector.Vector, error) {
			return rows(c, t, func(b *vector.Builder, i int) {
				if re := of(c, i); re != nil {
					f(c, re, b, i)
				}
			}), nil
		}, nil
	}}
}

// regexSource returns what gives a row's expression, nil after a failure.
func regexSource(constant *vector.Vector, arg int) (func(c *Call, i int) *javaRegex, error) {
	if constant != nil && !constant.IsNull(0) {
		re, err := compileJavaRegex(string(constant.Str(0)))
		return func(*Call, int) *javaRegex { return re }, err
	}
	cache := map[string]*javaRegex{}
	return func(c *Call, i int) *javaRegex {
		if re, ok := cache[string(str(c, arg, i))]; ok {
			return re
		}
		text := string(str(c, arg, i))
		re, err := compileJavaRegex(text)
		if err != nil {
			c.Fail(int32(i), err.Error())
			return nil
		}
		if len(cache) < 64 {
			cache[text] = re
		}
		return re
	}, nil
}

func regexpExtract(c *Call, re *javaRegex, b *vector.Builder, i int) {
	group := 0
	if len(c.Args) == 3 {
		group = int(c.Args[2].I32[i])
	}
	src := str(c, 1, i)
	m, err := re.first(src)
	if err != nil {
		c.Fail(int32(i), err.Error())
		return
	}
	if m == nil || group < 0 || group > re.groups || m[2*group] < 0 {
		return
	}
	b.Bytes(src[m[2*group]:m[2*group+1]])
}

func regexpExtractAll(c *Call, re *javaRegex, b *vector.Builder, i int) {
	group := 0
	if len(c.Args) == 3 {
		group = int(c.Args[2].I32[i])
	}
	if group < 0 || group > re.groups {
		return
	}
	src := str(c, 1, i)
	matches, err := re.all(src)
	if err != nil {
		c.Fail(int32(i), err.Error())
		return
	}
	for _, m := range matches {
		if m[2*group] < 0 {
			b.Kid(0).Null()
		} else {
			b.Kid(0).Bytes(src[m[2*group]:m[2*group+1]])
		}
	}
	b.Close()
}
