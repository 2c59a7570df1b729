package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"postern/internal/iac"
	"postern/internal/iac/arm"
)

// maxInput bounds one file or the standard input; it is above what the
// reader takes, which says so in its own words.
const maxInput = 64 << 20

// source gathers the resources of files, folders and the standard input.
type source struct {
	world     *world
	resources []*iac.Resource
	// failures are the files that could not be read.
	failures []error
	progress func(string)
	files    int
	// networks is true when files that speak of networks alone matter too.
	networks bool
}

// errNotRead marks kinds of file that are not read yet.
var errNotRead = errors.New("is not read")

// add reads one argument.
func (s *source) add(path string) {
	if path == "-" {
		data, err := io.ReadAll(io.LimitReader(s.world.stdin, maxInput))
		if err != nil {
			s.failures = append(s.failures, fmt.Errorf("standard input: %w", err))
			return
		}
		s.parse("-", data)
		return
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		s.failures = append(s.failures, err)
	case info.IsDir():
		s.walk(path)
	default:
		s.file(path)
	}
}

// file reads a file that was named, whatever it is called.
func (s *source) file(path string) {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".bicep", ".tf", ".tfvars":
		s.failures = append(s.failures, fmt.Errorf("%s: this kind of file %w", path, errNotRead))
		return
	}
	data, err := readLimited(path)
	if err != nil {
		s.failures = append(s.failures, err)
		return
	}
	s.parse(path, data)
}

// walk reads the JSON files below a folder. Folders that hold what others
// wrote, and hidden ones, are left out.
func (s *source) walk(root string) {
	unread := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			s.failures = append(s.failures, err)
		case d.IsDir():
			if name := d.Name(); path != root && (strings.HasPrefix(name, ".") || name == "node_modules") {
				return fs.SkipDir
			}
		case isFile(path, d):
			switch strings.ToLower(filepath.Ext(path)) {
			case ".json", ".jsonc":
				s.found(path)
			case ".bicep", ".tf":
				unread++
			}
		}
		return nil
	})
	if err != nil {
		s.failures = append(s.failures, err)
	}
	if unread > 0 {
		s.world.note("%d Bicep and Terraform files below %s were not read", unread, root)
	}
}

// isFile reports whether an entry is a file, or a link to one. Links to
// folders are not followed.
func isFile(path string, d fs.DirEntry) bool {
	if d.Type()&fs.ModeSymlink == 0 {
		return d.Type().IsRegular()
	}
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// found reads a file that was met on the way. One that is not JSON matters
// only when it speaks of key vaults, or of the networks that are asked for.
func (s *source) found(path string) {
	s.files++
	s.progress(fmt.Sprintf("reading %d: %s", s.files, path))
	data, err := readLimited(path)
	if err != nil {
		s.failures = append(s.failures, err)
		return
	}
	if arm.Mentions(data) || s.networks && arm.MentionsNetworks(data) {
		s.parse(path, data)
	}
}

func (s *source) parse(name string, data []byte) {
	doc, err := arm.Read(name, data)
	if err != nil {
		s.failures = append(s.failures, err)
		return
	}
	s.resources = append(s.resources, doc.Resources...)
	for _, n := range doc.Notes {
		s.world.note("%s: %s", n.At, n.Text)
	}
}

// readLimited reads a file, or a pipe that the shell made of a command.
func readLimited(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var buf bytes.Buffer
	if _, err := io.Copy(&buf, io.LimitReader(f, maxInput)); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}
