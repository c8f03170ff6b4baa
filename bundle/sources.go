// This file defines what is collected from disk: the sources of clients, and the
// files of a run folder.

package bundle

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"starfall/runtime/record"
)

// Sources reads files and folders below a root; paths are slash paths in it. What
// leads out of the root is refused, by .. and by symbolic link. Of a folder, entries
// that begin with a point and those that package managers fill are left out, and given
// back.
func Sources(root string, paths []string) (files []File, left []string, err error) {
	r, err := os.OpenRoot(root)
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	var bad Refused
	seen := map[string]bool{}
	take := func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		f, err := readSource(r, name)
		var refused *Refused
		switch {
		case errors.As(err, &refused):
			bad.Problems = append(bad.Problems, refused.Problems...)
		case err != nil:
			bad.Problems = append(bad.Problems, Problem{Path: name, Message: err.Error()})
		default:
			files = append(files, f)
		}
	}
	for _, name := range paths {
		if filepath.IsAbs(name) || strings.HasPrefix(name, "/") {
			bad.Problems = append(bad.Problems, Problem{name, "an absolute path: it means nothing on another machine", "give it relative to " + filepath.Base(root)})
			continue
		}
		name = path.Clean(name)
		if name == "." {
			bad.Problems = append(bad.Problems, Problem{name, "the whole folder of the scenario", "name the files, or put the program into a folder of its own"})
			continue
		}
		if !fs.ValidPath(name) {
			bad.Problems = append(bad.Problems, Problem{name, "it lies outside of the scenario's root", "put it into the folder of the scenario, or below"})
			continue
		}
		info, err := r.Stat(name)
		if err != nil {
			bad.Problems = append(bad.Problems, outside(name, err))
			continue
		}
		if !info.IsDir() {
			take(name)
			continue
		}
		err = fs.WalkDir(r.FS(), name, func(at string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case at != name && leftOut(d.Name()):
				left = append(left, at)
				if d.IsDir() {
					return fs.SkipDir
				}
			case d.IsDir():
			case len(files) > MaxFiles:
				return fs.SkipAll
			default:
				take(at)
			}
			return nil
		})
		if err != nil {
			bad.Problems = append(bad.Problems, Problem{name, "it cannot be read: " + reason(err), ""})
		}
	}
	var total int64
	for _, f := range files {
		total += int64(len(f.Data))
	}
	if total > MaxBundle || len(files) > MaxFiles {
		bad.Problems = append(bad.Problems, Problem{"", fmt.Sprintf("got %d files of %d bytes together, want at most %d of %d bytes", len(files), total, MaxFiles, MaxBundle), "name less"})
	}
	if len(bad.Problems) > 0 {
		return nil, nil, &bad
	}
	byPath(files)
	return files, left, nil
}

// leftOut tells what of a folder does not belong to its sources.
func leftOut(name string) bool {
	return strings.HasPrefix(name, ".") || slices.Contains([]string{"node_modules", "__pycache__", "venv"}, name)
}

func readSource(r *os.Root, name string) (File, error) {
	if err := checkPath(name); err != nil {
		return File{}, err
	}
	info, err := r.Stat(name)
	if err != nil {
		return File{}, &Refused{[]Problem{outside(name, err)}}
	}
	if info.IsDir() {
		return File{}, refuse(name, "a symbolic link to a folder", "name the folder itself")
	}
	data, err := readIn(r, name, MaxFile)
	if err != nil {
		return File{}, err
	}
	return File{Path: name, Data: data, Executable: info.Mode().Perm()&0o111 != 0}, nil
}

// outside says why a path below the root cannot be read.
func outside(name string, err error) Problem {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Problem{name, "there is no such file", ""}
	case strings.Contains(err.Error(), "escapes"):
		return Problem{name, "a symbolic link that leads out of the scenario's root", "put the file itself there"}
	}
	return Problem{name, "it cannot be read: " + reason(err), ""}
}

// inRunFolder tells whether a file belongs to a recording. A report does not: it is a
// page with a script in it, and can be made again.
func inRunFolder(name string) bool {
	switch name {
	case record.FilePlan, record.FileInfo, record.FileJournal, record.FileVerdict:
		return true
	}
	dir, _, ok := strings.Cut(name, "/")
	return ok && (dir == record.DirSeries || dir == record.DirEvidence || dir == record.DirLogs)
}

// ReadRun reads a run folder. Logs are left out unless they are asked for: they hold
// what programs say, which nobody has looked at.
func ReadRun(dir string, logs bool) (Result, error) {
	r, err := os.OpenRoot(dir)
	if err != nil {
		return Result{}, err
	}
	defer r.Close()
	var files []File
	err = fs.WalkDir(r.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name == "." || d.IsDir() && (name == record.DirLogs && logs || name != record.DirLogs):
			return nil
		case d.IsDir():
			return fs.SkipDir
		case !inRunFolder(name):
			return nil
		}
		if err := checkPath(name); err != nil {
			return err
		}
		data, err := readIn(r, name, MaxFile)
		if err != nil {
			return err
		}
		files = append(files, File{Path: name, Data: data})
		return nil
	})
	if err != nil {
		return Result{}, err
	}
	byPath(files)
	return newResult(files)
}
