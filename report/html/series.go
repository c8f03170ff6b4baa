// This file defines series: the values of one curve, bucket by bucket, as a
// path, as data for the page's script, and as cells of a table.

package html

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// maxBuckets is how many values a curve has at most. Beyond it, several seconds
// share a bucket, which keeps their least and greatest value.
const maxBuckets = 1200

// unit says how a series' values are written.
type unit string

const (
	perSecond unit = "rate"    // records a second
	length    unit = "seconds" // of time
	records   unit = "records"
)

// series is one curve. A value that is not known is NaN.
type series struct {
	name  string
	class string
	unit  unit
	fill  bool
	low   []float64
	high  []float64
}

// buckets is how the run is divided: step seconds each.
type buckets struct {
	step int
	n    int
	end  time.Duration
}

func bucketsOf(end time.Duration) buckets {
	seconds := int((end + time.Second - 1) / time.Second)
	b := buckets{step: 1, end: end}
	if seconds > maxBuckets {
		b.step = (seconds + maxBuckets - 1) / maxBuckets
	}
	b.n = (seconds + b.step - 1) / b.step
	return b
}

func (b buckets) from(i int) time.Duration { return time.Duration(i*b.step) * time.Second }

// series puts values of single seconds into buckets.
func (b buckets) series(s series, values []float64) series {
	s.low, s.high = fold(values, b.step)
	return s
}

// fold gives the least and the greatest of every n values. Those that are not
// known count for nothing.
func fold(values []float64, n int) (low, high []float64) {
	for i := 0; i < len(values); i += n {
		l, h := math.NaN(), math.NaN()
		for _, v := range values[i:min(i+n, len(values))] {
			if math.IsNaN(v) {
				continue
			}
			if math.IsNaN(l) || v < l {
				l = v
			}
			if math.IsNaN(h) || v > h {
				h = v
			}
		}
		low, high = append(low, l), append(high, h)
	}
	return low, high
}

// greatest is the greatest value, 0 without any.
func (s series) greatest() (v float64) {
	for _, x := range s.high {
		if x > v {
			v = x
		}
	}
	return v
}

// least is the least value above 0, infinite without any.
func (s series) least() float64 {
	v := math.Inf(1)
	for _, x := range s.low {
		if x > 0 && x < v {
			v = x
		}
	}
	return v
}

// path draws the series in steps: a value holds for its bucket. Where nothing
// is known there is no line.
func (s series) path(b buckets, t timeScale, v valueScale) string {
	var out strings.Builder
	up, at := true, 0.0
	to := func(letter string, n float64) { out.WriteString(letter + short(n, 1)) }
	for i := range s.low {
		if math.IsNaN(s.low[i]) {
			up = true
			continue
		}
		low, high := v.y(s.low[i]), v.y(s.high[i])
		if up {
			to("M", t.x(b.from(i)))
			to(" ", high)
			up, at = false, high
		} else if high != at {
			to("V", high)
			at = high
		}
		if low != high {
			to("V", low)
			at = low
		}
		// The same value again only makes the line longer.
		if next := i + 1; next < len(s.low) && !math.IsNaN(s.low[next]) && v.y(s.low[next]) == at && v.y(s.high[next]) == at {
			continue
		}
		to("H", t.x(min(b.from(i+1), b.end)))
	}
	return out.String()
}

// area is the path of what lies below the series.
func (s series) area(b buckets, t timeScale, v valueScale) string {
	var out strings.Builder
	base := short(v.height-margin, 1)
	for i := 0; i < len(s.low); i++ {
		if math.IsNaN(s.low[i]) {
			continue
		}
		out.WriteString("M" + short(t.x(b.from(i)), 1) + " " + base)
		for ; i < len(s.low) && !math.IsNaN(s.low[i]); i++ {
			if i+1 < len(s.low) && s.low[i] == s.low[i+1] {
				if i > 0 && s.low[i-1] == s.low[i] {
					continue
				}
			}
			out.WriteString("V" + short(v.y(s.low[i]), 1) + "H" + short(t.x(min(b.from(i+1), b.end)), 1))
		}
		out.WriteString("V" + base + "Z")
	}
	return out.String()
}

// data writes values as a JSON array; null is not known.
func data(values []float64) string {
	var out strings.Builder
	out.WriteByte('[')
	for i, v := range values {
		if i > 0 {
			out.WriteByte(',')
		}
		if math.IsNaN(v) {
			out.WriteString("null")
		} else {
			out.WriteString(strconv.FormatFloat(v, 'g', 6, 64))
		}
	}
	out.WriteByte(']')
	return out.String()
}
