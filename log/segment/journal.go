package segment

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"karst/log"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	journalMagic       = 0x4b53544a // KSTJ
	entryMagic         = 0x4b535445 // KSTE
	journalVersion     = 3          // before it, files were not used again
	journalHeaderBytes = 40
	entryHeaderBytes   = 20
	maxEntryBytes      = 1 << 30
	flagNoSync         = 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A journal is the file being appended to.
type journal struct {
	file   vfs.File
	source *source // the same, to read; nil if nobody does
	number int
	seq    uint64 // of the next entry
	seed   uint32 // what the CRCs of its entries go on from
	salt   uint64
	bytes  int64
	space  int64 // that the file takes, at least
	nosync bool
	piece  int // bytes of those that a long entry is written in, 0 if in one
	began  time.Time
}

// createJournal makes the file of j, whose first entry has number j.seq, and its
// directory entry durable. It writes over the file named spare if
// there is one: an append that changes no size and takes no space needs no more
// of the filesystem than the write itself, which halves what an fsync costs
// (docs/adr/0063). What that file held is told apart by its CRCs.
func createJournal(fs vfs.FS, dir, spare string, j journal) (journal, error) {
	return createJournalFile(fs, journalName(fs, dir, j.number), spare, j)
}

// close gives the file free, as far as nobody reads it. It reports whether it
// may be written over.
func (j *journal) close() bool {
	if j.file != nil {
		_ = j.file.Close()
	}
	return j.source == nil || j.source.release()
}

// createJournalFile makes the file of j, which has no number if nobody is to read it
// meanwhile, with that name. All that it opens is open before it writes the header:
// once that may be durable nothing must be short, for a start would take the journal
// to be the one in use.
func createJournalFile(fs vfs.FS, name, spare string, j journal) (_ journal, err error) {
	dir, err := openDir(fs, fs.PathDir(name))
	if err != nil {
		return journal{}, err
	}
	defer dir.Close()
	if spare != "" {
		j.file, err = fs.ReuseForWrite(spare, name, vfs.WriteCategoryUnspecified)
	} else {
		j.file, err = fs.Create(name, vfs.WriteCategoryUnspecified)
	}
	if err != nil {
		return journal{}, asShortage(fmt.Errorf("making journal: %w", err))
	}
	if j.number > 0 {
		j.source, err = openSource(fs, name, j.number)
	}
	if err != nil {
		_ = j.file.Close()
		_ = fs.Remove(name)
		return journal{}, err
	}
	if info, err := j.file.Stat(); err == nil {
		j.space = info.Size()
	}
	var head [journalHeaderBytes]byte
	binary.BigEndian.PutUint32(head[:], journalMagic)
	binary.BigEndian.PutUint32(head[4:], journalVersion)
	if j.nosync {
		binary.BigEndian.PutUint32(head[8:], flagNoSync)
	}
	binary.BigEndian.PutUint64(head[16:], j.seq)
	binary.BigEndian.PutUint64(head[24:], uint64(j.number))
	binary.BigEndian.PutUint64(head[32:], j.salt)
	j.seed = journalHeaderCRC(head[:])
	binary.BigEndian.PutUint32(head[12:], j.seed)
	_, err = j.file.WriteAt(append(head[:], endMark[:]...), 0)
	if err = asShortage(err); err == nil {
		err = j.file.Sync()
	}
	if err == nil {
		err = syncOpenDir(dir)
	}
	if err != nil {
		j.close()
		_ = fs.Remove(name) // it takes space, and is in nobody's way
		return journal{}, fmt.Errorf("making journal: %w", err)
	}
	return j, nil
}

// journalHeaderCRC covers all but the CRC's own field.
func journalHeaderCRC(head []byte) uint32 {
	return crc32.Update(crc32.Checksum(head[:12], castagnoli), castagnoli, head[16:journalHeaderBytes])
}

// beginEntry returns buf emptied, with room for an entry's header.
func beginEntry(buf []byte) []byte { return append(buf[:0], make([]byte, entryHeaderBytes)...) }

// endMark follows the last entry, the next one is written over it. So a journal
// that ends there is told from one whose last entry is damaged, whatever the
// file held before.
var endMark [entryHeaderBytes]byte

// end is where the next entry goes.
func (j *journal) end() int64 { return journalHeaderBytes + j.bytes }

// writeEntry appends the entry of e and makes it durable. What follows the entry in
// its buffer may change.
func (j *journal) writeEntry(e *entryEncoder) error {
	if len(e.buf) > maxEntryBytes {
		return fmt.Errorf("journal entry of %d bytes, which could not be read again", len(e.buf))
	}
	if err := j.writePieces(e); err != nil {
		return fmt.Errorf("writing journal: %w", err)
	}
	if !j.nosync && !seeded("no-journal-sync") {
		if err := j.file.SyncData(); err != nil && !seeded("failed-sync-acknowledged") {
			return fmt.Errorf("syncing journal: %w", err)
		}
	}
	j.seq++
	j.bytes += int64(len(e.buf))
	return nil
}

// pageBytes is what the operating system writes to a disk at least.
const pageBytes = 4 << 10

// writePieces writes the entry of e, a long one in pieces, so that the disk is at
// work on each while the next one is made: copied and summed. What comes first in
// the file is written last: it takes the place of the end mark and has the CRC of
// all, so that the journal ends there until then. It is no longer than a page, that
// none is written to the disk twice.
//
// The CRC of an entry goes on from seed, that of its journal's header.
func (j *journal) writePieces(e *entryEncoder) error {
	buf := append(e.buf, endMark[:]...)
	n, pos, head := len(e.buf), j.end(), len(buf)
	if j.piece > 0 && len(buf) >= 2*j.piece && !j.nosync {
		page := min(pageBytes, int64(j.piece))
		head = entryHeaderBytes + int(page-1-(pos+entryHeaderBytes+page-1)%page)
	}
	binary.BigEndian.PutUint32(buf, entryMagic)
	binary.BigEndian.PutUint32(buf[4:], uint32(n-entryHeaderBytes))
	binary.BigEndian.PutUint64(buf[12:], j.seq)
	e.fill(head)
	crc := crc32.Update(j.seed, castagnoli, buf[12:min(head, n)])
	for at := head; at < len(buf); at += j.piece {
		end := min(at+j.piece, len(buf))
		e.fill(end)
		if !seeded("crc-of-the-first-piece") {
			crc = crc32.Update(crc, castagnoli, buf[min(at, n):min(end, n)])
		}
		if _, err := j.file.WriteAt(buf[at:end], pos+int64(at)); err != nil {
			return err
		}
		if end < len(buf) {
			if err := beginWrite(j.file, pos+int64(at), int64(end-at)); err != nil {
				return err
			}
		}
	}
	binary.BigEndian.PutUint32(buf[8:], crc)
	_, err := j.file.WriteAt(buf[:head], pos)
	return err
}

// A journalFile is one read for recovery. Only one entry of it is in memory at
// a time.
type journalFile struct {
	file   vfs.File
	number int
	size   int64
	pos    int64  // of the entry after the last whole one
	seq    uint64 // of the entry at pos
	seed   uint32 // what the CRCs of its entries go on from
	nosync bool
	buf    []byte
}

// openJournal opens the journal with that number. It is nil if its header is not
// whole: it was never used then, since the header is durable before the first
// entry.
func openJournal(fs vfs.FS, dir string, number int) (*journalFile, error) {
	return openJournalFile(fs, journalName(fs, dir, number), number)
}

func openJournalFile(fs vfs.FS, name string, number int) (*journalFile, error) {
	f, err := fs.Open(name, vfs.SequentialReadsOption)
	if err != nil {
		return nil, asShortage(fmt.Errorf("opening journal: %w", err))
	}
	j, err := readJournalHeader(f, number)
	if err != nil {
		err = fmt.Errorf("journal %s: %w", fs.PathBase(name), err)
	}
	if j == nil {
		_ = f.Close()
	}
	return j, err
}

func readJournalHeader(f vfs.File, number int) (*journalFile, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	j := &journalFile{file: f, number: number, size: info.Size(), pos: journalHeaderBytes}
	var head [journalHeaderBytes]byte
	if j.size < journalHeaderBytes {
		return nil, nil
	}
	if _, err := io.ReadFull(io.NewSectionReader(f, 0, journalHeaderBytes), head[:]); err != nil {
		return nil, err
	}
	j.seed = journalHeaderCRC(head[:])
	if binary.BigEndian.Uint32(head[:]) != journalMagic || j.seed != binary.BigEndian.Uint32(head[12:]) ||
		binary.BigEndian.Uint64(head[24:]) != uint64(number) {
		return nil, nil
	}
	if v := binary.BigEndian.Uint32(head[4:]); v > journalVersion {
		return nil, fmt.Errorf("its format %d is newer than this program's %d; use a newer program", v, journalVersion)
	}
	j.seq = binary.BigEndian.Uint64(head[16:])
	j.nosync = binary.BigEndian.Uint32(head[8:])&flagNoSync != 0
	return j, nil
}

func readFile(fs vfs.FS, name string) ([]byte, error) {
	f, err := fs.Open(name, vfs.SequentialReadsOption)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	data := make([]byte, info.Size())
	_, err = io.ReadFull(f, data)
	return data, err
}

// entries calls apply with the payload, valid until it returns, of each whole
// entry with a number below end. It stops at the first that is not whole.
func (j *journalFile) entries(end uint64, apply func(payload []byte) error) error {
	for j.seq < end {
		payload, size, err := j.entryAt(j.pos, j.seq)
		if payload == nil || err != nil {
			return err
		}
		if err := apply(payload); err != nil {
			return fmt.Errorf("applying journal entry %d: %w", j.seq, err)
		}
		j.pos += size
		j.seq++
	}
	return nil
}

// entryAt reads the payload of the entry with number seq at pos, and the
// entry's size; nil if no such whole entry of this journal is there.
func (j *journalFile) entryAt(pos int64, seq uint64) (payload []byte, size int64, err error) {
	if j.size-pos < entryHeaderBytes {
		return nil, 0, nil
	}
	if err := j.read(entryHeaderBytes, pos); err != nil {
		return nil, 0, err
	}
	n := int64(binary.BigEndian.Uint32(j.buf[4:]))
	if binary.BigEndian.Uint32(j.buf) != entryMagic || binary.BigEndian.Uint64(j.buf[12:]) != seq ||
		n > maxEntryBytes-entryHeaderBytes || n > j.size-pos-entryHeaderBytes {
		return nil, 0, nil
	}
	size = entryHeaderBytes + n
	if err := j.read(size, pos); err != nil {
		return nil, 0, err
	}
	if crc32.Update(j.seed, castagnoli, j.buf[12:]) != binary.BigEndian.Uint32(j.buf[8:]) && !seeded("no-entry-crc") {
		return nil, 0, nil
	}
	return j.buf[entryHeaderBytes:size:size], size, nil
}

// read fills buf with n bytes from pos on.
func (j *journalFile) read(n, pos int64) error {
	j.buf = grow(j.buf[:0], int(n))
	if _, err := io.ReadFull(io.NewSectionReader(j.file, pos, n), j.buf); err != nil {
		return fmt.Errorf("reading journal: %w", err)
	}
	return nil
}

// ended reports whether the end mark follows the last whole entry. Without it the
// last write is not whole, or the file was cut off.
func (j *journalFile) ended() (bool, error) {
	if j.size-j.pos < entryHeaderBytes {
		return false, nil
	}
	if err := j.read(entryHeaderBytes, j.pos); err != nil {
		return false, err
	}
	return bytes.Equal(j.buf, endMark[:]), nil
}

// laterEntry looks for a whole entry beyond the one that is not, and returns its
// position or -1. Only the last entry can be torn by a crash, so finding one
// means corruption.
func (j *journalFile) laterEntry() (int64, error) {
	const window = 1 << 20
	chunk := make([]byte, window+entryHeaderBytes)
	magic := binary.BigEndian.AppendUint32(nil, entryMagic)
	for at := j.pos + 1; at+entryHeaderBytes <= j.size; at += window {
		chunk := chunk[:min(int64(len(chunk)), j.size-at)]
		if _, err := io.ReadFull(io.NewSectionReader(j.file, at, int64(len(chunk))), chunk); err != nil {
			return -1, fmt.Errorf("reading journal: %w", err)
		}
		for i := 0; ; i++ {
			n := bytes.Index(chunk[i:], magic)
			if i += n; n < 0 || i+entryHeaderBytes > len(chunk) {
				break
			}
			s := binary.BigEndian.Uint64(chunk[i+12:])
			if s <= j.seq {
				continue
			}
			if p, _, err := j.entryAt(at+int64(i), s); p != nil || err != nil {
				return at + int64(i), err
			}
		}
	}
	return -1, nil
}

func brokenJournal(name string, seq uint64, why string) error {
	return fmt.Errorf("%w: journal %s is broken at entry %d, but %s; records that were acknowledged would be lost, so restore the data directory from a copy",
		log.ErrCorrupt, name, seq, why)
}
