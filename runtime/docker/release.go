package docker

// This file defines versions of Kafka, as far as the engine has to tell them
// apart.

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// release is a version of Kafka.
type release [3]int

// parseRelease reads "3.9.1" or "3.9", whose patch is then -1: any.
func parseRelease(s string) (release, bool) {
	parts := strings.Split(s, ".")
	if len(parts) < 2 || len(parts) > 3 {
		return release{}, false
	}
	out := release{0, 0, -1}
	for i, part := range parts {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 {
			return release{}, false
		}
		out[i] = n
	}
	return out, true
}

func (r release) String() string {
	if r[2] < 0 {
		return fmt.Sprintf("%d.%d", r[0], r[1])
	}
	return fmt.Sprintf("%d.%d.%d", r[0], r[1], r[2])
}

// is tells whether r is what want asks for: the same, or one of its patches.
func (r release) is(want release) bool {
	return r[0] == want[0] && r[1] == want[1] && (want[2] < 0 || r[2] == want[2])
}

func (r release) compare(s release) int { return slices.Compare(r[:], s[:]) }

// before tells whether r is older than major.minor.
func (r release) before(major, minor int) bool {
	return cmp.Or(cmp.Compare(r[0], major), cmp.Compare(r[1], minor)) < 0
}
