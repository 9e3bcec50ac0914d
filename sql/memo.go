package sql

import "sync"

// An exprMemo remembers expressions by their texts, a bounded number of short
// ones.
type exprMemo struct {
	mu     sync.Mutex
	byText map[string]Expr
}

const (
	memoSize      = 4096
	memoTextBytes = 256
)

var parsed exprMemo

func (m *exprMemo) get(text string) Expr {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.byText[text]
}

func (m *exprMemo) put(text string, e Expr) {
	if len(text) > memoTextBytes {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.byText == nil || len(m.byText) >= memoSize {
		m.byText = map[string]Expr{}
	}
	m.byText[text] = e
}
