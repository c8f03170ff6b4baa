// This file defines the index of a sweep: what its folder holds, so that the
// runs of a sweep or repeat can be read again together.

package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// FileIndex is the file of a sweep's folder that says which runs are in it.
const FileIndex = "sweep.json"

// IndexFormat is the version of FileIndex. It grows when a field goes or changes
// its meaning.
const IndexFormat = 1

// Index is the content of FileIndex. It is written when a sweep begins, with all
// runs that are planned, and again when it ends or is broken off.
type Index struct {
	Format   int       `json:"format"`
	Scenario string    `json:"scenario"`
	Started  time.Time `json:"started"`
	Tool     string    `json:"tool,omitempty"`
	// Ended is true when the sweep came to its end or was interrupted, false
	// while it runs and for ever after a crash.
	Ended bool       `json:"ended"`
	Runs  []IndexRun `json:"runs"`
}

// IndexRun is one run of a sweep.
type IndexRun struct {
	Folder string  `json:"folder"` // relative to the index, with slashes
	Params []Param `json:"params,omitempty"`
	Repeat int     `json:"repeat,omitempty"` // from 1
	// Ran is true once the run has ended; the fields below are known then.
	Ran    bool   `json:"ran"`
	WallMS int64  `json:"wall_ms,omitempty"`
	Exit   int    `json:"exit"`
	Error  string `json:"error,omitempty"`
}

// SaveIndex writes the index of a folder: the whole file or none.
func SaveIndex(dir string, x Index) error {
	x.Format = IndexFormat
	if x.Runs == nil {
		x.Runs = []IndexRun{}
	}
	b, err := json.MarshalIndent(x, "", "  ")
	if err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	tmp := filepath.Join(dir, FileIndex+".part")
	if err := os.WriteFile(tmp, append(b, '\n'), 0o644); err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	if err := os.Rename(tmp, filepath.Join(dir, FileIndex)); err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	return nil
}

// ErrIndexCut says that an index was cut off and cannot be read.
var ErrIndexCut = errors.New("cut off")

// IndexFormatError says that another starfall wrote an index.
type IndexFormatError struct{ Format int }

func (e *IndexFormatError) Error() string {
	return fmt.Sprintf("%s: got format %d, want %d: update starfall to read this sweep", FileIndex, e.Format, IndexFormat)
}

// ReadIndex reads the index of a folder. Where there is none the error is
// fs.ErrNotExist. Folders that lead out of the sweep's are refused.
func ReadIndex(dir string) (Index, error) {
	var x Index
	b, err := os.ReadFile(filepath.Join(dir, FileIndex))
	if err != nil {
		return x, err
	}
	if !json.Valid(b) {
		return x, fmt.Errorf("%s: %w", FileIndex, ErrIndexCut)
	}
	var version struct{ Format int }
	if err := json.Unmarshal(b, &version); err != nil {
		return x, fmt.Errorf("%s: %w", FileIndex, err)
	}
	if version.Format != IndexFormat {
		return x, &IndexFormatError{version.Format}
	}
	if err := json.Unmarshal(b, &x); err != nil {
		return x, fmt.Errorf("%s: %w", FileIndex, err)
	}
	for _, r := range x.Runs {
		if !fs.ValidPath(r.Folder) || r.Folder == "." {
			return x, fmt.Errorf("%s: for folder: got %q, want a folder below the sweep's", FileIndex, r.Folder)
		}
	}
	return x, nil
}
