package shell

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/mattn/go-runewidth"
)

// A Format is how rows are printed.
type Format string

// The formats of rows.
const (
	Table    Format = "table"
	JSON     Format = "json"
	CSV      Format = "csv"
	Vertical Format = "vertical"
)

// ParseFormat returns the format of that name.
func ParseFormat(name string) (Format, error) {
	switch f := Format(name); f {
	case Table, JSON, CSV, Vertical:
		return f, nil
	}
	return "", fmt.Errorf("unknown format %q; use table, json, csv or vertical", name)
}

// A printer prints rows. A table's column widths are those of its first rows;
// rows of a push query do not wait for others.
type printer struct {
	out     io.Writer
	format  Format
	columns []string
	widths  []int
	held    [][]string // a table's first rows, until the widths are settled
	settled bool
	rows    int
	csv     *csv.Writer
}

// streamWidth is the least width of a column of a push query's table.
const streamWidth = 14

// heldRows is how many rows settle a table's widths.
const heldRows = 1000

func newPrinter(out io.Writer, f Format, columns []string, stream bool) *printer {
	p := &printer{out: out, format: f, columns: columns}
	for _, c := range columns {
		width := runewidth.StringWidth(c)
		if stream {
			width = max(width, streamWidth) // what comes is not known
		}
		p.widths = append(p.widths, width)
	}
	if stream && f == Table {
		p.settle()
	}
	if f == CSV {
		p.csv = csv.NewWriter(out)
		_ = p.csv.Write(columns)
		p.csv.Flush()
	}
	return p
}

func (p *printer) row(cells []string, raw []json.RawMessage) {
	p.rows++
	switch p.format {
	case JSON:
		p.json(cells, raw)
	case CSV:
		for i := range raw {
			if string(raw[i]) == "null" {
				cells[i] = "" // not the text "null"
			}
		}
		_ = p.csv.Write(cells)
		p.csv.Flush()
	case Vertical:
		for i, c := range p.columns {
			fmt.Fprintf(p.out, "%s: %s\n", c, cells[i])
		}
		fmt.Fprintln(p.out)
	default:
		p.table(cells)
	}
}

func (p *printer) json(cells []string, raw []json.RawMessage) {
	var sb strings.Builder
	for i, c := range p.columns {
		name, _ := json.Marshal(c)
		value := json.RawMessage(nil)
		if raw != nil {
			value = raw[i]
		} else {
			value, _ = json.Marshal(cells[i]) // a string
		}
		if i > 0 {
			sb.WriteByte(',')
		}
		fmt.Fprintf(&sb, "%s:%s", name, value)
	}
	fmt.Fprintf(p.out, "{%s}\n", sb.String())
}

func (p *printer) table(cells []string) {
	if p.settled {
		p.line(cells)
		return
	}
	p.held = append(p.held, cells)
	for i, c := range cells {
		p.widths[i] = min(max(p.widths[i], runewidth.StringWidth(c)), 60)
	}
	if len(p.held) >= heldRows {
		p.settle()
	}
}

func (p *printer) settle() {
	p.settled = true
	p.rule()
	p.line(p.columns)
	p.rule()
	for _, r := range p.held {
		p.line(r)
	}
	p.held = nil
}

func (p *printer) rule() {
	for _, w := range p.widths {
		fmt.Fprintf(p.out, "+%s", strings.Repeat("-", w+2))
	}
	fmt.Fprintln(p.out, "+")
}

func (p *printer) line(cells []string) {
	for i, c := range cells {
		fmt.Fprintf(p.out, "| %s ", runewidth.FillRight(c, p.widths[i]))
	}
	fmt.Fprintln(p.out, "|")
}

func (p *printer) end() {
	if p.format == Table {
		if !p.settled {
			p.settle()
		}
		p.rule()
		noun := "rows"
		if p.rows == 1 {
			noun = "row"
		}
		fmt.Fprintf(p.out, "%d %s\n", p.rows, noun)
	}
}
