package segment

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"

	"karst/log"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	journalMagic      = 0x4b53544a // KSTJ
	entryHeaderBytes  = 20
	maxEntryBytes     = 1 << 30
	resyncWindowBytes = 64 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A journal is the file being appended to.
type journal struct {
	file   vfs.File
	number int
	seq    uint64 // of the next entry
	bytes  int64
	nosync bool
}

// beginEntry returns buf emptied, with room for an entry's header.
func beginEntry(buf []byte) []byte { return append(buf[:0], make([]byte, entryHeaderBytes)...) }

// write appends the entry whose payload follows the header's room in buf, and
// makes it durable.
func (j *journal) write(buf []byte) error {
	binary.BigEndian.PutUint32(buf, journalMagic)
	binary.BigEndian.PutUint32(buf[4:], uint32(len(buf)-entryHeaderBytes))
	binary.BigEndian.PutUint64(buf[12:], j.seq)
	binary.BigEndian.PutUint32(buf[8:], crc32.Checksum(buf[12:], castagnoli))
	if _, err := j.file.Write(buf); err != nil {
		return fmt.Errorf("writing journal: %w", err)
	}
	if !j.nosync {
		if err := j.file.SyncData(); err != nil {
			return fmt.Errorf("syncing journal: %w", err)
		}
	}
	j.seq++
	j.bytes += int64(len(buf))
	return nil
}

// replay reads the entries of a journal, from sequence number seq on, and
// calls apply with each payload; it returns the sequence number after the
// last one and whether a torn tail was dropped.
func replay(fs vfs.FS, name string, seq uint64, apply func(payload []byte) error) (next uint64, torn bool, err error) {
	f, err := fs.Open(name, vfs.SequentialReadsOption)
	if err != nil {
		return 0, false, fmt.Errorf("opening journal: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		return 0, false, fmt.Errorf("reading journal: %w", err)
	}
	for len(data) > 0 {
		payload, size := readEntry(data, seq)
		if payload == nil {
			if later := findEntry(data, seq); later >= 0 {
				return 0, false, fmt.Errorf("%w: journal %s is broken at entry %d but goes on %d bytes later; restore it from a copy", log.ErrCorrupt, fs.PathBase(name), seq, later)
			}
			return seq, true, nil
		}
		if err := apply(payload); err != nil {
			return 0, false, err
		}
		data = data[size:]
		seq++
	}
	return seq, false, nil
}

// readEntry returns the payload of the entry with number seq that data starts
// with, and the entry's size; nil if there is no such whole entry.
func readEntry(data []byte, seq uint64) (payload []byte, size int) {
	if len(data) < entryHeaderBytes || binary.BigEndian.Uint32(data) != journalMagic || binary.BigEndian.Uint64(data[12:]) != seq {
		return nil, 0
	}
	n := binary.BigEndian.Uint32(data[4:])
	if n > maxEntryBytes || int(n) > len(data)-entryHeaderBytes {
		return nil, 0
	}
	size = entryHeaderBytes + int(n)
	if crc32.Checksum(data[12:size], castagnoli) != binary.BigEndian.Uint32(data[8:]) {
		return nil, 0
	}
	return data[entryHeaderBytes:size:size], size
}

// findEntry looks for a whole entry with a number above seq further on in
// data and returns its position or -1. Only the last entry can be torn by a
// crash, so finding one means corruption.
func findEntry(data []byte, seq uint64) int {
	for i := 1; i < min(len(data)-entryHeaderBytes, resyncWindowBytes); i++ {
		if data[i] != journalMagic>>24 || binary.BigEndian.Uint32(data[i:]) != journalMagic {
			continue
		}
		s := binary.BigEndian.Uint64(data[i+12:])
		if s > seq && s-seq < 1<<20 {
			if p, _ := readEntry(data[i:], s); p != nil {
				return i
			}
		}
	}
	return -1
}
