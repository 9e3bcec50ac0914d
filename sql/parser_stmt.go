package sql

// statement reads one statement; nil after a reported fault.
func (p *parser) statement() Statement {
	s := p.statementBody()
	if p.failed {
		return nil
	}
	return s
}

var statementWords = []string{"SELECT", "WITH", "CREATE", "INSERT", "DROP", "ALTER", "SHOW", "LIST", "DESCRIBE", "EXPLAIN", "PRINT", "TERMINATE",
	"PAUSE", "RESUME", "SET", "UNSET", "DEFINE", "UNDEFINE", "RUN SCRIPT", "ASSERT"}

func (p *parser) statementBody() Statement {
	switch {
	case p.word("SELECT"), p.word("WITH"), p.tok().isOp("("):
		return &SelectStmt{Query: p.query()}
	case p.accept("CREATE"):
		return p.create()
	case p.accept("INSERT"):
		p.expect("INTO")
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
	case p.accept("RUN"):
		p.expect("SCRIPT")
		return &RunScript{File: p.str()}
	case p.accept("ASSERT"):
		return p.assert()
	}
	return p.setting()
}

// setting reads SET, UNSET, DEFINE or UNDEFINE.
func (p *parser) setting() Statement {
	switch {
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

// createSource reads [SOURCE] STREAM|TABLE … after CREATE [OR REPLACE].
func (p *parser) createSource(orReplace bool) *CreateSource {
	s := &CreateSource{OrReplace: orReplace, ReadOnly: p.accept("SOURCE")}
	s.Table = p.sourceKind(orReplace) == "TABLE"
	s.IfNotExists = p.ifNotExists()
	s.Name = p.name()
	if p.acceptOp("(") {
		s.HasColumns = true
		p.list(func() { s.Columns = append(s.Columns, p.column()) })
		p.expectOp(")")
	}
	s.With = p.with()
	if !s.HasColumns && !s.ReadOnly && p.accept("AS") {
		s.As = p.query()
	}
	return s
}

func (p *parser) sourceKind(orReplace bool) string {
	words := []string{"STREAM", "TABLE"}
	if !orReplace && !p.toks[max(0, p.i-1)].isWord("SOURCE") && !p.word("STREAM") && !p.word("TABLE") {
		p.fail("STREAM", "TABLE", "OR REPLACE", "SOURCE", "SINK", "TYPE")
	}
	return p.oneOf(words...)
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
	if p.word("WITH") && p.peek(1).isOp("(") {
		s := &InsertSelect{Target: target, With: p.with()}
		s.Query = p.query()
		return s
	}
	if p.word("WITH") || p.word("SELECT") {
		return &InsertSelect{Target: target, Query: p.query()}
	}
	s := &InsertValues{Target: target}
	if p.acceptOp("(") {
		s.Columns = p.names()
		p.expectOp(")")
	}
	if s.Columns == nil && !p.word("VALUES") {
		p.fail("'('", "VALUES", "SELECT", "WITH")
	}
	p.expect("VALUES")
	s.Values = p.values()
	return s
}

// values reads expressions between parentheses.
func (p *parser) values() []Expr {
	p.expectOp("(")
	list := p.exprs()
	if !p.tok().isOp(")") {
		p.fail("an operator", "','", "')'")
	}
	p.expectOp(")")
	return list
}

func (p *parser) drop() Statement {
	switch what := p.oneOf("STREAM", "TABLE", "TYPE", "CONNECTOR"); what {
	case "TYPE":
		return &DropType{IfExists: p.ifExists(), Name: p.name()}
	case "CONNECTOR":
		return &DropConnector{IfExists: p.ifExists(), Name: p.nameOrString()}
	default:
		s := &DropSource{Table: what == "TABLE", IfExists: p.ifExists(), Name: p.name()}
		if p.accept("DELETE") {
			p.expect("TOPIC")
			s.DeleteTopic = true
		}
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
	p.list(func() {
		p.expect("ADD")
		p.accept("COLUMN")
		s.Add = append(s.Add, ColumnDef{At: p.pos(), Name: p.name(), Type: p.typeRef()})
	})
	return s
}

func (p *parser) show() Statement {
	s := &Show{}
	switch {
	case p.accept("ALL"):
		p.expect("TOPICS")
		s.What, s.All = "TOPICS", true
	case p.word("SOURCE"), p.word("SINK"):
		s.Scope = p.tok().upper
		p.i++
		p.expect("CONNECTORS")
		s.What = "CONNECTORS"
	default:
		s.What = p.oneOf("TOPICS", "STREAMS", "TABLES", "QUERIES", "PROPERTIES", "FUNCTIONS", "TYPES", "VARIABLES", "CONNECTORS", "CONNECTOR")
	}
	switch s.What {
	case "CONNECTOR":
		p.expect("PLUGINS")
		s.What = "CONNECTOR PLUGINS"
	case "TOPICS", "STREAMS", "TABLES", "QUERIES":
		s.Extended = p.accept("EXTENDED")
	}
	return s
}

func (p *parser) describe() Statement {
	s := &Describe{What: "SOURCE"}
	switch {
	case p.word("FUNCTION") && !p.peek(1).endsStatement():
		p.i++
		s.What, s.Name = "FUNCTION", p.nameOrString()
		return s
	case p.word("CONNECTOR") && !p.peek(1).endsStatement():
		p.i++
		s.What, s.Name = "CONNECTOR", p.nameOrString()
		return s
	case p.word("STREAMS"), p.word("TABLES"):
		s.What = p.tok().upper
		p.i++
		s.Extended = p.accept("EXTENDED")
		return s
	}
	s.Name = p.name()
	s.Extended = p.accept("EXTENDED")
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
			p.setSource(inner, start)
			return &Explain{Statement: inner}
		}
	}
	return &Explain{QueryID: p.queryID()}
}

// queryID reads a query's id, which is exact but usually typed unquoted.
func (p *parser) queryID() string {
	if t := p.tok(); t.kind == tokWord && !p.failed {
		p.i++
		return t.text
	}
	return p.name()
}

func (p *parser) print() Statement {
	s := &PrintTopic{Topic: p.topicName()}
	if p.accept("FROM") {
		p.expect("BEGINNING")
		s.FromBeginning = true
	}
	if p.accept("INTERVAL") || p.accept("SAMPLE") {
		if s.Interval = p.integer(); s.Interval == 0 && !p.failed {
			p.i--
			p.fail("a whole number from 1")
		}
	}
	if p.accept("LIMIT") {
		n := p.integer()
		s.Limit = &n
	}
	return s
}

// topicName reads a topic's name: exact, and with points and dashes even if
// it is not quoted.
func (p *parser) topicName() string {
	name := p.exactName()
	for t := p.tok(); !p.failed && (t.isOp("-") || t.isOp(".")); t = p.tok() {
		next := p.peek(1)
		joined := p.toks[p.i-1].end == t.start && t.end == next.start
		if !joined || next.kind != tokWord && next.kind != tokQuoted && next.kind != tokInteger {
			break
		}
		name += p.lex.src[t.start:next.end]
		p.i += 2
	}
	return name
}

func (p *parser) control() Statement {
	s := &QueryControl{Action: p.tok().upper}
	p.i++
	if s.All = p.accept("ALL"); !s.All {
		s.ID = p.queryID()
	}
	return s
}

func (p *parser) assert() Statement {
	notExists := p.accept("NOT", "EXISTS")
	switch {
	case p.accept("TOPIC"):
		s := &AssertTopic{NotExists: notExists, Topic: p.topicName(), With: p.with()}
		s.Timeout = p.timeout()
		return s
	case p.accept("SCHEMA"):
		return p.assertSchema(notExists)
	case notExists:
		p.fail("TOPIC", "SCHEMA")
		return nil
	case p.word("STREAM"), p.word("TABLE"):
		return p.assertSource()
	case p.accept("NULL"):
		p.expect("VALUES")
		return p.assertValues(&AssertValues{Null: true}, "KEY")
	case p.accept("VALUES"):
		return p.assertValues(&AssertValues{}, "VALUES")
	}
	p.fail("VALUES", "NULL VALUES", "STREAM", "TABLE", "TOPIC", "SCHEMA", "NOT EXISTS")
	return nil
}

func (p *parser) assertSchema(notExists bool) Statement {
	s := &AssertSchema{NotExists: notExists}
	if p.accept("SUBJECT") {
		s.Subject = p.topicName()
	}
	if p.accept("ID") {
		n := p.integer()
		s.ID = &n
	}
	s.Timeout = p.timeout()
	return s
}

func (p *parser) assertSource() Statement {
	start := p.i
	src := p.createSource(false)
	if src.As != nil || src.IfNotExists {
		p.failToken(p.toks[start], "a stream or table with its columns and properties")
	}
	if !p.failed {
		p.setSource(src, start)
	}
	return &AssertSource{Source: src}
}

func (p *parser) assertValues(s *AssertValues, word string) Statement {
	s.Source = p.name()
	if p.acceptOp("(") {
		s.Columns = p.names()
		p.expectOp(")")
	}
	p.expect(word)
	s.Values = p.values()
	return s
}

func (p *parser) timeout() *Duration {
	if !p.accept("TIMEOUT") {
		return nil
	}
	return p.durationPointer()
}
