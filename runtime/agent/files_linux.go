package agent

// This file defines what the agent does with files.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// write writes files, one after another.
func (s *server) write(_ context.Context, c *inCall) error {
	var req writeRequest
	if err := c.decode(&req); err != nil {
		return err
	}
	for _, f := range req.Files {
		if !filepath.IsAbs(f.Path) {
			return invalid(fmt.Sprintf("write: got path %q, want an absolute one", f.Path))
		}
		if f.Size < 0 {
			return invalid(fmt.Sprintf("write %s: got size %d", f.Path, f.Size))
		}
	}
	for _, f := range req.Files {
		if err := writeFile(f.Path, fs.FileMode(f.Mode).Perm(), io.LimitReader(c.r, f.Size), f.Size); err != nil {
			return err
		}
	}
	return c.answer(nothing{})
}

// writeFile writes size bytes of r to a new file and puts it into place.
func writeFile(path string, mode fs.FileMode, r io.Reader, size int64) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	temp := f.Name()
	defer func() {
		f.Close()
		if err != nil {
			os.Remove(temp)
		}
	}()
	n, err := io.Copy(f, r)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if n != size {
		return fmt.Errorf("write %s: got %d of %d bytes", path, n, size)
	}
	if err := f.Chmod(mode); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	err = os.Rename(temp, path)
	if errors.Is(err, syscall.EBUSY) {
		// A mount point, as /etc/hosts is, can be written but not replaced.
		err = overwrite(temp, path, mode)
	}
	return err
}

// overwrite puts the content of temp into the file at path, and removes temp.
func overwrite(temp, path string, mode fs.FileMode) error {
	b, err := os.ReadFile(temp)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, b, mode); err != nil {
		return err
	}
	return os.Remove(temp)
}

// read sends a file, or its last bytes.
func (s *server) read(_ context.Context, c *inCall) error {
	var req readRequest
	if err := c.decode(&req); err != nil {
		return err
	}
	f, err := os.Open(req.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		// Files of /proc are regular too, with a size of 0.
		return invalid(fmt.Sprintf("read %s: got %s, want a file", req.Path, info.Mode().Type()))
	}
	size := info.Size()
	if size == 0 {
		return s.readAll(f, c, req.Tail)
	}
	if req.Tail > 0 && size > req.Tail {
		if _, err := f.Seek(size-req.Tail, io.SeekStart); err != nil {
			return err
		}
		size = req.Tail
	}
	if err := c.answer(readAnswer{size}); err != nil {
		return err
	}
	// A file that shrinks meanwhile ends the stream early, which the host sees.
	_, err = io.Copy(c.stream, io.LimitReader(f, size))
	return err
}

// readAll sends a file whose size says nothing.
func (s *server) readAll(f *os.File, c *inCall, tail int64) error {
	b, err := io.ReadAll(io.LimitReader(f, 64<<20))
	if err != nil {
		return err
	}
	if tail > 0 && int64(len(b)) > tail {
		b = b[int64(len(b))-tail:]
	}
	if err := c.answer(readAnswer{int64(len(b))}); err != nil {
		return err
	}
	_, err = c.stream.Write(b)
	return err
}

func (s *server) list(_ context.Context, req pathRequest) ([]Entry, error) {
	var out []Entry
	for _, dir := range req.Paths {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue // gone since
			}
			if err != nil {
				return nil, err
			}
			out = append(out, Entry{e.Name(), info.Mode(), info.Size(), info.ModTime()})
		}
	}
	return out, nil
}

func (s *server) remove(_ context.Context, req pathRequest) (nothing, error) {
	for _, path := range req.Paths {
		if !filepath.IsAbs(path) || filepath.Clean(path) == "/" {
			return nothing{}, invalid(fmt.Sprintf("remove: got path %q, want an absolute one below the root", path))
		}
	}
	for _, path := range req.Paths {
		if err := os.RemoveAll(path); err != nil {
			return nothing{}, err
		}
	}
	return nothing{}, nil
}
