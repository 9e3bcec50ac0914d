package format

import (
	"encoding/csv"
	"strings"
	"testing"

	"karst/sql/types"
	"karst/sql/vector"
)

// FuzzDelimited holds the decoder against encoding/csv: a line of three fields
// that it takes has the same three texts, and what is decoded comes back the
// same after it was encoded.
func FuzzDelimited(f *testing.F) {
	for _, s := range []string{"a,b,c", `"a,b","c""d",`, `,,`, `-1, x,"-"`, `"",a b,é`, "\"a\nb\",c,d", `a"b,c,d`, `"a`, `a,b`} {
		f.Add(s)
	}
	cols := []types.Column{column("A", types.String), column("B", types.String), column("C", types.String)}
	o := Options{Name: "DELIMITED"}
	decoder, err := NewDecoder(o, cols, nil)
	if err != nil {
		f.Fatal(err)
	}
	encoder, err := NewEncoder(o, cols)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, line string) {
		rows, faulty := texts(decoder, line)
		if r := csv.NewReader(strings.NewReader(line)); !strings.ContainsAny(line, "\r\n") && line != "" {
			want, err := r.Read()
			if err == nil && len(want) == 3 {
				if faulty {
					t.Fatalf("%q is refused, but has the fields %q", line, want)
				}
				for i, text := range want {
					if rows[i] != text {
						t.Errorf("%q: field %d is %q, want %q", line, i, rows[i], text)
					}
				}
			}
		}
		if faulty {
			return
		}
		vs := make([]*vector.Vector, 3)
		for i, text := range rows {
			b := vector.NewBuilder(vector.NewArena(), types.String, 1)
			if text == "" {
				b.Null() // an empty field is null
			} else {
				b.String(text)
			}
			vs[i] = b.Finish()
		}
		var out Cells
		if err := encoder.Encode(vs, []int32{0}, &out); err != nil {
			t.Fatal(err)
		}
		if again, faulty := texts(decoder, string(out.At(0))); faulty || again != rows {
			t.Errorf("%q came back as %q, by %q", rows, again, out.At(0))
		}
	})
}

// texts decodes a line of three STRING columns; null is "".
func texts(d Decoder, line string) (out [3]string, faulty bool) {
	vs := d.Decode(vector.NewArena(), cells(line), 1, func(int, string, string) { faulty = true })
	for i, v := range vs {
		if !v.IsNull(0) {
			out[i] = string(v.Str(0))
		}
	}
	return out, faulty
}

// A record may end as a line does; that is no part of its last field.
func TestDelimitedLineEnds(t *testing.T) {
	d, err := NewDecoder(Options{Name: "DELIMITED"}, []types.Column{column("A", types.String), column("B", types.String), column("C", types.String)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string][3]string{"a,b,c\n": {"a", "b", "c"}, "a,b,\"c\"\r\n": {"a", "b", "c"}, "a,b,\n": {"a", "b", ""}, "a,b,\"c\n\"\n": {"a", "b", "c\n"}} {
		if got, faulty := texts(d, line); faulty || got != want {
			t.Errorf("%q: %q, faulty: %v", line, got, faulty)
		}
	}
}
