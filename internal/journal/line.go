package journal

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strconv"
)

// MaxLine bounds a line. A record that would be longer is refused.
const MaxLine = 1 << 20

// ErrTooLong: the record does not fit in a line.
var ErrTooLong = errors.New("journal: the record is longer than a line may be")

const (
	seqMember   = `,"seq":`
	chainMember = `,"chain":"`
	lineEnd     = "\"}\n"
	// tailSize is the length of a line's end: the chain and what is around.
	tailSize = len(chainMember) + 2*sha256.Size + len(lineEnd)
)

// room is what is kept free in front of a body, for the hash of the line
// before.
const room = sha256.Size

// seal ends a line. b is room for a hash, then the body: the hash of the
// line before is put into the room, the number behind the body, and the
// hash of both behind that. The line is what stands behind the room.
func seal(b []byte, previous [room]byte, seq uint64) ([]byte, [room]byte) {
	copy(b, previous[:])
	b = append(b, seqMember...)
	b = strconv.AppendUint(b, seq, 10)
	sum := sha256.Sum256(b)
	b = append(b, chainMember...)
	b = hex.AppendEncode(b, sum[:])
	return append(b, lineEnd...), sum
}

// line is one line taken apart.
type line struct {
	// body is the object without number, chain and closing brace; hashed is
	// body with the number.
	body, hashed []byte
	seq          uint64
	hash         [room]byte
}

// parseLine takes a line apart, newline included; false for anything that
// seal did not make.
func parseLine(b []byte) (l line, ok bool) {
	n := len(b) - tailSize
	if n < 0 || string(b[n:n+len(chainMember)]) != chainMember || string(b[len(b)-len(lineEnd):]) != lineEnd {
		return line{}, false
	}
	sum := b[n+len(chainMember) : len(b)-len(lineEnd)]
	if bytes.ContainsAny(sum, "ABCDEF") { // one form only
		return line{}, false
	}
	if _, err := hex.Decode(l.hash[:], sum); err != nil {
		return line{}, false
	}
	l.hashed = b[:n]
	i := bytes.LastIndex(l.hashed, []byte(seqMember))
	if i < 0 {
		return line{}, false
	}
	digits := string(l.hashed[i+len(seqMember):])
	seq, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || digits[0] == '0' || digits[0] == '+' {
		return line{}, false
	}
	l.body, l.seq = l.hashed[:i], seq
	return l, true
}

// follows reports whether the line's chain is that of a line after previous.
func (l *line) follows(previous [room]byte) bool {
	h := sha256.New()
	h.Write(previous[:])
	h.Write(l.hashed)
	var sum [room]byte
	h.Sum(sum[:0])
	return sum == l.hash
}

// header is the first line of a segment.
type header struct {
	Journal  string `json:"journal"`
	Segment  uint64 `json:"segment"`
	Previous string `json:"previous"`
}

// form names the form of the lines, with its version.
const form = "postern/1"

// headerStart is how the first line of a segment begins, and no other.
const headerStart = `{"journal":"`

// appendHeader appends the body of a segment's first line.
func appendHeader(b []byte, segment uint64, previous [room]byte) []byte {
	b = append(b, headerStart+form+`","segment":`...)
	b = strconv.AppendUint(b, segment, 10)
	b = append(b, `,"previous":"`...)
	b = hex.AppendEncode(b, previous[:])
	return append(b, '"')
}

func isHeader(body []byte) bool { return bytes.HasPrefix(body, []byte(headerStart)) }

// parseHeader reads the body of a segment's first line.
func parseHeader(body []byte) (header, bool) {
	var h header
	if !isHeader(body) || json.Unmarshal(append(bytes.Clone(body), '}'), &h) != nil || h.Journal != form {
		return header{}, false
	}
	return h, true
}

// errStop ends a walk early without an error.
var errStop = errors.New("stop")

// lines calls fn with each whole line of a file from offset on, newline
// included, and the offset of its end. It returns how many bytes at the end
// of the file are no whole line. A line that is longer than MaxLine is given
// to fn cut short, which makes it a bad one.
func lines(path string, offset int64, fn func(b []byte, end int64) error) (rest int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return 0, err
	}
	r := bufio.NewReaderSize(f, MaxLine)
	for {
		b, err := r.ReadSlice('\n')
		n := int64(len(b))
		if errors.Is(err, bufio.ErrBufferFull) {
			var more int64
			more, err = discardLine(r)
			n += more
		}
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return 0, err
		}
		offset += n
		if err := fn(b, offset); err != nil {
			if errors.Is(err, errStop) {
				err = nil
			}
			return 0, err
		}
	}
}

// discardLine reads to the end of a line and returns how long that was.
func discardLine(r *bufio.Reader) (n int64, err error) {
	for {
		b, err := r.ReadSlice('\n')
		n += int64(len(b))
		if !errors.Is(err, bufio.ErrBufferFull) {
			return n, err
		}
	}
}
