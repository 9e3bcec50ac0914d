package server

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"karst/log/registry"
	"karst/sql/schema"
)

// A registryAPI answers the REST paths of Confluent's schema registry from the
// embedded one.
type registryAPI struct{ r *registry.Registry }

// ServeRegistry opens the schema registry's REST paths. It is called before the
// server serves.
func (s *Server) ServeRegistry(r *registry.Registry) {
	a := registryAPI{r}
	for pattern, h := range map[string]func(*http.Request) (any, error){
		"GET /subjects":                                             a.subjects,
		"POST /subjects/{subject}":                                  a.lookup,
		"DELETE /subjects/{subject}":                                a.deleteSubject,
		"GET /subjects/{subject}/versions":                          a.versions,
		"POST /subjects/{subject}/versions":                         a.register,
		"GET /subjects/{subject}/versions/{version}":                a.version,
		"DELETE /subjects/{subject}/versions/{version}":             a.deleteVersion,
		"GET /subjects/{subject}/versions/{version}/schema":         a.versionText,
		"GET /subjects/{subject}/versions/{version}/referencedby":   a.referencedBy,
		"GET /schemas":                                              a.schemas,
		"GET /schemas/types":                                        a.types,
		"GET /schemas/ids/{id}":                                     a.byID,
		"GET /schemas/ids/{id}/schema":                              a.textByID,
		"GET /schemas/ids/{id}/subjects":                            a.subjectsByID,
		"GET /schemas/ids/{id}/versions":                            a.versionsByID,
		"GET /config":                                               a.level,
		"GET /config/{subject}":                                     a.level,
		"PUT /config":                                               a.setLevel,
		"PUT /config/{subject}":                                     a.setLevel,
		"DELETE /config":                                            a.deleteLevel,
		"DELETE /config/{subject}":                                  a.deleteLevel,
		"GET /mode":                                                 a.mode,
		"GET /mode/{subject}":                                       a.mode,
		"PUT /mode":                                                 a.setMode,
		"PUT /mode/{subject}":                                       a.setMode,
		"DELETE /mode/{subject}":                                    a.deleteMode,
		"POST /compatibility/subjects/{subject}/versions":           a.compatible,
		"POST /compatibility/subjects/{subject}/versions/{version}": a.compatible,
		"GET /contexts":                                             a.contexts,
	} {
		s.mux.HandleFunc(pattern, registryHandler(h))
	}
}

const registryType = "application/vnd.schemaregistry.v1+json"

// A rawSchema is answered as it is, not as a JSON value.
type rawSchema string

// maxRegistryBytes bounds the body of a request to the registry.
const maxRegistryBytes = 4 << 20

func registryHandler(h func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxRegistryBytes)
		v, err := h(r)
		w.Header().Set("Content-Type", registryType)
		if err != nil {
			e := &registry.Error{Code: registry.CodeBackend, Message: err.Error()}
			errors.As(err, &e)
			status := e.Code
			if status >= 1000 {
				status /= 100
			}
			w.WriteHeader(status)
			v = map[string]any{"error_code": e.Code, "message": e.Message}
		}
		if raw, ok := v.(rawSchema); ok {
			_, _ = w.Write([]byte(raw))
			return
		}
		_ = json.NewEncoder(w).Encode(v)
	}
}

// A registrySchema is a schema in a request or an answer.
type registrySchema struct {
	Subject    string               `json:"subject,omitempty"`
	Version    int                  `json:"version,omitempty"`
	ID         int                  `json:"id,omitempty"`
	SchemaType string               `json:"schemaType,omitempty"`
	References []registry.Reference `json:"references,omitempty"`
	Schema     string               `json:"schema,omitempty"`
}

// shown leaves AVRO out, for those who know no other type.
func shown(v registry.Version) registrySchema {
	out := registrySchema{Subject: v.Subject, Version: v.Version, ID: v.ID, SchemaType: v.Type, References: v.References, Schema: v.Text}
	if v.Type == registry.Avro {
		out.SchemaType = ""
	}
	return out
}

func flag(r *http.Request, name string) bool {
	v, _ := strconv.ParseBool(r.URL.Query().Get(name))
	return v
}

func registryFault(code int, message string) error {
	return &registry.Error{Code: code, Message: message}
}

// schemaIn reads a schema from a request.
func schemaIn(r *http.Request) (registrySchema, registry.Schema, error) {
	var in registrySchema
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		return in, registry.Schema{}, registryFault(registry.CodeInvalidSchema, "the body is not the JSON that is expected: "+err.Error())
	}
	return in, registry.Schema{Type: in.SchemaType, Text: in.Schema, References: in.References}, nil
}

func versionIn(r *http.Request) (int, error) {
	text := r.PathValue("version")
	if text == "latest" || text == "-1" {
		return registry.Latest, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 1 {
		return 0, registryFault(registry.CodeInvalidVersion, "The specified version '"+text+"' is not a valid version id. Allowed values are between [1, 2^31-1] and the string \"latest\"")
	}
	return int(n), nil
}

func idIn(r *http.Request) (int, error) {
	n, err := strconv.ParseInt(r.PathValue("id"), 10, 32)
	if err != nil {
		return 0, registryFault(registry.CodeSchemaNotFound, "Schema "+r.PathValue("id")+" not found")
	}
	return int(n), nil
}

func (a registryAPI) types(*http.Request) (any, error) {
	return []string{registry.JSON, registry.Protobuf, registry.Avro}, nil
}

func (a registryAPI) contexts(*http.Request) (any, error) { return []string{"."}, nil }

func (a registryAPI) subjects(r *http.Request) (any, error) {
	list := a.r.Subjects(flag(r, "deleted"))
	prefix := r.URL.Query().Get("subjectPrefix")
	return slices.DeleteFunc(list, func(s string) bool { return !strings.HasPrefix(s, prefix) }), nil
}

func (a registryAPI) lookup(r *http.Request) (any, error) {
	_, s, err := schemaIn(r)
	if err != nil {
		return nil, err
	}
	v, err := a.r.Lookup(r.PathValue("subject"), s, flag(r, "deleted"))
	return shown(v), err
}

func (a registryAPI) register(r *http.Request) (any, error) {
	in, s, err := schemaIn(r)
	if err != nil {
		return nil, err
	}
	v, err := a.r.Add(r.PathValue("subject"), s, in.ID, in.Version)
	out := shown(v)
	out.Subject = ""
	return out, err
}

func (a registryAPI) deleteSubject(r *http.Request) (any, error) {
	return a.r.DeleteSubject(r.PathValue("subject"), flag(r, "permanent"))
}

func (a registryAPI) versions(r *http.Request) (any, error) {
	return a.r.Versions(r.PathValue("subject"), flag(r, "deleted"))
}

func (a registryAPI) find(r *http.Request) (registry.Version, error) {
	n, err := versionIn(r)
	if err != nil {
		return registry.Version{}, err
	}
	return a.r.Version(r.PathValue("subject"), n, flag(r, "deleted"))
}

func (a registryAPI) version(r *http.Request) (any, error) {
	v, err := a.find(r)
	if err != nil {
		return nil, err
	}
	v.Text, err = a.formatted(r, v.ID, v.Text)
	return shown(v), err
}

// formatted returns a schema's text in the form that the request asks for.
func (a registryAPI) formatted(r *http.Request, id int, text string) (string, error) {
	kind, _, imports, err := a.r.Schema(id)
	if err != nil || kind != registry.Protobuf || r.URL.Query().Get("format") != "serialized" {
		return text, err
	}
	return schema.Serialized(text, imports)
}

func (a registryAPI) versionText(r *http.Request) (any, error) {
	v, err := a.find(r)
	return rawSchema(v.Text), err
}

func (a registryAPI) deleteVersion(r *http.Request) (any, error) {
	n, err := versionIn(r)
	if err != nil {
		return nil, err
	}
	return a.r.DeleteVersion(r.PathValue("subject"), n, flag(r, "permanent"))
}

func (a registryAPI) referencedBy(r *http.Request) (any, error) {
	n, err := versionIn(r)
	if err != nil {
		return nil, err
	}
	ids, err := a.r.Users(r.PathValue("subject"), n)
	return append([]int{}, ids...), err
}

// schemas lists the schemas of all subjects.
func (a registryAPI) schemas(r *http.Request) (any, error) {
	out := []registrySchema{}
	deleted, prefix := flag(r, "deleted"), r.URL.Query().Get("subjectPrefix")
	for _, name := range a.r.Subjects(deleted) {
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		numbers, err := a.r.Versions(name, deleted)
		if err != nil {
			continue // deleted meanwhile
		}
		if flag(r, "latestOnly") {
			numbers = numbers[len(numbers)-1:]
		}
		for _, n := range numbers {
			if v, err := a.r.Version(name, n, deleted); err == nil {
				out = append(out, shown(v))
			}
		}
	}
	return out, nil
}

func (a registryAPI) byID(r *http.Request) (any, error) {
	id, err := idIn(r)
	if err != nil {
		return nil, err
	}
	s, err := a.r.ByID(id)
	if err != nil {
		return nil, err
	}
	s.Text, err = a.formatted(r, id, s.Text)
	return shown(registry.Version{Schema: s}), err
}

func (a registryAPI) textByID(r *http.Request) (any, error) {
	id, err := idIn(r)
	if err != nil {
		return nil, err
	}
	s, err := a.r.ByID(id)
	return rawSchema(s.Text), err
}

func (a registryAPI) usesOf(r *http.Request) ([]registry.Version, error) {
	id, err := idIn(r)
	if err != nil {
		return nil, err
	}
	return a.r.VersionsOf(id, flag(r, "deleted"))
}

func (a registryAPI) subjectsByID(r *http.Request) (any, error) {
	list, err := a.usesOf(r)
	out := []string{}
	for _, v := range list {
		if !slices.Contains(out, v.Subject) {
			out = append(out, v.Subject)
		}
	}
	return out, err
}

func (a registryAPI) versionsByID(r *http.Request) (any, error) {
	list, err := a.usesOf(r)
	out := []registrySchema{}
	for _, v := range list {
		out = append(out, registrySchema{Subject: v.Subject, Version: v.Version})
	}
	return out, err
}

func (a registryAPI) level(r *http.Request) (any, error) {
	level, err := a.r.Level(r.PathValue("subject"), flag(r, "defaultToGlobal"))
	return map[string]string{"compatibilityLevel": level}, err
}

func (a registryAPI) setLevel(r *http.Request) (any, error) {
	var in struct{ Compatibility string }
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Compatibility == "" {
		return nil, registryFault(registry.CodeInvalidLevel, "Invalid compatibility level. The body is like {\"compatibility\": \"FULL\"}")
	}
	level := strings.ToUpper(in.Compatibility)
	return map[string]string{"compatibility": level}, a.r.SetLevel(r.PathValue("subject"), level)
}

func (a registryAPI) deleteLevel(r *http.Request) (any, error) {
	subject := r.PathValue("subject")
	level, err := a.r.Level(subject, subject == "")
	if err != nil {
		return nil, err
	}
	return map[string]string{"compatibilityLevel": level}, a.r.SetLevel(subject, "")
}

func (a registryAPI) mode(r *http.Request) (any, error) {
	mode, err := a.r.Mode(r.PathValue("subject"), flag(r, "defaultToGlobal"))
	return map[string]string{"mode": mode}, err
}

func (a registryAPI) setMode(r *http.Request) (any, error) {
	var in struct{ Mode string }
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Mode == "" {
		return nil, registryFault(registry.CodeInvalidMode, "Invalid mode. The body is like {\"mode\": \"READONLY\"}")
	}
	mode := strings.ToUpper(in.Mode)
	return map[string]string{"mode": mode}, a.r.SetMode(r.PathValue("subject"), mode)
}

func (a registryAPI) deleteMode(r *http.Request) (any, error) {
	mode, err := a.r.Mode(r.PathValue("subject"), false)
	if err != nil {
		return nil, err
	}
	return map[string]string{"mode": mode}, a.r.SetMode(r.PathValue("subject"), "")
}

// compatible answers whether a schema might be registered.
func (a registryAPI) compatible(r *http.Request) (any, error) {
	_, s, err := schemaIn(r)
	if err != nil {
		return nil, err
	}
	n := 0
	if r.PathValue("version") != "" {
		if n, err = versionIn(r); err != nil {
			return nil, err
		}
	}
	faults, err := a.r.Compatible(r.PathValue("subject"), s, n)
	out := map[string]any{"is_compatible": len(faults) == 0}
	if flag(r, "verbose") {
		out["messages"] = append([]string{}, faults...)
	}
	return out, err
}
