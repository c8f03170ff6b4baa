// This file tests the live counts of latency against counting one by one.

package runtime

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"starfall/runtime/record"
)

func TestLatencyBounds(t *testing.T) {
	b := LatencyBounds()
	if !slices.IsSorted(b) || b[0] != time.Millisecond || b[len(b)-1] != time.Minute {
		t.Errorf("got bounds %v, want them to rise from 1 ms to 60 s", b)
	}
	b[0] = 0
	if LatencyBounds()[0] == 0 {
		t.Error("a caller can change the bounds")
	}
}

func TestLatencies(t *testing.T) {
	const ms = time.Millisecond
	due := func(member int, first uint64, at time.Duration, rate float64) record.SegmentNote {
		return record.SegmentNote{Member: member, Segment: record.Segment{First: first, At: at, Rate: rate}}
	}
	acked := func(member int32, first, stride uint64, n uint32, at time.Duration) record.Span {
		return record.Span{Op: record.OpAcked, Source: member, First: first, Stride: stride, N: n, At: at}
	}
	for _, tt := range []struct {
		name  string
		sched []record.SegmentNote
		spans []record.Span
		want  []time.Duration
	}{
		{"one", []record.SegmentNote{due(1, 0, 0, 1000)}, []record.Span{acked(1, 5, 1, 1, 9*ms)}, []time.Duration{4 * ms}},
		{"on a bound", []record.SegmentNote{due(1, 0, 0, 1000)}, []record.Span{acked(1, 0, 1, 2, 5*ms)}, []time.Duration{5 * ms, 4 * ms}},
		{
			"over several bounds", []record.SegmentNote{due(1, 0, 0, 100)}, []record.Span{acked(1, 0, 2, 4, 61*ms)},
			[]time.Duration{61 * ms, 41 * ms, 21 * ms, 1 * ms},
		},
		{
			"due later than acknowledged, by rounding", []record.SegmentNote{due(1, 0, 0, 1000)}, []record.Span{acked(1, 3, 1, 3, 4*ms)},
			[]time.Duration{1 * ms, 0, 0},
		},
		{
			"as fast as possible", []record.SegmentNote{due(1, 0, 10*ms, 0), due(1, 100, 20*ms, 0)},
			[]record.Span{acked(1, 98, 1, 4, 30*ms)}, []time.Duration{20 * ms, 20 * ms, 10 * ms, 10 * ms},
		},
		{
			"a change of rate", []record.SegmentNote{due(2, 0, 0, 100), due(2, 10, 100*ms, 1000)},
			[]record.Span{acked(2, 9, 1, 3, 200*ms)}, []time.Duration{110 * ms, 100 * ms, 99 * ms},
		},
		{"beyond every bound", []record.SegmentNote{due(1, 0, 0, 1000)}, []record.Span{acked(1, 0, 1, 1, 90*time.Second)}, []time.Duration{90 * time.Second}},
		{"no schedule", nil, []record.Span{acked(1, 0, 1, 1, 9*ms)}, nil},
		{"a member without one", []record.SegmentNote{due(2, 0, 0, 10)}, []record.Span{acked(1, 0, 1, 1, 9*ms)}, nil},
	} {
		var l latencies
		for _, n := range tt.sched {
			l.segment(n)
		}
		for i := range tt.spans {
			l.acked(&tt.spans[i])
		}
		wantLatencies(t, tt.name, &l, tt.want)
	}
}

// TestLatencySeries counts random series.
func TestLatencySeries(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	for range 2000 {
		longest := time.Duration(r.Int64N(int64(2 * time.Second)))
		step := time.Duration(r.Int64N(int64(50 * time.Millisecond)))
		n := 1 + r.IntN(100)
		var l latencies
		l.series(longest, float64(step), uint64(n))
		var want []time.Duration
		for i := range n {
			want = append(want, max(longest-time.Duration(i)*step, 0))
		}
		wantLatencies(t, "series", &l, want)
	}
}

func wantLatencies(t *testing.T, name string, l *latencies, want []time.Duration) {
	t.Helper()
	var sum time.Duration
	counts := make([]uint64, len(latencyBounds))
	for _, d := range want {
		sum += d
		for i, b := range latencyBounds {
			if d <= b {
				counts[i]++
			}
		}
	}
	if got := l.cumulative(); !slices.Equal(got, counts) {
		t.Errorf("%s: got %v within the bounds, want %v", name, got, counts)
	}
	// The sum of a series is taken in one step, and so rounded once.
	if d := l.sum - sum; d > time.Microsecond || d < -time.Microsecond {
		t.Errorf("%s: got the sum %s, want %s", name, l.sum, sum)
	}
}

// TestScheduleIsBounded: a member that goes as fast as it can does not fill
// memory, and what is in flight keeps its due time.
func TestScheduleIsBounded(t *testing.T) {
	var l latencies
	last := 3 * maxSegments
	for i := range last {
		l.segment(record.SegmentNote{Member: 1, Segment: record.Segment{First: uint64(i) * 10, At: time.Duration(i) * time.Millisecond}})
	}
	if n := len(l.members[1].segments); n > maxSegments {
		t.Errorf("got %d segments, want at most %d", n, maxSegments)
	}
	now := time.Duration(last) * time.Millisecond
	l.acked(&record.Span{Source: 1, First: uint64(last-4000) * 10, Stride: 1, N: 1, At: now})
	if l.sum != 4*time.Second {
		t.Errorf("got %s, want 4s", l.sum)
	}
	l.acked(&record.Span{Source: 1, First: 5, Stride: 1, N: 1, At: now})
	oldest := l.members[1].segments[0].At
	if got := l.sum - 4*time.Second; got != now-oldest {
		t.Errorf("got %s, want a forgotten record counted as of the oldest batch, %s", got, now-oldest)
	}
}

// BenchmarkWatch is what the live counts cost for a span of an acknowledgement,
// with and without latencies.
func BenchmarkWatch(b *testing.B) {
	for _, latency := range []bool{false, true} {
		name := "rates"
		if latency {
			name = "latencies"
		}
		b.Run(name, func(b *testing.B) {
			w := newWatcher(small(), newClock(1), broken{}, latency)
			if latency {
				w.producers[0].took.segment(record.SegmentNote{Member: 1, Segment: record.Segment{Rate: 20_000}})
			}
			s := record.Stream{Actor: record.ActorProducer}
			x := record.Span{Op: record.OpAcked, Source: 1, Stride: 6, N: 4}
			for b.Loop() {
				x.First += 24
				x.At = time.Duration(x.First)*50*time.Microsecond + 3*time.Millisecond
				w.span(s, &x)
			}
		})
	}
}
