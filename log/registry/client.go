package registry

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/sr"
)

// A Client asks a registry that speaks Confluent's REST API. What an id stands
// for, and which id a schema has under a subject, is asked for once.
type Client struct {
	sr *sr.Client

	mu         sync.Mutex
	byID       map[int]*remoteSchema
	registered map[registration]int
}

// A registration is a schema without references under a subject.
type registration struct{ subject, kind, text string }

type remoteSchema struct {
	schema  sr.Schema
	imports [][2]string
}

// clientTimeout bounds one question to the registry.
const clientTimeout = 10 * time.Second

// NewClient returns a client of the registry at an address like
// http://user:password@host:8081.
func NewClient(address string) (*Client, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("the address of a schema registry is like http://host:8081, not %q", address)
	}
	opts := []sr.ClientOpt{sr.HTTPClient(&http.Client{Timeout: clientTimeout})}
	if u.User != nil {
		password, _ := u.User.Password()
		opts = append(opts, sr.BasicAuth(u.User.Username(), password))
		u.User = nil
	}
	cl, err := sr.NewClient(append(opts, sr.URLs(u.String()))...)
	if err != nil {
		return nil, fmt.Errorf("a client of the schema registry: %w", err)
	}
	return &Client{sr: cl, byID: map[int]*remoteSchema{}, registered: map[registration]int{}}, nil
}

// fault turns an answer into an Error; what is no answer, or that of a registry
// in trouble, stays what it is.
func fault(err error) error {
	var e *sr.ResponseError
	if err == nil || !errors.As(err, &e) || e.StatusCode >= http.StatusInternalServerError {
		return err
	}
	code := e.ErrorCode
	if code == 0 {
		code = e.StatusCode
	}
	if e.StatusCode == http.StatusNotFound && code/100 != http.StatusNotFound {
		code = CodeSchemaNotFound
	}
	return &Error{Code: code, Message: e.Message}
}

// Schema is as Registry.Schema.
func (c *Client) Schema(id int) (kind, text string, imports [][2]string, err error) {
	s, err := c.schema(id)
	if err != nil {
		return "", "", nil, err
	}
	return s.schema.Type.String(), s.schema.Schema, s.imports, nil
}

func (c *Client) schema(id int) (*remoteSchema, error) {
	c.mu.Lock()
	known := c.byID[id]
	c.mu.Unlock()
	if known != nil {
		return known, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), clientTimeout)
	defer cancel()
	s, err := c.sr.SchemaByID(ctx, id)
	if err != nil {
		return nil, fault(err)
	}
	known = &remoteSchema{schema: s}
	if err := c.resolve(ctx, s.References, map[string]bool{}, &known.imports); err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.byID[id] = known
	c.mu.Unlock()
	return known, nil
}

// resolve appends the texts of references, those that others need first.
func (c *Client) resolve(ctx context.Context, refs []sr.SchemaReference, seen map[string]bool, out *[][2]string) error {
	for _, r := range refs {
		if seen[r.Name] {
			continue
		}
		seen[r.Name] = true
		s, err := c.sr.SchemaByVersion(ctx, r.Subject, r.Version)
		if err != nil {
			return fmt.Errorf("the reference %s, version %d of subject %s: %w", r.Name, r.Version, r.Subject, fault(err))
		}
		if err := c.resolve(ctx, s.References, seen, out); err != nil {
			return err
		}
		*out = append(*out, [2]string{r.Name, s.Schema.Schema})
	}
	return nil
}

// Latest is as Registry.Latest.
func (c *Client) Latest(subject string) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), clientTimeout)
	defer cancel()
	s, err := c.sr.SchemaByVersion(ctx, subject, Latest)
	return s.ID, fault(err)
}

// Register is as Registry.Register.
func (c *Client) Register(subject, kind, text string) (int, error) {
	key := registration{subject, kind, text}
	c.mu.Lock()
	id, known := c.registered[key]
	c.mu.Unlock()
	if known {
		return id, nil
	}
	s := sr.Schema{Schema: text}
	if err := s.Type.UnmarshalText([]byte(kind)); err != nil {
		return 0, fmt.Errorf("schema type %s: %w", kind, err)
	}
	id, err := c.register(subject, s)
	if err != nil {
		return 0, err
	}
	c.mu.Lock()
	c.registered[key] = id
	c.mu.Unlock()
	return id, nil
}

func (c *Client) register(subject string, s sr.Schema) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), clientTimeout)
	defer cancel()
	id, err := c.sr.RegisterSchema(ctx, subject, s, -1, -1)
	return id, fault(err)
}

// Reuse is as Registry.Reuse.
func (c *Client) Reuse(subject string, id int) error {
	s, err := c.schema(id)
	if err != nil {
		return err
	}
	_, err = c.register(subject, s.schema)
	return err
}

// Has is as Registry.Has.
func (c *Client) Has(subject string, id int) (bool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), clientTimeout)
	defer cancel()
	if id == 0 {
		list, err := c.sr.SubjectVersions(ctx, subject)
		return len(list) > 0, unlessNotFound(fault(err))
	}
	list, err := c.sr.SchemaVersionsByID(ctx, id)
	for _, v := range list {
		if subject == "" || v.Subject == subject {
			return true, nil
		}
	}
	return false, unlessNotFound(fault(err))
}

// Forget is as Registry.Forget.
func (c *Client) Forget(subject string) error {
	ctx, cancel := context.WithTimeout(context.Background(), clientTimeout)
	defer cancel()
	c.mu.Lock()
	maps.DeleteFunc(c.registered, func(r registration, _ int) bool { return r.subject == subject })
	c.mu.Unlock()
	_, err := c.sr.DeleteSubject(ctx, subject, sr.SoftDelete)
	return unlessNotFound(fault(err))
}
