package segment

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"

	"karst/log"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// FuzzRecover opens a log whose journal and whose one segment have any bytes.
// It may refuse, and reads may fail, but nothing panics, hangs or takes memory
// without bound, and what opens can be closed and opened again. If sealed, the
// journal's bytes are operations and get a header with the right CRC.
func FuzzRecover(f *testing.F) {
	segment, payloads := fuzzSeeds(f)
	for _, p := range payloads {
		f.Add(p, segment, true)
	}
	f.Add([]byte("KSTE"), segment[:len(segment)-1], false)
	f.Add([]byte{}, []byte{}, true)
	f.Fuzz(func(t *testing.T, journal, segment []byte, sealed bool) {
		fs := vfs.NewMem()
		if err := fuzzDisk(fs, journal, segment, sealed); err != nil {
			t.Fatal(err)
		}
		opts := Options{FS: fs, Dir: "data", Rand: rand.New(rand.NewPCG(1, 2)).Uint64, Inline: true, ReserveBytes: -1, JournalBytes: 1 << 20}
		l, err := Open(opts)
		if err != nil {
			return
		}
		_, _ = dump(l)
		topics, _ := l.Topics(ctx)
		for _, info := range topics {
			p := log.Partition{Topic: info.Name}
			if b, err := l.Bounds(ctx, p); err == nil {
				_, _ = l.FetchRaw(ctx, log.RawFetch{Partition: p, Offset: b.Start, MaxBytes: 1000, AtLeastOne: true, Committed: true}, nil)
				_, _ = l.FindOffset(ctx, log.OffsetQuery{Partition: p, Time: log.TimeMax})
			}
		}
		l.Housekeep()
		if err := l.Close(); err != nil && !errors.Is(err, log.ErrFailed) {
			t.Fatal(err)
		}
		if l, err = Open(opts); err != nil {
			t.Fatalf("opening what was closed in order: %v", err)
		}
		_ = l.Close()
	})
}

// fuzzDisk writes a checkpoint with one compacted topic, its segment, and a
// journal.
func fuzzDisk(fs vfs.FS, entry, segment []byte, sealed bool) error {
	dir := fs.PathJoin("data", "topics", fuzzTopic.ID.String(), "0")
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	c := &checkpointFile{Version: formatVersion, Journal: 1, Seq: 5, Topics: []checkpointTopic{{Topic: fuzzTopic, Parts: []checkpointPartition{{
		Next: 4, Epochs: []epochStart{{}}, Segments: []checkpointSegment{{Bytes: int64(len(segment))}},
	}}}}}
	if err := writeFile(fs, fs.PathJoin(dir, segmentID{}.name()), segment); err != nil {
		return err
	}
	if err := writeCheckpoint(fs, "data", c); err != nil {
		return err
	}
	j, err := createJournal(fs, "data", "", journal{number: 1, seq: 5, salt: 7})
	if err != nil {
		return err
	}
	defer j.file.Close()
	if sealed {
		return j.write(append(beginEntry(nil), entry...))
	}
	_, err = j.file.WriteAt(entry, journalHeaderBytes)
	return err
}

var fuzzTopic = log.Topic{Name: "t", ID: log.TopicID{1}, Partitions: 1, Config: map[string]string{"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0"}}

func writeFile(fs vfs.FS, name string, data []byte) error {
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// fuzzSeeds returns a segment and operations of each kind.
func fuzzSeeds(f *testing.F) (segment []byte, payloads [][]byte) {
	for i := range 2 {
		b := encode("a", "b")
		log.SetBase(b, int64(2*i), 0)
		segment = append(segment, b...)
	}
	add := func(ops ...*op) {
		var e entryEncoder
		e.encode(ops)
		payloads = append(payloads, e.payload())
	}
	batch := encode("c")
	log.SetProducer(batch, log.Producer{ID: 7}, 0, true)
	log.SetBase(batch, 4, 0)
	add(&op{kind: opAppend, topic: fuzzTopic.ID, base: 4, length: len(batch), batch: batch})
	add(&op{kind: opAppend, topic: fuzzTopic.ID, base: 4, length: len(batch), batch: batch, roll: true})
	add(&op{kind: opPlaced, topic: fuzzTopic.ID, base: 4, length: len(batch), info: log.BatchInfo{LastOffset: 4}})
	offsets := map[log.Partition]log.GroupOffset{{Topic: "t"}: {Offset: 5, Metadata: "m"}}
	add(&op{kind: opGroupOffsets, group: "g", offsets: offsets})
	add(&op{kind: opTxnOffsets, group: "g", producer: 7, offsets: offsets})
	add(&op{kind: opCreateTopic, created: log.Topic{Name: "u", ID: log.TopicID{2}, Partitions: 3}})
	add(&op{kind: opDeleteTopic, topic: fuzzTopic.ID})
	add(&op{kind: opDeleteGroup, group: "g"})
	add(&op{kind: opTrim, topic: fuzzTopic.ID, base: 2})
	var all []*op
	for _, d := range []detail{
		&producerIDs{Next: 1000}, &txnInit{ID: "w", Producer: log.Producer{ID: 7}, TimeoutMS: 5},
		&txnJoin{ProducerID: 7, Partitions: []partitionID{{Topic: fuzzTopic.ID}}, Groups: []string{"g"}},
		&txnEnd{ID: "w", Was: log.Producer{ID: 7}, Next: log.Producer{ID: 7, Epoch: 1}, Commit: true, Groups: []string{"g"}},
		&groupState{Group: "g", State: []byte("s")}, &deleteOffsets{Group: "g", Partitions: []log.Partition{{Topic: "t"}}},
		&topicConfig{Topic: fuzzTopic.ID, Config: map[string]string{"retention.ms": "5"}}, &addPartitions{Topic: fuzzTopic.ID, Total: 4},
		&replace{Partition: partitionID{Topic: fuzzTopic.ID}, Old: []segmentID{{}}, New: []checkpointSegment{{segmentID: segmentID{Gen: 1}}}, Cleaned: 4},
		&txnForget{ID: "w"},
	} {
		o := detailOp(d)
		all = append(all, &o)
		add(&o)
	}
	add(all...)
	return segment, append(payloads, binary.AppendUvarint(nil, 1<<62))
}
