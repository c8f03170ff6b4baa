package embedded

// This file defines the files that hold the records of a cluster which are not in memory.

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"starfall/runtime/embedded/core"
)

// chunkSize is how large a file grows. A file is deleted when nothing in it is in use any
// more, so smaller ones give space back sooner.
const chunkSize = 64 << 20

// fileStore is a core.Store of files that are written once, one after the other. The folder
// is made when something is first put. It must be used from one goroutine.
type fileStore struct {
	folder string
	chunks map[int64]*chunk
	last   int64 // number of the chunk that is being written, 0 before the first
}

// chunk is one file. A place in the store is its number in the upper half and the offset
// in the lower.
type chunk struct {
	file *os.File
	size int64
	used int64 // bytes that have not been freed
}

var _ core.Store = (*fileStore)(nil)

func newFileStore(folder string) *fileStore {
	return &fileStore{folder: folder, chunks: map[int64]*chunk{}}
}

func (s *fileStore) name(n int64) string {
	return filepath.Join(s.folder, fmt.Sprintf("records-%06d", n))
}

// Put appends to the last file. What a failed write left behind is written over.
func (s *fileStore) Put(data []byte) (int64, error) {
	c := s.chunks[s.last]
	if c == nil || c.size > 0 && c.size+int64(len(data)) > chunkSize {
		if err := os.MkdirAll(s.folder, 0o755); err != nil {
			return 0, err
		}
		f, err := os.OpenFile(s.name(s.last+1), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
		if err != nil {
			return 0, err
		}
		previous := s.last
		s.last++
		c = &chunk{file: f}
		s.chunks[s.last] = c
		s.tidy(previous)
	}
	if _, err := c.file.WriteAt(data, c.size); err != nil {
		return 0, err
	}
	at := s.last<<32 | c.size
	c.size += int64(len(data))
	c.used += int64(len(data))
	return at, nil
}

// Get reads what was put.
func (s *fileStore) Get(at int64, data []byte) error {
	c := s.chunks[at>>32]
	if c == nil {
		return fmt.Errorf("%s: %w", s.name(at>>32), fs.ErrNotExist)
	}
	_, err := c.file.ReadAt(data, at&(1<<32-1))
	return err
}

// Free deletes a file when that was the last of it in use.
func (s *fileStore) Free(at int64, size int) {
	if c := s.chunks[at>>32]; c != nil {
		c.used -= int64(size)
		s.tidy(at >> 32)
	}
}

// tidy deletes a file that is full and not in use. One that cannot be deleted now is
// deleted with the folder.
func (s *fileStore) tidy(n int64) {
	c := s.chunks[n]
	if c == nil || n == s.last || c.used > 0 {
		return
	}
	c.file.Close()
	_ = os.Remove(s.name(n))
	delete(s.chunks, n)
}

// remove deletes all files and the folder.
func (s *fileStore) remove() error {
	var errs []error
	for _, c := range s.chunks {
		errs = append(errs, c.file.Close())
	}
	s.chunks = map[int64]*chunk{}
	if s.last > 0 {
		errs = append(errs, os.RemoveAll(s.folder))
	}
	return errors.Join(errs...)
}
