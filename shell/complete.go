package shell

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"karst/server/api"

	prompt "github.com/c-bata/go-prompt"
)

// names are what can be completed: keywords, and the server's streams, tables,
// columns and functions.
type names struct{ list []prompt.Suggest }

const keywords = "SELECT FROM WHERE GROUP BY HAVING PARTITION WINDOW TUMBLING HOPPING SESSION SIZE ADVANCE GRACE PERIOD RETENTION EMIT CHANGES FINAL CREATE REPLACE SOURCE STREAM TABLE TYPE INSERT INTO VALUES DROP DELETE TOPIC ALTER COLUMN DESCRIBE EXTENDED EXPLAIN SHOW LIST STREAMS TABLES QUERIES TOPICS FUNCTIONS TYPES PROPERTIES VARIABLES PRINT BEGINNING INTERVAL TERMINATE PAUSE RESUME SET UNSET DEFINE UNDEFINE LIMIT JOIN LEFT RIGHT FULL OUTER INNER WITHIN WITH KAFKA_TOPIC VALUE_FORMAT KEY_FORMAT FORMAT PARTITIONS TIMESTAMP PRIMARY KEY HEADERS ASSERT RUN SCRIPT BETWEEN LIKE CASE WHEN THEN ELSE END CAST ROWTIME WINDOWSTART WINDOWEND"

// refreshTimeout bounds what the prompt waits for names.
const refreshTimeout = 2 * time.Second

// refresh asks the server for names; without an answer those before stay.
func (n *names) refresh(r *Runner) {
	ctx, cancel := context.WithTimeout(context.Background(), refreshTimeout)
	defer cancel()
	entities, err := r.Client.Execute(ctx, "SHOW STREAMS EXTENDED; SHOW TABLES EXTENDED; SHOW FUNCTIONS;", nil, nil)
	if err != nil && n.list != nil {
		return
	}
	found := map[string]string{}
	for _, w := range strings.Fields(keywords) {
		found[w] = ""
	}
	for _, e := range entities {
		for _, s := range e.Sources {
			for _, f := range s.Fields {
				found[f.Name] = "column of " + s.Name
			}
		}
		var functions []api.FunctionLine
		if e.Functions != nil && json.Unmarshal(e.Functions, &functions) == nil {
			for _, f := range functions {
				found[f.Name] = "function"
			}
		}
	}
	for _, e := range entities { // a source's name says more than a column's
		for _, s := range e.Sources {
			found[s.Name] = strings.ToLower(s.Type)
		}
	}
	n.list = n.list[:0]
	for text, what := range found {
		n.list = append(n.list, prompt.Suggest{Text: text, Description: what})
	}
	slices.SortFunc(n.list, func(a, b prompt.Suggest) int { return strings.Compare(a.Text, b.Text) })
}

// separators end a word before the cursor.
const separators = " \t(),.;<>=+-*/%[]'"

// suggest completes the word before the cursor, in its case.
func (n *names) suggest(d prompt.Document) []prompt.Suggest {
	word := d.GetWordBeforeCursorUntilSeparator(separators)
	if len(word) < 2 {
		return nil
	}
	list := prompt.FilterHasPrefix(n.list, word, true)
	if word == strings.ToLower(word) {
		for i := range list {
			if list[i].Text == strings.ToUpper(list[i].Text) { // else it needs quotes
				list[i].Text = strings.ToLower(list[i].Text)
			}
		}
	}
	return list
}
