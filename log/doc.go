// Package log is the contract of the durable, partitioned log: bytes only,
// nothing of SQL. log/segment keeps it on a local filesystem, log/kafka keeps
// it on a Kafka cluster.
//
// A topic has partitions; a partition is a sequence of records with offsets;
// records stand in Kafka record batches (format v2). This package holds the
// one codec of that format: Builder encodes, Records decodes.
//
//	Builder ─AppendBatch─> batch bytes ─log─> batch bytes ─Records.Decode─> columns
//
// # Record batch v2
//
// All integers are big endian; see the Kafka protocol guide, "Record Batch".
//
//	 0 base offset          int64
//	 8 batch length         int32   bytes after this field
//	12 leader epoch         int32
//	16 magic                int8    2
//	17 CRC-32C              uint32  of everything from 21 on
//	21 attributes           int16   0-2 compression, 3 time type, 4 transactional, 5 control
//	23 last offset delta    int32
//	27 base timestamp       int64
//	35 max timestamp        int64
//	43 producer id          int64
//	51 producer epoch       int16
//	53 base sequence        int32
//	57 record count         int32
//	61 records, each: length, attributes, timestamp delta, offset delta, key,
//	   value, headers, as zigzag varints and bytes
//
// Base offset and leader epoch are outside the CRC, so that the log can set
// them without decoding a batch.
package log
