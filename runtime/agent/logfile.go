package agent

// This file defines the bounded log of a process.

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// logLimitMin is the smallest LogLimit that leaves a useful line.
const logLimitMin = 4 << 10

// logFile keeps the newest bytes that are written to it in two files: path,
// and before it path.1. It never fails its writer, which would stop the
// process behind it: what cannot be written is dropped, and failure says why.
type logFile struct {
	path string
	half int64
	f    *os.File
	size int64

	mu  sync.Mutex
	err error // the first
}

// openLog opens a log for appending.
func openLog(path string, limit int64) (*logFile, error) {
	if limit == 0 {
		limit = DefaultLogLimit
	}
	if limit < logLimitMin {
		return nil, invalid(fmt.Sprintf("log %s: for log limit: got %d bytes, want at least %d", path, limit, logLimitMin))
	}
	l := &logFile{path: path, half: limit / 2}
	if path == "" {
		return l, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	l.f, l.size = f, info.Size()
	return l, nil
}

// Write keeps b. It always succeeds.
func (l *logFile) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0 && l.path != ""; {
		if l.f == nil || l.size >= l.half {
			if err := l.rotate(); err != nil {
				l.fail(err)
				break
			}
		}
		n, err := l.f.Write(rest[:min(int64(len(rest)), l.half-l.size)])
		l.size += int64(n)
		rest = rest[n:]
		if err != nil {
			l.fail(err)
			break
		}
	}
	return len(b), nil
}

func (l *logFile) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
	}
}

// failure says why the log is not whole, nil when it is.
func (l *logFile) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// rotate makes the file the older one and begins anew.
func (l *logFile) rotate() error {
	if l.f != nil {
		l.f.Close()
		l.f = nil
		if err := os.Rename(l.path, l.path+".1"); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	l.f, l.size = f, 0
	return nil
}

func (l *logFile) Close() {
	if l.f != nil {
		l.f.Close()
	}
}

// lastLines is the last lines of a log that is kept at path, at most n of them
// and at most 8 KiB.
func lastLines(path string, n int) string {
	var text []byte
	for _, p := range []string{path, path + ".1"} {
		if len(text) < 8<<10 {
			text = append(tail(p, int64(8<<10-len(text))), text...)
		}
	}
	lines := strings.Split(strings.TrimRight(string(bytes.ToValidUTF8(text, []byte("?"))), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// tail is the last n bytes of a file, none when it cannot be read.
func tail(path string, n int64) []byte {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > n {
		f.Seek(info.Size()-n, io.SeekStart)
	}
	b, _ := io.ReadAll(io.LimitReader(f, n))
	return b
}
