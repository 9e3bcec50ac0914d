package script

import (
	"regexp"
	"strings"

	"karst/sql/function"
	"karst/sql/types"
)

// A caseError is the error that a case expects: a Java class and a part of its
// message.
type caseError struct{ Type, Message, Cause, CauseMessage string }

// judge holds an error to the expected one: it is a user's, of the right
// class, comes from the last statement, and its text contains every name that
// stands both in the statement and in the expected message.
func (c *queryCase) judge(err error, statement string, last bool) *caseFault {
	if c.Error == nil {
		return faultf("unexpected error: %v", err)
	}
	e := userError(err)
	switch {
	case e == nil:
		return faultf("internal error: %v", err)
	case e.Kind == types.ErrUnsupported:
		return faultf("not supported yet: %v", err)
	case !last:
		return faultf("an earlier statement failed: %v", err)
	case !rightClass(c.Error.Type, e.Kind):
		return faultf("expected an error of class %s, found %s: %v", simpleName(c.Error.Type), Class(err), err)
	}
	if c.Error.CauseMessage != "" {
		return nil // the message is Kafka Streams' and says nothing
	}
	if name := c.missingName(statement, c.Error.Message, err.Error()); name != "" {
		return faultf("the error does not name %s: %v\nexpected: %s", name, err, c.Error.Message)
	}
	return nil
}

// missingName returns a name that stands both in the statement and in the
// expected message, but not in ours; "" if there is none.
func (c *queryCase) missingName(statement, expected, got string) string {
	known := c.names()
	for _, name := range sharedNames(expected, statement) {
		if known[name] && !containsWord(got, name) {
			return name
		}
	}
	return ""
}

func simpleName(class string) string { return class[strings.LastIndexByte(class, '.')+1:] }

// rightClass reports whether a user's error of that kind is what a Java class
// stands for.
func rightClass(class string, kind types.ErrorKind) bool {
	serialization := kind == types.ErrSerialization || kind == types.ErrFunction
	switch simpleName(class) {
	case "ParseFailedException":
		return kind == types.ErrParse || kind == types.ErrStatement
	case "StreamsException":
		return serialization
	}
	return kind != types.ErrSerialization
}

var word = regexp.MustCompile(`[A-Za-z_][A-Za-z0-9_]*`)

// names returns what the statements call sources, columns and fields, and all
// functions and types: what an error must name, in upper case.
func (c *queryCase) names() map[string]bool {
	out := map[string]bool{}
	for _, t := range []string{"BOOLEAN", "INT", "INTEGER", "BIGINT", "DOUBLE", "STRING", "VARCHAR", "DECIMAL", "BYTES", "DATE", "TIME", "TIMESTAMP", "ARRAY", "MAP", "STRUCT"} {
		out[t] = true
	}
	for _, w := range word.FindAllString(withoutLiterals(strings.Join(c.Statements, "\n")), -1) {
		w = strings.ToUpper(w)
		if !keywords[w] || function.Default().Find(w) != nil {
			out[w] = true
		}
	}
	return out
}

var (
	stringLiteral = regexp.MustCompile(`'[^']*'`)
	// keywords are the language's, which an error need not repeat.
	keywords = wordSet(`ADD ADVANCE ALL ALTER AND ANY AS ASSERT BEGINNING BETWEEN BY CASE CAST CATALOG CHANGES COLUMN CONNECTOR CREATE DATE DAY DAYS
		DEFINE DELETE DESCRIBE DISTINCT DROP ELSE EMIT END ESCAPE EXISTS EXPLAIN EXPLODE EXTENDED FALSE FINAL FROM FULL FUNCTION GRACE GROUP HAVING HEADER
		HEADERS HOPPING HOUR HOURS IF IN INNER INSERT INTO IS JOIN KEY LEFT LIKE LIMIT LIST MILLISECOND MILLISECONDS MINUTE MINUTES NAMESPACE NOT NULL
		OF ON OR OUTER PARTITION PERIOD PRIMARY REPLACE RETENTION RIGHT RUN SCRIPT SECOND SECONDS SELECT SESSION SET SHOW SINK SIZE SOURCE STREAM STREAMS
		TABLE TABLES THEN TO TOPIC TRUE TUMBLING TYPE UNSET VALUES WHEN WHERE WINDOW WITH WITHIN
		KAFKA_TOPIC VALUE_FORMAT KEY_FORMAT FORMAT PARTITIONS REPLICAS`)
)

func wordSet(list string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(list) {
		m[w] = true
	}
	return m
}

func withoutLiterals(text string) string { return stringLiteral.ReplaceAllString(text, "''") }

// sharedNames returns the words that stand in both texts, in upper case; what
// a message quotes of the statement does not count.
func sharedNames(message, statement string) []string {
	message, _, _ = strings.Cut(message, "\nStatement:")
	in := map[string]bool{}
	for _, w := range word.FindAllString(statement, -1) {
		in[strings.ToUpper(w)] = true
	}
	var out []string
	for _, w := range word.FindAllString(message, -1) {
		if w = strings.ToUpper(w); in[w] {
			out = append(out, w)
		}
	}
	return out
}

func containsWord(text, name string) bool {
	for _, w := range word.FindAllString(text, -1) {
		if strings.EqualFold(w, name) {
			return true
		}
	}
	return false
}
