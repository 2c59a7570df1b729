package journal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// written is a journal of three segments with nine records, closed or not:
// segment 1 and 2 end in a whole line, the files are small enough to be
// handled as lines.
func written(t testing.TB, closed bool) (dir string) {
	t.Helper()
	dir = t.TempDir()
	j := open(t, dir, Options{MaxSegment: 1400})
	appendNumbers(t, j, 0, 9)
	if err := j.Sync(); err != nil {
		t.Fatal(err)
	}
	if closed {
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if numbers, err := segments(dir); err != nil || len(numbers) < 3 {
		t.Fatalf("segments = %v, %v, want at least 3", numbers, err)
	}
	return dir
}

// edit rewrites the lines of one segment.
func edit(t testing.TB, dir string, segment uint64, change func(lines [][]byte) [][]byte) {
	t.Helper()
	path := segmentPath(dir, segment)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.Join(change(bytes.SplitAfter(text, []byte("\n"))), nil)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func lastSegment(t testing.TB, dir string) uint64 {
	t.Helper()
	numbers, err := segments(dir)
	if err != nil {
		t.Fatal(err)
	}
	return numbers[len(numbers)-1]
}

func remove(t testing.TB, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// replaced is lines with a text replaced in line i.
func replaced(lines [][]byte, i int, from, to string) [][]byte {
	lines[i] = bytes.Replace(lines[i], []byte(from), []byte(to), 1)
	return lines
}

// TestVerifyDetects ensures that what was done to a journal is found, and
// where. Line 1 of a segment is its header.
func TestVerifyDetects(t *testing.T) {
	type lines = [][]byte
	for _, test := range []struct {
		name    string
		do      func(t *testing.T, dir string)
		kind    Kind
		segment uint64
		line    int
	}{
		{"altered value", func(t *testing.T, dir string) {
			edit(t, dir, 2, func(l lines) lines { return replaced(l, 1, "SecretGet", "SecretSet") })
		}, Altered, 2, 2},
		{"altered header", func(t *testing.T, dir string) {
			edit(t, dir, 2, func(l lines) lines { return replaced(l, 0, `"segment":2`, `"segment":9`) })
		}, Altered, 2, 1},
		{"altered chain", func(t *testing.T, dir string) {
			edit(t, dir, 1, func(l lines) lines { l[2][len(l[2])-4] ^= 1; return l })
		}, Altered, 1, 3},
		{"altered number", func(t *testing.T, dir string) {
			edit(t, dir, 1, func(l lines) lines { return replaced(l, 2, `"seq":3`, `"seq":4`) })
		}, Removed, 1, 3},
		{"not a line", func(t *testing.T, dir string) {
			edit(t, dir, 1, func(l lines) lines { return slices.Insert(l, 2, []byte("\n")) })
		}, Altered, 1, 3},
		{"removed line", func(t *testing.T, dir string) {
			edit(t, dir, 1, func(l lines) lines { return slices.Delete(l, 1, 2) })
		}, Removed, 1, 2},
		{"removed header", func(t *testing.T, dir string) {
			edit(t, dir, 2, func(l lines) lines { return l[1:] })
		}, Removed, 2, 1},
		{"last line of a segment removed", func(t *testing.T, dir string) {
			edit(t, dir, 1, func(l lines) lines { return l[:len(l)-2] })
		}, Removed, 2, 1},
		{"reordered lines", func(t *testing.T, dir string) {
			edit(t, dir, 1, func(l lines) lines { l[1], l[2] = l[2], l[1]; return l })
		}, Removed, 1, 2},
		{"repeated line", func(t *testing.T, dir string) {
			edit(t, dir, 1, func(l lines) lines { return slices.Insert(l, 2, l[1]) })
		}, Reordered, 1, 3},
		{"first segment missing", func(t *testing.T, dir string) { remove(t, segmentPath(dir, 1)) }, Missing, 1, 0},
		{"segment missing", func(t *testing.T, dir string) { remove(t, segmentPath(dir, 2)) }, Missing, 2, 0},
		{"last segment missing", func(t *testing.T, dir string) { remove(t, segmentPath(dir, lastSegment(t, dir))) }, Cut, 2, 0},
		{"all segments missing", func(t *testing.T, dir string) {
			for _, n := range []uint64{1, 2, 3} {
				remove(t, segmentPath(dir, n))
			}
		}, Cut, 0, 0},
		{"last line cut", func(t *testing.T, dir string) {
			edit(t, dir, 3, func(l lines) lines { return l[:len(l)-2] })
		}, Cut, 3, 0},
		{"half of the last line cut", func(t *testing.T, dir string) {
			edit(t, dir, 3, func(l lines) lines { l[len(l)-2] = l[len(l)-2][:40]; return l })
		}, Cut, 3, 0},
		{"torn in the middle", func(t *testing.T, dir string) {
			edit(t, dir, 1, func(l lines) lines { return append(l, []byte("{")) })
		}, Altered, 1, 6},
		{"segments exchanged", func(t *testing.T, dir string) {
			a, b := segmentPath(dir, 1), segmentPath(dir, 2)
			for _, r := range [][2]string{{a, a + "x"}, {b, a}, {a + "x", b}} {
				if err := os.Rename(r[0], r[1]); err != nil {
					t.Fatal(err)
				}
			}
		}, Removed, 1, 1},
		{"anchor missing", func(t *testing.T, dir string) { remove(t, filepath.Join(dir, headFile)) }, NoAnchor, 0, 0},
		{"rewritten from a line on", rewriteFrom(2), Altered, 3, 0},
	} {
		for _, closed := range []bool{true, false} {
			dir := written(t, closed)
			test.do(t, dir)
			r := verify(t, dir)
			if r.OK() || r.Problem.Kind != test.kind || r.Problem.Segment != test.segment || test.line > 0 && r.Problem.Line != test.line {
				t.Errorf("%s (closed %t): Verify = %v, want %s, segment %d, line %d", test.name, closed, r, test.kind, test.segment, test.line)
			}
		}
	}
}

// rewriteFrom changes a segment and makes a new chain from there on, as
// somebody would who can write to the folder. The anchor gives it away
// unless it is made anew, too.
func rewriteFrom(segment uint64) func(t *testing.T, dir string) {
	return func(t *testing.T, dir string) {
		numbers, err := segments(dir)
		if err != nil {
			t.Fatal(err)
		}
		var at position
		for _, n := range numbers {
			edit(t, dir, n, func(lines [][]byte) [][]byte {
				for i, text := range lines[:len(lines)-1] {
					l, ok := parseLine(text)
					if !ok {
						t.Fatalf("segment %d, line %d is none", n, i+1)
					}
					body := bytes.Clone(l.body)
					if isHeader(body) {
						body = appendHeader(nil, n, at.hash)
					} else if n >= segment {
						body = bytes.Replace(body, []byte("SecretGet"), []byte("SecretSet"), 1)
					}
					b, sum := seal(append(make([]byte, room), body...), at.hash, l.seq)
					lines[i], at.hash = b[room:], sum
				}
				return lines
			})
		}
	}
}

// TestGrown ensures that lines behind a clean end are found, even when their
// chain holds.
func TestGrown(t *testing.T) {
	dir := written(t, true)
	end := lastSegment(t, dir)
	text, err := os.ReadFile(segmentPath(dir, end))
	if err != nil {
		t.Fatal(err)
	}
	last := bytes.SplitAfter(text, []byte("\n"))
	l, _ := parseLine(last[len(last)-2])
	b, _ := seal(append(make([]byte, room), l.body...), l.hash, l.seq+1)
	if err := os.WriteFile(segmentPath(dir, end), append(text, b[room:]...), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := verify(t, dir); r.OK() || r.Problem.Kind != Grown {
		t.Errorf("Verify = %v, want %s", r, Grown)
	}
	if _, err := Open(dir, Options{}); err == nil {
		t.Errorf("Open = nil, want an error")
	}
}

// TestOpenRefuses ensures that a journal that lacks its anchored end, or the
// anchor, is not gone on with.
func TestOpenRefuses(t *testing.T) {
	type lines = [][]byte
	for name, do := range map[string]func(dir string){
		"cut line":    func(dir string) { edit(t, dir, lastSegment(t, dir), func(l lines) lines { return l[:len(l)-2] }) },
		"cut segment": func(dir string) { remove(t, segmentPath(dir, lastSegment(t, dir))) },
		"altered end": func(dir string) {
			edit(t, dir, lastSegment(t, dir), func(l lines) lines { l[len(l)-2][10] ^= 1; l[len(l)-2][len(l[len(l)-2])-5] ^= 1; return l })
		},
		"missing anchor": func(dir string) { remove(t, filepath.Join(dir, headFile)) },
		"damaged anchor": func(dir string) { os.WriteFile(filepath.Join(dir, headFile), []byte("{}"), 0o600) },
	} {
		dir := written(t, true)
		do(dir)
		if j, err := Open(dir, Options{}); err == nil {
			j.Close()
			t.Errorf("Open with %s = nil, want an error", name)
		}
	}
}

// TestTorn ensures that what a crash leaves of the last line is reported,
// dropped by Open, and told in the journal itself.
func TestTorn(t *testing.T) {
	whole, _ := seal(append(make([]byte, room), `{"a":1`...), [room]byte{}, 99)
	for _, tail := range []string{"{", `{"time":"2026`, string(whole[room : len(whole)-1]), "\x00\x00\x00\x00", "{\"ti\x00\x00\n", strings.Repeat("x", MaxLine+5)} {
		dir := written(t, false)
		end := segmentPath(dir, lastSegment(t, dir))
		f, err := os.OpenFile(end, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(f, tail)
		f.Close()
		if r := verify(t, dir); !r.OK() || r.Torn != int64(len(tail)) || r.Records != 9 {
			t.Errorf("Verify with a tail of %d bytes = %v, want 9 records, torn", len(tail), r)
		}
		j := open(t, dir, Options{MaxSegment: 1400})
		if j.Repaired() != int64(len(tail)) {
			t.Errorf("Repaired() = %d, want %d", j.Repaired(), len(tail))
		}
		appendNumbers(t, j, 9, 10)
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		if r := verify(t, dir); !r.OK() || r.Torn != 0 || r.Records != 11 {
			t.Errorf("Verify after the repair = %v, want 11 records", r)
		}
		repairs := 0
		if err := Read(dir, func(r *Record) error {
			if r.OperationName == "JournalRepaired" {
				repairs++
			}
			return nil
		}); err != nil || repairs != 1 {
			t.Errorf("repairs in the journal = %d, %v, want 1", repairs, err)
		}
	}
}

// TestTornRotation ensures that a crash within the beginning of a segment is
// repaired: no file yet, an empty one, half a header, a header but no anchor.
func TestTornRotation(t *testing.T) {
	for _, keep := range []int{-1, 0, 20, 1 << 20} {
		dir := t.TempDir()
		j := open(t, dir, Options{})
		appendNumbers(t, j, 0, 3)
		if err := j.Sync(); err != nil {
			t.Fatal(err)
		}
		if keep >= 0 {
			b, _ := seal(appendHeader(make([]byte, room), 2, j.at.hash), j.at.hash, j.at.seq+1)
			b = b[room:]
			if err := os.WriteFile(segmentPath(dir, 2), b[:min(keep, len(b))], 0o600); err != nil {
				t.Fatal(err)
			}
		}
		again := open(t, dir, Options{})
		appendNumbers(t, again, 3, 5)
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
		if r := verify(t, dir); !r.OK() {
			t.Errorf("Verify after a crash with %d bytes of a new segment = %v, want whole", keep, r)
		}
		if got := strings.TrimSpace(strings.ReplaceAll(" "+ids(t, dir)+" ", "  ", " ")); got != "n0 n1 n2 n3 n4" {
			t.Errorf("records = %q, want n0 to n4", got)
		}
	}
}

// TestCrashBeforeFirstLine ensures that a start that was cut off anywhere is
// gone on with.
func TestCrashBeforeFirstLine(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, headFile), anchor{}.encode(), 0o600); err != nil {
		t.Fatal(err)
	}
	j := open(t, dir, Options{})
	appendNumbers(t, j, 0, 1)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if r := verify(t, dir); !r.OK() || r.Records != 1 {
		t.Errorf("Verify = %v, want 1 record", r)
	}
}

func TestVerifyNothing(t *testing.T) {
	if _, err := Verify(filepath.Join(t.TempDir(), "absent")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Verify of no folder = %v, want %v", err, os.ErrNotExist)
	}
	if r := verify(t, t.TempDir()); !r.OK() || r.Records != 0 {
		t.Errorf("Verify of an empty folder = %v, want nothing, whole", r)
	}
}
