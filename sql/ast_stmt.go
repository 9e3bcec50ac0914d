package sql

import "karst/sql/types"

// A Statement is one statement; the set is sealed.
type Statement interface {
	// Pos is where the statement begins in the script.
	Pos() types.Pos
	// Text is the statement as typed, without the final semicolon.
	Text() string
	setSource(at types.Pos, text string)
}

type stmt struct {
	at   types.Pos
	text string
}

func (s *stmt) Pos() types.Pos                   { return s.at }
func (s *stmt) Text() string                     { return s.text }
func (s *stmt) setSource(at types.Pos, t string) { s.at, s.text = at, t }

// A Property is one 'name' = value of a WITH clause; the name in upper case.
type Property struct {
	At    types.Pos
	Name  string
	Value *Literal
}

// A ColumnDef is one column of CREATE.
type ColumnDef struct {
	At         types.Pos
	Name       string
	Type       TypeRef
	Key        bool
	PrimaryKey bool
	Headers    bool
	HeaderKey  string // of HEADER('k'); "" for all HEADERS
}

type (
	// A SelectStmt is a query as a statement: a push query if it has an EMIT
	// clause, else a pull query.
	SelectStmt struct {
		stmt
		Query QueryExpr
	}
	// A CreateSource is CREATE STREAM or TABLE, with columns or AS SELECT.
	CreateSource struct {
		stmt
		Table       bool
		OrReplace   bool
		ReadOnly    bool // CREATE SOURCE …
		IfNotExists bool
		Name        string
		HasColumns  bool
		Columns     []ColumnDef
		With        []Property
		As          QueryExpr // nil without AS SELECT
	}
	// An InsertSelect is INSERT INTO target SELECT ….
	InsertSelect struct {
		stmt
		Target string
		With   []Property
		Query  QueryExpr
	}
	// An InsertValues is INSERT INTO target [(columns)] VALUES (…).
	InsertValues struct {
		stmt
		Target  string
		Columns []string
		Values  []Expr
	}
	// A DropSource is DROP STREAM or TABLE.
	DropSource struct {
		stmt
		Table       bool
		IfExists    bool
		Name        string
		DeleteTopic bool
	}
	// An AlterSource is ALTER STREAM or TABLE … ADD COLUMN.
	AlterSource struct {
		stmt
		Table bool
		Name  string
		Add   []ColumnDef
	}
	// An AlterSystem is ALTER SYSTEM 'k' = 'v'.
	AlterSystem struct {
		stmt
		Name, Value string
	}
	// A CreateType is CREATE TYPE name AS type.
	CreateType struct {
		stmt
		IfNotExists bool
		Name        string
		Type        TypeRef
	}
	// A DropType is DROP TYPE name.
	DropType struct {
		stmt
		IfExists bool
		Name     string
	}
	// A CreateConnector is CREATE SOURCE|SINK CONNECTOR.
	CreateConnector struct {
		stmt
		Sink        bool
		IfNotExists bool
		Name        string
		With        []Property
	}
	// A DropConnector is DROP CONNECTOR.
	DropConnector struct {
		stmt
		IfExists bool
		Name     string
	}
	// A Show is SHOW or LIST of something: TOPICS, STREAMS, TABLES, QUERIES,
	// PROPERTIES, FUNCTIONS, TYPES, VARIABLES, CONNECTORS, CONNECTOR PLUGINS.
	Show struct {
		stmt
		What     string
		All      bool
		Extended bool
		Scope    string // SOURCE or SINK for connectors
	}
	// A Describe is DESCRIBE of a SOURCE, FUNCTION, CONNECTOR, or of all
	// STREAMS or TABLES.
	Describe struct {
		stmt
		What     string
		Name     string
		Extended bool
	}
	// An Explain is EXPLAIN of a statement or of a running query.
	Explain struct {
		stmt
		Statement Statement
		QueryID   string
	}
	// A PrintTopic is PRINT topic.
	PrintTopic struct {
		stmt
		Topic         string
		FromBeginning bool
		Interval      int64 // every n-th record; 0: all
		Limit         *int64
	}
	// A QueryControl is TERMINATE, PAUSE or RESUME.
	QueryControl struct {
		stmt
		Action string
		All    bool
		ID     string
	}
	// A SetProperty is SET 'k' = 'v' or UNSET 'k'.
	SetProperty struct {
		stmt
		Unset       bool
		Name, Value string
	}
	// A Define is DEFINE x = 'v' or UNDEFINE x.
	Define struct {
		stmt
		Undefine    bool
		Name, Value string
	}
	// A RunScript is RUN SCRIPT 'file'.
	RunScript struct {
		stmt
		File string
	}
	// An AssertValues is ASSERT VALUES or ASSERT NULL VALUES.
	AssertValues struct {
		stmt
		Null    bool
		Source  string
		Columns []string
		Values  []Expr
	}
	// An AssertSource is ASSERT STREAM or TABLE.
	AssertSource struct {
		stmt
		Source *CreateSource
	}
	// An AssertTopic is ASSERT [NOT EXISTS] TOPIC.
	AssertTopic struct {
		stmt
		NotExists bool
		Topic     string
		With      []Property
		Timeout   *Duration
	}
	// An AssertSchema is ASSERT [NOT EXISTS] SCHEMA [SUBJECT 's'] [ID n].
	AssertSchema struct {
		stmt
		NotExists bool
		Subject   string
		ID        *int64
		Timeout   *Duration
	}
)
