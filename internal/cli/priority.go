package cli

import (
	"bytes"
	"io"
)

// priorities puts the priority in front of each line of a text log, in the
// form systemd reads from standard error (sd-daemon(3)).
type priorities struct{ to io.Writer }

// Write implements io.Writer; a call is one line.
func (p *priorities) Write(line []byte) (int, error) {
	mark := "<6>"
	switch {
	case bytes.HasPrefix(line, []byte("level=ERROR")):
		mark = "<3>"
	case bytes.HasPrefix(line, []byte("level=WARN")):
		mark = "<4>"
	case bytes.HasPrefix(line, []byte("level=DEBUG")):
		mark = "<7>"
	}
	if _, err := p.to.Write(append([]byte(mark), line...)); err != nil {
		return 0, err
	}
	return len(line), nil
}
