package transcript

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Result is what one command did.
type Result struct {
	Stdout, Stderr string
	Exit           int
}

// Output is both outputs, as a terminal shows them when they do not mix.
func (r Result) Output() string { return r.Stdout + r.Stderr }

// Shell is one bash that runs commands one after the other. It belongs to
// one goroutine.
type Shell struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	status *os.File
	lines  chan string
	dir    string
	once   sync.Once
}

// Open starts a shell. The command must be one that runs "bash" with the
// arguments it was given; Arguments are what bash needs. Its environment
// and working directory are taken as they are. The dir is for the shell's
// own files.
func Open(cmd *exec.Cmd, dir string) (*Shell, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("opening the status pipe: %w", err)
	}
	defer write.Close()
	cmd.ExtraFiles = []*os.File{write}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("opening the shell's input: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the shell: %w", err)
	}
	s := &Shell{cmd: cmd, stdin: stdin, status: read, lines: make(chan string), dir: dir}
	go s.watch()
	return s, nil
}

// Arguments are the arguments of a bash that Open can talk to.
var Arguments = []string{"--noprofile", "--norc", "-s"}

// watch hands the status lines on; it ends when the shell and everything it
// started have closed the pipe, or when Close has.
func (s *Shell) watch() {
	defer close(s.lines)
	var text []byte
	buf := make([]byte, 64)
	for {
		n, err := s.status.Read(buf)
		text = append(text, buf[:n]...)
		for {
			line, rest, ok := bytes.Cut(text, []byte{'\n'})
			if !ok {
				break
			}
			s.lines <- string(line)
			text = rest
		}
		if err != nil {
			return
		}
	}
}

// ErrEnded: the shell is gone, by "exit" or by a signal.
var ErrEnded = errors.New("the shell ended")

// Run runs one command and waits for it. When ctx ends first the shell is
// killed with everything it started.
func (s *Shell) Run(ctx context.Context, command string) (Result, error) {
	out, errs := s.dir+"/stdout", s.dir+"/stderr"
	script := fmt.Sprintf("{ %s\n} >%s 2>%s </dev/null 3>&-\necho $? >&3\n", command, quote(out), quote(errs))
	if _, err := io.WriteString(s.stdin, script); err != nil {
		return Result{}, fmt.Errorf("running %q: %w", command, ErrEnded)
	}
	var status string
	select {
	case line, ok := <-s.lines:
		if !ok {
			return s.read(-1), fmt.Errorf("running %q: %w", command, ErrEnded)
		}
		status = line
	case <-ctx.Done():
		s.Close()
		return s.read(-1), fmt.Errorf("running %q: %w", command, ctx.Err())
	}
	exit, err := strconv.Atoi(strings.TrimSpace(status))
	if err != nil {
		return Result{}, fmt.Errorf("running %q: status %q", command, status)
	}
	return s.read(exit), nil
}

func (s *Shell) read(exit int) Result {
	stdout, _ := os.ReadFile(s.dir + "/stdout")
	stderr, _ := os.ReadFile(s.dir + "/stderr")
	return Result{Stdout: string(stdout), Stderr: string(stderr), Exit: exit}
}

// Close ends the shell and everything that it started and that still runs:
// first kindly, then by force.
func (s *Shell) Close() {
	s.once.Do(func() {
		s.stdin.Close()
		group := -s.cmd.Process.Pid
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range s.lines { //nolint:revive // drained so that watch can end
			}
		}()
		go func() {
			_ = s.cmd.Wait()
			_ = syscall.Kill(group, syscall.SIGTERM)
		}()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		for syscall.Kill(group, 0) == nil && ctx.Err() == nil {
			_ = syscall.Kill(group, syscall.SIGTERM)
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
		_ = syscall.Kill(group, syscall.SIGKILL)
		s.status.Close()
		<-done
	})
}

// quote makes one word of text for a shell.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
