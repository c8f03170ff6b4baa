package docker

// This file defines the byte stream to a container's agent: Docker's attached
// streams, of which standard output is taken apart from standard error.

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/docker/docker/api/types"
)

// attached is the standard input and output of a container. Standard error is
// kept aside, for when the container does not come up.
//
// Without a terminal Docker sends frames: a byte that says which stream, three
// zeroes, four bytes of length, the data.
type attached struct {
	types.HijackedResponse
	left uint32 // of the frame of standard output that is being read
	errs *tail
}

var _ io.ReadWriteCloser = (*attached)(nil)

func newAttached(h types.HijackedResponse) *attached {
	return &attached{HijackedResponse: h, errs: &tail{limit: 8 << 10}}
}

func (a *attached) Read(b []byte) (int, error) {
	for a.left == 0 {
		var head [8]byte
		if _, err := io.ReadFull(a.Reader, head[:]); err != nil {
			if err == io.ErrUnexpectedEOF {
				err = io.EOF
			}
			return 0, err
		}
		size := binary.BigEndian.Uint32(head[4:])
		switch head[0] {
		case 1:
			a.left = size
		case 2:
			if _, err := io.CopyN(a.errs, a.Reader, int64(size)); err != nil {
				return 0, err
			}
		case 3: // Docker's own errors, as when the runtime is gone
			text, err := io.ReadAll(io.LimitReader(a.Reader, int64(size)))
			if err != nil {
				return 0, err
			}
			return 0, fmt.Errorf("docker: %s", strings.TrimSpace(string(text)))
		default:
			return 0, fmt.Errorf("docker: a frame of stream %d, want 1, 2 or 3", head[0])
		}
	}
	if uint32(len(b)) > a.left {
		b = b[:a.left]
	}
	n, err := a.Reader.Read(b)
	a.left -= uint32(n)
	return n, err
}

func (a *attached) Write(b []byte) (int, error) { return a.Conn.Write(b) }

func (a *attached) Close() error {
	return a.Conn.Close()
}

// tail keeps the last bytes that were written.
type tail struct {
	limit int
	mu    sync.Mutex
	b     []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if over := len(t.b) - t.limit; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(p), nil
}

// String gives what was kept, without blanks around it.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.b))
}
