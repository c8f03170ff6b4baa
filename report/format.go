// This file defines how numbers, lengths of time and moments are written.

package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"starfall/interp/plan"
)

// none stands where there is no value.
const none = "–"

// Clock writes a moment of a run in minutes and seconds: 1:30, or 0:30.250
// when it is not a whole second.
func Clock(d time.Duration) string {
	sign := ""
	if d < 0 {
		sign, d = "-", -d
	}
	d = d.Round(time.Millisecond)
	ms := d.Milliseconds()
	s := fmt.Sprintf("%s%d:%02d", sign, ms/60_000, ms/1000%60)
	if ms%1000 != 0 {
		s += fmt.Sprintf(".%03d", ms%1000)
	}
	return s
}

// exactClock is Clock with milliseconds always.
func exactClock(d time.Duration) string {
	s := Clock(d)
	if !strings.Contains(s, ".") {
		s += ".000"
	}
	return s
}

// span writes a length of time with three figures: 4 ms, 8.70 s, 2m05s.
func span(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + span(-d)
	case d == 0:
		return "0 s"
	case d < time.Millisecond:
		return strconv.FormatInt(d.Microseconds(), 10) + " µs"
	case d < time.Second:
		return strconv.FormatInt(d.Round(time.Millisecond).Milliseconds(), 10) + " ms"
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Seconds(), 'f', 2, 64) + " s"
	case d < 2*time.Minute:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	}
	d = d.Round(time.Second)
	return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
}

// number writes a number with thin groups of thousands as spaces, with
// decimals only when it is small and not whole.
func number(x float64) string {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return none
	}
	if x < 0 {
		return "-" + number(-x)
	}
	if x != math.Trunc(x) && x < 100 {
		return strconv.FormatFloat(x, 'g', 3, 64)
	}
	s := strconv.FormatFloat(math.Round(x), 'f', 0, 64)
	if len(s) <= 4 {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		if i > 0 && (len(s)-i)%3 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// bytesText writes a number of bytes as scenarios do: 1 KB is 1024 bytes.
func bytesText(x float64) string {
	for _, u := range []struct {
		size float64
		name string
	}{{1 << 30, "GB"}, {1 << 20, "MB"}, {1 << 10, "KB"}} {
		if math.Abs(x) >= u.size {
			return strconv.FormatFloat(x/u.size, 'g', 3, 64) + " " + u.name
		}
	}
	return number(x) + " B"
}

// Value writes a measured value in its unit.
func Value(x float64, unit plan.Unit) string {
	switch unit {
	case plan.UnitSeconds:
		return span(time.Duration(x * float64(time.Second)))
	case plan.UnitRate:
		return number(x) + "/s"
	case plan.UnitShare:
		return strconv.FormatFloat(x*100, 'g', 3, 64) + " %"
	case plan.UnitBytes:
		return bytesText(x)
	}
	return number(x)
}
