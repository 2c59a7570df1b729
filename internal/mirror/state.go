package mirror

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"
)

// state remembers which objects were equal, and when each had last been
// changed on either side. It holds no content. The file has a line for each
// object, the last of a name counts; a line that was cut off by a crash is
// skipped.
type state struct {
	mu   sync.Mutex
	file *os.File
	seen map[string]settled
}

// settled is one line.
type settled struct {
	Kind Kind   `json:"kind"`
	Name string `json:"name"`
	// From and To are when the two were last changed, in unix seconds.
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// header is the first line: of which vaults the file is.
type header struct {
	From string `json:"fromVault"`
	To   string `json:"toVault"`
}

// maxState bounds how much of a state file is read.
const maxState = 1 << 20 // a line

// openState reads the file and opens it for more; without a name nothing is
// remembered.
func openState(name, from, to string, readOnly bool) (*state, error) {
	s := &state{seen: map[string]settled{}}
	if name == "" {
		return s, nil
	}
	mine := header{strings.TrimRight(from, "/"), strings.TrimRight(to, "/")}
	known, err := s.read(name, mine)
	if err != nil || readOnly {
		return s, err
	}
	if s.file, err = os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		return s, fmt.Errorf("the state: %w", err)
	}
	if !known {
		return s, s.write(mine)
	}
	return s, nil
}

func (s *state) read(name string, mine header) (known bool, err error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("the state: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, maxState)
	for lines.Scan() {
		if !known {
			var h header
			if json.Unmarshal(lines.Bytes(), &h) != nil || h != mine {
				return false, fmt.Errorf("%s is not the state of these two vaults; hint: name another file", name)
			}
			known = true
			continue
		}
		var l settled
		if json.Unmarshal(lines.Bytes(), &l) == nil && l.Name != "" {
			s.seen[key(l.Kind, l.Name)] = l
		}
	}
	if err := lines.Err(); err != nil {
		return false, fmt.Errorf("the state: %w", err)
	}
	return known, nil
}

func key(k Kind, name string) string { return string(k) + "/" + strings.ToLower(name) }

// settled reports whether both objects are as they were when they were equal.
func (s *state) settled(k Kind, from, to item) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, ok := s.seen[key(k, from.name)]
	return ok && l.From == from.updated.Unix() && l.To == to.updated.Unix()
}

// settle remembers that the two are equal. Dates have no parts of a second,
// so an object that was changed just now may be changed again without a trace
// of it: it is not remembered yet.
func (s *state) settle(k Kind, from, to item, started time.Time) error {
	const fresh = 3 * time.Second
	if started.Sub(from.updated) < fresh || started.Sub(to.updated) < fresh {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l := settled{k, from.name, from.updated.Unix(), to.updated.Unix()}
	s.seen[key(k, from.name)] = l
	if s.file == nil {
		return nil
	}
	return s.write(l)
}

// write appends a line.
func (s *state) write(line any) error {
	data, err := json.Marshal(line)
	if err == nil {
		_, err = s.file.Write(append(data, '\n'))
	}
	if err != nil {
		return fmt.Errorf("the state: %w", err)
	}
	return nil
}

func (s *state) close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}
