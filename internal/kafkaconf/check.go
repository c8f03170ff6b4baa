package kafkaconf

// This file judges values as Kafka does: parsed by type, then held against the
// legal range, values or format of the entry.

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Format is a rule for a value that is more than a range or a choice.
type Format string

// The formats, each with the words that an error asks for it with.
const (
	NonEmpty          Format = "not empty"
	Release           Format = "a Kafka release such as 3.9 or 3.9-IV0"
	Voters            Format = "each as id@host:port"
	HostPorts         Format = "each as host:port"
	ThrottledReplicas Format = "* or each as partition:broker"
)

// releases are the metadata versions that Kafka 3.9.1 can be told to speak.
const releases = " 0.8.0 0.8.1 0.8.2 0.9.0 0.10.0-IV0 0.10.0-IV1 0.10.1-IV0 0.10.1-IV1 0.10.1-IV2 0.10.2-IV0" +
	" 0.11.0-IV0 0.11.0-IV1 0.11.0-IV2 1.0-IV0 1.1-IV0 2.0-IV0 2.0-IV1 2.1-IV0 2.1-IV1 2.1-IV2 2.2-IV0 2.2-IV1" +
	" 2.3-IV0 2.3-IV1 2.4-IV0 2.4-IV1 2.5-IV0 2.6-IV0 2.7-IV0 2.7-IV1 2.7-IV2 2.8-IV0 2.8-IV1 3.0-IV0 3.0-IV1" +
	" 3.1-IV0 3.2-IV0 3.3-IV0 3.3-IV1 3.3-IV2 3.3-IV3 3.4-IV0 3.5-IV0 3.5-IV1 3.5-IV2 3.6-IV0 3.6-IV1 3.6-IV2" +
	" 3.7-IV0 3.7-IV1 3.7-IV2 3.7-IV3 3.7-IV4 3.8-IV0 3.9-IV0 4.0-IV0 4.0-IV1 "

// Check returns an error when Kafka would refuse value for this configuration, in
// the form `for config min.insync.replicas: got "two", want int, at least 1`. Like
// Kafka it ignores space around a value and case in a boolean. It knows what
// Kafka's definitions say, not rules between configurations, nor whether a class
// or a file exists. Unlike Kafka it refuses infinity, NaN and hexadecimal for a
// double.
func (e Entry) Check(value string) error {
	if e.allows(strings.TrimSpace(value)) {
		return nil
	}
	return fmt.Errorf("for config %s: got %q, want %s", e.Name, value, e.Want())
}

// Want says in words which values are legal, as "int, at least 1".
func (e Entry) Want() string {
	t := string(e.Type)
	atLeast, atMost := e.Min != "", e.Max != "" && e.Max != maxOf(e.Type)
	switch {
	case e.Type == Boolean:
		t += ", true or false"
	case len(e.Values) > 0 && e.Type == List:
		t += ", each of " + anyOf(e.Values)
	case len(e.Values) > 0:
		t += ", one of " + anyOf(e.Values)
	case atLeast && atMost:
		t += ", " + e.Min + " to " + e.Max
	case atLeast:
		t += ", at least " + e.Min
	case atMost:
		t += ", at most " + e.Max
	case e.Format != "":
		t += ", " + string(e.Format)
	case e.Type == Class:
		t += ", the name of one"
	}
	if e.Or != "" {
		t += ", or " + e.Or
	}
	return t
}

func (e Entry) allows(v string) bool {
	switch e.Type {
	case Boolean:
		return strings.EqualFold(v, "true") || strings.EqualFold(v, "false")
	case Short, Int, Long:
		n, err := strconv.ParseInt(v, 10, bits(e.Type))
		return err == nil && (v == e.Or || e.allowsInt(n))
	case Double:
		f, ok := parseDouble(v)
		return ok && e.allowsDouble(f)
	case List:
		return e.allowsList(elements(v))
	case Class:
		return v != ""
	case String:
		return e.allowsString(v)
	}
	return true // a password may be anything
}

func (e Entry) allowsInt(n int64) bool {
	if lo, err := strconv.ParseInt(e.Min, 10, 64); err == nil && n < lo {
		return false
	}
	hi, err := strconv.ParseInt(e.Max, 10, 64)
	return err != nil || n <= hi
}

func (e Entry) allowsDouble(f float64) bool {
	if lo, ok := parseDouble(e.Min); ok && f < lo {
		return false
	}
	hi, ok := parseDouble(e.Max)
	return !ok || f <= hi
}

func (e Entry) allowsString(v string) bool {
	switch {
	case len(e.Values) > 0:
		return e.hasValue(v)
	case e.Format == NonEmpty:
		return v != ""
	case e.Format == Release:
		return isRelease(v)
	}
	return true
}

func (e Entry) allowsList(elems []string) bool {
	if e.Format == ThrottledReplicas && len(elems) == 1 && elems[0] == "*" {
		return true
	}
	for _, v := range elems {
		ok := true
		switch {
		case len(e.Values) > 0:
			ok = e.hasValue(v)
		case e.Format == Voters:
			id, host, found := strings.Cut(v, "@")
			ok = found && isInt(id) && isHostPort(host)
		case e.Format == HostPorts:
			ok = isHostPort(v)
		case e.Format == ThrottledReplicas:
			partition, broker, found := strings.Cut(v, ":")
			ok = found && isDigits(partition) && isDigits(broker)
		}
		if !ok {
			return false
		}
	}
	return true
}

func (e Entry) hasValue(v string) bool {
	if e.AnyCase {
		return slices.ContainsFunc(e.Values, func(legal string) bool { return strings.EqualFold(v, legal) })
	}
	return slices.Contains(e.Values, v)
}

// isRelease follows Kafka's reading of a release: what stands after the second
// number (the third before 1.0) does not count.
func isRelease(v string) bool {
	parts, n := strings.Split(v, "."), 2
	if strings.HasPrefix(v, "0.") {
		n = 3
	}
	v = strings.Join(parts[:min(n, len(parts))], ".")
	if v == "" || strings.Contains(v, " ") {
		return false
	}
	return strings.Contains(releases, " "+v+" ") || !strings.Contains(v, "-") && strings.Contains(releases, " "+v+"-IV0 ")
}

func isInt(s string) bool {
	_, err := strconv.ParseInt(s, 10, 32)
	return err == nil
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// isHostPort does not ask whether the host can be resolved.
func isHostPort(s string) bool {
	i := strings.LastIndexByte(s, ':')
	if i <= 0 || strings.ContainsAny(s, " /@") {
		return false
	}
	host := s[:i]
	if strings.HasPrefix(host, "[") != strings.HasSuffix(host, "]") {
		return false
	}
	_, err := strconv.ParseUint(s[i+1:], 10, 16)
	return err == nil
}

// elements splits a list as Kafka does: space round a comma does not count, and an
// empty value is an empty list, but an empty element is an element.
func elements(v string) []string {
	if v == "" {
		return nil
	}
	elems := strings.Split(v, ",")
	for i := range elems {
		elems[i] = strings.TrimSpace(elems[i])
	}
	return elems
}

func parseDouble(v string) (float64, bool) {
	if strings.ContainsAny(v, "xX_") {
		return 0, false
	}
	f, err := strconv.ParseFloat(v, 64)
	return f, err == nil && !math.IsInf(f, 0) && !math.IsNaN(f)
}

func bits(t Type) int {
	switch t {
	case Short:
		return 16
	case Int:
		return 32
	}
	return 64
}

// maxOf is the largest value of a type; a bound there says nothing new.
func maxOf(t Type) string {
	switch t {
	case Short:
		return strconv.Itoa(math.MaxInt16)
	case Int:
		return strconv.Itoa(math.MaxInt32)
	case Long:
		return strconv.FormatInt(math.MaxInt64, 10)
	}
	return ""
}

func anyOf(values []string) string {
	if len(values) == 1 {
		return values[0]
	}
	last := len(values) - 1
	return strings.Join(values[:last], ", ") + " or " + values[last]
}

func (u Unit) duration() (time.Duration, bool) {
	switch u {
	case Milliseconds:
		return time.Millisecond, true
	case Seconds:
		return time.Second, true
	case Minutes:
		return time.Minute, true
	case Hours:
		return time.Hour, true
	}
	return 0, false
}

// errNotDuration is the one mistake of Duration that is the caller's, not the value's.
var errNotDuration = errors.New("not a duration")

// Duration returns a legal value of a duration as one. What does not fit (Kafka's
// "for ever" is the largest long) is the longest duration; Kafka's negative values
// with a meaning (-1 for unlimited) stay negative. It returns the error of Check
// for an illegal value, and one for a configuration that is no duration.
func (e Entry) Duration(value string) (time.Duration, error) {
	unit, ok := e.Unit.duration()
	if !ok {
		return 0, fmt.Errorf("for config %s: %w", e.Name, errNotDuration)
	}
	if err := e.Check(value); err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("for config %s: %w", e.Name, err)
	}
	switch limit := math.MaxInt64 / int64(unit); {
	case n > limit:
		return math.MaxInt64, nil
	case n < -limit:
		return math.MinInt64, nil
	}
	return time.Duration(n) * unit, nil
}
