package function

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"time"

	"karst/sql/format"
	"karst/sql/types"
	"karst/sql/vector"
)

// jsonValue returns the first JSON value of a text; what follows it is not
// looked at.
func jsonValue(text []byte) (json.RawMessage, bool) {
	if json.Valid(text) {
		return bytes.TrimSpace(text), true
	}
	var raw json.RawMessage
	err := json.NewDecoder(bytes.NewReader(text)).Decode(&raw)
	return raw, err == nil
}

// jsonList returns the elements of a JSON array.
func jsonList(text []byte) ([]json.RawMessage, bool) {
	var list []json.RawMessage
	err := json.Unmarshal(text, &list)
	return list, err == nil && list != nil
}

// A jsonMember is a member of an object, in the order of the text.
type jsonMember struct {
	key   string
	value json.RawMessage
}

// jsonMembers returns the members of a JSON object; of members with the same
// key the last one wins, at the place of the first.
func jsonMembers(text []byte) ([]jsonMember, bool) {
	d := json.NewDecoder(bytes.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') || !json.Valid(text) {
		return nil, false
	}
	members, at := []jsonMember{}, map[string]int{}
	for d.More() {
		t, err := d.Token()
		key, ok := t.(string)
		var value json.RawMessage
		if err != nil || !ok || d.Decode(&value) != nil {
			return nil, false
		}
		if k, ok := at[key]; ok {
			members[k].value = value
			continue
		}
		at[key] = len(members)
		members = append(members, jsonMember{key, value})
	}
	return members, true
}

// appendJSONText appends a JSON value as text: a string's content, others as
// they are written.
func appendJSONText(buf []byte, raw json.RawMessage) []byte {
	var text string
	if raw[0] == '"' && json.Unmarshal(raw, &text) == nil {
		return append(buf, text...)
	}
	return format.AppendCompact(buf, raw)
}

func jsonCollectionFunctions() []Def {
	return []Def{
		{Name: "JSON_ARRAY_CONTAINS", Kind: Scalar, Category: CategoryJSON, Description: "Whether a JSON array has an element equal to a value of the same kind.",
			Examples: []Example{{`JSON_ARRAY_CONTAINS('["Red", 7, null]', 7)`, "TRUE"}, {`JSON_ARRAY_CONTAINS('["7"]', 7)`, "FALSE"}, {`JSON_ARRAY_CONTAINS('[null]', NULL)`, "TRUE"}},
			Signatures: []Signature{{Params: params("jsonArray STRING, val T"), Returns: always(types.Boolean), NullTolerant: true, Scalar: plain(func(c *Call) (*vector.Vector, error) {
				return rows(c, types.Boolean, func(b *vector.Builder, i int) {
					if c.Args[0].IsNull(i) {
						return
					}
					list, _ := jsonList(str(c, 0, i))
					found := false
					for _, raw := range list {
						found = found || jsonEquals(raw, c.Args[1], i)
					}
					b.Bool(found)
				}), nil
			})}}},
		{Name: "JSON_CONCAT", Kind: Scalar, Category: CategoryJSON, Description: "Objects merged into one, the later members winning; else one array of all elements, where a value that is no array counts as one element.",
			Examples:   []Example{{`JSON_CONCAT('{"a": 1}', '{"b": 2}')`, `'{"a":1,"b":2}'`}, {"JSON_CONCAT('[1, 2]', '3')", "'[1,2,3]'"}},
			Signatures: []Signature{scalar("jsonStrings STRING...", types.String, stringKernel(jsonConcat))}},
		{Name: "JSON_ITEMS", Kind: Scalar, Category: CategoryJSON, Description: "The elements of a JSON array, each as JSON text.", Examples: []Example{{`JSON_ITEMS('[{"a": 1}, 2]')`, `ARRAY['{"a":1}', '2']`}},
			Signatures: []Signature{scalar("jsonItems STRING", types.Array(types.String), func(c *Call) (*vector.Vector, error) {
				return rows(c, types.Array(types.String), func(b *vector.Builder, i int) {
					list, ok := jsonList(str(c, 0, i))
					if !ok {
						return
					}
					for _, raw := range list {
						b.Kid(0).Bytes(format.AppendCompact(nil, raw))
					}
					b.Close()
				}), nil
			})}},
		{Name: "JSON_RECORDS", Kind: Scalar, Category: CategoryJSON, Description: "The members of a JSON object as a map, values as text.", Examples: []Example{{`JSON_RECORDS('{"a": 1, "b": "x"}')`, "MAP('a' := '1', 'b' := 'x')"}},
			Signatures: []Signature{scalar("jsonObj STRING", types.Map(types.String, types.String), func(c *Call) (*vector.Vector, error) {
				return rows(c, types.Map(types.String, types.String), func(b *vector.Builder, i int) {
					members, ok := jsonMembers(str(c, 0, i))
					if !ok {
						return
					}
					for _, m := range members {
						b.Kid(0).String(m.key)
						b.Kid(1).Bytes(appendJSONText(nil, m.value))
					}
					b.Close()
				}), nil
			})}},
		{Name: "TO_JSON_STRING", Kind: Scalar, Category: CategoryJSON, Description: "Any value as JSON text; dates and times in their ISO form, bytes in base64.",
			Examples: []Example{{"TO_JSON_STRING(ARRAY['a', NULL])", `'["a",null]'`}, {"TO_JSON_STRING(DATE '1972-09-27')", `'"1972-09-27"'`}, {"TO_JSON_STRING(TIME '06:07:08')", `'"06:07:08"'`}, {"TO_JSON_STRING(CAST(NULL AS INT))", "'null'"}},
			Signatures: []Signature{{Params: params("input T"), Returns: always(types.String), NullTolerant: true, Scalar: plain(stringKernel(func(c *Call, i int, buf []byte) ([]byte, bool) {
				return appendISOJSON(buf, c.Args[0], i), true
			}))}}},
	}
}

// jsonEquals reports whether a JSON value is equal to row i of v.
func jsonEquals(raw json.RawMessage, v *vector.Vector, i int) bool {
	if v.IsNull(i) {
		return string(raw) == "null"
	}
	switch v.Type.Kind() {
	case types.KindString:
		var s *string
		return json.Unmarshal(raw, &s) == nil && s != nil && *s == string(v.Str(i))
	case types.KindBoolean:
		return string(raw) == strconv.FormatBool(v.Bits.Get(i))
	case types.KindInt:
		return string(raw) == strconv.Itoa(int(v.I32[i]))
	case types.KindBigint:
		return string(raw) == strconv.FormatInt(v.I64[i], 10)
	case types.KindDouble:
		f, err := strconv.ParseFloat(string(raw), 64)
		return err == nil && f == v.F64[i]
	}
	return string(format.AppendCompact(nil, raw)) == string(appendISOJSON(nil, v, i))
}

func jsonConcat(c *Call, i int, buf []byte) ([]byte, bool) {
	if len(c.Args) == 0 {
		return nil, false
	}
	values := make([]json.RawMessage, 0, len(c.Args))
	objects := true
	for k := range c.Args {
		text := bytes.TrimSpace(str(c, k, i))
		if !json.Valid(text) {
			return nil, false
		}
		objects = objects && text[0] == '{'
		values = append(values, text)
	}
	if objects {
		return jsonMerge(buf, values), true
	}
	buf = append(buf, '[')
	empty := len(buf)
	for _, v := range values {
		list := []json.RawMessage{v}
		if v[0] == '[' {
			list, _ = jsonList(v)
		}
		for _, e := range list {
			if len(buf) > empty {
				buf = append(buf, ',')
			}
			buf = format.AppendCompact(buf, e)
		}
	}
	return append(buf, ']'), true
}

func jsonMerge(buf []byte, objects []json.RawMessage) []byte {
	var all []jsonMember
	at := map[string]int{}
	for _, o := range objects {
		members, _ := jsonMembers(o)
		for _, m := range members {
			if k, ok := at[m.key]; ok {
				all[k].value = m.value
				continue
			}
			at[m.key] = len(all)
			all = append(all, m)
		}
	}
	buf = append(buf, '{')
	for k, m := range all {
		if k > 0 {
			buf = append(buf, ',')
		}
		buf = append(format.AppendJSONString(buf, []byte(m.key)), ':')
		buf = format.AppendCompact(buf, m.value)
	}
	return append(buf, '}')
}

// appendISOJSON appends row i of v as JSON, in which dates and times have
// their ISO form.
func appendISOJSON(buf []byte, v *vector.Vector, i int) []byte {
	if v.IsNull(i) {
		return append(buf, "null"...)
	}
	switch v.Type.Kind() {
	case types.KindDate:
		return time.Unix(int64(v.I32[i])*86400, 0).UTC().AppendFormat(buf, `"2006-01-02"`)
	case types.KindTime:
		return append(types.AppendTimeOfDay(append(buf, '"'), int64(v.I32[i])), '"')
	case types.KindTimestamp:
		return time.UnixMilli(v.I64[i]).UTC().AppendFormat(buf, `"2006-01-02T15:04:05.000"`)
	case types.KindBytes:
		return append(base64.StdEncoding.AppendEncode(append(buf, '"'), v.Str(i)), '"')
	case types.KindArray:
		buf = append(buf, '[')
		from, to := span(v, i)
		for j := from; j < to; j++ {
			if j > from {
				buf = append(buf, ',')
			}
			buf = appendISOJSON(buf, v.Kids[0], j)
		}
		return append(buf, ']')
	case types.KindMap, types.KindStruct:
		return appendISOObject(buf, v, i)
	}
	return format.AppendJSON(buf, v, i)
}

func appendISOObject(buf []byte, v *vector.Vector, i int) []byte {
	buf = append(buf, '{')
	member := func(n int, key []byte, value *vector.Vector, at int) {
		if n > 0 {
			buf = append(buf, ',')
		}
		buf = appendISOJSON(append(append(buf, key...), ':'), value, at)
	}
	if v.Type.Kind() == types.KindStruct {
		for k, f := range v.Type.Fields() {
			member(k, format.AppendJSONString(nil, []byte(f.Name)), v.Kids[k], i)
		}
		return append(buf, '}')
	}
	from, to := span(v, i)
	for j := from; j < to; j++ {
		key := appendISOJSON(nil, v.Kids[0], j)
		if key[0] != '"' {
			key = append(append([]byte{'"'}, key...), '"')
		}
		member(j-from, key, v.Kids[1], j)
	}
	return append(buf, '}')
}
