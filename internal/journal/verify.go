package journal

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Kind is what is wrong with a journal.
type Kind string

// The kinds of damage.
const (
	// Altered: a line is not what was written, or not a line at all.
	Altered Kind = "altered"
	// Removed: one or more lines are missing in the middle.
	Removed Kind = "removed"
	// Reordered: a line stands behind one that was written later.
	Reordered Kind = "reordered"
	// Missing: a segment is missing in front of others.
	Missing Kind = "missing segment"
	// Cut: the end is missing, up to which the journal is known to have been
	// written.
	Cut Kind = "cut"
	// Grown: there are lines behind the place at which it was closed.
	Grown Kind = "grown"
	// NoAnchor: the file that says how long the journal is cannot be read,
	// so that nobody can tell whether the end is missing.
	NoAnchor Kind = "no anchor"
)

// Problem is the first damage found in a journal.
type Problem struct {
	Kind Kind `json:"kind"`
	// Segment is where it is, Line the line in it, from 1; 0 for all of it.
	Segment uint64 `json:"segment"`
	Line    int    `json:"line,omitempty"`
	// Detail says it in words.
	Detail string `json:"detail"`
}

// Error is the problem in one line.
func (p *Problem) Error() string {
	if p.Line > 0 {
		return fmt.Sprintf("journal: %s: segment %d, line %d: %s", p.Kind, p.Segment, p.Line, p.Detail)
	}
	return fmt.Sprintf("journal: %s: segment %d: %s", p.Kind, p.Segment, p.Detail)
}

// Report is what Verify found.
type Report struct {
	Segments int `json:"segments"`
	// Records counts the records whose chain holds.
	Records uint64 `json:"records"`
	// Head is the chain hash of the last line that holds, in hex. Kept
	// elsewhere, it shows later that nothing before it was rewritten.
	Head string `json:"head"`
	// Closed is true when the journal was closed cleanly.
	Closed bool `json:"closed"`
	// Torn is how many bytes at the end are no whole line: a write that a
	// crash cut off, or one going on now. Open repairs it.
	Torn int64 `json:"torn,omitempty"`
	// Problem is the first damage; nil for none.
	Problem *Problem `json:"problem,omitempty"`
}

// OK reports whether the journal is whole. A torn line at its end, which
// nothing was promised of, is no damage.
func (r Report) OK() bool { return r.Problem == nil }

// String is the report for a person.
func (r Report) String() string {
	state := "whole"
	if r.Problem != nil {
		state = r.Problem.Error()
	}
	s := fmt.Sprintf("%s\n%d records in %d segments hold, head %s\n", state, r.Records, r.Segments, r.Head)
	if r.Torn > 0 {
		s += fmt.Sprintf("the last line is torn (%d bytes): a crash cut it off, and the next start repairs it\n", r.Torn)
	}
	if !r.Closed {
		s += "not closed cleanly, or open now\n"
	}
	return s
}

// Verify walks the hash chain over all segments and holds its end against
// the anchor. The error is one of reading; damage is in the report.
func Verify(dir string) (Report, error) {
	var r Report
	head, err := readAnchor(dir) // before the lines: a journal in use only grows
	if err != nil && !errors.Is(err, errNoAnchor) && !errors.Is(err, fs.ErrNotExist) {
		return r, fmt.Errorf("journal: %w", err)
	}
	anchored := err == nil
	numbers, err := segments(dir)
	if err != nil {
		return r, fmt.Errorf("journal: %w", err)
	}
	r.Segments, r.Closed = len(numbers), anchored && head.closed
	w := walker{dir: dir, anchor: head, record: func([]byte) error { r.Records++; return nil }}
	err = w.walk(numbers)
	r.Head, r.Torn = hex.EncodeToString(w.at.hash[:]), w.torn
	if err == nil && !anchored && len(numbers) > 0 {
		err = &Problem{Kind: NoAnchor, Detail: "the file " + headFile + " is missing or damaged; a missing end could not be told"}
	}
	if err != nil && !errors.As(err, &r.Problem) {
		return r, fmt.Errorf("journal: %w", err)
	}
	return r, nil
}

// walker goes over a journal line by line and holds each against the one
// before, and the whole against the anchor. Its errors are *Problem or
// those of reading.
type walker struct {
	dir    string
	anchor anchor
	// at is the last place that holds; a walk begins there.
	at position
	// torn is what stands behind it and is no line.
	torn int64
	// record is called with the body of each record; nil for nothing.
	record func(body []byte) error

	number int // of the line in its segment
}

// walk goes over the segments from w.at on. numbers are all that there are.
func (w *walker) walk(numbers []uint64) error {
	for _, n := range numbers {
		if n < w.at.segment {
			continue
		}
		if w.torn > 0 {
			w.torn, w.number = 0, w.number+1
			return w.problem(Altered, "the segment does not end in a whole line")
		}
		if n > w.at.segment+1 {
			return &Problem{Kind: Missing, Segment: w.at.segment + 1, Detail: "the file is gone, but there are later ones"}
		}
		if n != w.at.segment {
			w.at.segment, w.at.offset, w.number = n, 0, 0
		}
		if err := w.segment(); err != nil {
			return err
		}
	}
	return w.end()
}

// segment goes over one segment from w.at on.
func (w *walker) segment() error {
	path := segmentPath(w.dir, w.at.segment)
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.Size() < w.at.offset {
		return w.problem(Cut, "it is shorter than it was known to be")
	}
	crash := false
	rest, err := lines(path, w.at.offset, func(b []byte, end int64) error {
		err := w.line(b, end)
		if err != nil && bytes.IndexByte(b, 0) >= 0 {
			// What a power cut leaves of blocks that did not reach the disk.
			crash = true
			return errStop
		}
		return err
	})
	w.torn = rest
	if crash {
		w.torn = info.Size() - w.at.offset
	}
	return err
}

// line holds one line against the one before.
func (w *walker) line(b []byte, end int64) error {
	w.number++
	l, ok := parseLine(b)
	switch {
	case !ok:
		return w.problem(Altered, "not a line of a journal")
	case l.seq > w.at.seq+1:
		return w.problem(Removed, fmt.Sprintf("lines %d to %d are gone", w.at.seq+1, l.seq-1))
	case l.seq <= w.at.seq:
		return w.problem(Reordered, fmt.Sprintf("line %d stands behind line %d", l.seq, w.at.seq))
	case !l.follows(w.at.hash):
		return w.problem(Altered, fmt.Sprintf("line %d or the one before is not what was written", l.seq))
	case l.seq == w.anchor.seq && l.hash != w.anchor.hash:
		return w.problem(Altered, fmt.Sprintf("line %d is not the one that was anchored", l.seq))
	case isHeader(l.body) != (w.at.offset == 0):
		return w.problem(Altered, "a segment begins with its header, and has no other")
	}
	if w.at.offset == 0 {
		h, ok := parseHeader(l.body)
		if !ok || h.Segment != w.at.segment || h.Previous != hex.EncodeToString(w.at.hash[:]) {
			return w.problem(Altered, "the header is that of another segment")
		}
	} else if w.record != nil {
		if err := w.record(l.body); err != nil {
			return err
		}
	}
	w.at.offset, w.at.seq, w.at.hash = end, l.seq, l.hash
	return nil
}

// end holds the end of the journal against the anchor.
func (w *walker) end() error {
	switch {
	case w.at.seq < w.anchor.seq:
		return &Problem{Kind: Cut, Segment: w.at.segment,
			Detail: fmt.Sprintf("it ends with line %d; line %d of segment %d was on disk", w.at.seq, w.anchor.seq, w.anchor.segment)}
	case w.anchor.closed && (w.at.seq > w.anchor.seq || w.torn > 0):
		return &Problem{Kind: Grown, Segment: w.at.segment, Line: w.number,
			Detail: fmt.Sprintf("it was closed after line %d", w.anchor.seq)}
	}
	return nil
}

func (w *walker) problem(kind Kind, detail string) *Problem {
	return &Problem{Kind: kind, Segment: w.at.segment, Line: w.number, Detail: detail}
}

// checkAnchored holds the line before the anchor against it, so that what
// lies further back need not be read.
func checkAnchored(dir string, at position) error {
	if at.segment == 0 {
		return nil
	}
	f, err := os.Open(segmentPath(dir, at.segment))
	if errors.Is(err, fs.ErrNotExist) {
		return &Problem{Kind: Cut, Segment: at.segment, Detail: "the file is gone"}
	}
	if err != nil {
		return err
	}
	defer f.Close()
	var tail [tailSize]byte
	if _, err := f.ReadAt(tail[:], max(at.offset-int64(tailSize), 0)); errors.Is(err, io.EOF) {
		return &Problem{Kind: Cut, Segment: at.segment, Detail: "it is shorter than it was known to be"}
	} else if err != nil {
		return err
	}
	if string(tail[:]) != chainMember+hex.EncodeToString(at.hash[:])+lineEnd {
		return &Problem{Kind: Altered, Segment: at.segment, Detail: "the anchored line is not what was written"}
	}
	return nil
}
