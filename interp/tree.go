// This file defines where files are found: the root folder that // means, the
// built-in library, and how a path in load becomes a file.

package interp

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"starfall/internal/spell"
	"starfall/interp/plan"
)

const (
	marker    = "course.toml" // its folder is the root of a scenario
	stdPrefix = "@std//"
)

// tree reads files by their names in plans: slash paths relative to the root,
// or @std//file.
type tree struct {
	root     fs.FS
	std      fs.FS
	scenario string // name of the scenario file
	typed    string // its path as the user gave it
	closer   io.Closer
	native   bool // typed is a path of the operating system
}

// openTree finds the root of a scenario. Nothing outside of it is ever read,
// not by .. and not by a symbolic link.
func openTree(file string, o Options) (*tree, error) {
	t := &tree{std: o.Std, typed: file}
	if o.FS != nil {
		name := path.Clean(file)
		if !fs.ValidPath(name) {
			return nil, fmt.Errorf("got the path %s, want one without .. from the root of the files", file)
		}
		root := o.Root
		if root == "" {
			root = path.Dir(name)
			for dir := root; ; dir = path.Dir(dir) {
				if _, err := fs.Stat(o.FS, path.Join(dir, marker)); err == nil {
					root = dir
					break
				}
				if dir == "." {
					break
				}
			}
		}
		sub, err := fs.Sub(o.FS, path.Clean(root))
		if err != nil {
			return nil, err
		}
		t.root, t.scenario = sub, strings.TrimPrefix(name, path.Clean(root)+"/")
		if path.Clean(root) == "." {
			t.scenario = name
		}
		return t, nil
	}
	t.native = true
	abs, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	root := o.Root
	if root == "" {
		root = filepath.Dir(abs)
		for dir := root; ; dir = filepath.Dir(dir) {
			if _, err := os.Stat(filepath.Join(dir, marker)); err == nil {
				root = dir
				break
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	if root, err = filepath.Abs(root); err != nil {
		return nil, err
	}
	rel, err := filepath.Rel(root, abs)
	if err != nil || strings.HasPrefix(rel, "..") {
		return nil, fmt.Errorf("the scenario is not under the root %s", o.Root)
	}
	r, err := os.OpenRoot(root)
	if err != nil {
		return nil, errors.New(readError(err))
	}
	t.root, t.closer, t.scenario = r.FS(), r, filepath.ToSlash(rel)
	return t, nil
}

func (t *tree) close() {
	if t.closer != nil {
		t.closer.Close()
	}
}

var (
	errTooLarge = errors.New("the file is too large")
	errNoStd    = errors.New("there is no built-in library here")
)

// read gives a file of at most limit bytes.
func (t *tree) read(name string, limit int) (string, error) {
	files := t.root
	if rest, ok := strings.CutPrefix(name, stdPrefix); ok {
		if t.std == nil {
			return "", errNoStd
		}
		files, name = t.std, rest
	}
	f, err := files.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", errors.New("it is no file")
	}
	b, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err != nil {
		return "", err
	}
	if len(b) > limit {
		return "", fmt.Errorf("%w: more than %d bytes", errTooLarge, limit)
	}
	return string(b), nil
}

// readError says why a file could not be read, without a path of this machine.
func readError(err error) string {
	var pe *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "there is no such file"
	case errors.Is(err, fs.ErrPermission):
		return "reading it is not permitted"
	case errors.As(err, &pe):
		return pe.Err.Error()
	}
	return err.Error()
}

// resolve turns what load says into a name of the tree. from is the name of
// the file that loads: a library's // is the library itself.
func (t *tree) resolve(label, from string) (string, error) {
	bad := func(why string) (string, error) {
		return "", fmt.Errorf("load: got %q, %s", label, why)
	}
	prefix := ""
	rest, ok := strings.CutPrefix(label, "//")
	switch {
	case ok:
		if strings.HasPrefix(from, stdPrefix) {
			prefix = stdPrefix
		}
	case strings.HasPrefix(label, stdPrefix):
		rest, prefix = strings.TrimPrefix(label, stdPrefix), stdPrefix
	default:
		return bad(`want "//folder/file.star" from the root, or "@std//file.star"`)
	}
	switch {
	case !strings.HasSuffix(rest, ".star"):
		return bad("want a .star file")
	case !fs.ValidPath(rest) || strings.ContainsAny(rest, "\\\x00"):
		return bad("want a path that stays within the root, without . and ..")
	}
	return prefix + rest, nil
}

// loadHint helps where load was given something else than a path of its own.
func loadHint(label string) string {
	switch {
	case strings.Contains(label, "://"):
		return "nothing is loaded from the network; put the file beside the scenario"
	case strings.HasPrefix(label, "@"):
		return `the one library is @std`
	case strings.Contains(label, ".."):
		return ""
	case strings.HasSuffix(label, ".star") && !strings.HasPrefix(label, "//"):
		return fmt.Sprintf("say load(%q, …)", "//"+path.Clean(strings.TrimLeft(label, ":/")))
	case strings.HasPrefix(label, "//") && path.Ext(label) == "":
		return fmt.Sprintf("say load(%q, …)", label+".star")
	}
	return ""
}

// near suggests a file that is there for one that is not: of the same folder.
func (t *tree) near(name, label string) string {
	files, prefix := t.root, "//"
	rest, std := strings.CutPrefix(name, stdPrefix)
	if std {
		files, prefix = t.std, stdPrefix
	}
	if files == nil {
		return ""
	}
	entries, err := fs.ReadDir(files, path.Dir(rest))
	if err != nil || len(entries) > 1000 {
		return ""
	}
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".star") {
			names = append(names, prefix+path.Join(path.Dir(rest), e.Name()))
		}
	}
	if n, ok := spell.Nearest(label, names); ok {
		return "did you mean " + n + "?"
	}
	if std {
		return "the library has " + strings.Join(names, ", ")
	}
	return ""
}

// shown turns a position of the plan into one by which the user can open the
// file.
func (t *tree) shown(pos plan.Pos) plan.Pos {
	pos.File = t.shownFile(pos.File)
	if pos.Via != nil {
		via := t.shown(*pos.Via)
		pos.Via = &via
	}
	return pos
}

func (t *tree) shownFile(name string) string {
	switch {
	case name == t.scenario:
		return t.typed
	case name == "" || strings.HasPrefix(name, stdPrefix):
		return name
	}
	up := strings.Repeat("../", strings.Count(t.scenario, "/"))
	if t.native {
		return filepath.Join(filepath.Dir(t.typed), filepath.FromSlash(up+name))
	}
	return path.Join(path.Dir(t.typed), up+name)
}
