package sql

import (
	"strconv"

	"karst/sql/types"
)

// opt is text if b, else "".
func opt(b bool, text string) string {
	if b {
		return text
	}
	return ""
}

func kind(table bool) string {
	if table {
		return "TABLE"
	}
	return "STREAM"
}

func (p *printer) statement(s Statement) {
	switch s := s.(type) {
	case *SelectStmt:
		p.query(s.Query)
	case *CreateSource:
		p.put("CREATE ")
		p.createSource(s)
	case *InsertSelect:
		p.put("INSERT INTO ", QuoteName(s.Target))
		p.with(s.With)
		p.put(" ")
		p.query(s.Query)
	case *InsertValues:
		p.put("INSERT INTO ", QuoteName(s.Target))
		p.names(s.Columns)
		p.put(" VALUES (")
		p.list(s.Values)
		p.put(")")
	case *DropSource:
		p.put("DROP ", kind(s.Table), opt(s.IfExists, " IF EXISTS"), " ", QuoteName(s.Name), opt(s.DeleteTopic, " DELETE TOPIC"))
	case *AlterSource:
		p.put("ALTER ", kind(s.Table), " ", QuoteName(s.Name))
		for i, c := range s.Add {
			p.put(opt(i > 0, ","), " ADD COLUMN ", QuoteName(c.Name), " ", c.Type.String())
		}
	case *AlterSystem:
		p.put("ALTER SYSTEM ", types.QuoteString(s.Name), " = ", types.QuoteString(s.Value))
	case *CreateType:
		p.put("CREATE TYPE ", opt(s.IfNotExists, "IF NOT EXISTS "), QuoteName(s.Name), " AS ", s.Type.String())
	case *DropType:
		p.put("DROP TYPE ", opt(s.IfExists, "IF EXISTS "), QuoteName(s.Name))
	case *CreateConnector:
		scope := "SOURCE"
		if s.Sink {
			scope = "SINK"
		}
		p.put("CREATE ", scope, " CONNECTOR ", opt(s.IfNotExists, "IF NOT EXISTS "), QuoteName(s.Name))
		p.with(s.With)
	case *DropConnector:
		p.put("DROP CONNECTOR ", opt(s.IfExists, "IF EXISTS "), QuoteName(s.Name))
	default:
		p.command(s)
	}
}

func (p *printer) command(s Statement) {
	switch s := s.(type) {
	case *Show:
		p.put("SHOW ", opt(s.All, "ALL "), opt(s.Scope != "", s.Scope+" "), s.What, opt(s.Extended, " EXTENDED"))
	case *Describe:
		p.put("DESCRIBE", opt(s.What != "SOURCE", " "+s.What), opt(s.Name != "", " "+QuoteName(s.Name)), opt(s.Extended, " EXTENDED"))
	case *Explain:
		p.put("EXPLAIN ")
		if s.Statement != nil {
			p.statement(s.Statement)
		} else {
			p.put(queryIDText(s.QueryID))
		}
	case *PrintTopic:
		p.put("PRINT ", types.QuoteString(s.Topic), opt(s.FromBeginning, " FROM BEGINNING"))
		p.put(opt(s.Interval != 0, " INTERVAL "+strconv.FormatInt(s.Interval, 10)))
		if s.Limit != nil {
			p.put(" LIMIT ", strconv.FormatInt(*s.Limit, 10))
		}
	case *QueryControl:
		p.put(s.Action, " ", opt(s.All, "ALL"))
		if !s.All {
			p.put(queryIDText(s.ID))
		}
	case *SetProperty:
		if s.Unset {
			p.put("UNSET ", types.QuoteString(s.Name))
			return
		}
		p.put("SET ", types.QuoteString(s.Name), " = ", types.QuoteString(s.Value))
	case *Define:
		if s.Undefine {
			p.put("UNDEFINE ", QuoteName(s.Name))
			return
		}
		p.put("DEFINE ", QuoteName(s.Name), " = ", types.QuoteString(s.Value))
	case *RunScript:
		p.put("RUN SCRIPT ", types.QuoteString(s.File))
	default:
		p.assertion(s)
	}
}

func queryIDText(id string) string {
	for i := range len(id) {
		if !isWordByte(id[i]) || i == 0 && !isLetter(id[0]) {
			return types.QuoteAlways(id)
		}
	}
	return id
}

func (p *printer) assertion(s Statement) {
	switch s := s.(type) {
	case *AssertValues:
		p.put("ASSERT ", opt(s.Null, "NULL "), "VALUES ", QuoteName(s.Source))
		p.names(s.Columns)
		p.put(" ", opt(s.Null, "KEY"), opt(!s.Null, "VALUES"), " (")
		p.list(s.Values)
		p.put(")")
	case *AssertSource:
		p.put("ASSERT ")
		p.createSource(s.Source)
	case *AssertTopic:
		p.put("ASSERT ", opt(s.NotExists, "NOT EXISTS "), "TOPIC ", types.QuoteString(s.Topic))
		p.with(s.With)
		p.timeout(s.Timeout)
	case *AssertSchema:
		p.put("ASSERT ", opt(s.NotExists, "NOT EXISTS "), "SCHEMA", opt(s.Subject != "", " SUBJECT "+types.QuoteString(s.Subject)))
		if s.ID != nil {
			p.put(" ID ", strconv.FormatInt(*s.ID, 10))
		}
		p.timeout(s.Timeout)
	}
}

func (p *printer) timeout(d *Duration) {
	if d != nil {
		p.put(" TIMEOUT ", d.String())
	}
}

func (p *printer) names(names []string) {
	for i, n := range names {
		p.put(opt(i == 0, " ("), opt(i > 0, ", "), QuoteName(n), opt(i == len(names)-1, ")"))
	}
}

func (p *printer) createSource(s *CreateSource) {
	p.put(opt(s.OrReplace, "OR REPLACE "), opt(s.ReadOnly, "SOURCE "), kind(s.Table), " ", opt(s.IfNotExists, "IF NOT EXISTS "), QuoteName(s.Name))
	if s.HasColumns {
		p.put(" (")
		for i, c := range s.Columns {
			p.put(opt(i > 0, ", "), QuoteName(c.Name), " ", c.Type.String(), opt(c.Key, " KEY"), opt(c.PrimaryKey, " PRIMARY KEY"))
			if c.Headers && c.HeaderKey != "" {
				p.put(" HEADER(", types.QuoteString(c.HeaderKey), ")")
			} else {
				p.put(opt(c.Headers, " HEADERS"))
			}
		}
		p.put(")")
	}
	p.with(s.With)
	if s.As != nil {
		p.put(" AS ")
		p.query(s.As)
	}
}

func (p *printer) with(props []Property) {
	if props == nil {
		return
	}
	p.put(" WITH (")
	for i, x := range props {
		p.put(opt(i > 0, ", "), QuoteName(x.Name), " = ")
		p.literal(x.Value)
	}
	p.put(")")
}
