// This file defines the formatter of scenario files.

package interp

import (
	"bytes"
	"fmt"

	"github.com/bazelbuild/buildtools/build"
)

// Format lays a scenario out in the one style, as starfall fmt does. The
// meaning and the order of what is written stay. The error is an *Errors when
// src does not parse.
func Format(name string, src []byte) ([]byte, error) {
	if ps := parseOnly(name, src); len(ps) > 0 {
		return nil, &Errors{Problems: ps}
	}
	// As a .bzl-like file nothing is sorted or rewritten: only the layout changes.
	f, err := build.ParseDefault(name, src)
	if err != nil {
		return nil, fmt.Errorf("fmt: %w", err)
	}
	out := build.FormatWithoutRewriting(f)
	if !bytes.HasSuffix(out, []byte("\n")) && len(out) > 0 {
		out = append(out, '\n')
	}
	return out, nil
}
