package difftest

import (
	"fmt"
	"hash/crc32"
	"reflect"
	"slices"
	"strings"

	"karst/log"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// hidden are fields that are each broker's own affair.
var hidden = map[string]bool{
	"Version": true, "ThrottleMillis": true, "ErrorMessage": true, "UnknownTags": true, "Host": true, "Port": true, "Rack": true,
	"ClusterID": true, "LogDir": true, "Dir": true, "Brokers": true, "NodeEndpoints": true, "Documentation": true,
	"TotalBytes": true, "UsableBytes": true, "Size": true, "ClientHost": true,
}

// symbols are fields whose values are numbered as they appear, so that only
// sameness is compared; by kind.
var symbols = map[string]string{
	"TopicID": "topic", "MemberID": "member", "LeaderID": "member", "Leader": "member", "ProducerID": "producer",
}

// nodes are fields that name a broker.
var nodes = map[string]bool{"NodeID": true, "ControllerID": true, "Replicas": true, "ISR": true, "OfflineReplicas": true, "BrokerID": true, "CoordinatorID": true, "LastKnownELR": true, "EligibleLeaderReplicas": true}

// times are fields that say when something happened.
var times = map[string]bool{"LogAppendTime": true, "StartTimestamp": true, "LastTimestamp": true, "SessionLifetimeMillis": true, "TimestampMillis": true}

// keys name an element of a list.
var keys = []string{"Topic", "Group", "MemberID", "TransactionalID", "Partition", "ResourceName", "Name", "User", "Key", "ProducerID", "TopicID"}

// A dumper flattens answers into paths and values.
type dumper struct {
	seen   map[string]map[string]string // symbols given, by kind and value
	prefix string                       // of names that belong to the script
	out    map[string]string
	exact  bool  // epochs of producers are numbered as they appear, and batches are compared to the byte
	owner  int64 // the producer id beside what is being flattened
}

// epoch numbers the epochs of a producer.
func (d *dumper) epoch(producer, epoch int64) string {
	return d.symbol(fmt.Sprintf("epoch of %s", d.symbol("producer", fmt.Sprint(producer))), fmt.Sprint(epoch))
}

func (d *dumper) symbol(kind, value string) string {
	if d.seen[kind] == nil {
		d.seen[kind] = map[string]string{}
	}
	if s := d.seen[kind][value]; s != "" {
		return s
	}
	s := fmt.Sprintf("<%s %d>", kind, len(d.seen[kind])+1)
	d.seen[kind][value] = s
	return s
}

// response flattens an answer under a path.
func (d *dumper) response(path string, r kmsg.Response) {
	if v, ok := r.(*kmsg.ApiVersionsResponse); ok {
		// What is advertised is compared by a test of its own.
		d.out[path+".ErrorCode"] = fmt.Sprint(v.ErrorCode)
		return
	}
	d.value(path, "", reflect.ValueOf(r).Elem())
}

func (d *dumper) value(path, field string, v reflect.Value) {
	switch {
	case hidden[field]:
		return
	case field == "RecordBatches":
		d.batches(path, v.Bytes())
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			d.out[path] = "null"
			return
		}
		d.value(path, field, v.Elem())
	case reflect.Struct:
		if id := v.FieldByName("ProducerID"); id.IsValid() && id.CanInt() {
			d.owner = id.Int()
		}
		for i := range v.NumField() {
			name := v.Type().Field(i).Name
			d.value(path+"."+name, name, v.Field(i))
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			d.out[path] = fmt.Sprintf("%q", v.Bytes())
			return
		}
		d.list(path, field, v)
	default:
		d.out[path] = d.scalar(field, v)
	}
}

func (d *dumper) scalar(field string, v reflect.Value) string {
	text := fmt.Sprint(v.Interface())
	switch {
	case field == "TopicID":
		if v.IsZero() {
			return "0"
		}
		return d.symbol("topic", text)
	case v.CanInt() && v.Int() < 0:
	case field == "ProducerEpoch" && d.exact && v.Kind() == reflect.Int16:
		return d.epoch(d.owner, v.Int())
	case field == "ProducerEpoch" && d.exact: // in a partition it may be that of a marker; see init producer/aborts
		return "<epoch>"
	case field == "Leader" && v.CanInt() || nodes[field]:
		return "<node>"
	case symbols[field] != "" && text != "":
		return d.symbol(symbols[field], text)
	case d.exact && field == "Timestamp" && v.CanInt() && v.Int() > 1_750_000_000_000:
		return "<now>"
	case times[field] && v.CanInt() && v.Int() > 1_000_000_000_000:
		return "<now>"
	}
	return strings.ReplaceAll(text, d.prefix, "")
}

func (d *dumper) list(path, field string, v reflect.Value) {
	d.out[path+".length"] = fmt.Sprint(v.Len()) // null or empty is the same to clients
	if e := v.Type().Elem().Kind(); e != reflect.Struct && e != reflect.Pointer {
		var items []string
		for i := range v.Len() {
			items = append(items, d.scalar(field, v.Index(i)))
		}
		slices.Sort(items)
		d.out[path] = strings.Join(items, " ")
		return
	}
	names := map[string]int{}
	for i := range v.Len() {
		e := v.Index(i)
		name := d.key(e, i)
		if names[name]++; names[name] > 1 {
			name = fmt.Sprintf("%s #%d", name, names[name])
		}
		d.value(fmt.Sprintf("%s[%s]", path, name), "", e)
	}
}

// key names an element of a list by what tells it from the others.
func (d *dumper) key(e reflect.Value, i int) string {
	for e.Kind() == reflect.Pointer {
		e = e.Elem()
	}
	named := false
	for _, name := range keys {
		f := e.FieldByName(name)
		for f.IsValid() && f.Kind() == reflect.Pointer {
			f = f.Elem()
		}
		named = named || f.IsValid()
		if f.IsValid() && (!f.IsZero() || name == "Partition") {
			return d.scalar(name, f)
		}
	}
	if named {
		return "(empty)"
	}
	return fmt.Sprint(i)
}

// batches flattens encoded batches and their records.
func (d *dumper) batches(path string, b []byte) {
	d.out[path+".any"] = fmt.Sprint(len(b) > 0)
	for i := 0; len(b) > 0; i++ {
		at := fmt.Sprintf("%s[%d]", path, i)
		info, err := log.ReadHeader(b)
		if len(b) >= log.HeaderBytes && err != nil {
			d.out[at] = err.Error()
		}
		if err != nil || info.Bytes > len(b) {
			return // cut off
		}
		if _, err := log.CheckBatch(b[:info.Bytes]); err != nil {
			d.out[at] = err.Error()
			return
		}
		producer := "-1"
		if info.Producer.ID >= 0 {
			producer = d.symbol("producer", fmt.Sprint(info.Producer.ID))
		}
		d.out[at] = fmt.Sprintf("base %d last %d epoch %d attributes %d count %d producer %s", info.BaseOffset, info.LastOffset, info.LeaderEpoch, info.Attributes, info.Count, producer)
		if d.exact {
			d.out[at] += d.bytes(b[:info.Bytes], info)
		}
		if !info.Control() {
			r := log.Records{Buf: slices.Clone(b[:info.Bytes])}
			if _, _, err := r.Decode(log.Span{End: info.Bytes, MaxRecords: 1 << 20}); err != nil {
				d.out[at] += " " + err.Error()
			}
			for j := range min(r.Len(), 10) {
				d.out[at] += fmt.Sprintf("; %.20q=%.20q", r.Key(j), r.Value(j))
				if d.exact && !info.AppendTime() {
					d.out[at] += fmt.Sprintf("@%d+%d", r.Offsets[j], r.Timestamps[j])
				}
			}
		}
		b = b[info.Bytes:]
	}
}

// bytes tells batches apart that differ in what the producer, the offset and
// the broker's clock do not say.
func (d *dumper) bytes(b []byte, info log.BatchInfo) string {
	b = slices.Clone(b)
	log.SetBase(b, 0, 0)
	text := ""
	if info.Producer.ID >= 0 && !info.Control() { // see init producer/aborts among the explained differences
		text = " " + d.epoch(info.Producer.ID, int64(info.Producer.Epoch)) + fmt.Sprintf(" sequence %d", info.BaseSequence)
	}
	for _, f := range []struct{ from, to int }{{17, 21}, {43, 53}} { // CRC; producer and epoch
		clear(b[f.from:f.to])
	}
	times := fmt.Sprintf(" times %d %d", info.BaseTime, info.MaxTime)
	if info.AppendTime() || info.Control() { // the broker's own
		clear(b[27:43])
		times = ""
	}
	if info.Codec() != log.None { // another encoder may have made the same
		clear(b[8:12])
		b = b[:log.HeaderBytes]
	}
	return text + times + fmt.Sprintf(" bytes %x", crc32.ChecksumIEEE(b))
}
