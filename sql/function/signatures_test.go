package function

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"karst/sql/types"
	"karst/sql/vector"
)

// casesFolder is where the list of functions is kept that a user of ksqlDB
// expects; tests that read it are skipped where it is absent.
func casesFolder() string {
	if dir := os.Getenv("KARST_CASES"); dir != "" {
		return dir
	}
	return filepath.Join("..", "..", "..", "shared", "ksqldb")
}

// signature is NAME(params) => result, some of it followed by a remark.
var signature = regexp.MustCompile("`([A-Z0-9_]+)\\(([^`]*)\\) => ([^`—]+?)( — stream only)?`")

// typeVariables are what a generic signature is tried with.
var typeVariables = map[string]*types.Type{"T": types.Int, "K": types.String, "V": types.Bigint, "R": types.Double, "S": types.Bigint, "ANY": types.String}

var listedTypes = map[string]*types.Type{"BOOLEAN": types.Boolean, "INT": types.Int, "BIGINT": types.Bigint, "DOUBLE": types.Double, "DECIMAL": types.MustDecimal(12, 3),
	"VARCHAR": types.String, "STRING": types.String, "BYTES": types.Bytes, "DATE": types.Date, "TIME": types.Time, "TIMESTAMP": types.Timestamp, "INTERVALUNIT": types.Interval}

// splitTop splits s at the commas outside brackets.
func splitTop(s string) []string {
	var out []string
	depth, start := 0, 0
	for i, c := range s {
		switch c {
		case '<', '(':
			depth++
		case '>', ')':
			if s[i-1] != '=' {
				depth--
			}
		case ',':
			if depth == 0 {
				out, start = append(out, strings.TrimSpace(s[start:i])), i+1
			}
		}
	}
	if strings.TrimSpace(s[start:]) != "" {
		out = append(out, strings.TrimSpace(s[start:]))
	}
	return out
}

func listedType(t *testing.T, text string) *types.Type {
	inner := func(prefix string) []string {
		return splitTop(strings.TrimSuffix(strings.TrimPrefix(text, prefix+"<"), ">"))
	}
	switch {
	case listedTypes[text] != nil:
		return listedTypes[text]
	case typeVariables[text] != nil:
		return typeVariables[text]
	case strings.HasPrefix(text, "ARRAY<"):
		return types.Array(listedType(t, inner("ARRAY")[0]))
	case strings.HasPrefix(text, "MAP<"):
		return types.Map(listedType(t, inner("MAP")[0]), listedType(t, inner("MAP")[1]))
	case strings.HasPrefix(text, "STRUCT<"):
		var fields []types.Field
		for _, f := range inner("STRUCT") {
			name, of, _ := strings.Cut(f, " ")
			fields = append(fields, types.Field{Name: name, Type: listedType(t, of)})
		}
		return types.Struct(fields...)
	}
	t.Fatalf("unknown type %q", text)
	return nil
}

// listedArgs are the arguments of a call with the listed parameters, and what
// their lambdas return.
func listedArgs(t *testing.T, params string) (args []Arg, lambdas map[int]*types.Type) {
	lambdas = map[int]*types.Type{}
	for _, p := range splitTop(params) {
		p, constant := strings.CutSuffix(p, " [const]")
		p, variadic := strings.CutSuffix(p, "...")
		kind := p
		if name, rest, ok := strings.Cut(p, " "); ok && listedTypes[name] == nil && !strings.Contains(name, "<") {
			kind = rest
		}
		arg := Arg{Type: types.Lambda}
		if shape, ok := strings.CutPrefix(kind, "LAMBDA("); ok {
			in, out, _ := strings.Cut(shape, ") => ")
			arg.Lambda = &LambdaType{Params: make([]*types.Type, len(splitTop(in)))}
			lambdas[len(args)] = listedType(t, out)
		} else {
			arg.Type = listedType(t, kind)
		}
		if constant {
			b := vector.NewBuilder(vector.NewArena(), arg.Type, 1)
			if arg.Type.Kind() == types.KindBoolean {
				b.Bool(true)
			} else {
				b.Int32(2)
			}
			arg.Const = b.Finish()
		}
		args = append(args, arg)
		if variadic {
			args = append(args, arg)
		}
	}
	return args, lambdas
}

// TestListedSignatures holds that each function, and each way to call it, that
// a user of ksqlDB expects is there and returns what is expected.
func TestListedSignatures(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(casesFolder(), "functions.md"))
	if err != nil {
		t.Skip("SKIPPED: no cases")
	}
	kinds, names := map[string]Kind{"Scalar": Scalar, "Aggregate": Aggregate, "Table": Table}, map[Kind]map[string]bool{}
	var kind Kind
	for line := range strings.Lines(string(text)) {
		if heading, ok := strings.CutPrefix(line, "## "); ok {
			kind = kinds[strings.Fields(heading)[0]]
			names[kind] = map[string]bool{}
		}
		if !strings.HasPrefix(line, "- ") {
			continue
		}
		for _, m := range signature.FindAllStringSubmatch(line, -1) {
			names[kind][m[1]] = true
			checkListed(t, kind, m[1], m[2], strings.TrimSpace(m[3]), m[4] != "")
		}
	}
	if len(names[Scalar]) != 129 || len(names[Aggregate]) != 18 || len(names[Table]) != 2 {
		t.Errorf("read %d scalar, %d aggregate and %d table functions", len(names[Scalar]), len(names[Aggregate]), len(names[Table]))
	}
}

func checkListed(t *testing.T, kind Kind, name, params, returns string, streamOnly bool) {
	call := fmt.Sprintf("%s(%s) => %s", name, params, returns)
	args, lambdas := listedArgs(t, params)
	given := slices.Clone(args)
	r, err := Default().Resolve(name, kind, args, func(i int, _ []*types.Type) (*types.Type, error) { return lambdas[i], nil })
	if err != nil {
		t.Errorf("%s: %v", call, err)
		return
	}
	for i, p := range r.Params {
		if p != nil && !p.Equal(given[i].Type) {
			t.Errorf("%s: argument %d is converted to %s", call, i+1, p)
		}
	}
	if kind == Scalar && len(lambdas) == 0 && name != "CONCAT_WS" { // whose parameters have names of our own
		for i, p := range splitTop(params) {
			if want, _, _ := strings.Cut(p, " "); r.Signature.param(i).Name != want {
				t.Errorf("%s: parameter %d is called %s", call, i+1, r.Signature.param(i).Name)
			}
		}
	}
	returns, computed := strings.CutSuffix(returns, "*")
	switch {
	case kind == Table: // the list gives arrays of what is returned
		returns = strings.TrimSuffix(strings.TrimPrefix(returns, "ARRAY<"), ">")
	case name == "TOPK" && len(args) > 2: // structs of the value and the other columns
		computed, returns = true, "ARRAY<INT>"
	case returns == "ARRAY<S>":
		returns = "ARRAY<" + strings.TrimSpace(strings.Split(params, ",")[0]) + ">"
	}
	want := listedType(t, returns)
	if computed && r.Returns.Kind() != want.Kind() || !computed && !r.Returns.Equal(want) {
		t.Errorf("%s: it returns %s", call, r.Returns)
	}
	if kind == Aggregate {
		k, err := r.Signature.Aggregate(args)
		if err != nil {
			t.Errorf("%s: %v", call, err)
			return
		}
		if _, undo := k.(Undoer); undo == streamOnly {
			t.Errorf("%s: it can take rows back: %v", call, undo)
		}
	}
}
