package sql

// statement reads one statement; nil after a reported fault.
func (p *parser) statement() Statement {
	s := p.statementBody()
	if p.failed {
		return nil
	}
	return s
}

var statementWords = []string{"SELECT", "CREATE", "INSERT", "DROP", "ALTER", "SHOW", "LIST", "DESCRIBE", "EXPLAIN", "PRINT", "TERMINATE",
	"PAUSE", "RESUME", "SET", "UNSET", "DEFINE", "UNDEFINE", "RUN", "ASSERT", "WITH"}

func (p *parser) statementBody() Statement {
	switch {
	case p.word("SELECT"), p.word("WITH"), p.tok().isOp("("):
		return &SelectStmt{Query: p.query()}
	case p.accept("CREATE"):
		return p.create()
	case p.accept("INSERT", "INTO"):
		return p.insert()
	case p.accept("DROP"):
		return p.drop()
	case p.accept("ALTER"):
		return p.alter()
	case p.accept("SHOW"), p.accept("LIST"):
		return p.show()
	case p.accept("DESCRIBE"), p.accept("DESC"):
		return p.describe()
	case p.accept("EXPLAIN"):
		return p.explain()
	case p.accept("PRINT"):
		return p.print()
	case p.word("TERMINATE"), p.word("PAUSE"), p.word("RESUME"):
		return p.control()
	case p.accept("SET"):
		name := p.str()
		p.expectOp("=")
		return &SetProperty{Name: name, Value: p.str()}
	case p.accept("UNSET"):
		return &SetProperty{Unset: true, Name: p.str()}
	case p.accept("DEFINE"):
		name := p.name()
		p.expectOp("=")
		return &Define{Name: name, Value: p.str()}
	case p.accept("UNDEFINE"):
		return &Define{Undefine: true, Name: p.name()}
	case p.accept("RUN"):
		p.expect("SCRIPT")
		return &RunScript{File: p.str()}
	case p.accept("ASSERT"):
		return p.assert()
	}
	p.fail(statementWords...)
	return nil
}

func (p *parser) create() Statement {
	orReplace := p.accept("OR", "REPLACE")
	switch {
	case p.word("TYPE") && !orReplace:
		p.i++
		s := &CreateType{IfNotExists: p.ifNotExists(), Name: p.name()}
		p.expect("AS")
		s.Type = p.typeRef()
		return s
	case (p.word("SOURCE") || p.word("SINK")) && p.peek(1).isWord("CONNECTOR"):
		sink := p.word("SINK")
		p.i += 2
		return &CreateConnector{Sink: sink, IfNotExists: p.ifNotExists(), Name: p.nameOrString(), With: p.with()}
	}
	return p.createSource(orReplace)
}

func (p *parser) nameOrString() string {
	if p.tok().kind == tokString {
		return p.str()
	}
	return p.name()
}

// createSource reads [SOURCE] STREAM|TABLE … after CREATE [OR REPLACE].
func (p *parser) createSource(orReplace bool) *CreateSource {
	s := &CreateSource{OrReplace: orReplace, ReadOnly: p.accept("SOURCE")}
	s.Table = p.oneOf("STREAM", "TABLE") == "TABLE"
	s.IfNotExists = p.ifNotExists()
	s.Name = p.name()
	if !p.failed && p.acceptOp("(") {
		s.HasColumns = true
		s.Columns = p.columns()
		p.expectOp(")")
	}
	s.With = p.with()
	if !p.failed && !s.HasColumns && p.accept("AS") {
		s.As = p.query()
	}
	return s
}

func (p *parser) columns() []ColumnDef {
	var cols []ColumnDef
	for !p.failed && !p.tok().isOp(")") {
		cols = append(cols, p.column())
		if !p.acceptOp(",") {
			break
		}
	}
	return cols
}

func (p *parser) column() ColumnDef {
	c := ColumnDef{At: p.pos(), Name: p.name(), Type: p.typeRef()}
	switch {
	case p.failed:
	case p.accept("PRIMARY", "KEY"):
		c.PrimaryKey = true
	case p.accept("KEY"):
		c.Key = true
	case p.accept("HEADERS"):
		c.Headers = true
	case p.accept("HEADER"):
		c.Headers = true
		p.expectOp("(")
		c.HeaderKey = p.str()
		p.expectOp(")")
	}
	return c
}

func (p *parser) insert() Statement {
	target := p.name()
	if p.failed {
		return nil
	}
	if p.word("WITH") || p.word("SELECT") {
		s := &InsertSelect{Target: target}
		if p.word("WITH") && p.peek(1).isOp("(") {
			s.With = p.with()
		}
		if !p.failed {
			s.Query = p.query()
		}
		return s
	}
	s := &InsertValues{Target: target}
	if p.acceptOp("(") {
		s.Columns = p.nameList()
		p.expectOp(")")
	}
	p.expect("VALUES")
	p.expectOp("(")
	s.Values = p.values()
	return s
}

func (p *parser) nameList() []string {
	var names []string
	for !p.failed {
		names = append(names, p.name())
		if !p.acceptOp(",") {
			break
		}
	}
	return names
}

// values reads expressions up to the closing parenthesis and steps over it.
func (p *parser) values() []Expr {
	if p.failed {
		return nil
	}
	end := p.closing()
	if end < 0 {
		p.i = len(p.toks) - 1
		p.fail("')'")
		return nil
	}
	list, ok := p.exprList(end, anyExpr)
	if !ok {
		return nil
	}
	p.i = end + 1
	return list
}

// closing returns the position of the parenthesis that closes the level the
// current token is in, or -1.
func (p *parser) closing() int {
	depth := 1
	for j := p.i; p.toks[j].kind != tokEOF && !p.toks[j].isOp(";"); j++ {
		if p.toks[j].isOp("(") {
			depth++
		} else if p.toks[j].isOp(")") {
			if depth--; depth == 0 {
				return j
			}
		}
	}
	return -1
}

func (p *parser) drop() Statement {
	switch what := p.oneOf("STREAM", "TABLE", "TYPE", "CONNECTOR"); what {
	case "TYPE":
		return &DropType{IfExists: p.ifExists(), Name: p.name()}
	case "CONNECTOR":
		return &DropConnector{IfExists: p.ifExists(), Name: p.nameOrString()}
	default:
		s := &DropSource{Table: what == "TABLE", IfExists: p.ifExists(), Name: p.name()}
		s.DeleteTopic = !p.failed && p.accept("DELETE", "TOPIC")
		return s
	}
}

func (p *parser) alter() Statement {
	what := p.oneOf("STREAM", "TABLE", "SYSTEM")
	if what == "SYSTEM" {
		s := &AlterSystem{Name: p.str()}
		p.expectOp("=")
		s.Value = p.str()
		return s
	}
	s := &AlterSource{Table: what == "TABLE", Name: p.name()}
	for !p.failed {
		p.expect("ADD")
		p.accept("COLUMN")
		s.Add = append(s.Add, ColumnDef{At: p.pos(), Name: p.name(), Type: p.typeRef()})
		if !p.acceptOp(",") {
			break
		}
	}
	return s
}

func (p *parser) show() Statement {
	s := &Show{All: p.accept("ALL")}
	if p.word("SOURCE") || p.word("SINK") {
		s.Scope = p.tok().upper
		p.i++
	}
	s.What = p.oneOf("TOPICS", "STREAMS", "TABLES", "QUERIES", "PROPERTIES", "FUNCTIONS", "TYPES", "VARIABLES", "CONNECTORS", "CONNECTOR")
	if s.What == "CONNECTOR" {
		p.expect("PLUGINS")
		s.What = "CONNECTOR PLUGINS"
	}
	s.Extended = !p.failed && p.accept("EXTENDED")
	return s
}

func (p *parser) describe() Statement {
	s := &Describe{What: "SOURCE"}
	switch {
	case p.accept("FUNCTION"):
		s.What = "FUNCTION"
	case p.accept("CONNECTOR"):
		s.What = "CONNECTOR"
		s.Name = p.nameOrString()
		return s
	case (p.word("STREAMS") || p.word("TABLES")) && !p.peek(1).isOp("."):
		s.What = p.tok().upper
		p.i++
		s.Extended = p.accept("EXTENDED")
		return s
	case p.word("EXTENDED") && p.peek(1).kind == tokWord:
		p.i++
		s.Extended = true
	}
	s.Name = p.name()
	if !p.failed && p.accept("EXTENDED") {
		s.Extended = true
	}
	return s
}

func (p *parser) explain() Statement {
	for _, w := range []string{"SELECT", "CREATE", "INSERT", "WITH"} {
		if p.word(w) {
			start := p.i
			inner := p.statement()
			if inner == nil {
				return nil
			}
			from, to := p.toks[start].start, p.toks[p.i-1].end
			inner.setSource(p.lex.position(from), p.lex.src[from:to])
			return &Explain{Statement: inner}
		}
	}
	return &Explain{QueryID: p.queryID()}
}

// queryID reads a query's id, which is exact but usually typed unquoted.
func (p *parser) queryID() string {
	if p.failed {
		return ""
	}
	if t := p.tok(); t.kind == tokWord {
		p.i++
		return t.text
	}
	return p.name()
}

func (p *parser) print() Statement {
	s := &PrintTopic{}
	if t := p.tok(); t.kind == tokWord { // topics' names are exact
		p.i++
		s.Topic = t.text
		for (p.tok().isOp("-") || p.tok().isOp(".")) && p.toks[p.i-1].end == p.tok().start && p.peek(1).start == p.tok().end {
			s.Topic += p.lex.src[p.tok().start:p.peek(1).end]
			p.i += 2
		}
	} else {
		s.Topic = p.nameOrString()
	}
	s.FromBeginning = !p.failed && p.accept("FROM", "BEGINNING")
	if !p.failed && (p.accept("INTERVAL") || p.accept("SAMPLE")) {
		s.Interval = p.integer()
	}
	if !p.failed && p.accept("LIMIT") {
		n := p.integer()
		s.Limit = &n
	}
	return s
}

func (p *parser) control() Statement {
	s := &QueryControl{Action: p.tok().upper}
	p.i++
	p.accept("QUERY")
	if p.word("ALL") {
		p.i++
		s.All = true
		return s
	}
	s.ID = p.queryID()
	return s
}

func (p *parser) assert() Statement {
	notExists := p.accept("NOT", "EXISTS")
	switch {
	case p.accept("TOPIC"):
		s := &AssertTopic{NotExists: notExists, Topic: p.nameExact(), With: p.with()}
		s.Timeout = p.timeout()
		return s
	case p.accept("SCHEMA"):
		s := &AssertSchema{NotExists: notExists}
		if p.accept("SUBJECT") {
			s.Subject = p.nameExact()
		}
		if !p.failed && p.accept("ID") {
			n := p.integer()
			s.ID = &n
		}
		s.Timeout = p.timeout()
		return s
	case p.word("STREAM"), p.word("TABLE"):
		return &AssertSource{Source: p.createSource(false)}
	case p.accept("NULL", "VALUES"):
		s := &AssertValues{Null: true, Source: p.name()}
		p.assertColumns(s, "KEY")
		return s
	case p.accept("VALUES"):
		s := &AssertValues{Source: p.name()}
		p.assertColumns(s, "VALUES")
		return s
	}
	p.fail("VALUES", "NULL VALUES", "STREAM", "TABLE", "TOPIC", "SCHEMA")
	return nil
}

func (p *parser) assertColumns(s *AssertValues, word string) {
	if !p.failed && p.acceptOp("(") {
		s.Columns = p.nameList()
		p.expectOp(")")
	}
	p.expect(word)
	p.expectOp("(")
	s.Values = p.values()
}

// nameExact reads a name that is not folded, such as a topic's.
func (p *parser) nameExact() string {
	if t := p.tok(); t.kind == tokWord && !p.failed {
		p.i++
		return t.text
	}
	return p.nameOrString()
}

func (p *parser) timeout() *Duration {
	if p.failed || !p.accept("TIMEOUT") {
		return nil
	}
	d := p.duration()
	return &d
}
