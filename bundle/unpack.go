// This file defines Unpack: a bundle as a folder that people and starfall can read.

package bundle

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"starfall/runtime/record"
)

// Unpack writes the bundle into a folder, which must be empty or not there:
// experiment.lock, plan.json, files/, std/, and results/1, results/2 …, a run folder
// each. Nothing is written outside of it, and nothing that is there is replaced.
func (b *Bundle) Unpack(dir string) error {
	list, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(list) > 0 {
		return refuse(dir, "the folder is not empty", "choose another one")
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	lock, err := b.Lock.Canonical()
	if err != nil {
		return err
	}
	plan, err := b.Plan.Canonical()
	if err != nil {
		return err
	}
	put := func(under string, files ...File) {
		for _, f := range files {
			if err == nil {
				err = create(root, path.Join(under, f.Path), f.Data, f.Executable)
			}
		}
	}
	put("", File{Path: FileLock, Data: lock}, File{Path: record.FilePlan, Data: plan})
	put(DirFiles, b.Files...)
	put(DirStd, b.Std...)
	for i, r := range b.Results {
		put(fmt.Sprintf("%s/%d", DirResults, i+1), r.Files...)
	}
	return err
}

// UnpackFiles writes the scenario with all that it loads from its root.
func (b *Bundle) UnpackFiles(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, f := range b.Files {
		if err := create(root, f.Path, f.Data, f.Executable); err != nil {
			return err
		}
	}
	return nil
}

// create writes a file that is not there yet, below the root.
func create(root *os.Root, name string, data []byte, executable bool) error {
	name = filepath.FromSlash(name)
	if err := root.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return err
	}
	mode := fs.FileMode(0o666)
	if executable {
		mode = 0o777
	}
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}
