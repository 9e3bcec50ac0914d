package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"karst/server/api"
	"karst/sql/function"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"
)

func produceCommand(f *flags, in *os.File, out, errOut io.Writer) *cobra.Command {
	p := &production{errOut: errOut}
	cmd := &cobra.Command{
		Use:   "produce TOPIC [FILE]",
		Short: "Append each line of a file, or of standard input, to a topic",
		Long: "Each line becomes a value byte for byte. With --csv the first line names the fields and each other line becomes a JSON object.\n" +
			"A line that does not parse, or lacks a field that is asked for, is sent as it is, with a null key and the present time, and counted; with --strict it ends the command. " +
			"A topic that is compacted, as those of tables are, takes no records without a key: there such a line is left out.",
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			file := in
			if len(args) == 2 {
				var err error
				if file, err = os.Open(args[1]); err != nil {
					return err
				}
				defer file.Close()
			}
			if err := p.prepare(); err != nil {
				return &usageError{err}
			}
			return f.withClient(func(c *api.Client) error {
				n, err := p.run(cmd.Context(), c, args[0], file)
				if err == nil || n > 0 { // after an error, where to go on
					fmt.Fprintf(out, "%d records acknowledged\n", n)
				}
				return err
			})
		},
	}
	cmd.Flags().StringVar(&p.key, "key", "", "copy this field of the value as the key, in the key format that a source declares for the topic, else KAFKA")
	cmd.Flags().StringVar(&p.timestamp, "timestamp", "", "take the time from FIELD or FIELD:pattern (a number is epoch ms, text is UTC unless it says); a number stamps every record with it")
	cmd.Flags().BoolVar(&p.csv, "csv", false, "the input is CSV with a header")
	cmd.Flags().BoolVar(&p.strict, "strict", false, "stop at a line that does not parse")
	return cmd
}

// A production turns lines into records.
type production struct {
	key, timestamp string
	csv, strict    bool
	errOut         io.Writer

	field   string // of the timestamp
	pattern *function.TimePattern
	fixed   *int64
	bad     int
	lines   int
}

func (p *production) prepare() error {
	if p.timestamp == "" {
		return nil
	}
	if ms, err := strconv.ParseInt(p.timestamp, 10, 64); err == nil {
		p.fixed = &ms
		return nil
	}
	field, pattern, given := strings.Cut(p.timestamp, ":")
	p.field = field
	if !given {
		return nil
	}
	var err error
	p.pattern, err = function.ParseTimePattern(pattern)
	return err
}

// errBadLine ends a strict production.
var errBadLine = errors.New("a line does not parse")

func (p *production) run(ctx context.Context, c *api.Client, topic string, in io.Reader) (int64, error) {
	r, w := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := p.write(w, in)
		_ = w.CloseWithError(err)
		written <- err
	}()
	params := ""
	if p.key != "" {
		params = "keyless=drop" // of a line that lacks the field
	}
	ack, err := c.Produce(ctx, topic, params, r, p.progress())
	_ = r.CloseWithError(io.ErrClosedPipe) // ends the writer if the server left early
	if werr := <-written; werr != nil && !errors.Is(werr, io.ErrClosedPipe) {
		return ack.Acknowledged, werr
	}
	switch {
	case ack.Dropped > 0:
		fmt.Fprintf(p.errOut, "%d of %d lines did not parse or lack a field; %d without a key were left out, since the topic is compacted and keeps only records with one\n", p.bad, p.lines, ack.Dropped)
	case p.bad > 0:
		fmt.Fprintf(p.errOut, "%d of %d lines did not parse or lack a field and were sent as they are\n", p.bad, p.lines)
	}
	return ack.Acknowledged, err
}

// progress shows the count on a terminal.
func (p *production) progress() func(api.Ack) {
	f, ok := p.errOut.(*os.File)
	if !ok || !isatty.IsTerminal(f.Fd()) {
		return func(api.Ack) {}
	}
	return func(a api.Ack) { fmt.Fprintf(f, "\r%d acknowledged", a.Acknowledged) }
}

func (p *production) write(w io.Writer, in io.Reader) error {
	bw := bufio.NewWriter(w)
	enc := json.NewEncoder(bw)
	send := func(value []byte) error {
		rec, ok := p.record(value)
		if !ok {
			p.bad++
			if p.strict {
				return fmt.Errorf("line %d: %w", p.lines, errBadLine)
			}
			rec = api.Record{}
			setValue(&rec, value)
		}
		return enc.Encode(rec)
	}
	read := p.readLines
	if p.csv {
		read = p.readCSV
	}
	if err := read(in, send); err != nil {
		return err
	}
	return bw.Flush()
}

func (p *production) readLines(in io.Reader, send func([]byte) error) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 64<<10), 4<<20)
	for lines.Scan() {
		p.lines++
		if err := send(lines.Bytes()); err != nil {
			return err
		}
	}
	return lines.Err()
}

func (p *production) readCSV(in io.Reader, send func([]byte) error) error {
	r := csv.NewReader(in)
	header, err := r.Read()
	if err != nil {
		return fmt.Errorf("reading the header: %w", err)
	}
	for {
		row, err := r.Read()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		p.lines++
		var buf bytes.Buffer
		for i, name := range header {
			k, _ := json.Marshal(name)
			v, _ := json.Marshal(row[i])
			buf.WriteByte("{,"[min(i, 1)])
			fmt.Fprintf(&buf, "%s:%s", k, v)
		}
		buf.WriteByte('}')
		if err := send(buf.Bytes()); err != nil {
			return err
		}
	}
}

func setValue(r *api.Record, value []byte) {
	s := string(value)
	if strings.ToValidUTF8(s, "") == s {
		r.Value = &s
	} else {
		r.ValueBase64 = value
	}
}

// record makes a record of a value; false if a field that is asked for is not
// there.
func (p *production) record(value []byte) (api.Record, bool) {
	var r api.Record
	setValue(&r, value)
	r.Timestamp = p.fixed
	if p.key == "" && p.field == "" {
		return r, true
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(value, &fields) != nil {
		return r, false
	}
	if p.key != "" {
		key, ok := text(fields[p.key])
		if !ok {
			return r, false
		}
		r.KeyText = &key
	}
	if p.field != "" {
		ms, ok := p.time(fields[p.field])
		if !ok {
			return r, false
		}
		r.Timestamp = &ms
	}
	return r, true
}

// text returns a field's value as text.
func text(raw json.RawMessage) (string, bool) {
	if len(raw) == 0 || string(raw) == "null" {
		return "", false
	}
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s, true
	}
	return string(raw), true
}

func (p *production) time(raw json.RawMessage) (int64, bool) {
	s, ok := text(raw)
	if !ok {
		return 0, false
	}
	if p.pattern != nil {
		ms, err := p.pattern.Parse([]byte(s), time.UTC)
		return ms, err == nil
	}
	if ms, err := strconv.ParseInt(s, 10, 64); err == nil {
		return ms, true
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UnixMilli(), true
		}
	}
	return 0, false
}
