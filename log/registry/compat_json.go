package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// jsonNode is an object of a JSON Schema; true and false are schemas too.
type jsonNode map[string]any

func parseJSON(text string) (any, error) {
	d := json.NewDecoder(strings.NewReader(text))
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if d.More() {
		return nil, errors.New("there is more than one value")
	}
	switch v := v.(type) {
	case bool:
		return v, nil
	case map[string]any:
		return v, wellTyped(v)
	}
	return nil, errors.New("a JSON Schema is an object or a boolean")
}

// wellTyped refuses keywords with values that they can't have.
func wellTyped(n map[string]any) error {
	for _, key := range []string{"properties", "definitions", "$defs", "patternProperties"} {
		inner, ok := n[key].(map[string]any)
		if n[key] != nil && !ok {
			return fmt.Errorf("%s is not an object", key)
		}
		for name, s := range inner {
			if err := isSchema(s); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	for _, key := range []string{"oneOf", "anyOf", "allOf"} {
		list, ok := n[key].([]any)
		if n[key] != nil && !ok {
			return fmt.Errorf("%s is not a list", key)
		}
		for _, s := range list {
			if err := isSchema(s); err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
		}
	}
	for _, t := range typesOf(n) {
		if !slices.Contains([]string{"null", "boolean", "object", "array", "number", "string", "integer"}, t) {
			return fmt.Errorf("unknown type %q", t)
		}
	}
	return nil
}

func isSchema(v any) error {
	switch v := v.(type) {
	case bool:
		return nil
	case map[string]any:
		return wellTyped(v)
	}
	return errors.New("a schema is an object or a boolean")
}

// typesOf returns the types that a schema names, sorted; nil if it names none.
func typesOf(n jsonNode) []string {
	var out []string
	switch t := n["type"].(type) {
	case string:
		out = append(out, t)
	case []any:
		for _, x := range t {
			if s, ok := x.(string); ok {
				out = append(out, s)
			}
		}
	}
	slices.Sort(out)
	return out
}

// readsJSON tells why a schema does not admit all that another one admitted.
func readsJSON(reader, writer parsedSchema) []string {
	r, err := parseJSON(reader.Text)
	if err != nil {
		return []string{err.Error()}
	}
	w, err := parseJSON(writer.Text)
	if err != nil {
		return []string{err.Error()}
	}
	left := maxJSONPairs
	c := jsonComparison{r: newJSONRoot(r, reader.imports), w: newJSONRoot(w, writer.imports), left: &left}
	c.compare(r, w, "#", 0)
	if left < 0 {
		return []string{fmt.Sprintf("the schemas are too intricate: more than %d pairs to compare", maxJSONPairs)}
	}
	return c.faults
}

// maxJSONPairs bounds the pairs of schemas that are compared, which references
// and alternatives may multiply.
const maxJSONPairs = 20_000

type jsonComparison struct {
	r, w   jsonRoot
	left   *int // pairs that may still be compared
	faults []string
}

// A jsonRoot finds what a $ref names.
type jsonRoot struct {
	doc  any
	docs map[string]any // of imports, by name
}

func newJSONRoot(doc any, imports [][2]string) jsonRoot {
	j := jsonRoot{doc, map[string]any{}}
	for _, imp := range imports {
		if v, err := parseJSON(imp[1]); err == nil {
			j.docs[imp[0]] = v
		}
	}
	return j
}

func (j jsonRoot) resolve(v any) any {
	for range 32 {
		n, ok := v.(map[string]any)
		ref, has := n["$ref"].(string)
		if !ok || !has {
			return v
		}
		file, pointer, _ := strings.Cut(ref, "#")
		doc := j.doc
		if file != "" {
			doc = j.docs[file]
		}
		for _, part := range strings.Split(strings.Trim(pointer, "/"), "/") {
			if m, ok := doc.(map[string]any); ok && part != "" {
				doc = m[part]
			}
		}
		v = doc
	}
	return v
}

func (c *jsonComparison) fault(path, format string, args ...any) {
	c.faults = append(c.faults, path+": "+fmt.Sprintf(format, args...))
}

const maxJSONDepth = 64

// compare notes why the reader's schema r does not admit all that the writer's
// w does.
func (c *jsonComparison) compare(r, w any, path string, depth int) {
	if *c.left--; depth > maxJSONDepth || *c.left < 0 {
		return // it holds itself, or see readsJSON
	}
	r, w = c.r.resolve(r), c.w.resolve(w)
	rn, rIs := r.(map[string]any)
	wn, wIs := w.(map[string]any)
	switch {
	case r == true || rIs && len(rn) == 0 || w == false || reflect.DeepEqual(r, w):
		return
	case r == false:
		c.fault(path, "nothing is admitted any more")
		return
	case !rIs || !wIs || len(wn) == 0:
		c.fault(path, "anything was admitted, now it is not")
		return
	}
	if c.sums(rn, wn, path, depth) {
		return
	}
	if !c.sameTypes(rn, wn, path) {
		return
	}
	c.limits(rn, wn, path)
	c.enum(rn, wn, path)
	c.object(rn, wn, path, depth)
	c.array(rn, wn, path, depth)
}

// sums compares oneOf, anyOf and allOf: each of the writer's alternatives must
// be admitted by one of the reader's. It reports whether that was all.
func (c *jsonComparison) sums(r, w jsonNode, path string, depth int) bool {
	alternatives := func(n jsonNode) ([]any, bool) {
		for _, key := range []string{"oneOf", "anyOf"} {
			if list, ok := n[key].([]any); ok {
				return list, true
			}
		}
		return []any{map[string]any(n)}, false
	}
	rs, rSum := alternatives(r)
	ws, wSum := alternatives(w)
	if !rSum && !wSum {
		return false
	}
	for i, alt := range ws {
		if !slices.ContainsFunc(rs, func(to any) bool { return c.admits(to, alt, depth) }) {
			c.fault(fmt.Sprintf("%s/%d", path, i), "none of the alternatives admits what this one did")
		}
	}
	return true
}

func (c *jsonComparison) admits(r, w any, depth int) bool {
	try := jsonComparison{r: c.r, w: c.w, left: c.left}
	try.compare(r, w, "", depth+1)
	return len(try.faults) == 0
}

func (c *jsonComparison) sameTypes(r, w jsonNode, path string) bool {
	rt, wt := typesOf(r), typesOf(w)
	switch {
	case len(rt) == 0:
		return true
	case len(wt) == 0:
		c.fault(path, "any type was admitted, now only %s", strings.Join(rt, ", "))
		return false
	}
	for _, t := range wt {
		if !slices.Contains(rt, t) && !(t == "integer" && slices.Contains(rt, "number")) {
			c.fault(path, "the type was %s and is %s", strings.Join(wt, ", "), strings.Join(rt, ", "))
			return false
		}
	}
	return true
}

// limits compares the keywords that bound numbers, texts and sizes.
func (c *jsonComparison) limits(r, w jsonNode, path string) {
	for _, key := range []string{"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"} {
		if x, ok := r[key].(float64); ok {
			if y, had := w[key].(float64); !had || y > x {
				c.fault(path+"/"+key, "it is lower than it was")
			}
		}
	}
	for _, key := range []string{"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"} {
		if x, ok := r[key].(float64); ok {
			if y, had := w[key].(float64); !had || y < x {
				c.fault(path+"/"+key, "it is higher than it was")
			}
		}
	}
	for _, key := range []string{"pattern", "multipleOf", "uniqueItems", "const"} {
		if r[key] != nil && r[key] != false && !reflect.DeepEqual(r[key], w[key]) {
			c.fault(path+"/"+key, "it has changed")
		}
	}
}

func (c *jsonComparison) enum(r, w jsonNode, path string) {
	to, ok := r["enum"].([]any)
	if !ok {
		return
	}
	from, had := w["enum"].([]any)
	if !had {
		c.fault(path+"/enum", "it was not there")
		return
	}
	for _, v := range from {
		if !slices.ContainsFunc(to, func(x any) bool { return reflect.DeepEqual(x, v) }) {
			c.fault(path+"/enum", "%v is gone", v)
		}
	}
}

// open reports whether an object may have properties that are not listed, and
// the schema for them.
func open(n jsonNode) (any, bool) {
	a, has := n["additionalProperties"]
	if !has {
		return true, true
	}
	return a, a != false
}

func properties(n jsonNode) map[string]any {
	m, _ := n["properties"].(map[string]any)
	return m
}

// object compares properties: one that is new may be there with another type
// already, unless what was there was closed; one that is gone is admitted only
// if what is there is open.
func (c *jsonComparison) object(r, w jsonNode, path string, depth int) {
	rp, wp := properties(r), properties(w)
	rest, rOpen := open(r)
	wRest, wOpen := open(w)
	for _, name := range slices.Sorted(maps.Keys(wp)) {
		at := path + "/properties/" + name
		switch to, ok := rp[name]; {
		case ok:
			c.compare(to, wp[name], at, depth+1)
		case !rOpen:
			c.fault(at, "it is gone from an object that admits no others")
		case rest != true:
			c.compare(rest, wp[name], at, depth+1)
		}
	}
	required := func(n jsonNode, name string) bool {
		list, _ := n["required"].([]any)
		return slices.Contains(list, any(name))
	}
	for _, name := range slices.Sorted(maps.Keys(rp)) {
		at := path + "/properties/" + name
		p, _ := rp[name].(map[string]any)
		_, hasDefault := p["default"]
		_, was := wp[name]
		if !was && wOpen && len(p) > 0 && rp[name] != true {
			if wRest == true {
				c.fault(at, "it is new in an object that admitted others of any kind")
			} else {
				c.compare(rp[name], wRest, at, depth+1)
			}
		}
		if required(r, name) && !required(w, name) && !hasDefault {
			c.fault(at, "it is required, and was not")
		}
	}
	switch {
	case wOpen && !rOpen:
		c.fault(path+"/additionalProperties", "others are not admitted any more")
	case wOpen && rest != true:
		c.compare(rest, wRest, path+"/additionalProperties", depth+1)
	}
}

func (c *jsonComparison) array(r, w jsonNode, path string, depth int) {
	if items := r["items"]; items != nil {
		was := w["items"]
		if was == nil {
			was = true
		}
		c.compare(items, was, path+"/items", depth+1)
	}
}
