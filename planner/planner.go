package planner

import (
	"slices"
	"strconv"
	"strings"

	"karst/planner/catalog"
	"karst/planner/plan"
	"karst/sql"
	"karst/sql/types"
)

// Facts are what a statement needs to know of the world outside: partition
// counts of topics that exist, by name, and the registry's schemas.
type Facts struct {
	Topics  map[string]int
	Schemas map[SchemaNeed]Schema
}

// Input is what planning goes by.
type Input struct {
	Catalog  *catalog.Catalog
	Facts    Facts
	Settings map[string]string // the session's properties
	Offset   int64             // of the statement in the command log; query ids end in it
	Text     string            // the statement's text, for display
}

// A Topic is one to be made.
type Topic struct {
	Name       string            `json:"name"`
	Partitions int               `json:"partitions"`
	Config     map[string]string `json:"config,omitempty"`
}

// A Result is what a statement does.
type Result struct {
	Change      *catalog.Change
	CreateTopic *Topic // made if it does not exist
	Register    []Registration
	DeleteTopic string
	Message     string     // for the user
	Query       *plan.Plan // of a transient query
	Schema      types.Schema
}

// Topics returns the topics whose shape planning the statement needs.
func Topics(s sql.Statement, c *catalog.Catalog) []string {
	var out []string
	if create, ok := s.(*sql.CreateSource); ok {
		if t := property(create.With, "KAFKA_TOPIC"); t != nil {
			out = append(out, t.Text)
		} else {
			out = append(out, create.Name)
		}
	}
	names := c.SourceNames()
	if sel, ok := s.(*sql.SelectStmt); ok { // a client's query looks at its sources alone
		if q, ok := sel.Query.(*sql.Query); ok && q.From != nil {
			names = nil
			for _, ref := range sourceRefs(q.From) {
				names = append(names, ref.Name)
			}
		}
	}
	for _, name := range names {
		if src, ok := c.Source(name); ok {
			out = append(out, src.Topic)
		}
	}
	return out
}

// Plan plans a statement that defines something.
func Plan(s sql.Statement, in Input) (*Result, error) {
	switch s := s.(type) {
	case *sql.CreateSource:
		if s.As != nil {
			return planCreateAs(s, in)
		}
		return planCreate(s, in)
	case *sql.InsertSelect:
		return planInsert(s, in)
	case *sql.DropSource:
		return planDrop(s, in)
	case *sql.CreateType:
		return planCreateType(s, in)
	case *sql.DropType:
		return planDropType(s, in)
	case *sql.AlterSource:
		return planAlter(s, in)
	case *sql.QueryControl:
		return planControl(s, in)
	}
	return nil, notHere(s)
}

// notHere refuses what is no definition.
func notHere(s sql.Statement) error {
	switch s := s.(type) {
	case *sql.AssertValues:
		return &types.Error{Kind: types.ErrParse, Pos: s.Pos(), Message: "ASSERT VALUES stands in test files alone; the source is " + s.Source, Hint: "Run the file with ksh test."}
	case *sql.AssertSource:
		return &types.Error{Kind: types.ErrParse, Pos: s.Pos(), Message: "ASSERT STREAM and ASSERT TABLE stand in test files alone; the source is " + s.Source.Name, Hint: "Run the file with ksh test."}
	case *sql.RunScript:
		return &types.Error{Kind: types.ErrParse, Pos: s.Pos(), Message: "RUN SCRIPT is a command of the prompt and of test files: the server has no files", Hint: "Run it by ksh -f, or send the file's statements."}
	}
	return &types.Error{Kind: types.ErrUnsupported, Pos: s.Pos(), Message: "this statement is not supported yet"}
}

func property(props []sql.Property, name string) *sql.Literal {
	for _, p := range props {
		if p.Name == name {
			return p.Value
		}
	}
	return nil
}

// fault returns a user's error about a statement.
func fault(at types.Pos, hint, format string, args ...any) *types.Error {
	e := types.Errorf(types.ErrStatement, at, format, args...)
	e.Hint = hint
	return e
}

// settingBool reads a boolean property of the session.
func settingBool(settings map[string]string, name string, def bool) bool {
	v, err := strconv.ParseBool(settings[name])
	if err != nil {
		return def
	}
	return v
}

// everyChange reports whether the session wants every change of a table.
func everyChange(settings map[string]string) bool {
	for _, name := range []string{"ksql.streams.cache.max.bytes.buffering", "cache.max.bytes.buffering", "ksql.streams.statestore.cache.max.bytes"} {
		if v, ok := settings[name]; ok {
			return v == "0"
		}
	}
	return false
}

func fromLatest(settings map[string]string, def bool) bool {
	for _, name := range []string{"auto.offset.reset", "ksql.streams.auto.offset.reset"} {
		if v, ok := settings[name]; ok {
			return strings.EqualFold(v, "latest")
		}
	}
	return def
}

func lookupSource(in Input, name string, at types.Pos) (*catalog.Source, error) {
	if s, ok := in.Catalog.Source(name); ok {
		return s, nil
	}
	e := types.Errorf(types.ErrNotFound, at, "Source %s does not exist.", types.QuoteAlways(name))
	if n := types.Nearest(name, in.Catalog.SourceNames()); n != "" {
		e.Hint = "Did you mean " + n + "?"
	}
	return nil, e
}

func planDrop(s *sql.DropSource, in Input) (*Result, error) {
	src, ok := in.Catalog.Source(s.Name)
	kind := catalog.Stream
	if s.Table {
		kind = catalog.Table
	}
	switch {
	case !ok && s.IfExists:
		return &Result{Message: "Source " + types.QuoteAlways(s.Name) + " does not exist."}, nil
	case !ok:
		_, err := lookupSource(in, s.Name, s.Pos())
		return nil, err
	case src.Kind != kind:
		return nil, fault(s.Pos(), "Use DROP "+string(src.Kind)+".", "%s is a %s, not a %s", s.Name, src.Kind.Lower(), kind.Lower())
	}
	if s.DeleteTopic && src.ReadOnly {
		return nil, fault(s.Pos(), "Leave DELETE TOPIC out.", "Cannot delete topic for read-only source: %s", s.Name)
	}
	ch := &catalog.Change{Drop: s.Name}
	if src.CreatedBy != "" {
		if q, ok := in.Catalog.Query(src.CreatedBy); ok {
			ch.Stop = []string{q.ID}
		}
	}
	if _, err := in.Catalog.Apply(ch); err != nil {
		return nil, placed(err, s.Pos())
	}
	r := &Result{Change: ch, Message: "Source " + types.QuoteAlways(s.Name) + " (topic: " + src.Topic + ") was dropped."}
	if s.DeleteTopic {
		r.DeleteTopic = src.Topic
	}
	return r, nil
}

func planCreateType(s *sql.CreateType, in Input) (*Result, error) {
	if _, ok := in.Catalog.Type(s.Name); ok && s.IfNotExists {
		return &Result{Message: s.Name + " is already registered with type"}, nil
	}
	look := typeLookup{cat: in.Catalog}
	t, err := sql.ResolveType(s.Type, look.find)
	if err != nil {
		return nil, look.explain(err)
	}
	ch := &catalog.Change{PutType: &catalog.NamedType{Name: s.Name, Type: t}}
	if _, err := in.Catalog.Apply(ch); err != nil {
		return nil, placed(err, s.Pos())
	}
	return &Result{Change: ch, Message: "Registered custom type with name '" + s.Name + "' and SQL type " + t.String()}, nil
}

func planDropType(s *sql.DropType, in Input) (*Result, error) {
	if _, ok := in.Catalog.Type(s.Name); !ok && s.IfExists {
		return &Result{Message: "Type '" + s.Name + "' does not exist"}, nil
	}
	ch := &catalog.Change{DropType: s.Name}
	if _, err := in.Catalog.Apply(ch); err != nil {
		return nil, placed(err, s.Pos())
	}
	return &Result{Change: ch, Message: "Dropped type '" + s.Name + "'"}, nil
}

func planControl(s *sql.QueryControl, in Input) (*Result, error) {
	ids := []string{}
	if s.All {
		ids = in.Catalog.QueryIDs()
	} else {
		for _, id := range in.Catalog.QueryIDs() {
			if strings.EqualFold(id, s.ID) {
				ids = append(ids, id)
			}
		}
		if len(ids) == 0 {
			return nil, types.Errorf(types.ErrNotFound, s.Pos(), "Unknown queryId: %s", s.ID)
		}
	}
	ch := &catalog.Change{}
	done := map[string]string{"TERMINATE": "terminated", "PAUSE": "paused", "RESUME": "resumed"}[s.Action]
	for _, id := range ids {
		switch s.Action {
		case "TERMINATE":
			ch.Stop = append(ch.Stop, id)
		case "PAUSE":
			ch.SetState = append(ch.SetState, catalog.QueryTransition{ID: id, State: catalog.Paused})
		default:
			ch.SetState = append(ch.SetState, catalog.QueryTransition{ID: id, State: catalog.Running})
		}
	}
	return &Result{Change: ch, Message: "Query " + done + "."}, nil
}

// planAlter plans ALTER … ADD COLUMN.
func planAlter(s *sql.AlterSource, in Input) (*Result, error) {
	src, ok := in.Catalog.Source(s.Name)
	switch {
	case !ok:
		_, err := lookupSource(in, s.Name, s.Pos())
		return nil, err
	case src.Kind != kindOf(s.Table):
		return nil, fault(s.Pos(), "Use ALTER "+string(src.Kind)+".", "%s is a %s, not a %s", s.Name, src.Kind.Lower(), kindOf(s.Table).Lower())
	case src.ReadOnly:
		return nil, fault(s.Pos(), "", "Cannot alter %s '%s': ALTER operations are not supported on source %ss.", src.Kind.Lower(), s.Name, src.Kind.Lower())
	case src.CreatedBy != "":
		return nil, fault(s.Pos(), "Use CREATE OR REPLACE.", "ALTER command is not supported for CREATE ... AS statements.")
	}
	next := *src
	next.Schema.Columns = slices.Clone(src.Schema.Columns)
	next.Version = in.Offset
	next.ValueFormat.SchemaID = 0 // the registry's schema lacks the new columns
	var errs types.Errors
	for _, c := range s.Add {
		col, err := declaredColumn(c, s.Table, in)
		switch {
		case !collect(&errs, err):
			return nil, err
		case err != nil:
			continue
		case next.Schema.Find(c.Name) >= 0:
			errs = append(errs, fault(c.At, "Use another name.", "Cannot add column %s to schema. A column with the same name already exists.", types.QuoteAlways(c.Name)))
			continue
		case col.Namespace != types.NamespaceValue:
			errs = append(errs, fault(c.At, "", "Only value columns can be added, %s is not one", types.QuoteAlways(c.Name)))
			continue
		}
		col.ID = next.NextColumnID
		next.NextColumnID++
		next.Schema.Columns = append(next.Schema.Columns, col)
	}
	if len(errs) > 0 {
		return nil, all(errs)
	}
	if err := checkFormats(&next, s.Pos()); err != nil {
		return nil, err
	}
	return &Result{Change: &catalog.Change{Put: &next, Replace: true}, Message: "Altered " + src.Kind.Lower() + " " + s.Name, Schema: next.Schema}, nil
}
