package operator

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// The sockets in the data folder.
const (
	// Socket is that of the API.
	Socket = "operator.sock"
	// VantageSocket takes connections with a header that says where they
	// come from, which is believed.
	VantageSocket = "vantage.sock"
)

// maxPath is what fits into the address of a socket (unix(7): 108 bytes, the
// last a zero).
const maxPath = 107

// Listen makes a socket in the data folder dir that its owner alone can
// use. A socket that an earlier server left behind is replaced: the caller
// holds the folder's lock.
func Listen(dir, name string) (net.Listener, error) {
	path := filepath.Join(dir, name)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("making the socket: %w", err)
	}
	var l *net.UnixListener
	err := reach(dir, name, func(address string) (err error) {
		l, err = net.ListenUnix("unix", &net.UnixAddr{Name: address, Net: "unix"})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("making the socket %s: %w", path, err)
	}
	l.SetUnlinkOnClose(false) // by our own path, below
	s := &socket{UnixListener: l, path: path}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("making the socket %s private: %w", path, err), s.Close())
	}
	return s, nil
}

// Dial connects to a socket in the data folder dir.
func Dial(ctx context.Context, dir, name string) (net.Conn, error) {
	var c net.Conn
	err := reach(dir, name, func(address string) (err error) {
		var d net.Dialer
		c, err = d.DialContext(ctx, "unix", address)
		return err
	})
	return c, err
}

// reach calls fn with an address of a file in dir. Where its path does not
// fit into an address, the address goes through the open folder.
func reach(dir, name string, fn func(address string) error) error {
	path := filepath.Join(dir, name)
	if len(path) <= maxPath {
		return fn(path)
	}
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(fd)
	return fn("/proc/self/fd/" + strconv.Itoa(fd) + "/" + name)
}

// socket is a listener whose file goes away with it.
type socket struct {
	*net.UnixListener
	path string
	once sync.Once
}

// Close implements net.Listener.
func (s *socket) Close() error {
	err := s.UnixListener.Close()
	s.once.Do(func() {
		if e := os.Remove(s.path); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	})
	return err
}

// Accept implements net.Listener. Connections of others than the owner are
// closed: the file's mode keeps them out already, but for the moment between
// the making of the file and that of its mode.
func (s *socket) Accept() (net.Conn, error) {
	for {
		c, err := s.UnixListener.Accept()
		if err != nil {
			return nil, err
		}
		if Owner(c) == nil {
			return c, nil
		}
		c.Close()
	}
}

// Owner reports whether the other end of a socket belongs to the user whom
// the server runs as, or to root; the error says why not.
func Owner(c net.Conn) error {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return errors.New("not a connection of this machine")
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return err
	}
	var peer *unix.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) { peer, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return err
	}
	if failed != nil {
		return failed
	}
	if peer.Uid != 0 && peer.Uid != uint32(os.Geteuid()) {
		return fmt.Errorf("user %d is not the owner of the data folder", peer.Uid)
	}
	return nil
}
