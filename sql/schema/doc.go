// Package schema parses the texts of Avro and Protobuf schemas with what they
// refer to. It knows nothing of SQL: formats and the schema registry both stand
// on it.
package schema
