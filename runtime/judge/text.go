// This file defines how times and numbers are written in verdicts.

package judge

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"starfall/interp/plan"
)

// Seconds is a length of scenario time, or a moment after the start of load.
// Its JSON is a number of seconds.
type Seconds time.Duration

func seconds(d time.Duration) *Seconds {
	s := Seconds(d)
	return &s
}

// Std gives the standard library's type.
func (s Seconds) Std() time.Duration { return time.Duration(s) }

// MarshalJSON implements json.Marshaler.
func (s Seconds) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, time.Duration(s).Seconds(), 'f', -1, 64), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *Seconds) UnmarshalJSON(b []byte) error {
	var v float64
	if err := json.Unmarshal(b, &v); err != nil {
		return fmt.Errorf("seconds: %w", err)
	}
	*s = Seconds(math.Round(v * 1e9))
	return nil
}

// Clock writes a moment as minutes and seconds: 0:30.003, 1:00.
func Clock(t time.Duration) string {
	sign := ""
	if t < 0 {
		sign, t = "-", -t
	}
	t = t.Round(time.Millisecond)
	s := fmt.Sprintf("%s%d:%02d", sign, int(t/time.Minute), int(t%time.Minute/time.Second))
	if ms := t % time.Second / time.Millisecond; ms != 0 {
		s += strings.TrimRight(fmt.Sprintf(".%03d", ms), "0")
	}
	return s
}

// Length writes a length of time: 4 ms, 8.71 s, 40 s, 2m05s.
func Length(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + Length(-d)
	case d < time.Millisecond && d > 0:
		return fmt.Sprintf("%.1f ms", float64(d)/1e6)
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Round(time.Millisecond)/time.Millisecond)
	case d < 2*time.Minute && d%time.Second == 0:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < 10*time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	d = d.Round(time.Second)
	return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
}

// Number writes a count with spaces between thousands.
func Number(v float64) string {
	if v != math.Trunc(v) {
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	s := strconv.FormatFloat(math.Abs(v), 'f', 0, 64)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + " " + s[i:]
	}
	if v < 0 {
		s = "-" + s
	}
	return s
}

// Quantity writes a value of a unit.
func Quantity(v float64, u plan.Unit) string {
	if math.IsInf(v, 1) {
		return "never"
	}
	switch u {
	case plan.UnitRate:
		return Number(math.Round(v)) + "/s"
	case plan.UnitSeconds:
		return Length(time.Duration(math.Round(v * 1e9)))
	case plan.UnitShare:
		return strconv.FormatFloat(v*100, 'f', 1, 64) + " %"
	case plan.UnitBytes:
		return size(v)
	case plan.UnitTruth:
		if v == 0 {
			return "no"
		}
		return "yes"
	}
	return Number(v)
}

func size(v float64) string {
	for _, u := range []struct {
		name string
		size float64
	}{{"GB", 1 << 30}, {"MB", 1 << 20}, {"KB", 1 << 10}} {
		if v >= u.size {
			return strconv.FormatFloat(v/u.size, 'f', 1, 64) + " " + u.name
		}
	}
	return Number(v) + " B"
}
