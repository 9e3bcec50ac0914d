package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// typeNames are the steps' names in JSON; they never change.
var typeNames = map[string]func() Step{
	"source":              func() Step { return &Source{} },
	"filter":              func() Step { return &Filter{} },
	"project":             func() Step { return &Project{} },
	"explode":             func() Step { return &Explode{} },
	"rekey":               func() Step { return &Rekey{} },
	"exchange":            func() Step { return &Exchange{} },
	"aggregate":           func() Step { return &Aggregate{} },
	"streamStreamJoin":    func() Step { return &StreamStreamJoin{} },
	"streamTableJoin":     func() Step { return &StreamTableJoin{} },
	"tableTableJoin":      func() Step { return &TableTableJoin{} },
	"foreignKeySubscribe": func() Step { return &ForeignKeySubscribe{} },
	"foreignKeyAnswer":    func() Step { return &ForeignKeyAnswer{} },
	"foreignKeyResult":    func() Step { return &ForeignKeyResult{} },
	"sink":                func() Step { return &Sink{} },
	"output":              func() Step { return &Output{} },
}

// TypeName returns the name of s's type, as in JSON.
func TypeName(s Step) string {
	switch s.(type) {
	case *Source:
		return "source"
	case *Filter:
		return "filter"
	case *Project:
		return "project"
	case *Explode:
		return "explode"
	case *Rekey:
		return "rekey"
	case *Exchange:
		return "exchange"
	case *Aggregate:
		return "aggregate"
	case *StreamStreamJoin:
		return "streamStreamJoin"
	case *StreamTableJoin:
		return "streamTableJoin"
	case *TableTableJoin:
		return "tableTableJoin"
	case *ForeignKeySubscribe:
		return "foreignKeySubscribe"
	case *ForeignKeyAnswer:
		return "foreignKeyAnswer"
	case *ForeignKeyResult:
		return "foreignKeyResult"
	case *Sink:
		return "sink"
	case *Output:
		return "output"
	}
	panic(fmt.Sprintf("plan: unknown step %T", s))
}

// setInputs gives s its inputs, in the order of Inputs.
func setInputs(s Step, in []Step) error {
	var slots []*Step
	switch s := s.(type) {
	case *Source:
	case *Filter:
		slots = []*Step{&s.Input}
	case *Project:
		slots = []*Step{&s.Input}
	case *Explode:
		slots = []*Step{&s.Input}
	case *Rekey:
		slots = []*Step{&s.Input}
	case *Exchange:
		slots = []*Step{&s.Input}
	case *Aggregate:
		slots = []*Step{&s.Input}
	case *StreamStreamJoin:
		slots = []*Step{&s.Left, &s.Right}
	case *StreamTableJoin:
		slots = []*Step{&s.Stream, &s.Table}
	case *TableTableJoin:
		slots = []*Step{&s.Left, &s.Right}
	case *ForeignKeySubscribe:
		slots = []*Step{&s.Input}
	case *ForeignKeyAnswer:
		slots = []*Step{&s.Left, &s.Right}
	case *ForeignKeyResult:
		slots = []*Step{&s.Input}
	case *Sink:
		slots = []*Step{&s.Input}
	case *Output:
		slots = []*Step{&s.Input}
	}
	if len(slots) != len(in) {
		return fmt.Errorf("step %s has %d inputs, it needs %d", s.Meta().ID, len(in), len(slots))
	}
	for i := range slots {
		*slots[i] = in[i]
	}
	return nil
}

// header is what stands before a step's own fields in JSON.
type header struct {
	Type   string   `json:"type"`
	Inputs []string `json:"inputs,omitempty"`
}

// planFields are the plan's own fields, without methods.
type planFields Plan

// MarshalJSON implements json.Marshaler.
func (p *Plan) MarshalJSON() ([]byte, error) {
	out := struct {
		planFields
		Steps []json.RawMessage `json:"steps"`
	}{planFields: planFields(*p)}
	var fault error
	Walk(p.Root, func(s Step) {
		b, err := marshalStep(s)
		if err != nil && fault == nil {
			fault = fmt.Errorf("encoding step %s: %w", s.Meta().ID, err)
		}
		out.Steps = append(out.Steps, b)
	})
	if fault != nil {
		return nil, fault
	}
	return json.Marshal(out)
}

func marshalStep(s Step) ([]byte, error) {
	h := header{Type: TypeName(s)}
	for _, in := range s.Inputs() {
		h.Inputs = append(h.Inputs, in.Meta().ID)
	}
	head, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	return append(append(head[:len(head)-1], ','), bytes.TrimPrefix(body, []byte("{"))...), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (p *Plan) UnmarshalJSON(data []byte) error {
	var in struct {
		planFields
		Steps []json.RawMessage `json:"steps"`
	}
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	if in.Version > FormatVersion {
		return fmt.Errorf("the plan of query %s has format version %d, this version reads up to %d", in.QueryID, in.Version, FormatVersion)
	}
	*p = Plan(in.planFields)
	steps := map[string]Step{}
	for _, raw := range in.Steps {
		s, err := unmarshalStep(raw, steps)
		if err != nil {
			return fmt.Errorf("reading the plan of query %s: %w", p.QueryID, err)
		}
		steps[s.Meta().ID] = s
		p.Root = s
	}
	if p.Root == nil {
		return fmt.Errorf("reading the plan of query %s: it has no steps", p.QueryID)
	}
	return nil
}

func unmarshalStep(raw []byte, before map[string]Step) (Step, error) {
	var h header
	if err := json.Unmarshal(raw, &h); err != nil {
		return nil, err
	}
	newStep := typeNames[h.Type]
	if newStep == nil {
		return nil, fmt.Errorf("unknown step type %q", h.Type)
	}
	s := newStep()
	if err := json.Unmarshal(raw, s); err != nil {
		return nil, err
	}
	if before[s.Meta().ID] != nil {
		return nil, fmt.Errorf("two steps are called %q", s.Meta().ID)
	}
	var inputs []Step
	for _, id := range h.Inputs {
		in := before[id]
		if in == nil {
			return nil, fmt.Errorf("step %q reads %q, which does not stand before it", s.Meta().ID, id)
		}
		inputs = append(inputs, in)
	}
	return s, setInputs(s, inputs)
}
