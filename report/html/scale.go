// This file defines the scales of the picture: how time and values become
// places, and which of them get a line and a label.

package html

import (
	"math"
	"strconv"
	"time"

	"starfall/runtime/judge"
)

// units is how wide a drawing is in its own coordinates; the page stretches it.
const units = 1000

// timeScale puts moments on the common axis.
type timeScale struct{ end time.Duration }

// x is a moment in units.
func (s timeScale) x(t time.Duration) float64 {
	if s.end <= 0 {
		return 0
	}
	return units * min(max(float64(t)/float64(s.end), 0), 1)
}

// percent is a place on the axis as SVG takes it, of the width.
func (s timeScale) percent(t time.Duration) string { return short(s.x(t)/units*100, 3) + "%" }

// short writes a number with at most that many decimals, and no more than
// needed.
func short(v float64, decimals int) string {
	p := math.Pow(10, float64(decimals))
	return strconv.FormatFloat(math.Round(v*p)/p, 'f', -1, 64)
}

// secs writes a moment in seconds for the page's script.
func secs(t time.Duration) string { return short(t.Seconds(), 3) }

// timeTick is a labelled moment.
type timeTick struct {
	At, X, Label string
}

// timeSteps are lengths between two ticks of time that people count in.
var timeSteps = [...]time.Duration{
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
}

// maxTimeTicks is how many ticks of time fit at phone width.
const maxTimeTicks = 7

func (s timeScale) ticks() (out []timeTick) {
	step := time.Hour
	for _, d := range timeSteps {
		if s.end/d < maxTimeTicks {
			step = d
			break
		}
	}
	for step < s.end/maxTimeTicks {
		step *= 2
	}
	for t := time.Duration(0); t <= s.end; t += step {
		out = append(out, timeTick{secs(t), s.percent(t), judge.Clock(t)})
	}
	return out
}

// valueScale puts values on the height of a panel.
type valueScale struct {
	low, high float64
	log       bool
	height    float64
}

// top and bottom keep lines off the edges of a panel.
const margin = 6

func (s valueScale) y(v float64) float64 {
	share := 0.0
	switch {
	case s.log:
		share = math.Log(max(v, s.low)/s.low) / math.Log(s.high/s.low)
	case s.high > s.low:
		share = (v - s.low) / (s.high - s.low)
	}
	return margin + (s.height-2*margin)*(1-min(max(share, 0), 1))
}

// valueTick is a labelled value.
type valueTick struct {
	Y, TextY string
	Label    string
}

// linear makes a scale from 0 to a round number above high, with a tick at each
// third of it or fewer.
func linear(high, height float64) (valueScale, []float64) {
	high = max(high, 1)
	step := 1.0
	for decade := 1.0; ; decade *= 10 {
		found := false
		for _, n := range [...]float64{1, 2, 5} {
			if step = n * decade; high <= 3*step {
				found = true
				break
			}
		}
		if found {
			break
		}
	}
	s := valueScale{0, math.Ceil(high/step-1e-9) * step, false, height}
	var ticks []float64
	for v := 0.0; v <= s.high+step/2; v += step {
		ticks = append(ticks, v)
	}
	return s, ticks
}

// logarithmic makes a scale of lengths of time in seconds over whole decades,
// with a tick at each.
func logarithmic(low, high, height float64) (valueScale, []float64) {
	const least = 1e-4 // a tenth of a millisecond
	if low <= 0 || math.IsInf(low, 0) {
		low = 1e-3
	}
	low, high = max(low, least), max(high, least)
	a, b := math.Floor(math.Log10(low)+1e-9), math.Ceil(math.Log10(high)-1e-9)
	if b-a < 2 {
		b = a + 2
	}
	s := valueScale{math.Pow(10, a), math.Pow(10, b), true, height}
	step := 1.0
	if b-a > 4 {
		step = 2
	}
	var ticks []float64
	for e := b; e >= a; e -= step {
		ticks = append(ticks, math.Pow(10, e))
	}
	return s, ticks
}

func (s valueScale) label(ticks []float64, text func(float64) string) (out []valueTick) {
	for _, v := range ticks {
		y := s.y(v)
		out = append(out, valueTick{short(y, 1), short(y+4, 1), text(v)})
	}
	return out
}

// compact writes a value for the narrow column of labels: 1 500, 20 k, 3 M.
func compact(v float64) string {
	for _, u := range [...]struct {
		name string
		size float64
	}{{" G", 1e9}, {" M", 1e6}, {" k", 1e4}} {
		if v >= u.size {
			size := u.size
			if size == 1e4 {
				size = 1e3
			}
			return short(v/size, 1) + u.name
		}
	}
	return judge.Number(v)
}
