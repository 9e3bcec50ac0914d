package schema

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/twmb/avro"
)

// Avro parses a schema; imports are the names and texts of those that it refers
// to, those that others need first.
func Avro(text string, imports [][2]string) (*avro.Schema, error) {
	var cache avro.SchemaCache
	for _, imp := range imports {
		if _, err := parseAvro(&cache, imp[1]); err != nil {
			return nil, fmt.Errorf("the schema refers to %s, which is not a right Avro schema: %w", imp[0], err)
		}
	}
	s, err := parseAvro(&cache, text)
	if err != nil {
		return nil, fmt.Errorf("not a right Avro schema: %w", err)
	}
	return s, nil
}

func parseAvro(cache *avro.SchemaCache, text string) (*avro.Schema, error) {
	s, err := cache.Parse(text)
	if err != nil {
		if loose, looseErr := cache.Parse(loosen(text)); looseErr == nil {
			return loose, nil
		}
	}
	return s, err
}

// maxDecimalPrecision is that of a decimal which does not say; ksqlDB takes 64,
// which is more than SQL types here have.
const maxDecimalPrecision = 38

// loosen mends what other implementations take no notice of: names of types
// that have none, arrays for example, and decimals without a precision.
func loosen(text string) string {
	var doc any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if d.Decode(&doc) != nil {
		return text
	}
	var walk func(x any)
	walk = func(x any) {
		switch x := x.(type) {
		case []any:
			for _, e := range x {
				walk(e)
			}
		case map[string]any:
			if x["logicalType"] == "decimal" && x["precision"] == nil {
				x["precision"] = maxDecimalPrecision
			}
			switch x["type"] {
			case "array", "map", "null", "boolean", "int", "long", "float", "double", "bytes", "string":
				delete(x, "name")
			}
			for _, inner := range []string{"type", "items", "values"} {
				walk(x[inner])
			}
			fields, _ := x["fields"].([]any)
			for _, f := range fields {
				if f, ok := f.(map[string]any); ok {
					walk(f["type"])
				}
			}
		}
	}
	walk(doc)
	out, err := json.Marshal(doc)
	if err != nil {
		return text
	}
	return string(out)
}
