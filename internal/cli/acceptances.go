package cli

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"postern/internal/posture"
)

// acceptances finds the .postern.yaml that applies to a file: the nearest in
// its folder and those above, or the one that --config names.
type acceptances struct {
	only *posture.Acceptances
	dirs map[string]*posture.Acceptances
	read []*posture.Acceptances
	err  error // the first file that could not be understood
}

func newAcceptances(config string) (*acceptances, error) {
	a := &acceptances{dirs: map[string]*posture.Acceptances{}}
	if config == "" {
		return a, nil
	}
	a.only = a.load(config, true)
	if a.err != nil {
		return nil, usage(a.err, "--config names a file of accepted findings; check --help says what it holds")
	}
	return a, nil
}

// of is for posture.Options.
func (a *acceptances) of(file string) *posture.Acceptances {
	if a.only != nil {
		return a.only
	}
	dir := "."
	if file != "-" && !strings.HasPrefix(file, "https://") {
		dir = filepath.Dir(file)
	}
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return nil
	}
	return a.upward(absolute)
}

// upward looks in dir and the folders above it.
func (a *acceptances) upward(dir string) *posture.Acceptances {
	if found, ok := a.dirs[dir]; ok {
		return found
	}
	found := a.load(filepath.Join(dir, posture.FileName), false)
	if parent := filepath.Dir(dir); found == nil && parent != dir {
		found = a.upward(parent)
	}
	a.dirs[dir] = found
	return found
}

// load reads a file; nil when it cannot be understood, or is not there and
// need not be.
func (a *acceptances) load(path string, needed bool) *posture.Acceptances {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && !needed {
		return nil
	}
	var read *posture.Acceptances
	if err == nil {
		read, err = posture.ReadAcceptances(path, data)
	}
	if err != nil {
		if a.err == nil {
			a.err = err
		}
		return nil
	}
	a.read = append(a.read, read)
	return read
}

// obsolete tells of entries that are not needed any more.
func (a *acceptances) obsolete(w *world) {
	for _, file := range a.read {
		for _, e := range file.Obsolete() {
			w.note("%s: %s is accepted for %s, which passes now", file.Path(), e.Check, e.Vault+e.File)
		}
	}
}
