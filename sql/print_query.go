package sql

import "strconv"

func (p *printer) query(q QueryExpr) {
	switch q := q.(type) {
	case *SetOp:
		p.setOp(q)
	case *Query:
		p.selectQuery(q)
	}
}

func (p *printer) setOp(s *SetOp) {
	p.ctes(s.With, s.Recursive)
	p.member(s.Left, s.Op, true)
	p.put(" ", s.Op, " ")
	p.member(s.Right, s.Op, false)
	p.tail(s.OrderBy, s.Emit, s.Limit)
}

// member prints one side of a set operation, between parentheses if it would
// read otherwise without.
func (p *printer) member(q QueryExpr, op string, left bool) {
	bare := false
	switch q := q.(type) {
	case *Query:
		bare = q.With == nil && q.OrderBy == nil && q.Emit == EmitNone && q.Limit == nil
	case *SetOp:
		bare = left && q.With == nil && q.OrderBy == nil && q.Limit == nil && (!isIntersect(op) || isIntersect(q.Op))
	}
	p.put(opt(!bare, "("))
	p.query(q)
	p.put(opt(!bare, ")"))
}

func isIntersect(op string) bool { return op[0] == 'I' }

func (p *printer) ctes(ctes []CTE, recursive bool) {
	for i, c := range ctes {
		p.put(opt(i == 0, "WITH "), opt(i == 0 && recursive, "RECURSIVE "), comma(i), QuoteName(c.Name), " AS (")
		p.query(c.Query)
		p.put(")")
	}
	p.put(opt(len(ctes) > 0, " "))
}

// tail prints what may follow a whole set operation.
func (p *printer) tail(orderBy []OrderItem, emit Emit, limit *int64) {
	if len(orderBy) > 0 {
		p.put(" ")
		p.orderBy(orderBy)
	}
	switch emit {
	case EmitChanges:
		p.put(" EMIT CHANGES")
	case EmitFinal:
		p.put(" EMIT FINAL")
	}
	if limit != nil {
		p.put(" LIMIT ", strconv.FormatInt(*limit, 10))
	}
}

func (p *printer) selectQuery(q *Query) {
	p.ctes(q.With, q.Recursive)
	p.put("SELECT ", opt(q.Distinct, "DISTINCT "))
	for i, it := range q.Items {
		p.put(comma(i))
		p.item(it)
	}
	if q.From != nil {
		p.put(" FROM ")
		p.relation(q.From)
	}
	if q.Window != nil {
		p.window(q.Window)
	}
	p.clause(" WHERE ", q.Where)
	p.clauseList(" GROUP BY ", q.GroupBy, precValue)
	p.clauseList(" PARTITION BY ", q.PartitionBy, precValue)
	p.clause(" HAVING ", q.Having)
	p.tail(q.OrderBy, q.Emit, q.Limit)
}

func (p *printer) item(it SelectItem) {
	switch {
	case it.Expr == nil && it.Source != "":
		p.put(QuoteName(it.Source), ".*")
	case it.Expr == nil:
		p.put("*")
	default:
		p.operand(it.Expr, precOr)
		if it.Alias != "" {
			p.put(" AS ", QuoteName(it.Alias))
		}
	}
}

func (p *printer) clause(word string, e Expr) {
	if e != nil {
		p.put(word)
		p.operand(e, precOr)
	}
}

func (p *printer) clauseList(word string, es []Expr, least int) {
	for i, e := range es {
		p.put(opt(i == 0, word), comma(i))
		p.operand(e, least)
	}
}

func (p *printer) relation(r Relation) {
	switch r := r.(type) {
	case *SourceRef:
		p.put(QuoteName(r.Name))
		if r.Alias != r.Name {
			p.put(" AS ", QuoteName(r.Alias))
		}
	case *Derived:
		p.put("(")
		p.query(r.Query)
		p.put(")")
		if r.Alias != "" {
			p.put(" AS ", QuoteName(r.Alias))
		}
	case *Join:
		p.join(r)
	}
}

func (p *printer) join(j *Join) {
	p.relation(j.Left)
	p.put(" ", opt(j.Type != InnerJoin, string(j.Type)+" "), "JOIN ")
	_, nested := j.Right.(*Join)
	p.put(opt(nested, "("))
	p.relation(j.Right)
	p.put(opt(nested, ")"))
	if w := j.Within; w != nil {
		p.put(" WITHIN (", w.Before.String(), ", ", w.After.String(), ")")
		if w.Grace != nil {
			p.put(" GRACE PERIOD ", w.Grace.String())
		}
	}
	p.clause(" ON ", j.On)
}

// String returns the duration as it is written in SQL.
func (d Duration) String() string { return strconv.FormatInt(d.N, 10) + " " + d.Unit + "S" }

func (p *printer) window(w *WindowClause) {
	p.put(" WINDOW ")
	if w.Name != "" {
		p.put(QuoteName(w.Name), " ")
	}
	p.put(w.Kind, " (")
	switch w.Kind {
	case "SESSION":
		p.put(w.Gap.String())
	case "HOPPING":
		p.put("SIZE ", w.Size.String(), ", ADVANCE BY ", w.Advance.String())
	default:
		p.put("SIZE ", w.Size.String())
	}
	if w.Retention != nil {
		p.put(", RETENTION ", w.Retention.String())
	}
	if w.Grace != nil {
		p.put(", GRACE PERIOD ", w.Grace.String())
	}
	p.put(")")
}
