package types

import (
	"testing"

	"pgregory.net/rapid"
)

// anyType generates types of some depth.
func anyType(depth int) *rapid.Generator[*Type] {
	return rapid.Custom(func(t *rapid.T) *Type {
		plain := []*Type{Boolean, Int, Bigint, Double, String, Bytes, Date, Time, Timestamp, MustDecimal(4, 2), MustDecimal(38, 0)}
		most := len(plain) - 1
		if depth > 0 {
			most += 3
		}
		n := rapid.IntRange(0, most).Draw(t, "kind")
		if n < len(plain) {
			return plain[n]
		}
		inner := anyType(depth - 1)
		switch n - len(plain) {
		case 0:
			return Array(inner.Draw(t, "elem"))
		case 1:
			return Map(inner.Draw(t, "key"), inner.Draw(t, "value"))
		}
		var fields []Field
		for range rapid.IntRange(0, 3).Draw(t, "fields") {
			fields = append(fields, Field{rapid.String().Draw(t, "name"), inner.Draw(t, "field")})
		}
		return Struct(fields...)
	})
}

func TestTypeTextRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := anyType(3).Draw(t, "type")
		got, err := ParseType(want.String())
		if err != nil || !got.Equal(want) {
			t.Fatalf("%s became %v: %v", want, got, err)
		}
	})
}

func TestParseTypeRejects(t *testing.T) {
	for _, text := range []string{"", "INT", "DECIMAL(4)", "DECIMAL(99, 2)", "ARRAY<>", "ARRAY<STRING", "MAP<STRING>", "STRUCT<A INTEGER>", "STRUCT<`A INTEGER>", "STRING "} {
		if got, err := ParseType(text); err == nil {
			t.Errorf("%q parsed as %v", text, got)
		}
	}
}

func FuzzParseType(f *testing.F) {
	f.Add("STRUCT<`A``` ARRAY<DECIMAL(4, 2)>, `B` MAP<STRING, BYTES>>")
	f.Fuzz(func(t *testing.T, text string) {
		typ, err := ParseType(text)
		if err == nil && typ.String() != text {
			t.Fatalf("%q parsed as %s", text, typ)
		}
	})
}
