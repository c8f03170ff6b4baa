package kafka

import (
	"testing"
	"time"

	"starfall/runtime/record"
)

const sec = time.Second

func TestScheduleDue(t *testing.T) {
	s := schedule{parts: 3}
	if got := s.due(sec); got != 0 {
		t.Errorf("before it begins: got %d due, want 0", got)
	}
	if _, ok := s.next(0); ok {
		t.Error("before it begins: got a next record, want none")
	}
	s.begin(sec, 10)
	for _, c := range []struct {
		now  time.Duration
		due  uint64
		next time.Duration
	}{
		{0, 0, sec},
		{sec - 1, 0, sec},
		{sec, 1, 1100 * time.Millisecond},
		{1099 * time.Millisecond, 1, 1100 * time.Millisecond},
		{2 * sec, 11, 2100 * time.Millisecond},
	} {
		if got := s.due(c.now); got != c.due {
			t.Errorf("due at %v: got %d, want %d", c.now, got, c.due)
		}
		if got, _ := s.next(c.now); got != c.next {
			t.Errorf("next after %v: got %v, want %v", c.now, got, c.next)
		}
	}
}

// A change of rate keeps the share of the interval that had passed.
func TestScheduleSetRate(t *testing.T) {
	s := schedule{parts: 3}
	s.begin(0, 1)
	g := s.setRate(2500*time.Millisecond, 10) // 0, 1, 2 were due; half a second of one to go
	if want := (record.Segment{First: 3, At: 2550 * time.Millisecond, Rate: 10, Partitions: 3}); g != want {
		t.Errorf("segment: got %+v, want %+v", g, want)
	}
	if got := s.end(3 * sec); got != 8 {
		t.Errorf("end: got first record not sent %d, want 8", got)
	}
	if got := s.due(10 * sec); got != 8 {
		t.Errorf("due after the end: got %d, want 8", got)
	}
	g = s.setRate(20*sec, 1)
	if want := (record.Segment{First: 8, At: 20 * sec, Rate: 1, Partitions: 3}); g != want {
		t.Errorf("resumed: got %+v, want %+v", g, want)
	}
	if got := s.due(21 * sec); got != 10 {
		t.Errorf("due after resuming: got %d, want 10", got)
	}
}

// A change before the first record is due waits for it.
func TestScheduleSetRateBeforeBegin(t *testing.T) {
	s := schedule{parts: 1}
	s.begin(10*sec, 1)
	if g := s.setRate(5*sec, 2); g.First != 0 || g.At != 10*sec || g.Rate != 2 {
		t.Errorf("segment: got %+v, want the first record still at 10 s", g)
	}
	if n := len(s.segs); n != 1 {
		t.Errorf("segments: got %d, want the new one only", n)
	}
}

// Offering walks through segments, and a record goes to the partitions that its
// own segment knew.
func TestScheduleHead(t *testing.T) {
	s := schedule{parts: 3}
	s.begin(0, 10)
	if _, ok := s.grow(sec, 6); !ok {
		t.Fatal("grow: got nothing, want a segment")
	}
	now := 2 * sec
	var got []int
	for {
		g, n := s.head(s.due(now))
		if n == 0 {
			break
		}
		got = append(got, n, g.Partitions)
		s.offered += uint64(n)
	}
	want := []int{11, 3, 10, 6}
	if len(got) != len(want) {
		t.Fatalf("offered: got %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("offered: got %v, want %v", got, want)
		}
	}
}

func TestScheduleLate(t *testing.T) {
	const after = 100 * time.Millisecond
	const never = -1 << 62
	for _, c := range []struct {
		name      string
		now, full time.Duration
		n, want   int
	}{
		{"on time", 0, never, 1, 0},
		{"just in time", after, never, 11, 0},            // 0 was due 100 ms ago, not more
		{"a second behind", sec, never, 101, 90},         // 0 … 890 ms
		{"only those offered", sec, never, 10, 10},       //
		{"no room until now", sec, sec, 101, 0},          //
		{"no room until lately", sec, 950 * 1e6, 101, 0}, // room for 50 ms only
		{"room long since", sec, 800 * 1e6, 101, 90},     // due 0 … 890 ms, room for 200 ms
	} {
		s := schedule{parts: 1}
		g := s.begin(0, 100)
		if got := s.late(g, c.n, c.now, c.full, after); got != c.want {
			t.Errorf("%s: got %d late, want %d", c.name, got, c.want)
		}
	}
}

func TestRing(t *testing.T) {
	var r ring[int]
	want := []int{}
	next := 0
	for round := range 200 {
		switch round % 5 {
		case 0, 1, 2:
			for range round%7 + 1 {
				r.push(next)
				want = append(want, next)
				next++
			}
		case 3:
			if r.len() > 0 {
				if got := r.front(); got != want[0] {
					t.Fatalf("front: got %d, want %d", got, want[0])
				}
				if got := r.pop(); got != want[0] {
					t.Fatalf("pop: got %d, want %d", got, want[0])
				}
				want = want[1:]
			}
		case 4:
			back := []int{-round, -round + 1, -round + 2}
			r.unpop(back)
			want = append(append([]int{}, back...), want...)
		}
		if r.len() != len(want) {
			t.Fatalf("len: got %d, want %d", r.len(), len(want))
		}
	}
	for _, w := range want {
		if got := r.pop(); got != w {
			t.Fatalf("pop: got %d, want %d", got, w)
		}
	}
}
