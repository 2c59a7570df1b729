package journal

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"postern/internal/store"
	"postern/internal/store/memory"
)

// change commits a change and its record, and delivers it unless told not
// to.
func change(t testing.TB, j *Journal, st store.Store, i int, deliver bool) {
	t.Helper()
	r := numbered(i)
	var tx store.Tx
	key, value := j.Outbox(r)
	tx.Put(key, value)
	tx.Put(fmt.Sprint("o/", i), nil)
	if err := st.Commit(t.Context(), &tx); err != nil {
		t.Fatal(err)
	}
	if deliver {
		if err := j.Deliver(r, key); err != nil {
			t.Fatal(err)
		}
	}
}

func outbox(t testing.TB, st store.Store) int {
	t.Helper()
	items, err := st.Range(context.Background(), OutboxPrefix, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	return len(items)
}

func TestDeliver(t *testing.T) {
	dir, st := t.TempDir(), memory.New()
	j := open(t, dir, Options{Store: st, MaxSegment: 1500})
	for i := range 20 {
		change(t, j, st, i, true)
	}
	if err := j.Sync(); err != nil {
		t.Fatal(err)
	}
	if got := outbox(t, st); got != 0 {
		t.Errorf("outbox after Sync = %d, want 0", got)
	}
	if got, want := ids(t, dir), "n0 n1 n2 n3 n4 n5 n6 n7 n8 n9 n10 n11 n12 n13 n14 n15 n16 n17 n18 n19"; got != want {
		t.Errorf("records = %s, want %s", got, want)
	}
}

// TestDeliverUnknown ensures that a record can be delivered by its key
// alone, and under that id.
func TestDeliverUnknown(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, Options{})
	if err := j.Deliver(numbered(7), OutboxPrefix+"abc"); err != nil {
		t.Fatal(err)
	}
	found := ""
	if err := readLines(dir, 0, func(body []byte) error { found = recordID(body); return nil }); err != nil || found != "abc" {
		t.Errorf("recordId = %q, %v, want abc", found, err)
	}
}

// TestRecover ensures that a record arrives exactly once, wherever the crash
// came: before it was delivered, after, or within Recover.
func TestRecover(t *testing.T) {
	dir, st := t.TempDir(), memory.New()
	j := open(t, dir, Options{MaxSegment: 1500}) // no Store: nothing is deleted
	appendNumbers(t, j, 100, 110)
	for i := range 12 {
		change(t, j, st, i, i%3 != 0)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	deletes := memory.Fail
	st.Faults = func(c memory.Call) memory.Fault {
		if c.Verb == memory.Commit {
			return deletes
		}
		return memory.Work
	}
	for _, test := range []struct {
		deletes memory.Fault
		err     error
		left    int
	}{
		{memory.Fail, memory.ErrInjected, 12},
		{memory.Lose, memory.ErrInjected, 0},
		{memory.Work, nil, 0},
	} {
		deletes = test.deletes
		j := open(t, dir, Options{MaxSegment: 1500})
		if err := j.Recover(t.Context(), st); !errors.Is(err, test.err) {
			t.Errorf("Recover = %v, want %v", err, test.err)
		}
		if got := outbox(t, st); got != test.left {
			t.Errorf("outbox after Recover = %d, want %d", got, test.left)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		got := strings.TrimPrefix(ids(t, dir), "n100 n101 n102 n103 n104 n105 n106 n107 n108 n109 ")
		if want := "n1 n2 n4 n5 n7 n8 n10 n11 n0 n3 n6 n9"; got != want {
			t.Errorf("records after Recover = %s, want %s", got, want)
		}
	}
	if r := verify(t, dir); !r.OK() {
		t.Errorf("Verify = %v, want whole", r)
	}
}

// TestRecoverNewJournal ensures that an outbox of a journal that was moved
// away is delivered into the new one.
func TestRecoverNewJournal(t *testing.T) {
	old, st := t.TempDir(), memory.New()
	j := open(t, old, Options{MaxSegment: 500})
	appendNumbers(t, j, 0, 5)
	change(t, j, st, 1, true)
	dir := t.TempDir()
	j = open(t, dir, Options{})
	if err := j.Recover(t.Context(), st); err != nil {
		t.Fatal(err)
	}
	if got := ids(t, dir); got != "n1" {
		t.Errorf("records = %q, want n1", got)
	}
}

func TestRecoverDamagedOutbox(t *testing.T) {
	for _, value := range []string{"", "1234567", "12345678", "12345678{", `12345678{"a":1}`, `12345678{"a":1,"recordId":"y"}`} {
		st := memory.New()
		var tx store.Tx
		tx.Put(OutboxPrefix+"x", []byte(value))
		if err := st.Commit(t.Context(), &tx); err != nil {
			t.Fatal(err)
		}
		j := open(t, t.TempDir(), Options{})
		if err := j.Recover(t.Context(), st); err == nil || outbox(t, st) != 1 {
			t.Errorf("Recover of the item %q = %v, want an error, and the item kept", value, err)
		}
	}
}

// TestSettleKeepsTrying ensures that a store that fails for a while costs
// nothing but time.
func TestSettleKeepsTrying(t *testing.T) {
	dir, st := t.TempDir(), memory.New()
	j := open(t, dir, Options{Store: st})
	change(t, j, st, 1, true)
	fault := memory.Fail
	st.Faults = func(memory.Call) memory.Fault { return fault }
	if err := j.Sync(); !errors.Is(err, memory.ErrInjected) {
		t.Errorf("Sync = %v, want %v", err, memory.ErrInjected)
	}
	if err := j.Append(numbered(2)); err != nil {
		t.Errorf("Append = %v, want nil", err)
	}
	fault = memory.Work
	if err := j.Sync(); err != nil || outbox(t, st) != 0 {
		t.Errorf("Sync = %v, outbox %d, want nil, 0", err, outbox(t, st))
	}
}

// TestFlusher ensures that lines are flushed and delivered items deleted
// without anyone asking.
func TestFlusher(t *testing.T) {
	dir, st := t.TempDir(), memory.New()
	emptied := make(chan struct{}, 1)
	st.Faults = func(c memory.Call) memory.Fault {
		if c.Verb == memory.Commit && c.Tx.Operations[0].Delete {
			emptied <- struct{}{}
		}
		return memory.Work
	}
	disk := newDisk()
	j := open(t, dir, Options{Store: st, Interval: time.Millisecond, FS: disk})
	change(t, j, st, 1, true)
	<-emptied
	if disk.count("sync") < 2 {
		t.Errorf("flushes = %d, want at least 2", disk.count("sync"))
	}
}
