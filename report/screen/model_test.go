package screen

import (
	"strings"
	"testing"
	"time"

	"starfall/runtime"
)

// TestColumns cuts updates into columns of the last minute.
func TestColumns(t *testing.T) {
	const s = time.Second
	steady := func(from, to, every time.Duration, acked float64) (ps []point) {
		for at := from; at <= to; at += every {
			ps = append(ps, point{at: at, acked: acked})
		}
		return ps
	}
	for _, tt := range []struct {
		name   string
		points []point
		n      int
		want   string // a character a column: the first digit of acked, a space for unknown
	}{
		{"nothing yet", nil, 6, "      "},
		{"the first seconds", steady(s/4, 15*s, s/4, 7), 6, "    77"},
		{"a minute", steady(s/4, 60*s, s/4, 5), 6, "555555"},
		{"more than a minute", steady(s/4, 95*s, s/4, 5), 6, "555555"},
		{"updates further apart than columns", []point{{at: 5 * s, acked: 1}, {at: 30 * s, acked: 2}, {at: 60 * s, acked: 3}}, 12, "122222333333"},
		{"a mean of the updates of a column", []point{{at: 2 * s, acked: 2}, {at: 4 * s, acked: 4}}, 6, "     3"},
		{"no room", steady(s, 2*s, s, 1), 0, ""},
	} {
		r := run{points: tt.points}
		got := ""
		for _, c := range r.columns(tt.n) {
			if !c.known {
				got += " "
				continue
			}
			got += string(rune('0' + int(c.rates[1])))
		}
		if got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestUpdate follows a sweep of two through its states.
func TestUpdate(t *testing.T) {
	s := New("acks=1", "acks=all")
	text := func() string { return strings.Join(View(s, 80, 24, false), "\n") }
	want := func(when string, parts ...string) {
		t.Helper()
		for _, p := range parts {
			if got := text(); !strings.Contains(got, p) {
				t.Errorf("%s: got\n%s\nwant %q in it", when, got, p)
			}
		}
	}
	want("at first", "1 of 2  acks=1", "prepare", "brings the cluster up")
	s.Begin(0)
	s.Update(0, runtime.Progress{Phase: runtime.PhaseRun, At: 10 * time.Second, Left: 20 * time.Second, Sent: 1234, Acked: 5, Delivered: 6})
	want("in the run", "run         0:10", "0:20 left", "1 234")
	// A line moves the time on, and nothing else.
	s.Update(0, runtime.Progress{Phase: runtime.PhaseRun, At: 11 * time.Second, Left: 19 * time.Second, Line: "kill(kafka-2)\nand more"})
	want("after a line", "0:19 left", "1 234", "0:11.000   kill(kafka-2); and more")
	s.Update(0, runtime.Progress{Phase: runtime.PhaseTakeDown, At: 31 * time.Second})
	want("at the end", "take down   0:31", "takes everything down")
	s.Judging(0)
	want("judging", "judge", "computes the verdict")
	s.Done(0, "FAIL")
	s.Begin(1)
	want("the second", "2 of 2  acks=all  1 FAIL", "prepare")
	if got := text(); strings.Contains(got, "kill(") {
		t.Errorf("the second run shows lines of the first:\n%s", got)
	}
	s.Notice = "stopping"
	want("stopping", "stopping")
}

// TestKept bounds what is kept of a long run.
func TestKept(t *testing.T) {
	s := New("")
	for i := range 100000 {
		at := time.Duration(i) * 250 * time.Millisecond
		s.Update(0, runtime.Progress{Phase: runtime.PhaseRun, At: at, Left: time.Hour})
		s.Update(0, runtime.Progress{Phase: runtime.PhaseRun, At: at, Left: time.Hour, Line: "x"})
	}
	if got := len(s.runs[0].points); got > 300 {
		t.Errorf("got %d points kept, want 300 at most", got)
	}
	if got := len(s.lines); got != keepLines {
		t.Errorf("got %d lines kept, want %d", got, keepLines)
	}
}

// TestPriority shows what must not be lost in the smallest screen.
func TestPriority(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func() *Screen
		want []string
	}{
		{"outage", outage, []string{"run", "0:38", "0:52 left", "acked 0", "kill(", "kafka-2 stopped", "under_replicated", "no leader", "lag 1 203"}},
		{"calm", calm, []string{"run", "0:50 left", "acked 1 000", "lag 7", "outage"}},
		{"stopping", stopping, []string{"drain", "acked 0", "kill(", "kafka-2 stopped", "under_replicated", "no leader", "stopping"}},
		{"side", side, []string{"4 of 9 done", "1 FAIL", "5  acks", "6  acks"}},
	} {
		got := strings.Join(View(tt.make(), MinWidth, MinHeight, false), "\n")
		for _, w := range tt.want {
			if !strings.Contains(got, w) {
				t.Errorf("%s: got\n%s\nwant %q in it", tt.name, got, w)
			}
		}
	}
}
