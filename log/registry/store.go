package registry

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
)

// A store is what the records of the topic add up to. Its methods are called
// with mu held.
type store struct {
	mu       sync.RWMutex
	byID     map[int]*Schema
	ids      map[string]int // by identity of the schema
	subjects map[string][]*Version
	levels   map[string]string // by subject, "" is the default
	modes    map[string]string
	next     int // id
	// lost are the last versions, by subject, whose write had no answer: nobody
	// knows whether the topic has them.
	lost map[string]int
}

func newStore() *store {
	return &store{lost: map[string]int{}, byID: map[int]*Schema{}, ids: map[string]int{}, subjects: map[string][]*Version{}, levels: map[string]string{}, modes: map[string]string{}, next: 1}
}

// identity is equal for schemas that are the same but for how they are typed.
func identity(s *Schema) string {
	var b strings.Builder
	b.WriteString(s.Type + "\x00" + canonical(s))
	for _, r := range s.References {
		b.WriteString("\x00" + r.Name + "\x00" + r.Subject + "\x00" + itoa(r.Version))
	}
	return b.String()
}

// put adds a version of a subject, or replaces it.
func (s *store) put(v *Version) {
	id := identity(&v.Schema)
	if s.byID[v.ID] == nil {
		schema := v.Schema
		s.byID[v.ID] = &schema
	}
	if _, known := s.ids[id]; !known {
		s.ids[id] = v.ID
	}
	s.next = max(s.next, v.ID+1)
	list := s.subjects[v.Subject]
	i, found := slices.BinarySearchFunc(list, v.Version, func(x *Version, n int) int { return cmp.Compare(x.Version, n) })
	if found {
		list[i] = v
		return
	}
	s.subjects[v.Subject] = slices.Insert(list, i, v)
}

// remove forgets a version for good.
func (s *store) remove(subject string, version int) {
	list := slices.DeleteFunc(s.subjects[subject], func(v *Version) bool { return v.Version == version })
	if len(list) == 0 {
		delete(s.subjects, subject)
		return
	}
	s.subjects[subject] = list
}

// versions returns a subject's versions, those softly deleted too if asked.
func (s *store) versions(subject string, deleted bool) []*Version {
	var out []*Version
	for _, v := range s.subjects[subject] {
		if deleted || !v.Deleted {
			out = append(out, v)
		}
	}
	return out
}

// names returns the subjects that have versions, sorted.
func (s *store) names(deleted bool) []string {
	out := []string{}
	for _, name := range slices.Sorted(maps.Keys(s.subjects)) {
		if len(s.versions(name, deleted)) > 0 {
			out = append(out, name)
		}
	}
	return out
}

// version returns a subject's version, the last one for Latest.
func (s *store) version(subject string, n int, deleted bool) (*Version, error) {
	all := s.subjects[subject]
	list := s.versions(subject, deleted)
	switch {
	case len(all) == 0, len(list) == 0 && n == Latest:
		return nil, errorf(CodeSubjectNotFound, "Subject '%s' not found.", subject)
	case n == Latest:
		return list[len(list)-1], nil
	}
	for _, v := range list {
		if v.Version == n {
			return v, nil
		}
	}
	if len(list) == 0 {
		return nil, errorf(CodeSubjectNotFound, "Subject '%s' not found.", subject)
	}
	return nil, errorf(CodeVersionNotFound, "Version %d not found.", n)
}

// usersOf returns the ids of schemas that refer to a subject's version.
func (s *store) usersOf(subject string, version int) []int {
	var out []int
	for _, list := range s.subjects {
		for _, v := range list {
			for _, r := range v.References {
				if !v.Deleted && r.Subject == subject && r.Version == version && !slices.Contains(out, v.ID) {
					out = append(out, v.ID)
				}
			}
		}
	}
	slices.Sort(out)
	return out
}

// resolve returns the text of each schema that s refers to, all the way down,
// those that others need first.
func (s *store) resolve(of *Schema) ([][2]string, error) {
	var out [][2]string
	seen := map[string]bool{}
	var visit func(refs []Reference) error
	visit = func(refs []Reference) error {
		for _, r := range refs {
			if seen[r.Name] {
				continue
			}
			seen[r.Name] = true
			v, err := s.version(r.Subject, r.Version, true)
			if err != nil {
				return errorf(CodeInvalidSchema, "the schema refers to %s, version %d of subject %s: %v", r.Name, r.Version, r.Subject, err)
			}
			if err := visit(v.References); err != nil {
				return err
			}
			out = append(out, [2]string{r.Name, v.Text})
		}
		return nil
	}
	return out, visit(of.References)
}
