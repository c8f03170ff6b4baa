// This file defines Refused: why something does not go into a bundle, or why a
// bundle is not taken.

package bundle

import (
	"fmt"
	"strings"
)

// Problem is one thing that is wrong, at a path in the bundle or in a file
// (path:line); both may be empty.
type Problem struct {
	Path    string
	Message string
	Fix     string // what to do
}

func (p Problem) String() string {
	if p.Path == "" {
		return p.Message
	}
	return p.Path + ": " + p.Message
}

// Refused is input that is not taken. All that is wrong is told at once.
type Refused struct{ Problems []Problem }

func (r *Refused) Error() string {
	var lines []string
	for _, p := range r.Problems {
		lines = append(lines, p.String())
	}
	return strings.Join(lines, "\n")
}

func refuse(path, message, fix string) error {
	return &Refused{[]Problem{{shownPath(path), message, fix}}}
}

func tooLarge(path string, size, limit int64) error {
	return refuse(path, fmt.Sprintf("it is too large: got %d bytes, want at most %d", size, limit), "")
}

// shownPath is a path that came from elsewhere as a terminal may have it: short,
// without characters that do something.
func shownPath(path string) string {
	const most = 200
	if len(path) > most {
		path = path[:most] + "…"
	}
	for _, c := range path {
		if c < ' ' || c == 0x7f || (c >= 0x80 && c < 0xa0) || c == '\uFFFD' || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) {
			return fmt.Sprintf("%q", path)
		}
	}
	return path
}
