// This file defines how durations, sizes and bandwidths are written, and the
// Starlark values Duration and instant with their arithmetic.

package builtins

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"starfall/interp/plan"
)

// maxDuration is the longest duration the language takes: 30 days.
const maxDuration = 30 * 24 * time.Hour

const wantDuration = `a duration such as "90s", "1m30s" or 30 * second`

// parseDuration reads "90s", "1m30s", "250ms", "1.5h". The units are ms, s, m
// and h. The error says what was wrong, without naming the parameter.
func parseDuration(s string) (plan.Duration, error) {
	if strings.ContainsAny(s, "nuµμ") {
		return 0, errors.New("the units are ms, s, m and h")
	}
	d, err := time.ParseDuration(s)
	switch {
	case err == nil && (d > maxDuration || d < -maxDuration):
		return 0, errors.New("the longest duration is 720h")
	case err == nil:
		return plan.Duration(d), nil
	}
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		return 0, fmt.Errorf("a unit is missing; say %q", s+"s")
	}
	return 0, errors.New("the units are ms, s, m and h, without spaces")
}

// parseSize reads "100B", "4KB", "32MB" or "1GB", in bytes.
func parseSize(s string) (float64, error) {
	i := strings.LastIndexAny(s, "0123456789.") + 1
	scale, ok := float64(0), true
	switch s[i:] {
	case "B":
		scale = 1
	case "KB":
		scale = 1 << 10
	case "MB":
		scale = 1 << 20
	case "GB":
		scale = 1 << 30
	default:
		ok = false
	}
	v, err := strconv.ParseFloat(s[:i], 64)
	if err == nil && s[i:] == "" {
		return 0, fmt.Errorf("a unit is missing; say %q, with B, KB, MB or GB", s+"B")
	}
	if err != nil || !ok || v < 0 || strings.ContainsAny(s[:i], "+eExXpP_") {
		return 0, errors.New("the units are B, KB, MB and GB, without spaces")
	}
	return v * scale, nil
}

// parseBandwidth reads "10MB/s", in bytes per second.
func parseBandwidth(s string) (float64, error) {
	rest, ok := strings.CutSuffix(s, "/s")
	if !ok {
		return 0, errors.New("it ends in /s")
	}
	v, err := parseSize(rest)
	if err != nil {
		return 0, errors.New("the units are B/s, KB/s, MB/s and GB/s, without spaces")
	}
	return v, nil
}

// Duration is a length of scenario time as a Starlark value. It multiplies
// with numbers, and adds with durations, strings such as "5s", and instants.
type Duration plan.Duration

var (
	_ starlark.HasBinary  = Duration(0)
	_ starlark.HasUnary   = Duration(0)
	_ starlark.Comparable = Duration(0)
)

func (d Duration) String() string        { return plan.Duration(d).String() }
func (d Duration) Type() string          { return "duration" }
func (d Duration) Freeze()               {}
func (d Duration) Truth() starlark.Bool  { return d != 0 }
func (d Duration) Hash() (uint32, error) { return uint32(d) ^ uint32(d>>32), nil }

// CompareSameType orders durations.
func (d Duration) CompareSameType(op syntax.Token, y starlark.Value, depth int) (bool, error) {
	return threeway(op, float64(d), float64(y.(Duration))), nil
}

func threeway(op syntax.Token, x, y float64) bool {
	switch op {
	case syntax.EQL:
		return x == y
	case syntax.NEQ:
		return x != y
	case syntax.LT:
		return x < y
	case syntax.LE:
		return x <= y
	case syntax.GT:
		return x > y
	}
	return x >= y
}

// Unary is -d and +d.
func (d Duration) Unary(op syntax.Token) (starlark.Value, error) {
	switch op {
	case syntax.MINUS:
		return -d, nil
	case syntax.PLUS:
		return d, nil
	}
	return nil, nil
}

// Binary is d + d, d - d, d * number, d / number, and d / d, a float.
func (d Duration) Binary(op syntax.Token, y starlark.Value, side starlark.Side) (starlark.Value, error) {
	if other, ok, err := durationOperand(y); err != nil {
		return nil, err
	} else if ok {
		a, b := float64(d), float64(other)
		if side == starlark.Right {
			a, b = b, a
		}
		switch op {
		case syntax.PLUS:
			return checkedDuration(a + b)
		case syntax.MINUS:
			return checkedDuration(a - b)
		case syntax.SLASH:
			if b == 0 {
				return nil, errors.New("division of a duration by 0s")
			}
			return starlark.Float(a / b), nil
		}
		return nil, nil
	}
	n, ok := starlark.AsFloat(y)
	if !ok {
		return nil, nil
	}
	switch {
	case op == syntax.STAR:
		return checkedDuration(float64(d) * n)
	case op == syntax.SLASH && side == starlark.Left:
		if n == 0 {
			return nil, errors.New("division of a duration by zero")
		}
		return checkedDuration(float64(d) / n)
	case op == syntax.PLUS || op == syntax.MINUS:
		return nil, fmt.Errorf("%s and %s: a bare number is no duration; say %s * second", d.Type(), y.Type(), y)
	}
	return nil, nil
}

// durationOperand reads a duration or a string that stands for one.
func durationOperand(v starlark.Value) (Duration, bool, error) {
	switch v := v.(type) {
	case Duration:
		return v, true, nil
	case starlark.String:
		d, err := parseDuration(string(v))
		if err != nil {
			return 0, false, fmt.Errorf("got %s, want %s: %w", quote(string(v)), wantDuration, err)
		}
		return Duration(d), true, nil
	}
	return 0, false, nil
}

func checkedDuration(ns float64) (starlark.Value, error) {
	if math.IsNaN(ns) || math.Abs(ns) > float64(maxDuration) {
		return nil, errors.New("the longest duration is 720h")
	}
	return Duration(math.Round(ns)), nil
}

// instant is a moment as a Starlark value: a duration after an edge of an event.
type instant struct{ at plan.Instant }

var _ starlark.HasBinary = instant{}

func (i instant) String() string       { return "instant" }
func (i instant) Type() string         { return "instant" }
func (i instant) Freeze()              {}
func (i instant) Truth() starlark.Bool { return true }
func (i instant) Hash() (uint32, error) {
	return 0, errors.New("unhashable: instant")
}

// Binary is instant + duration, duration + instant and instant - duration.
func (i instant) Binary(op syntax.Token, y starlark.Value, side starlark.Side) (starlark.Value, error) {
	if _, ok := starlark.AsFloat(y); ok && (op == syntax.PLUS || op == syntax.MINUS) {
		return nil, fmt.Errorf("instant and %s: a bare number is no duration; say %s * second", y.Type(), y)
	}
	d, ok, err := durationOperand(y)
	if err != nil || !ok || (op != syntax.PLUS && (op != syntax.MINUS || side == starlark.Right)) {
		return nil, err
	}
	if op == syntax.MINUS {
		d = -d
	}
	sum, err := checkedDuration(float64(i.at.Offset) + float64(d))
	if err != nil {
		return nil, err
	}
	i.at.Offset = plan.Duration(sum.(Duration))
	return i, nil
}

func quote(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "…"
	}
	return strconv.Quote(s)
}

// literal renders a table default as Starlark source.
func literal(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		if v {
			return "True"
		}
		return "False"
	case string:
		return strconv.Quote(v)
	}
	return fmt.Sprint(v)
}
