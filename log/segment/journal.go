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
	journalMagic       = 0x4b53544a // KSTJ
	entryMagic         = 0x4b535445 // KSTE
	journalVersion     = 2          // 1 had fewer kinds of operations
	journalHeaderBytes = 24
	entryHeaderBytes   = 20
	maxEntryBytes      = 1 << 30
	flagNoSync         = 1
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

// createJournal makes a journal file and its directory entry durable.
func createJournal(fs vfs.FS, dir string, number int, seq uint64, nosync bool) (journal, error) {
	j := journal{number: number, seq: seq, nosync: nosync}
	f, err := fs.Create(journalName(fs, dir, number), vfs.WriteCategoryUnspecified)
	if err != nil {
		return j, fmt.Errorf("making journal: %w", err)
	}
	var head [journalHeaderBytes]byte
	binary.BigEndian.PutUint32(head[:], journalMagic)
	binary.BigEndian.PutUint32(head[4:], journalVersion)
	if nosync {
		binary.BigEndian.PutUint32(head[8:], flagNoSync)
	}
	binary.BigEndian.PutUint64(head[16:], seq)
	binary.BigEndian.PutUint32(head[12:], journalHeaderCRC(head[:]))
	if _, err = f.Write(head[:]); err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = syncDir(fs, dir)
	}
	if err != nil {
		_ = f.Close()
		return j, fmt.Errorf("making journal: %w", err)
	}
	j.file = f
	return j, nil
}

// journalHeaderCRC covers all but the CRC's own field.
func journalHeaderCRC(head []byte) uint32 {
	return crc32.Update(crc32.Checksum(head[:12], castagnoli), castagnoli, head[16:journalHeaderBytes])
}

// beginEntry returns buf emptied, with room for an entry's header.
func beginEntry(buf []byte) []byte { return append(buf[:0], make([]byte, entryHeaderBytes)...) }

// sealEntry fills the header of the entry whose payload follows the room for
// it.
func sealEntry(buf []byte, seq uint64) {
	binary.BigEndian.PutUint32(buf, entryMagic)
	binary.BigEndian.PutUint32(buf[4:], uint32(len(buf)-entryHeaderBytes))
	binary.BigEndian.PutUint64(buf[12:], seq)
	binary.BigEndian.PutUint32(buf[8:], crc32.Checksum(buf[12:], castagnoli))
}

// write appends the entry begun in buf and makes it durable.
func (j *journal) write(buf []byte) error {
	if len(buf) > maxEntryBytes {
		return fmt.Errorf("journal entry of %d bytes, which could not be read again", len(buf))
	}
	sealEntry(buf, j.seq)
	if _, err := j.file.Write(buf); err != nil {
		return fmt.Errorf("writing journal: %w", err)
	}
	if !j.nosync && !seeded("no-journal-sync") {
		if err := j.file.SyncData(); err != nil && !seeded("failed-sync-acknowledged") {
			return fmt.Errorf("syncing journal: %w", err)
		}
	}
	j.seq++
	j.bytes += int64(len(buf))
	return nil
}

// A journalFile is one read for recovery.
type journalFile struct {
	seq    uint64 // of its first entry
	nosync bool
	data   []byte // its entries
}

// readJournal reads a journal. ok is false if its header is not whole: it was
// never used then, since the header is durable before the first entry.
func readJournal(fs vfs.FS, name string) (j journalFile, ok bool, err error) {
	data, err := readFile(fs, name)
	if err != nil {
		return j, false, fmt.Errorf("reading journal: %w", err)
	}
	if len(data) < journalHeaderBytes || binary.BigEndian.Uint32(data) != journalMagic ||
		journalHeaderCRC(data) != binary.BigEndian.Uint32(data[12:]) {
		return j, false, nil
	}
	if v := binary.BigEndian.Uint32(data[4:]); v > journalVersion {
		return j, false, fmt.Errorf("journal %s has format %d, newer than this program's %d; use a newer program", fs.PathBase(name), v, journalVersion)
	}
	j.seq = binary.BigEndian.Uint64(data[16:])
	j.nosync = binary.BigEndian.Uint32(data[8:])&flagNoSync != 0
	j.data = data[journalHeaderBytes:]
	return j, true, nil
}

func readFile(fs vfs.FS, name string) ([]byte, error) {
	f, err := fs.Open(name, vfs.SequentialReadsOption)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// entries calls apply with the payload of each whole entry before end and
// returns the sequence number after the last one, and the bytes from there on.
func (j *journalFile) entries(end uint64, apply func(payload []byte) error) (next uint64, rest []byte, err error) {
	data, seq := j.data, j.seq
	for len(data) > 0 && seq < end {
		payload, size := readEntry(data, seq)
		if payload == nil {
			break
		}
		if err := apply(payload); err != nil {
			return seq, data, fmt.Errorf("applying journal entry %d: %w", seq, err)
		}
		data = data[size:]
		seq++
	}
	return seq, data, nil
}

// readEntry returns the payload of the entry with number seq that data starts
// with, and the entry's size; nil if there is no such whole entry.
func readEntry(data []byte, seq uint64) (payload []byte, size int) {
	if len(data) < entryHeaderBytes || binary.BigEndian.Uint32(data) != entryMagic || binary.BigEndian.Uint64(data[12:]) != seq {
		return nil, 0
	}
	n := binary.BigEndian.Uint32(data[4:])
	if n > maxEntryBytes-entryHeaderBytes || int(n) > len(data)-entryHeaderBytes {
		return nil, 0
	}
	size = entryHeaderBytes + int(n)
	if crc32.Checksum(data[12:size], castagnoli) != binary.BigEndian.Uint32(data[8:]) && !seeded("no-entry-crc") {
		return nil, 0
	}
	return data[entryHeaderBytes:size:size], size
}

// findEntry looks for a whole entry with a number above seq in data and
// returns its position or -1. Only the last entry can be torn by a crash, so
// finding one beyond a broken one means corruption.
func findEntry(data []byte, seq uint64) int {
	for i := 1; i < len(data)-entryHeaderBytes; i++ {
		if data[i] != entryMagic>>24 || binary.BigEndian.Uint32(data[i:]) != entryMagic {
			continue
		}
		if s := binary.BigEndian.Uint64(data[i+12:]); s > seq {
			if p, _ := readEntry(data[i:], s); p != nil {
				return i
			}
		}
	}
	return -1
}

func brokenJournal(name string, seq uint64, why string) error {
	return fmt.Errorf("%w: journal %s is broken at entry %d, but %s; records that were acknowledged would be lost, so restore the data directory from a copy",
		log.ErrCorrupt, name, seq, why)
}
