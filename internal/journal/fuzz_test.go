package journal

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
	"time"
	"unicode/utf8"

	"postern/internal/store"
	"postern/internal/store/memory"
)

// FuzzText holds the encoder of strings to encoding/json.
func FuzzText(f *testing.F) {
	for _, s := range []string{"", "plain", "\"\\/\b\f\n\r\t\x00\x1f\x7f", "<&>", "ünï\u2028\u2029\U0001F512", "\xff\xfe", "a\xc3", "\xed\xa0\x80", "\ufffd"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > maxField {
			return // cut, which TestTooLong looks at
		}
		want, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		for name, got := range map[string][]byte{"appendText": appendText([]byte{'"'}, s), "appendUpper": appendUpper([]byte{'"'}, s)} {
			got = append(got, '"')
			var a, b string
			if err := json.Unmarshal(got, &a); err != nil {
				t.Fatalf("%s(%q) = %s: %v", name, s, got, err)
			}
			if err := json.Unmarshal(want, &b); err != nil {
				t.Fatal(err)
			}
			if name == "appendUpper" {
				b = upperASCII(b)
			}
			if a != b || !utf8.Valid(got) {
				t.Errorf("%s(%q) reads as %q, want %q", name, s, a, b)
			}
		}
	})
}

// FuzzRecord ensures that a line is valid JSON whatever is in the record,
// that it is one line, that its chain holds, and that it reads back.
func FuzzRecord(f *testing.F) {
	f.Add("/subscriptions/s", "SecretGet", "oid", "https://x/?a=\"b\"", "azsdk", int64(0), 200)
	f.Add("", "", "", "\n\r\u0000", "\xff", int64(1_790_000_000_000_000_000), 403)
	f.Fuzz(func(t *testing.T, resource, operation, object, uri, agent string, at int64, status int) {
		r := &Record{Time: time.Unix(0, at).UTC(), ResourceID: resource, OperationName: operation, ResultDescription: uri,
			Identity: Identity{Object: object}, RequestURI: uri, ClientInfo: agent, Properties: []Property{{"extra", agent}}, Status: status}
		b, sum := seal(appendBody(make([]byte, room), r, "id"), [room]byte{1}, 7)
		b = b[room:]
		if !json.Valid(b) || bytes.IndexByte(b, '\n') != len(b)-1 {
			t.Fatalf("not one line of JSON: %q", b)
		}
		l, ok := parseLine(b)
		if !ok || l.seq != 7 || l.hash != sum || !l.follows([room]byte{1}) || l.follows([room]byte{2}) || recordID(l.body) != "id" {
			t.Fatalf("parseLine(%q) = %+v, %t", b, l, ok)
		}
		got, err := decodeRecord(append(bytes.Clone(l.body), '}'))
		if err != nil {
			t.Fatalf("decodeRecord(%q) = %v", b, err)
		}
		if max(len(resource), len(operation), len(object), len(uri), len(agent)) > maxField/3 {
			return // may be cut, and cut again once bad bytes are three bytes long
		}
		if again := append(appendBody(nil, got, "id"), '}'); !bytes.Equal(again, append(bytes.Clone(l.body), '}')) {
			t.Errorf("written again = %s, want %s", again, l.body)
		}
	})
}

// FuzzVerify gives Verify and Open a journal that somebody has had in hand:
// whatever it is, they say so or read it, and no record is accepted whose
// chain does not hold.
func FuzzVerify(f *testing.F) {
	dir := f.TempDir()
	j, err := Open(dir, Options{})
	if err != nil {
		f.Fatal(err)
	}
	for i := range 3 {
		if err := j.Append(numbered(i)); err != nil {
			f.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		f.Fatal(err)
	}
	segment, err := os.ReadFile(segmentPath(dir, 1))
	if err != nil {
		f.Fatal(err)
	}
	head, err := os.ReadFile(dir + "/" + headFile)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(segment, head)
	f.Add(segment[:len(segment)-10], head)
	f.Add(segment, []byte{})
	f.Add(segment, anchor{}.encode())
	f.Add([]byte("\n\n"), anchor{}.encode())
	f.Add([]byte{}, anchor{position: position{segment: 1, offset: 1 << 40, seq: 9}}.encode())
	f.Add([]byte("{"), anchor{position: position{hash: [room]byte{1}}}.encode())
	f.Add([]byte(nil), []byte(nil))
	f.Fuzz(func(t *testing.T, lines, head []byte) {
		dir := t.TempDir()
		for path, text := range map[string][]byte{segmentPath(dir, 1): lines, dir + "/" + headFile: head} {
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		r := verify(t, dir)
		if r.Records > 3 {
			t.Fatalf("Verify accepts %d records of 3", r.Records)
		}
		j, err := Open(dir, Options{Interval: still})
		if err != nil {
			return
		}
		if err := j.Append(numbered(9)); err != nil {
			t.Errorf("Append to what Open accepted = %v", err)
		}
		if err := j.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
		if again := verify(t, dir); r.OK() && !again.OK() {
			t.Errorf("Verify = %v, want whole as before: %v", again, r)
		}
	})
}

// FuzzOutbox ensures that Recover delivers an outbox item or keeps it, and
// that the journal stays whole and readable.
func FuzzOutbox(f *testing.F) {
	value := append(appendBody(make([]byte, segmentSize), full(), "x"), '}')
	f.Add([]byte(nil))
	f.Add(value)
	f.Add(value[:len(value)-1])
	f.Add(append(make([]byte, segmentSize), `{"a":1,"recordId":"x"}`...))
	f.Add(append(make([]byte, segmentSize), "{\"a\":1\n,\"recordId\":\"x\"}"...))
	f.Add(append(make([]byte, segmentSize), `{"journal":"postern/1","recordId":"x"}`...))
	f.Fuzz(func(t *testing.T, value []byte) {
		if len(value) > store.MaxValue {
			return
		}
		dir, st := t.TempDir(), memory.New()
		var tx store.Tx
		tx.Put(OutboxPrefix+"x", value)
		if err := st.Commit(t.Context(), &tx); err != nil {
			t.Fatal(err)
		}
		j := open(t, dir, Options{})
		err := j.Recover(t.Context(), st)
		if kept := outbox(t, st) == 1; kept != (err != nil) {
			t.Errorf("Recover = %v, item kept: %t", err, kept)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		records := 0
		if rerr := Read(dir, func(*Record) error { records++; return nil }); rerr != nil || (records == 1) != (err == nil) {
			t.Errorf("Recover = %v, then %d records, %v", err, records, rerr)
		}
		if r := verify(t, dir); !r.OK() {
			t.Errorf("Verify = %v, want whole", r)
		}
	})
}
