package segment

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"karst/log"
)

// Settings of a topic, read from its configuration. Names, defaults and bounds
// are Kafka's (its documentation, "Topic Configs").
type settings struct {
	retentionMS    int64 // -1: for ever
	retentionBytes int64 // of a partition, -1: no limit
	deletes        bool  // cleanup.policy has delete
	compacts       bool  // cleanup.policy has compact
	segmentBytes   int64
	segmentMS      int64
	dirtyRatio     float64
	deleteMS       int64 // how long tombstones stay after they were first seen
	minLagMS       int64 // records younger than this are not compacted
	maxLagMS       int64 // records older than this are, whatever the ratio
	maxBytes       int   // of a batch
	appendTime     bool
	beforeMaxMS    int64
	afterMaxMS     int64
	codec          log.Codec // of stored batches, if recompress
	recompress     bool
}

// A configDef defines one setting. check reports what is wrong with a value.
type configDef struct {
	name, fallback string
	kind           log.ConfigType
	check          func(string) error
	set            func(*settings, string) // nil for one that has no effect here
	doc            string
}

const (
	maxLong   = "9223372036854775807"
	dayMS     = 24 * 60 * 60 * 1000
	noEffect  = " Accepted for compatibility; it has no effect here."
	maxIntOne = math.MaxInt32
)

// configDefs lists all settings by name.
var configDefs = []configDef{
	{"cleanup.policy", "delete", log.ConfigList, listOf("delete", "compact"), func(s *settings, v string) {
		s.deletes, s.compacts = hasItem(v, "delete"), hasItem(v, "compact")
	}, "What happens to old records: delete drops whole segments by retention.ms and retention.bytes, compact keeps the last record of each key."},
	{"compression.gzip.level", "-1", log.ConfigInt, gzipLevel, nil, "Level of gzip." + noEffect},
	{"compression.lz4.level", "9", log.ConfigInt, intIn(1, 17), nil, "Level of lz4." + noEffect},
	{"compression.type", "producer", log.ConfigString, oneOf("producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"), func(s *settings, v string) {
		s.codec, s.recompress = codecNames[v], v != "producer"
	}, "How stored batches are compressed; producer keeps them as they came."},
	{"compression.zstd.level", "3", log.ConfigInt, intIn(-131072, 22), nil, "Level of zstd." + noEffect},
	{"delete.retention.ms", "86400000", log.ConfigLong, intIn(0, math.MaxInt64), func(s *settings, v string) {
		s.deleteMS = number(v)
	}, "How long compaction keeps tombstones, so that readers who are behind see them."},
	{"file.delete.delay.ms", "60000", log.ConfigLong, intIn(0, math.MaxInt64), nil, "Delay before files are removed." + noEffect},
	{"flush.messages", maxLong, log.ConfigLong, intIn(1, math.MaxInt64), nil, "Records between two fsyncs; the log acknowledges after fsync unless it runs with --durability os." + noEffect},
	{"flush.ms", maxLong, log.ConfigLong, intIn(0, math.MaxInt64), nil, "Time between two fsyncs; see flush.messages." + noEffect},
	{"follower.replication.throttled.replicas", "", log.ConfigList, anyValue, nil, "Throttled replicas." + noEffect},
	{"index.interval.bytes", "4096", log.ConfigInt, intIn(0, maxIntOne), nil, "Spacing of index entries." + noEffect},
	{"leader.replication.throttled.replicas", "", log.ConfigList, anyValue, nil, "Throttled replicas." + noEffect},
	{"local.retention.bytes", "-2", log.ConfigLong, intIn(-2, math.MaxInt64), nil, "Local part of tiered storage." + noEffect},
	{"local.retention.ms", "-2", log.ConfigLong, intIn(-2, math.MaxInt64), nil, "Local part of tiered storage." + noEffect},
	{"max.compaction.lag.ms", maxLong, log.ConfigLong, intIn(1, math.MaxInt64), func(s *settings, v string) {
		s.maxLagMS = number(v)
	}, "Records older than this are compacted whatever min.cleanable.dirty.ratio says."},
	{"max.message.bytes", "1048588", log.ConfigInt, intIn(0, maxIntOne), func(s *settings, v string) {
		s.maxBytes = int(number(v))
	}, "Greatest size of a record batch that a Kafka client may send."},
	{"message.timestamp.after.max.ms", "3600000", log.ConfigLong, intIn(0, math.MaxInt64), func(s *settings, v string) {
		s.afterMaxMS = number(v)
	}, "How far a Kafka client's timestamps may lie in the future."},
	{"message.timestamp.before.max.ms", maxLong, log.ConfigLong, intIn(0, math.MaxInt64), func(s *settings, v string) {
		s.beforeMaxMS = number(v)
	}, "How far a Kafka client's timestamps may lie in the past."},
	{"message.timestamp.type", "CreateTime", log.ConfigString, oneOf("CreateTime", "LogAppendTime"), func(s *settings, v string) {
		s.appendTime = v == "LogAppendTime"
	}, "Whether a record's timestamp is the producer's or the time of its arrival."},
	{"min.cleanable.dirty.ratio", "0.5", log.ConfigDouble, ratio, func(s *settings, v string) {
		s.dirtyRatio, _ = strconv.ParseFloat(v, 64)
	}, "Compaction starts when this part of the segments' bytes is not compacted yet."},
	{"min.compaction.lag.ms", "0", log.ConfigLong, intIn(0, math.MaxInt64), func(s *settings, v string) {
		s.minLagMS = number(v)
	}, "Records younger than this are not compacted."},
	{"min.insync.replicas", "1", log.ConfigInt, intIn(1, maxIntOne), nil, "Replicas that must have a record; there is one." + noEffect},
	{"preallocate", "false", log.ConfigBool, oneOf("true", "false"), nil, "Whether files are allocated ahead." + noEffect},
	{"remote.log.copy.disable", "false", log.ConfigBool, oneOf("true", "false"), nil, "Tiered storage." + noEffect},
	{"remote.log.delete.on.disable", "false", log.ConfigBool, oneOf("true", "false"), nil, "Tiered storage." + noEffect},
	{"remote.storage.enable", "false", log.ConfigBool, oneOf("false"), nil, "Tiered storage, which there is not."},
	{"retention.bytes", "-1", log.ConfigLong, intIn(-1, math.MaxInt64), func(s *settings, v string) {
		s.retentionBytes = number(v)
	}, "Old segments are dropped while a partition has more bytes than this; -1 is no limit."},
	{"retention.ms", "604800000", log.ConfigLong, intIn(-1, math.MaxInt64), func(s *settings, v string) {
		s.retentionMS = number(v)
	}, "Segments whose last record is older than this are dropped; -1 keeps them for ever."},
	{"segment.bytes", "1073741824", log.ConfigInt, intIn(1<<20, maxIntOne), func(s *settings, v string) {
		s.segmentBytes = number(v)
	}, "Size at which a segment is closed and the next begun."},
	{"segment.index.bytes", "10485760", log.ConfigInt, intIn(4, maxIntOne), nil, "Size of the index." + noEffect},
	{"segment.jitter.ms", "0", log.ConfigLong, intIn(0, math.MaxInt64), nil, "Random part of segment.ms." + noEffect},
	{"segment.ms", "604800000", log.ConfigLong, intIn(1, math.MaxInt64), func(s *settings, v string) {
		s.segmentMS = number(v)
	}, "Age at which a segment is closed and the next begun, so that retention and compaction can take it."},
	{"unclean.leader.election.enable", "false", log.ConfigBool, oneOf("true", "false"), nil, "There is one replica." + noEffect},
}

var codecNames = map[string]log.Codec{
	"producer": log.None, "uncompressed": log.None, "gzip": log.Gzip, "snappy": log.Snappy, "lz4": log.LZ4, "zstd": log.Zstd,
}

func findConfig(name string) *configDef {
	i, found := slices.BinarySearchFunc(configDefs, name, func(d configDef, name string) int { return strings.Compare(d.name, name) })
	if !found {
		return nil
	}
	return &configDefs[i]
}

func number(v string) int64 {
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		panic(err) // it was checked
	}
	return n
}

func anyValue(string) error { return nil }

func intIn(least, most int64) func(string) error {
	return func(v string) error {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < least || n > most {
			return fmt.Errorf("must be a number from %d to %d", least, most)
		}
		return nil
	}
}

func gzipLevel(v string) error {
	if v == "0" {
		return errors.New("must be -1 or a number from 1 to 9")
	}
	return intIn(-1, 9)(v)
}

func ratio(v string) error {
	if f, err := strconv.ParseFloat(v, 64); err != nil || !(f >= 0 && f <= 1) {
		return errors.New("must be a number from 0 to 1")
	}
	return nil
}

func oneOf(values ...string) func(string) error {
	return func(v string) error {
		if !slices.Contains(values, v) {
			return fmt.Errorf("must be one of %s", strings.Join(values, ", "))
		}
		return nil
	}
}

func listOf(values ...string) func(string) error {
	one := oneOf(values...)
	return func(v string) error {
		for _, item := range splitList(v) {
			if err := one(item); err != nil {
				return err
			}
		}
		return nil
	}
}

func splitList(v string) []string {
	var out []string
	for item := range strings.SplitSeq(v, ",") {
		if item = strings.TrimSpace(item); item != "" {
			out = append(out, item)
		}
	}
	return out
}

func hasItem(list, item string) bool { return slices.Contains(splitList(list), item) }

// maxConfigBytes bounds the text of one setting.
const maxConfigBytes = 1 << 10

// checkConfig reports the first setting, by name, that is unknown or has a
// wrong value.
func checkConfig(config map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(config)) {
		d := findConfig(name)
		if d == nil {
			return fmt.Errorf("%w: unknown topic setting %s", log.ErrInvalidConfig, name)
		}
		if n := len(config[name]); n > maxConfigBytes {
			return fmt.Errorf("%w: %s has %d bytes, at most %d are taken", log.ErrInvalidConfig, name, n, maxConfigBytes)
		}
		if err := d.check(config[name]); err != nil {
			return fmt.Errorf("%w: %s is %q, it %w", log.ErrInvalidConfig, name, config[name], err)
		}
	}
	if least, most := effective(config, "min.compaction.lag.ms"), effective(config, "max.compaction.lag.ms"); number(least) > number(most) {
		return fmt.Errorf("%w: min.compaction.lag.ms is %s, it must be at most max.compaction.lag.ms, %s", log.ErrInvalidConfig, least, most)
	}
	return nil
}

// effective returns the value that a setting has, given or not.
func effective(config map[string]string, name string) string {
	if v, given := config[name]; given {
		return v
	}
	return findConfig(name).fallback
}

// canonical returns a configuration as it is kept, and shown: without space around
// values and items of lists.
func canonical(config map[string]string) map[string]string {
	out := make(map[string]string, len(config))
	for name, v := range config {
		if d := findConfig(name); d != nil {
			v = d.canonical(v)
		}
		out[name] = v
	}
	return out
}

func (d *configDef) canonical(v string) string {
	switch d.kind {
	case log.ConfigString:
		return v
	case log.ConfigList:
		return strings.Join(splitList(v), ",")
	case log.ConfigBool:
		v = strings.ToLower(v)
	}
	return strings.TrimSpace(v)
}

// settings reads a configuration that is known to be right; segment.bytes
// falls back to the log's own option.
func (o *Options) settings(config map[string]string) *settings {
	s := &settings{}
	for i := range configDefs {
		if d := &configDefs[i]; d.set != nil {
			v, given := config[d.name]
			if !given || d.check(v) != nil {
				v = d.fallback
			}
			d.set(s, v)
		}
	}
	if _, given := config["segment.bytes"]; !given {
		s.segmentBytes = o.SegmentBytes
	}
	if s.compacts { // else what is in the last segment could not be compacted in time
		s.segmentMS = min(s.segmentMS, s.maxLagMS)
	}
	return s
}

// changeConfig returns config with changes applied.
func changeConfig(config map[string]string, changes []log.ConfigChange) (map[string]string, error) {
	out := maps.Clone(config)
	if out == nil {
		out = map[string]string{}
	}
	for _, c := range changes {
		d := findConfig(c.Name)
		if d == nil && c.Op == log.ConfigDelete {
			continue // it is not set, as is asked for
		}
		if d == nil {
			return nil, fmt.Errorf("%w: unknown topic setting %s", log.ErrInvalidConfig, c.Name)
		}
		if (c.Op == log.ConfigAppend || c.Op == log.ConfigSubtract) && d.kind != log.ConfigList {
			return nil, fmt.Errorf("%w: %s is no list", log.ErrInvalidConfig, c.Name)
		}
		current := effective(out, c.Name)
		switch c.Op {
		case log.ConfigSet:
			out[c.Name] = c.Value
		case log.ConfigDelete:
			delete(out, c.Name)
		case log.ConfigAppend:
			out[c.Name] = appendItems(current, splitList(c.Value))
		case log.ConfigSubtract:
			gone := splitList(c.Value)
			out[c.Name] = strings.Join(slices.DeleteFunc(splitList(current), func(x string) bool { return slices.Contains(gone, x) }), ",")
		default:
			return nil, fmt.Errorf("%w: operation %d on %s", log.ErrInvalidRequest, c.Op, c.Name)
		}
	}
	out = canonical(out)
	return out, checkConfig(out)
}

func appendItems(list string, more []string) string {
	items := splitList(list)
	for _, item := range more {
		if !slices.Contains(items, item) {
			items = append(items, item)
		}
	}
	return strings.Join(items, ",")
}

// entries lists all settings of a topic.
func (o *Options) entries(config map[string]string) []log.ConfigEntry {
	out := make([]log.ConfigEntry, len(configDefs))
	for i, d := range configDefs {
		e := log.ConfigEntry{Name: d.name, Value: d.fallback, Default: d.fallback, Type: d.kind, Doc: d.doc}
		if d.name == "segment.bytes" {
			e.Value = strconv.FormatInt(o.SegmentBytes, 10)
			e.Default = e.Value
		}
		if v, given := config[d.name]; given {
			e.Value, e.Set = v, true
		}
		out[i] = e
	}
	return out
}
