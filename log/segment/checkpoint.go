package segment

import (
	"encoding/json"
	"fmt"
	"io"
	"sort"

	"karst/log"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// formatVersion of the data directory; a newer one is refused.
const formatVersion = 1

// A checkpoint is the log's state as of the start of a journal, as JSON.
type checkpoint struct {
	Version int
	Journal int    // number of the journal that goes on from here
	Seq     uint64 // of its first entry
	Clean   bool   // written by Close
	Epoch   int32  // leader epoch; raised at every unclean start
	Topics  []checkpointTopic
	Groups  map[string][]checkpointOffset
}

type checkpointTopic struct {
	log.Topic
	Parts []checkpointPartition
}

type checkpointPartition struct {
	Start    int64
	Next     int64
	Segments []checkpointSegment
}

type checkpointSegment struct {
	Base, Bytes int64
}

type checkpointOffset struct {
	Topic     string
	Partition int32
	Next      int64
}

const checkpointName = "checkpoint"

// readCheckpoint returns the checkpoint in dir, or an empty one if the
// directory is new.
func readCheckpoint(fs vfs.FS, dir string) (*checkpoint, error) {
	name := fs.PathJoin(dir, checkpointName)
	if _, err := fs.Stat(name); err != nil {
		return &checkpoint{Version: formatVersion, Journal: 0, Seq: 1}, nil
	}
	f, err := fs.Open(name)
	if err != nil {
		return nil, fmt.Errorf("opening checkpoint: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	if err != nil {
		return nil, fmt.Errorf("reading checkpoint: %w", err)
	}
	var c checkpoint
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, fmt.Errorf("%w: checkpoint: %w", log.ErrCorrupt, err)
	}
	if c.Version > formatVersion {
		return nil, fmt.Errorf("the data directory has format %d, newer than this program's %d; use a newer program", c.Version, formatVersion)
	}
	return &c, nil
}

// writeCheckpoint replaces the checkpoint atomically.
func writeCheckpoint(fs vfs.FS, dir string, c *checkpoint) error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	tmp := fs.PathJoin(dir, checkpointName+".tmp")
	f, err := fs.Create(tmp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("making checkpoint: %w", err)
	}
	if _, err = f.Write(text); err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("writing checkpoint: %w", err)
	}
	if err := fs.Rename(tmp, fs.PathJoin(dir, checkpointName)); err != nil {
		return fmt.Errorf("placing checkpoint: %w", err)
	}
	return syncDir(fs, dir)
}

// snapshot describes the state for a checkpoint.
func (l *Log) snapshot() *checkpoint {
	c := &checkpoint{Version: formatVersion, Epoch: l.epoch, Groups: map[string][]checkpointOffset{}}
	for _, t := range l.topics {
		ct := checkpointTopic{Topic: t.Topic}
		for _, p := range t.partitions {
			cp := checkpointPartition{Start: p.start, Next: p.next}
			for _, s := range p.segments {
				cp.Segments = append(cp.Segments, checkpointSegment{Base: s.base, Bytes: s.size})
			}
			ct.Parts = append(ct.Parts, cp)
		}
		c.Topics = append(c.Topics, ct)
	}
	sort.Slice(c.Topics, func(i, j int) bool { return c.Topics[i].Name < c.Topics[j].Name })
	for g, offsets := range l.groups {
		list := []checkpointOffset{}
		for p, next := range offsets {
			list = append(list, checkpointOffset{Topic: p.Topic, Partition: p.Index, Next: next})
		}
		sort.Slice(list, func(i, j int) bool {
			if list[i].Topic != list[j].Topic {
				return list[i].Topic < list[j].Topic
			}
			return list[i].Partition < list[j].Partition
		})
		c.Groups[g] = list
	}
	return c
}
