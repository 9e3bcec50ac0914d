package script

import "testing"

const schemaCase = `{"tests": [{"name": "schemas",
  "topics": [
    {"name": "a", "valueFormat": "AVRO", "valueSchemaId": 9, "valueSchema": {"type": "record", "name": "R", "fields": [{"name": "n", "type": "int"}, {"name": "f", "type": "float"}, {"name": "b", "type": ["null", "bytes"], "default": null}]}},
    {"name": "p", "keyFormat": "PROTOBUF", "keySchema": "syntax = \"proto3\"; import \"part.proto\"; message K { Part id = 1; }", "keySchemaReferences": [{"name": "part.proto", "format": "PROTOBUF", "schema": "syntax = \"proto3\"; message Part { sint64 at = 2; }"}]}],
  "statements": [
    "CREATE STREAM a WITH (KAFKA_TOPIC='a', KEY_FORMAT='NONE', VALUE_FORMAT='AVRO', VALUE_SCHEMA_ID=9);",
    "CREATE STREAM b WITH (KEY_FORMAT='AVRO', VALUE_FORMAT='JSON_SR') AS SELECT ` + "`n` AS k, `f` AS f, `b` AS b FROM a PARTITION BY `n`" + `;",
    "CREATE STREAM c (v DOUBLE) WITH (KAFKA_TOPIC='p', KEY_FORMAT='PROTOBUF', VALUE_FORMAT='PROTOBUF', VALUE_PROTOBUF_NULLABLE_REPRESENTATION='OPTIONAL');",
    "CREATE STREAM d WITH (VALUE_FORMAT='AVRO') AS SELECT * FROM c;"],
  "inputs": [
    {"topic": "a", "value": {"n": 7, "f": 1.5, "b": "IQ=="}},
    {"topic": "p", "key": {"id": {"at": -3}}, "value": {"v": null}}],
  "outputs": [
    {"topic": "B", "key": 7, "value": {"F": 1.5, "B": "IQ=="}},
    {"topic": "D", "key": {"ID": {"AT": -3}}, "value": {"V": null}}],
  "post": {"sources": [{"name": "C", "type": "stream", "schema": "ID STRUCT<AT BIGINT> KEY, V DOUBLE"}],
    "topics": {"topics": [
      {"name": "a", "keyFormat": {"format": "NONE"}, "valueFormat": {"format": "AVRO"}, "valueSchemaId": 9},
      {"name": "B", "keyFormat": {"format": "AVRO", "features": ["UNWRAP_SINGLES"], "properties": {"fullSchemaName": "io.confluent.ksql.avro_schemas.BKey"}}, "keySchema": "int", "valueFormat": {"format": "JSON_SR"},
       "valueSchema": {"type": "object", "properties": {"F": {"connect.index": 0, "oneOf": [{"type": "null"}, {"type": "number", "connect.type": "float64"}]}, "B": {"connect.index": 1, "oneOf": [{"type": "null"}, {"type": "string", "connect.type": "bytes"}]}}}},
      {"name": "p", "keyFormat": {"format": "PROTOBUF"}, "valueFormat": {"format": "PROTOBUF", "properties": {"nullableRepresentation": "optional"}},
       "valueSchema": "syntax = \"proto3\";\n\nmessage ConnectDefault1 {\n  optional double V = 1;\n}\n"}]}}
}]}`

// TestSchemaChecksFind: each check of schemas fails where it should.
func TestSchemaChecksFind(t *testing.T) {
	holdMutations(t, map[string][]mutation{schemaCase: {
		{"a key", `"key": 7`, `"key": 8`},
		{"a float", `"value": {"F": 1.5`, `"value": {"F": 1.51`},
		{"bytes", `"B": "IQ=="}}`, `"B": "IR=="}}`},
		{"a nested key", `{"ID": {"AT": -3}}`, `{"ID": {"AT": 3}}`},
		{"a null", `{"V": null}}`, `{"V": 0.0}}`},
		{"a null of the input", `"value": {"v": null}`, `"value": {"v": 0}`},
		{"an inferred column", `AT BIGINT> KEY`, `AT INT> KEY`},
		{"the schema's id", `"valueSchemaId": 9}`, `"valueSchemaId": 8}`},
		{"no schema's id", `"valueFormat": {"format": "AVRO"}, "valueSchemaId": 9}`, `"valueFormat": {"format": "AVRO"}}`},
		{"an id of a key's schema", `"keySchema": "int"`, `"keySchemaId": 1, "keySchema": "int"`},
		{"the key's schema", `"keySchema": "int"`, `"keySchema": "long"`},
		{"the value's schema", `"connect.type": "float64"`, `"connect.type": "float32"`},
		{"the .proto text", `optional double V`, `double V`},
		{"the name of the record", `avro_schemas.BKey`, `avro_schemas.Key`},
		{"the nullable representation", `"nullableRepresentation": "optional"`, `"nullableRepresentation": "wrapper"`},
		{"the schema that is referred to", `sint64 at`, `string at`},
	}})
}
