package registry

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"karst/log"
	"karst/log/segment"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	flight1 = `{"type":"record","name":"Flight","fields":[{"name":"origin","type":"string"}]}`
	flight2 = `{"type":"record","name":"Flight","fields":[{"name":"origin","type":"string"},{"name":"delay","type":"int","default":0}]}`
	flight4 = `{"type":"record","name":"Flight","fields":[{"name":"origin","type":"string"},{"name":"delay","type":"string"}]}`
	flight3 = `{"type":"record","name":"Flight","fields":[{"name":"origin","type":"string"},{"name":"delay","type":"int"}]}`
)

func add(t *testing.T, r *Registry, subject, kind, text string, refs ...Reference) Version {
	t.Helper()
	v, err := r.Add(subject, Schema{Type: kind, Text: text, References: refs}, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func wantCode(t *testing.T, err error, code int) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Code != code {
		t.Errorf("error %v, want code %d", err, code)
	}
}

func TestIDsAndVersions(t *testing.T) {
	r := New()
	a1 := add(t, r, "a", Avro, flight1)
	if again := add(t, r, "a", "", " "+flight1); again.Version != 1 || again.ID != a1.ID {
		t.Errorf("the same schema again is %+v", again)
	}
	if b := add(t, r, "b", Avro, flight1); b.ID != a1.ID || b.Version != 1 {
		t.Errorf("the same schema elsewhere is %+v, the id was %d", b, a1.ID)
	}
	a2 := add(t, r, "a", Avro, flight2)
	if a2.ID == a1.ID || a2.Version != 2 {
		t.Errorf("another schema is %+v", a2)
	}
	_, err := r.Add("a", Schema{Text: flight4}, 0, 0)
	wantCode(t, err, CodeIncompatible)
	_, err = r.Add("a", Schema{Text: `{"type":"recor"}`}, 0, 0)
	wantCode(t, err, CodeInvalidSchema)
	_, err = r.Add("c", Schema{Text: flight4}, a1.ID, 0)
	wantCode(t, err, CodeOperationNotPermitted)
	if v, err := r.Lookup("a", Schema{Text: flight1}, false); err != nil || v.Version != 1 {
		t.Errorf("looking up: %+v, %v", v, err)
	}
	_, err = r.Lookup("a", Schema{Text: flight4}, false)
	wantCode(t, err, CodeSchemaNotFound)
	_, err = r.Lookup("z", Schema{Text: flight4}, false)
	wantCode(t, err, CodeSubjectNotFound)
	_, _, _, err = r.Schema(99)
	wantCode(t, err, CodeSchemaNotFound)
	if list, err := r.VersionsOf(a1.ID, false); err != nil || len(list) != 2 {
		t.Errorf("the schema's versions are %v, %v", list, err)
	}
}

func TestDeletion(t *testing.T) {
	r := New()
	v := add(t, r, "a", Avro, flight1)
	add(t, r, "a", Avro, flight2)
	_, err := r.DeleteVersion("a", 1, true)
	wantCode(t, err, CodeVersionNotSoftDeleted)
	if n, err := r.DeleteVersion("a", 1, false); n != 1 || err != nil {
		t.Errorf("deleting a version: %d, %v", n, err)
	}
	_, err = r.DeleteVersion("a", 1, false)
	wantCode(t, err, CodeVersionSoftDeleted)
	_, err = r.Version("a", 1, false)
	wantCode(t, err, CodeVersionNotFound)
	if _, err := r.Version("a", 1, true); err != nil {
		t.Error(err)
	}
	if _, _, _, err := r.Schema(v.ID); err != nil {
		t.Errorf("records go on naming a deleted schema: %v", err)
	}
	_, err = r.DeleteSubject("a", true)
	wantCode(t, err, CodeSubjectNotSoftDeleted)
	if list, err := r.DeleteSubject("a", false); err != nil || !reflect.DeepEqual(list, []int{2}) {
		t.Errorf("deleting a subject: %v, %v", list, err)
	}
	_, err = r.DeleteSubject("a", false)
	wantCode(t, err, CodeSubjectSoftDeleted)
	if list, err := r.DeleteSubject("a", true); err != nil || !reflect.DeepEqual(list, []int{1, 2}) {
		t.Errorf("deleting it for good: %v, %v", list, err)
	}
	_, err = r.Versions("a", true)
	wantCode(t, err, CodeSubjectNotFound)
}

func TestReferences(t *testing.T) {
	r := New()
	add(t, r, "event.proto", Protobuf, `syntax = "proto3"; message Event { int64 at = 1; }`)
	v := add(t, r, "a", Protobuf, `syntax = "proto3"; import "event.proto"; message A { Event e = 1; }`, Reference{"event.proto", "event.proto", 1})
	_, _, imports, err := r.Schema(v.ID)
	if err != nil || len(imports) != 1 || imports[0][0] != "event.proto" {
		t.Errorf("imports %v, %v", imports, err)
	}
	_, err = r.DeleteSubject("event.proto", false)
	wantCode(t, err, CodeReferenceExists)
	if ids, err := r.Users("event.proto", 1); err != nil || !reflect.DeepEqual(ids, []int{v.ID}) {
		t.Errorf("users %v, %v", ids, err)
	}
	_, err = r.Add("b", Schema{Type: Protobuf, Text: `syntax = "proto3"; import "none.proto"; message A { Event e = 1; }`, References: []Reference{{"none.proto", "none", 1}}}, 0, 0)
	wantCode(t, err, CodeInvalidSchema)
}

func TestLevelsAndModes(t *testing.T) {
	r := New()
	if l, err := r.Level("", false); l != Backward || err != nil {
		t.Errorf("level %s, %v", l, err)
	}
	_, err := r.Level("a", false)
	wantCode(t, err, CodeLevelNotConfigured)
	wantCode(t, r.SetLevel("a", "SIDEWAYS"), CodeInvalidLevel)
	if err := r.SetLevel("a", None); err != nil {
		t.Fatal(err)
	}
	add(t, r, "a", Avro, flight1)
	add(t, r, "a", Avro, flight3)
	wantCode(t, r.SetMode("a", "X"), CodeInvalidMode)
	if err := r.SetMode("a", ReadOnly); err != nil {
		t.Fatal(err)
	}
	_, err = r.Add("a", Schema{Text: flight2}, 0, 0)
	wantCode(t, err, CodeOperationNotPermitted)
	add(t, r, "b", Avro, flight1)
}

// TestTransitive: each level looks back as far as its name says.
func TestTransitive(t *testing.T) {
	withDefault := `{"type":"record","name":"F","fields":[{"name":"a","type":"int"},{"name":"b","type":"int","default":1}]}`
	both := `{"type":"record","name":"F","fields":[{"name":"a","type":"int"},{"name":"b","type":"int"}]}`
	one := `{"type":"record","name":"F","fields":[{"name":"a","type":"int"}]}`
	for level, ok := range map[string]bool{Backward: true, BackwardTransitive: false, None: true} {
		r := New()
		if err := r.SetLevel("", level); err != nil {
			t.Fatal(err)
		}
		add(t, r, "s", Avro, one)
		add(t, r, "s", Avro, withDefault)
		// both can read withDefault, but not one.
		if _, err := r.Add("s", Schema{Text: both}, 0, 0); (err == nil) != ok {
			t.Errorf("%s: %v", level, err)
		}
	}
}

// TestCompatibility: what a new schema may change, by type and level.
func TestCompatibility(t *testing.T) {
	proto := func(body string) string { return `syntax = "proto3"; ` + body }
	for _, c := range []struct {
		kind, old, next   string
		backward, forward bool
	}{
		{Avro, `"int"`, `"long"`, true, false},
		{Avro, `"int"`, `["null","int"]`, true, false},
		{Avro, flight1, flight2, true, true},
		{Avro, flight1, flight3, false, true},
		{Avro, flight3, flight1, true, false},
		{Avro, `{"type":"enum","name":"E","symbols":["A"]}`, `{"type":"enum","name":"E","symbols":["A","B"]}`, true, false},
		{Avro, `"string"`, `"int"`, false, false},

		{Protobuf, proto(`message A { int32 x = 1; }`), proto(`message A { int32 x = 1; string y = 2; }`), true, true},
		{Protobuf, proto(`message A { int32 x = 1; }`), proto(`message A { int64 renamed = 1; }`), true, true},
		{Protobuf, proto(`message A { int32 x = 1; }`), proto(`message A { string x = 1; }`), false, false},
		{Protobuf, proto(`message A { int32 x = 1; }`), proto(`message A { sint32 x = 1; }`), false, false},
		{Protobuf, proto(`message A { int32 x = 1; }`), proto(`message A { repeated int32 x = 1; }`), false, false},
		{Protobuf, proto(`message A { int32 x = 1; } message B { int32 x = 1; }`), proto(`message A { int32 x = 1; }`), false, true},
		{Protobuf, proto(`message A { B b = 1; message B { int32 x = 1; } }`), proto(`message A { B b = 1; message B { bytes x = 1; } }`), false, false},
		{Protobuf, proto(`message A { oneof o { int32 x = 1; int32 y = 2; } }`), proto(`message A { oneof o { int32 x = 1; } }`), false, true},
		{Protobuf, proto(`message A { int32 x = 1; int32 y = 2; }`), proto(`message A { oneof o { int32 x = 1; int32 y = 2; } }`), false, true},

		{JSON, `{"type":"integer"}`, `{"type":"number"}`, true, false},
		{JSON, `{"type":"string"}`, `{"type":"integer"}`, false, false},
		{JSON, `{"type":"string"}`, `{"type":["string","null"]}`, true, false},
		{JSON, `{"type":"string"}`, `{"oneOf":[{"type":"null"},{"type":"string"}]}`, true, false},
		{JSON, `{"type":"object","properties":{"a":{"type":"string"}}}`, `{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string"}}}`, false, true},
		{JSON, `{"type":"object","additionalProperties":false,"properties":{"a":{"type":"string"}}}`, `{"type":"object","additionalProperties":false,"properties":{"a":{"type":"string"},"b":{"type":"string"}}}`, true, false},
		{JSON, `{"type":"object","additionalProperties":false,"properties":{"a":{"type":"string"}}}`, `{"type":"object","additionalProperties":false,"required":["a"],"properties":{"a":{"type":"string"}}}`, false, true},
		{JSON, `{"type":"object","properties":{"a":{"type":"string"}}}`, `{"type":"object","additionalProperties":false,"properties":{"a":{"type":"string"}}}`, false, true},
		{JSON, `{"enum":["a","b"]}`, `{"enum":["a"]}`, false, true},
		{JSON, `{"type":"string","maxLength":5}`, `{"type":"string","maxLength":4}`, false, true},
		{JSON, `{"type":"array","items":{"type":"integer"}}`, `{"type":"array","items":{"type":"number"}}`, true, false},
		{JSON, `{"$ref":"#/definitions/N","definitions":{"N":{"type":"object","properties":{"next":{"$ref":"#/definitions/N"}}}}}`, `{"$ref":"#/definitions/N","definitions":{"N":{"type":"object","properties":{"next":{"$ref":"#/definitions/N"}}}}}`, true, true},
		{JSON, `{"type":"string"}`, `{"type":"string","title":"x","description":"y"}`, true, true},
	} {
		for level, want := range map[string]bool{Backward: c.backward, Forward: c.forward, Full: c.backward && c.forward, None: true} {
			r := New()
			if err := r.SetLevel("", level); err != nil {
				t.Fatal(err)
			}
			add(t, r, "s", c.kind, c.old)
			faults, err := r.Compatible("s", Schema{Type: c.kind, Text: c.next}, 0)
			if err != nil {
				t.Fatalf("%s: %v", c.next, err)
			}
			if got := len(faults) == 0; got != want {
				t.Errorf("%s\n%s\n-> %s\ncompatible %v, want %v: %v", level, c.old, c.next, got, want, faults)
			}
			if _, err := r.Add("s", Schema{Type: c.kind, Text: c.next}, 0, 0); (err == nil) != want {
				t.Errorf("registering %s: %v", c.next, err)
			}
		}
	}
}

// openOver opens a registry over a log.
func openOver(t *testing.T, l log.Log) *Registry {
	t.Helper()
	r, err := Open(context.Background(), l, func() time.Time { return time.UnixMilli(7) })
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestReopened: what the topic's records add up to is what was there.
func TestReopened(t *testing.T) {
	l, err := segment.Open(segment.Options{FS: vfs.NewMem(), Dir: "log", Rand: func() uint64 { return 4 }})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	open := func() *Registry { return openOver(t, l) }
	r := open()
	add(t, r, "a", Avro, flight1)
	add(t, r, "b", Avro, flight1)
	add(t, r, "event.proto", Protobuf, `syntax = "proto3"; message Event { int64 at = 1; }`)
	add(t, r, "p", Protobuf, `syntax = "proto3"; import "event.proto"; message A { Event e = 1; }`, Reference{"event.proto", "event.proto", 1})
	for _, err := range []error{r.SetLevel("a", Full), r.SetLevel("b", None), r.SetLevel("b", ""), r.SetMode("", Import)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	add(t, r, "a", Avro, flight2)
	if _, err := r.DeleteVersion("a", 1, false); err != nil {
		t.Fatal(err)
	}
	if _, err := r.DeleteSubject("b", false); err != nil {
		t.Fatal(err)
	}
	if _, err := r.DeleteSubject("b", true); err != nil {
		t.Fatal(err)
	}
	if before, after := describe(r), describe(open()); before != after {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
	if v := add(t, open(), "new", JSON, `{"type":"string"}`); v.ID != r.next {
		t.Errorf("the next id is %d, want %d", v.ID, r.next)
	}
}

// A lostLog stores what is produced and says that it could not, if told so.
type lostLog struct {
	log.Log
	lose bool
}

// Produce implements log.Log.
func (l *lostLog) Produce(ctx context.Context, list []log.Append) error {
	if err := l.Log.Produce(ctx, list); err != nil || !l.lose {
		return err
	}
	return log.ErrUnavailable
}

// TestLostWrite: a version whose write had no answer may be in the topic; what
// is registered afterwards takes neither its id nor its number.
func TestLostWrite(t *testing.T) {
	inner, err := segment.Open(segment.Options{FS: vfs.NewMem(), Dir: "log", Rand: func() uint64 { return 4 }})
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	l := &lostLog{Log: inner}
	open := func() *Registry { return openOver(t, l) }
	r := open()
	l.lose = true
	if _, err := r.Add("a", Schema{Type: Avro, Text: flight1}, 0, 0); err == nil {
		t.Fatal("a write without an answer is taken for done")
	}
	l.lose = false
	given := map[string]Version{"b": add(t, r, "b", JSON, `{"type":"string"}`), "a": add(t, r, "a", Avro, flight1)}
	after := open()
	for subject, v := range given {
		if s := after.byID[v.ID]; s == nil || s.Text != v.Text {
			t.Errorf("id %d of %s is now %+v", v.ID, subject, s)
		}
		if got, err := after.Version(subject, v.Version, false); err != nil || got.ID != v.ID {
			t.Errorf("version %d of %s is %+v, %v; it was id %d", v.Version, subject, got, err, v.ID)
		}
	}
}

func describe(r *Registry) string {
	out := fmt.Sprintln(r.Subjects(true), r.levels, r.modes)
	for _, name := range r.Subjects(true) {
		for _, v := range r.versions(name, true) {
			out += fmt.Sprintf("%+v\n", *v)
		}
	}
	return out
}

// TestIntricateSchemas: schemas that hold themselves several times over are
// compared in bounded time.
func TestIntricateSchemas(t *testing.T) {
	tree := func(title string) string {
		node := `{"oneOf":[{"type":"null","title":"` + title + `"},{"type":"object","properties":{"l":{"$ref":"#/definitions/N"},"r":{"$ref":"#/definitions/N"}}},{"type":"object","properties":{"m":{"$ref":"#/definitions/N"}}}]}`
		return `{"$ref":"#/definitions/N","definitions":{"N":` + node + `}}`
	}
	r := New()
	add(t, r, "s", JSON, tree("a"))
	faults, err := r.Compatible("s", Schema{Type: JSON, Text: tree("b")}, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(faults)
}
