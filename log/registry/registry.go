package registry

import (
	"errors"
	"slices"
	"strconv"
)

func itoa(n int) string { return strconv.Itoa(n) }

// A Registry is the embedded one. Its methods may be called by several
// goroutines; changes happen one after another, each durable before it shows.
type Registry struct {
	*store
	topic *topic // nil: nothing is kept
}

// New returns an empty registry that keeps nothing.
func New() *Registry { return &Registry{store: newStore()} }

// Schema returns the schema with that id, with the name and text of each schema
// that it refers to, those that others need first.
func (r *Registry) Schema(id int) (kind, text string, imports [][2]string, err error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	s := r.byID[id]
	if s == nil {
		return "", "", nil, errorf(CodeSchemaNotFound, "Schema %d not found", id)
	}
	imports, err = r.resolve(s)
	return s.Type, s.Text, imports, err
}

// ByID returns the schema with that id as it was registered.
func (r *Registry) ByID(id int) (Schema, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if s := r.byID[id]; s != nil {
		return *s, nil
	}
	return Schema{}, errorf(CodeSchemaNotFound, "Schema %d not found", id)
}

// Latest returns the id of a subject's last version.
func (r *Registry) Latest(subject string) (int, error) {
	v, err := r.Version(subject, Latest, false)
	if err != nil {
		return 0, err
	}
	return v.ID, nil
}

// Register returns the id of a schema without references under a subject.
func (r *Registry) Register(subject, kind, text string) (int, error) {
	v, err := r.Add(subject, Schema{Type: kind, Text: text}, 0, 0)
	return v.ID, err
}

// Reuse makes the schema with that id a version of a subject too.
func (r *Registry) Reuse(subject string, id int) error {
	s, err := r.ByID(id)
	if err != nil {
		return err
	}
	_, err = r.Add(subject, s, 0, 0)
	return err
}

// Has reports whether there is a subject ("": any) with a version (0: any) that
// is the schema with that id.
func (r *Registry) Has(subject string, id int) (bool, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, name := range r.names(false) {
		if subject != "" && subject != name {
			continue
		}
		for _, v := range r.versions(name, false) {
			if id == 0 || v.ID == id {
				return true, nil
			}
		}
	}
	return false, nil
}

// Forget deletes a subject softly, if it is there.
func (r *Registry) Forget(subject string) error {
	_, err := r.DeleteSubject(subject, false)
	return unlessNotFound(err)
}

func unlessNotFound(err error) error {
	var e *Error
	if errors.As(err, &e) && e.NotFound() {
		return nil
	}
	return err
}

// Version returns a subject's version.
func (r *Registry) Version(subject string, n int, deleted bool) (Version, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	v, err := r.version(subject, n, deleted)
	if err != nil {
		return Version{}, err
	}
	return *v, nil
}

// Subjects returns the names of all subjects, sorted.
func (r *Registry) Subjects(deleted bool) []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.names(deleted)
}

// Versions returns the numbers of a subject's versions.
func (r *Registry) Versions(subject string, deleted bool) ([]int, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var out []int
	for _, v := range r.versions(subject, deleted) {
		out = append(out, v.Version)
	}
	if out == nil {
		return nil, errorf(CodeSubjectNotFound, "Subject '%s' not found.", subject)
	}
	return out, nil
}

// Users returns the ids of the schemas that refer to a subject's version.
func (r *Registry) Users(subject string, version int) ([]int, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	v, err := r.version(subject, version, true)
	if err != nil {
		return nil, err
	}
	return r.usersOf(subject, v.Version), nil
}

// VersionsOf returns the versions of all subjects that have the schema with
// that id.
func (r *Registry) VersionsOf(id int, deleted bool) ([]Version, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.byID[id] == nil {
		return nil, errorf(CodeSchemaNotFound, "Schema %d not found", id)
	}
	var out []Version
	for _, name := range r.names(deleted) {
		for _, v := range r.versions(name, deleted) {
			if v.ID == id {
				out = append(out, *v)
			}
		}
	}
	return out, nil
}

// Lookup returns the version of a subject that a schema is.
func (r *Registry) Lookup(subject string, s Schema, deleted bool) (Version, error) {
	if err := s.tidy(); err != nil {
		return Version{}, err
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	list := r.versions(subject, deleted)
	if len(list) == 0 {
		return Version{}, errorf(CodeSubjectNotFound, "Subject '%s' not found.", subject)
	}
	imports, err := r.resolve(&s)
	if err == nil {
		err = validate(&s, imports)
	}
	if err != nil {
		return Version{}, err
	}
	if v := find(list, &s); v != nil {
		return *v, nil
	}
	return Version{}, errorf(CodeSchemaNotFound, "Schema not found")
}

func find(list []*Version, s *Schema) *Version {
	want := identity(s)
	for _, v := range slices.Backward(list) {
		if identity(&v.Schema) == want {
			return v
		}
	}
	return nil
}

// Add registers a schema under a subject and returns the version it has there:
// the one that is there already, or a new one, if the subject's compatibility
// level admits it. An id or version that is not 0 is taken as it is given, as
// long as nothing else has it.
func (r *Registry) Add(subject string, s Schema, id, version int) (Version, error) {
	if subject == "" || len(subject) > maxSubjectBytes {
		return Version{}, errorf(CodeInvalidSubject, "The specified subject '%s' is not a valid.", subject)
	}
	if err := s.tidy(); err != nil {
		return Version{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.writable(subject); err != nil {
		return Version{}, err
	}
	live := r.versions(subject, false)
	if v := find(live, &s); v != nil && (id == 0 || id == v.ID) {
		return *v, nil
	}
	imports, err := r.resolve(&s)
	if err != nil {
		return Version{}, err
	}
	if err := validate(&s, imports); err != nil {
		return Version{}, err
	}
	if v := find(live, &s); v != nil && (id == 0 || id == v.ID) {
		return *v, nil // it was written another way
	}
	if faults := r.incompatible(subject, &s, imports, live); len(faults) > 0 {
		return Version{}, incompatibleError(subject, faults)
	}
	v := &Version{Schema: s, Subject: subject, Version: version}
	if err := r.number(v, id); err != nil {
		return Version{}, err
	}
	if err := r.write(putRecord(v)); err != nil {
		// It may be there, or come later: its id and number are for nobody else.
		r.next, r.lost[subject] = max(r.next, v.ID+1), max(r.lost[subject], v.Version)
		return Version{}, err
	}
	r.put(v)
	delete(r.lost, subject)
	return *v, nil
}

// maxSubjectBytes and maxSchemaBytes bound what is kept.
const (
	maxSubjectBytes = 1024
	maxSchemaBytes  = 1 << 20
)

// number gives a new version its id, which the same schema elsewhere shares,
// and its number.
func (r *Registry) number(v *Version, id int) error {
	known, has := r.ids[identity(&v.Schema)]
	switch taken := r.byID[id]; {
	case id == 0 && has:
		v.ID = known
	case id == 0:
		v.ID = r.next
	case taken != nil && identity(taken) != identity(&v.Schema):
		return errorf(CodeOperationNotPermitted, "Overwrite new schema with id %d is not permitted.", id)
	default:
		v.ID = id
	}
	all := r.subjects[v.Subject]
	if v.Version == 0 {
		v.Version = 1
		if len(all) > 0 {
			v.Version = all[len(all)-1].Version + 1
		}
		v.Version = max(v.Version, r.lost[v.Subject]+1)
		return nil
	}
	if slices.ContainsFunc(all, func(x *Version) bool { return x.Version == v.Version }) {
		return errorf(CodeOperationNotPermitted, "Version %d of subject %s exists", v.Version, v.Subject)
	}
	return nil
}

// DeleteSubject deletes all versions of a subject: softly, or for good those
// that were deleted softly before. It returns their numbers.
func (r *Registry) DeleteSubject(subject string, forGood bool) ([]int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.writable(subject); err != nil {
		return nil, err
	}
	all, live := r.versions(subject, true), r.versions(subject, false)
	switch {
	case len(all) == 0:
		return nil, errorf(CodeSubjectNotFound, "Subject '%s' not found.", subject)
	case forGood && len(live) > 0:
		return nil, errorf(CodeSubjectNotSoftDeleted, "Subject '%s' was not deleted first before being permanently deleted", subject)
	case !forGood && len(live) == 0:
		return nil, errorf(CodeSubjectSoftDeleted, "Subject '%s' was soft deleted. Set permanent=true to delete permanently", subject)
	}
	list := live
	if forGood {
		list = all
	}
	var out []int
	for _, v := range slices.Clone(list) {
		if err := r.unused(v); err != nil {
			return nil, err
		}
	}
	for _, v := range slices.Clone(list) {
		if err := r.deleteVersion(v, forGood); err != nil {
			return out, err
		}
		out = append(out, v.Version)
	}
	return out, nil
}

func (r *Registry) unused(v *Version) error {
	if users := r.usersOf(v.Subject, v.Version); len(users) > 0 {
		return errorf(CodeReferenceExists, "One or more references exist to the schema {magic=1,keytype=SCHEMA,subject=%s,version=%d}.", v.Subject, v.Version)
	}
	return nil
}

func (r *Registry) deleteVersion(v *Version, forGood bool) error {
	if forGood {
		if err := r.write(removeRecord(v)); err != nil {
			return err
		}
		r.remove(v.Subject, v.Version)
		return nil
	}
	gone := *v
	gone.Deleted = true
	if err := r.write(putRecord(&gone)); err != nil {
		return err
	}
	r.put(&gone)
	return nil
}

// DeleteVersion deletes one version: softly, or for good if it was deleted
// softly before. It returns its number.
func (r *Registry) DeleteVersion(subject string, n int, forGood bool) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.writable(subject); err != nil {
		return 0, err
	}
	v, err := r.version(subject, n, true)
	switch {
	case err != nil:
		return 0, err
	case forGood && !v.Deleted:
		return 0, errorf(CodeVersionNotSoftDeleted, "Subject '%s' Version %d was not deleted first before being permanently deleted", subject, v.Version)
	case !forGood && v.Deleted:
		return 0, errorf(CodeVersionSoftDeleted, "Subject '%s' Version %d was soft deleted. Set permanent=true to delete permanently", subject, v.Version)
	}
	if err := r.unused(v); err != nil {
		return 0, err
	}
	return v.Version, r.deleteVersion(v, forGood)
}

// The modes of a registry or subject.
const (
	ReadWrite = "READWRITE"
	ReadOnly  = "READONLY"
	Import    = "IMPORT"
)

// Mode returns the mode of a subject, "" for the registry's; a subject that has
// none of its own has the registry's if inherit is set.
func (r *Registry) Mode(subject string, inherit bool) (string, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if m := r.modes[subject]; m != "" {
		return m, nil
	}
	if subject != "" && !inherit {
		return "", errorf(40409, "Subject '%s' does not have subject-level mode configured", subject)
	}
	return cmpOr(r.modes[""], ReadWrite), nil
}

func cmpOr(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

// SetMode sets the mode of a subject, or of the registry for ""; "" takes it
// back.
func (r *Registry) SetMode(subject, mode string) error {
	if mode != "" && mode != ReadWrite && mode != ReadOnly && mode != Import {
		return errorf(CodeInvalidMode, "Invalid mode. Valid values are READWRITE, READONLY and IMPORT.")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.write(settingRecord("MODE", subject, "mode", mode)); err != nil {
		return err
	}
	set(r.modes, subject, mode)
	return nil
}

func set(m map[string]string, k, v string) {
	if v == "" {
		delete(m, k)
		return
	}
	m[k] = v
}

func (r *Registry) writable(subject string) error {
	if cmpOr(r.modes[subject], r.modes[""]) == ReadOnly {
		return errorf(CodeOperationNotPermitted, "Subject %s is in read-only mode", subject)
	}
	return nil
}

// Level returns the compatibility level of a subject, "" for the registry's;
// a subject that has none of its own has the registry's if inherit is set.
func (r *Registry) Level(subject string, inherit bool) (string, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if l := r.levels[subject]; l != "" {
		return l, nil
	}
	if subject != "" && !inherit {
		return "", errorf(CodeLevelNotConfigured, "Subject '%s' does not have subject-level compatibility configured", subject)
	}
	return cmpOr(r.levels[""], Backward), nil
}

// SetLevel sets the compatibility level of a subject, or of the registry for
// ""; "" takes it back.
func (r *Registry) SetLevel(subject, level string) error {
	if level != "" && !slices.Contains(levels, level) {
		return errorf(CodeInvalidLevel, "Invalid compatibility level. Valid values are none, backward, forward, full, backward_transitive, forward_transitive, and full_transitive")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.write(settingRecord("CONFIG", subject, "compatibilityLevel", level)); err != nil {
		return err
	}
	set(r.levels, subject, level)
	return nil
}
