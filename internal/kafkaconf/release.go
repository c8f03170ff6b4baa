package kafkaconf

// This file answers which release has a name and which default it has there.

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// In reports whether the Kafka release (as "3.9.1" or "4.0") has this name. The
// table begins with 3.9: for older releases the answer is that of 3.9. It returns
// an error when release is none.
func (e Entry) In(release string) (bool, error) {
	r, err := parseRelease(release)
	if err != nil {
		return false, err
	}
	return !(e.Since != "" && r.before(e.Since)) && !(e.Until != "" && !r.before(e.Until)), nil
}

// DefaultIn returns the default that the configuration has in a Kafka release, and
// whether there is one: false when it is null or must be set. It returns an error
// when release is none.
func (e Entry) DefaultIn(release string) (value string, ok bool, err error) {
	r, err := parseRelease(release)
	if err != nil {
		return "", false, err
	}
	value, ok = e.Default, !e.Null && !e.Required
	for _, c := range e.Later {
		if !r.before(c.Since) {
			value, ok = c.Default, !c.Required
		}
	}
	if !ok {
		value = ""
	}
	return value, ok, nil
}

type version struct{ major, minor int }

// parseRelease reads the first two numbers; the others never bring or take a name.
func parseRelease(s string) (version, error) {
	parts := strings.Split(s, ".")
	nums := make([]int, len(parts))
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil {
			return version{}, fmt.Errorf("got %q, want a Kafka release such as 3.9.1 or 4.0", s)
		}
		nums[i] = int(n)
	}
	if len(nums) < 2 {
		return version{}, fmt.Errorf("got %q, want a Kafka release such as 3.9.1 or 4.0", s)
	}
	return version{nums[0], nums[1]}, nil
}

// before compares with a release of the table; TestTables makes sure that those
// can be read.
func (v version) before(release string) bool {
	o, err := parseRelease(release)
	if err != nil {
		return false
	}
	return cmp.Or(cmp.Compare(v.major, o.major), cmp.Compare(v.minor, o.minor)) < 0
}
