package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// A Client talks to a server. It may be used by several goroutines.
type Client struct {
	Base string // http://host:port
	HTTP *http.Client
}

// NewClient returns a client of the server at base.
func NewClient(base string) *Client {
	return &Client{Base: strings.TrimRight(base, "/"), HTTP: &http.Client{}}
}

func (c *Client) post(ctx context.Context, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Base+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	return c.do(req)
}

func (c *Client) do(req *http.Request) (*http.Response, error) {
	resp, err := c.HTTP.Do(req)
	var refused *net.OpError
	if errors.As(err, &refused) && refused.Op == "dial" {
		return nil, fmt.Errorf("no server answers at %s (%w); 'ksh serve' starts one", c.Base, refused.Err)
	}
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	var e Error
	if json.Unmarshal(text, &e) == nil && e.Message != "" {
		return nil, &e
	}
	return nil, fmt.Errorf("the server answered %s: %s", resp.Status, bytes.TrimSpace(text))
}

func rawProperties(m map[string]string) map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	for k, v := range m {
		text, _ := json.Marshal(v)
		out[k] = text
	}
	return out
}

// Execute runs statements that are not queries. If one fails, those before it
// are in the entities all the same.
func (c *Client) Execute(ctx context.Context, text string, properties, variables map[string]string) ([]Entity, error) {
	body, err := json.Marshal(StatementRequest{Text: text, Properties: rawProperties(properties), Variables: rawProperties(variables)})
	if err != nil {
		return nil, err
	}
	resp, err := c.post(ctx, "/ksql", bytes.NewReader(body))
	var failed *Error
	if errors.As(err, &failed) {
		return failed.Entities, err
	}
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var out []Entity
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	return out, nil
}

// Query runs a query; row is called for each row, its columns as JSON, until
// it returns false or the query ends.
func (c *Client) Query(ctx context.Context, text string, properties, variables map[string]string, header func(Header), row func([]json.RawMessage) bool) error {
	body, err := json.Marshal(StreamRequest{Text: text, Properties: rawProperties(properties), Variables: rawProperties(variables)})
	if err != nil {
		return err
	}
	resp, err := c.post(ctx, "/query-stream", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := lineScanner(resp.Body)
	first := true
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			continue
		}
		if first {
			var h Header
			if err := json.Unmarshal(lines.Bytes(), &h); err != nil {
				return fmt.Errorf("reading the header: %w", err)
			}
			header(h)
			first = false
			continue
		}
		if lines.Bytes()[0] == '{' {
			var e Error
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				return err
			}
			return &e
		}
		var cols []json.RawMessage
		if err := json.Unmarshal(lines.Bytes(), &cols); err != nil {
			return fmt.Errorf("reading a row: %w", err)
		}
		if !row(cols) {
			return nil
		}
	}
	return lines.Err()
}

// Print runs a PRINT statement; line is called for each line of its answer.
func (c *Client) Print(ctx context.Context, text string, properties, variables map[string]string, line func(string)) error {
	body, err := json.Marshal(StatementRequest{Text: text, Properties: rawProperties(properties), Variables: rawProperties(variables)})
	if err != nil {
		return err
	}
	resp, err := c.post(ctx, "/query", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := lineScanner(resp.Body)
	for lines.Scan() {
		line(lines.Text())
	}
	return lines.Err()
}

func lineScanner(r io.Reader) *bufio.Scanner {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 64<<10), 64<<20)
	return s
}

// Produce sends the NDJSON records that body holds to a topic; progress is called
// with each acknowledgement, of which it returns the last. params are those of POST
// /topics/{name}/records.
func (c *Client) Produce(ctx context.Context, topic, params string, body io.Reader, progress func(Ack)) (last Ack, err error) {
	resp, err := c.post(ctx, "/topics/"+topic+"/records?"+params, body)
	if err != nil {
		return last, err
	}
	defer resp.Body.Close()
	lines := lineScanner(resp.Body)
	for lines.Scan() {
		var a Ack
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			return last, fmt.Errorf("reading an acknowledgement: %w", err)
		}
		if a.Error != "" {
			return last, fmt.Errorf("%s", a.Error)
		}
		last = a
		progress(a)
	}
	return last, lines.Err()
}

// Consume calls f for the records of a topic. params are those of GET
// /topics/{name}/records.
func (c *Client) Consume(ctx context.Context, topic, params string, f func(Record) bool) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Base+"/topics/"+topic+"/records?"+params, nil)
	if err != nil {
		return err
	}
	resp, err := c.do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := lineScanner(resp.Body)
	for lines.Scan() {
		var r Record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return fmt.Errorf("reading a record: %w", err)
		}
		if !f(r) {
			return nil
		}
	}
	return lines.Err()
}
