package journal

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"postern/internal/store"
	"postern/internal/store/memory"
)

// powerDisk is a file system of which a power cut leaves what was flushed,
// and any part of what was not.
type powerDisk struct {
	files map[string]*powerFile
	// named are the files whose names are durable.
	named map[string]bool
}

func newPowerDisk() *powerDisk {
	return &powerDisk{files: map[string]*powerFile{}, named: map[string]bool{}}
}

type powerFile struct {
	*os.File
	// flushed is the size at the last flush.
	flushed int64
	// heads are what was written over the whole file since the last flush,
	// and what it was then: one sector, so one of them is what is left.
	heads [][]byte
}

func (d *powerDisk) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	p := d.files[name]
	if p == nil {
		p = &powerFile{flushed: info.Size()}
		d.files[name] = p
	}
	p.File = f
	return p, nil
}

func (d *powerDisk) SyncDir(dir string) error {
	for name := range d.files {
		d.named[name] = d.named[name] || filepath.Dir(name) == dir
	}
	return nil
}

func (f *powerFile) WriteAt(p []byte, offset int64) (int, error) {
	f.heads = append(f.heads, append([]byte(nil), p...))
	return f.File.WriteAt(p, offset)
}

func (f *powerFile) Sync() error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	f.flushed = info.Size()
	if n := len(f.heads); n > 0 {
		f.heads = f.heads[n-1:]
	}
	return nil
}

// cut does to the folder what a power cut may do.
func (d *powerDisk) cut(t *rapid.T, dir string) {
	for _, name := range slices.Sorted(maps.Keys(d.files)) {
		f := d.files[name]
		if !d.named[name] && filepath.Base(name) != headFile && rapid.Bool().Draw(t, "name lost") {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if len(f.heads) > 0 {
			if err := os.WriteFile(name, rapid.SampledFrom(f.heads).Draw(t, "head"), 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		left := rapid.Int64Range(f.flushed, info.Size()).Draw(t, "left of "+filepath.Base(name))
		if err := os.Truncate(name, left); err != nil {
			t.Fatal(err)
		}
	}
	d.files = map[string]*powerFile{}
	d.named = map[string]bool{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		d.named[filepath.Join(dir, e.Name())] = true
	}
}

// TestPowerCut cuts the power at random moments, and ensures that the
// journal opens, that every change that was committed has exactly one
// record, and that what was flushed is there.
func TestPowerCut(t *testing.T) {
	root := t.TempDir()
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		dir := filepath.Join(root, fmt.Sprint(runs))
		m := &powerModel{t: rt, dir: dir, disk: newPowerDisk(), store: memory.New(), changes: map[string]bool{}, kept: map[string]bool{}, open: map[string]bool{}}
		m.o = Options{Store: m.store, FS: m.disk, Interval: still,
			Sync:       rapid.SampledFrom([]string{SyncInterval, SyncAlways}).Draw(rt, "sync"),
			MaxSegment: rapid.SampledFrom([]int64{1, 1000, 1 << 20}).Draw(rt, "segment")}
		m.start()
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			m.step()
		}
		m.cut()
		m.journal.abandon()
	})
}

type powerModel struct {
	t       *rapid.T
	dir     string
	disk    *powerDisk
	store   *memory.Store
	o       Options
	journal *Journal
	count   int
	// changes were committed; kept are reads that were flushed, open those
	// that were not yet.
	changes, kept, open map[string]bool
}

func (m *powerModel) must(err error) {
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *powerModel) start() {
	var err error
	m.journal, err = Open(m.dir, m.o)
	m.must(err)
	m.must(m.journal.Recover(m.t.Context(), m.store))
}

func (m *powerModel) step() {
	m.count++
	r := numbered(m.count)
	switch rapid.IntRange(0, 9).Draw(m.t, "step") {
	case 0:
		m.cut()
	case 1, 2:
		m.must(m.journal.Sync())
		for id := range m.open {
			m.kept[id] = true
		}
		clear(m.open)
	case 3, 4, 5:
		m.must(m.journal.Append(r))
		if m.o.Sync == SyncAlways {
			m.kept[r.ID] = true
		} else {
			m.open[r.ID] = true
		}
	default:
		var tx store.Tx
		key, value := m.journal.Outbox(r)
		tx.Put(key, value)
		m.must(m.store.Commit(m.t.Context(), &tx))
		m.changes[r.ID] = true
		if rapid.Bool().Draw(m.t, "deliver") {
			m.must(m.journal.Deliver(r, key))
		}
	}
}

// cut cuts the power, starts again, and looks.
func (m *powerModel) cut() {
	abandoned := m.journal
	m.disk.cut(m.t, m.dir)
	m.start()
	abandoned.abandon()
	clear(m.open)
	seen := map[string]int{}
	m.must(Read(m.dir, func(r *Record) error { seen[r.ID]++; return nil }))
	for id := range m.changes {
		if seen[id] != 1 {
			m.t.Fatalf("records of the change %s = %d, want 1", id, seen[id])
		}
	}
	for id := range m.kept {
		if seen[id] != 1 {
			m.t.Fatalf("records of the read %s = %d, want 1", id, seen[id])
		}
	}
	items, err := m.store.Range(m.t.Context(), OutboxPrefix, "", 0)
	m.must(err)
	if len(items) > 0 {
		m.t.Fatalf("outbox after Recover = %d, want 0", len(items))
	}
	report, err := Verify(m.dir)
	m.must(err)
	if !report.OK() {
		m.t.Fatalf("Verify = %v, want whole", report)
	}
}

// abandon ends the goroutine of a journal whose process is dead, and leaves
// its files as they are.
func (j *Journal) abandon() {
	j.mu.Lock()
	j.closed = true
	j.mu.Unlock()
	close(j.stop)
	<-j.stopped
	j.closeFiles()
}
