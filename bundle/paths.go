// This file defines which paths a bundle may hold, and how much of anything.

package bundle

import (
	"io/fs"
	"path/filepath"
	"strings"
)

// How much a bundle may hold. Whatever has more is refused before it is read to the
// end, so that a bundle from elsewhere fills neither memory nor disk.
const (
	MaxFile     = 256 << 20 // bytes of one file
	MaxBundle   = 512 << 20 // bytes of everything
	MaxFiles    = 10_000    // of an experiment, and of a result
	MaxResults  = 200
	maxManifest = 4 << 20
	maxIndex    = 4 << 20
	maxLock     = 4 << 20
	maxPlan     = 64 << 20
	maxInfo     = 4 << 20
	maxVerdict  = 16 << 20
	maxPath     = 400 // bytes
	maxDepth    = 20  // folders
)

const stdPrefix = "@std//"

// checkPath wants a slash path that stays below its folder on every system.
func checkPath(path string) error {
	why := ""
	switch {
	case path == "" || path == ".":
		why = "a file without a name"
	case strings.HasPrefix(path, "/") || filepath.IsAbs(path) || len(path) > 1 && path[1] == ':':
		why = "an absolute path"
	case len(path) > maxPath:
		why = "a path that is too long"
	case strings.Count(path, "/") >= maxDepth:
		why = "a path with too many folders"
	case !fs.ValidPath(path):
		why = "a path that leads out of the bundle, or is not written plainly"
	case !filepath.IsLocal(filepath.FromSlash(path)):
		why = "a path that this system gives a meaning of its own"
	case strings.ContainsAny(path, "\\:*?\"<>|"):
		why = "a path with a character that not every system allows"
	case shownPath(path) != path:
		why = "a path with a character that cannot be printed"
	}
	if why == "" {
		for part := range strings.SplitSeq(path, "/") {
			if strings.HasSuffix(part, ".") || strings.HasSuffix(part, " ") || strings.HasPrefix(part, " ") {
				why = "a path with a name that not every system allows"
			}
		}
	}
	if why == "" {
		return nil
	}
	return refuse(path, why, "")
}

// checkPaths wants paths of which no two are the same file, on systems that take
// capital letters for small ones too, and of which none is a folder of another.
func checkPaths(paths []string) error {
	if len(paths) > MaxFiles {
		return refuse("", "it holds too many files", "")
	}
	seen := map[string]bool{}
	for _, p := range paths {
		if err := checkPath(p); err != nil {
			return err
		}
		folded := strings.ToLower(p)
		if seen[folded] {
			return refuse(p, "a second file of this name", "")
		}
		seen[folded] = true
	}
	for _, p := range paths {
		for dir := strings.ToLower(p); strings.Contains(dir, "/"); {
			dir = dir[:strings.LastIndexByte(dir, '/')]
			if seen[dir] {
				return refuse(p, "it lies below a file", "")
			}
		}
	}
	return nil
}
