package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"testing"
)

// disk is a file system that counts what is done to it, and fails when it is
// told to.
type disk struct {
	mu     sync.Mutex // guards what follows
	counts map[string]int
	fail   func(call, name string) error
}

func newDisk() *disk { return &disk{counts: map[string]int{}} }

var errDisk = errors.New("disk: failed")

func (d *disk) call(call, name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts[call]++
	if d.fail != nil {
		return d.fail(call, name)
	}
	return nil
}

func (d *disk) count(call string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.counts[call]
}

// failOn makes each later call of one kind fail whose file has a suffix.
func (d *disk) failOn(call, suffix string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = func(c, name string) error {
		if c == call && strings.HasSuffix(name, suffix) {
			return errDisk
		}
		return nil
	}
}

func (d *disk) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	if err := d.call("open", name); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(name, flag, perm)
	return &diskFile{f, d}, err
}

func (d *disk) SyncDir(dir string) error {
	if err := d.call("syncdir", dir); err != nil {
		return err
	}
	return OS{}.SyncDir(dir)
}

type diskFile struct {
	*os.File
	disk *disk
}

func (f *diskFile) Write(p []byte) (int, error) {
	if err := f.disk.call("write", f.Name()); err != nil {
		n, _ := f.File.Write(p[:len(p)/2])
		return n, err
	}
	if err := f.disk.call("short", f.Name()); err != nil {
		return f.File.Write(p[:len(p)-1]) // against the contract of io.Writer
	}
	return f.File.Write(p)
}

func (f *diskFile) WriteAt(p []byte, offset int64) (int, error) {
	if err := f.disk.call("writeat", f.Name()); err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, offset)
}

func (f *diskFile) Sync() error {
	if err := f.disk.call("sync", f.Name()); err != nil {
		return err
	}
	return f.File.Sync()
}

// TestDiskFails ensures that after any failure nothing is appended any more,
// that Broken says so, and that the journal is whole when it is opened again.
func TestDiskFails(t *testing.T) {
	for _, test := range []struct {
		call, suffix, sync string
		max                int64
	}{
		{"write", ".jsonl", SyncInterval, 0},
		{"short", ".jsonl", SyncInterval, 0},
		{"sync", ".jsonl", SyncAlways, 0},
		{"writeat", "head", SyncAlways, 0},
		{"sync", ".jsonl", SyncInterval, 1},
		{"open", ".jsonl", SyncInterval, 1},
		{"write", "2.jsonl", SyncInterval, 1},
		{"syncdir", "", SyncInterval, 1},
		{"writeat", "head", SyncInterval, 1},
	} {
		name := fmt.Sprintf("%s of *%s, %s, max %d", test.call, test.suffix, test.sync, test.max)
		dir, d := t.TempDir(), newDisk()
		j := open(t, dir, Options{FS: d, Sync: test.sync, MaxSegment: test.max})
		d.failOn(test.call, test.suffix)
		if err := j.Append(numbered(1)); !errors.Is(err, errDisk) && test.call != "short" || err == nil {
			t.Errorf("%s: Append = %v, want %v", name, err, errDisk)
		}
		d.failOn("none", "")
		if err := j.Append(numbered(2)); err == nil || j.Broken() == nil {
			t.Errorf("%s: Append after that = %v, Broken() = %v, want the failure", name, err, j.Broken())
		}
		if err := j.Deliver(numbered(2), "j/x"); err == nil {
			t.Errorf("%s: Deliver after that = nil, want the failure", name)
		}
		if err := j.Close(); err == nil {
			t.Errorf("%s: Close = nil, want the failure", name)
		}
		if r := verify(t, dir); !r.OK() || r.Closed {
			t.Errorf("%s: Verify = %v, want whole and not closed", name, r)
		}
		j = open(t, dir, Options{})
		if err := j.Append(numbered(3)); err != nil {
			t.Errorf("%s: Append after a restart = %v, want nil", name, err)
		}
		j.Close()
		if r := verify(t, dir); !r.OK() || !r.Closed {
			t.Errorf("%s: Verify after a restart = %v, want whole", name, r)
		}
		if got := ids(t, dir); strings.Contains(got, "n2") || !strings.HasSuffix(got, "n3") {
			t.Errorf("%s: records = %q, want n3 last and no n2", name, got)
		}
	}
}

// TestFlushBudget ensures that lines that are appended together share
// flushes: none of their own with "interval", at most one each with "always".
func TestFlushBudget(t *testing.T) {
	d := newDisk()
	j := open(t, t.TempDir(), Options{FS: d})
	syncs, writes := d.count("sync"), d.count("write")
	appendNumbers(t, j, 0, 100)
	if got := d.count("sync") - syncs; got != 0 {
		t.Errorf("flushes of 100 lines before the interval = %d, want 0", got)
	}
	if got := d.count("write") - writes; got != 100 {
		t.Errorf("writes of 100 lines = %d, want 100", got)
	}
	for range 2 {
		if err := j.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	if got := d.count("sync") - syncs; got != 1 {
		t.Errorf("flushes of 100 lines = %d, want 1", got)
	}
}
