package journal

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// FS is what the journal writes through, so that a test can make the disk
// fail. Reading goes past it.
type FS interface {
	// OpenFile is os.OpenFile.
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	// SyncDir makes the names in a folder durable.
	SyncDir(dir string) error
}

// File is an open file of an FS.
type File interface {
	Write(p []byte) (int, error)
	WriteAt(p []byte, offset int64) (int, error)
	Truncate(size int64) error
	Sync() error
	Close() error
}

// OS is the file system of the machine.
type OS struct{}

// OpenFile is os.OpenFile.
func (OS) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// SyncDir makes the names in a folder durable.
func (OS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

const segmentSuffix = ".jsonl"

// segmentPath names the file of a segment: twelve digits, so that names sort
// as numbers do.
func segmentPath(dir string, segment uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%012d%s", segment, segmentSuffix))
}

// segments lists the segments of a journal, in order.
func segments(dir string) ([]uint64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var numbers []uint64
	for _, e := range entries {
		digits, ok := strings.CutSuffix(e.Name(), segmentSuffix)
		if !ok || len(digits) != 12 {
			continue
		}
		if n, err := strconv.ParseUint(digits, 10, 64); err == nil && n > 0 {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// position is a place between two lines: the end of the line with number
// seq and chain hash hash, at offset in segment. The zero value is the
// beginning of the journal.
type position struct {
	segment uint64
	offset  int64
	seq     uint64
	hash    [room]byte
}

// anchor is the file "head": how far the journal is known to be on disk, and
// whether it was closed there.
type anchor struct {
	position
	closed bool
}

const (
	headFile = "head"
	// headSize is fixed, so that the anchor is replaced by one write.
	headSize = 256
)

// headJSON is the form of the anchor: one line of JSON, filled up with
// spaces.
type headJSON struct {
	Segment uint64 `json:"segment"`
	Offset  int64  `json:"offset"`
	Seq     uint64 `json:"seq"`
	Chain   string `json:"chain"`
	Closed  bool   `json:"closed"`
}

// encode is the anchor as it stands in the file.
func (a anchor) encode() []byte {
	b := make([]byte, 0, headSize)
	b = fmt.Appendf(b, `{"segment":%d,"offset":%d,"seq":%d,"chain":"%x","closed":%t}`,
		a.segment, a.offset, a.seq, a.hash, a.closed)
	for len(b) < headSize-1 {
		b = append(b, ' ')
	}
	return append(b, '\n')
}

var errNoAnchor = errors.New("journal: the anchor cannot be read")

// readAnchor reads the anchor of a journal; fs.ErrNotExist when there is
// none, errNoAnchor when it is not what encode wrote.
func readAnchor(dir string) (anchor, error) {
	b, err := os.ReadFile(filepath.Join(dir, headFile))
	if err != nil {
		return anchor{}, err
	}
	return decodeAnchor(b)
}

func decodeAnchor(b []byte) (anchor, error) {
	var h headJSON
	if len(b) != headSize || json.Unmarshal(b, &h) != nil {
		return anchor{}, errNoAnchor
	}
	a := anchor{position: position{segment: h.Segment, offset: h.Offset, seq: h.Seq}, closed: h.Closed}
	chain, err := hex.DecodeString(h.Chain)
	if err != nil || len(chain) != len(a.hash) {
		return anchor{}, errNoAnchor
	}
	copy(a.hash[:], chain)
	begun := a.segment > 0 && a.offset > 0 && a.seq > 0
	if !begun && a.position != (position{}) || !bytes.Equal(a.encode(), b) {
		return anchor{}, errNoAnchor
	}
	return a, nil
}
