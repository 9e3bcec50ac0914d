package plan

// Inputs implements Step for each of the steps.

// Inputs returns none.
func (s *Source) Inputs() []Step { return nil }

// Inputs returns the input.
func (s *Filter) Inputs() []Step { return []Step{s.Input} }

// Inputs returns the input.
func (s *Project) Inputs() []Step { return []Step{s.Input} }

// Inputs returns the input.
func (s *Explode) Inputs() []Step { return []Step{s.Input} }

// Inputs returns the input.
func (s *Rekey) Inputs() []Step { return []Step{s.Input} }

// Inputs returns the input.
func (s *Exchange) Inputs() []Step { return []Step{s.Input} }

// Inputs returns the input.
func (s *Aggregate) Inputs() []Step { return []Step{s.Input} }

// Inputs returns left and right.
func (s *StreamStreamJoin) Inputs() []Step { return []Step{s.Left, s.Right} }

// Inputs returns stream and table.
func (s *StreamTableJoin) Inputs() []Step { return []Step{s.Stream, s.Table} }

// Inputs returns left and right.
func (s *TableTableJoin) Inputs() []Step { return []Step{s.Left, s.Right} }

// Inputs returns the input.
func (s *ForeignKeySubscribe) Inputs() []Step { return []Step{s.Input} }

// Inputs returns left and right.
func (s *ForeignKeyAnswer) Inputs() []Step { return []Step{s.Left, s.Right} }

// Inputs returns the input.
func (s *ForeignKeyResult) Inputs() []Step { return []Step{s.Input} }

// Inputs returns the input.
func (s *Sink) Inputs() []Step { return []Step{s.Input} }

// Inputs returns the input.
func (s *Output) Inputs() []Step { return []Step{s.Input} }
