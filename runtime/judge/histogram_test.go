package judge

import (
	"math/rand"
	"testing"
	"time"
)

// TestAddSeries compares a series with its lengths added one by one.
func TestAddSeries(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	for range 2000 {
		v, step, n := r.Float64()*float64(uint64(1)<<r.Intn(20)), r.Float64()*float64(uint64(1)<<r.Intn(8)), int64(1+r.Intn(500))
		var got, want histogram
		got.addSeries(v, step, n)
		for i := range n {
			want.add(uint64(max(v-step*float64(i), 0)), 1)
		}
		if got.n != want.n {
			t.Fatalf("%v cells less %v, %d times: got %d lengths", v, step, n, got.n)
		}
		// Rounding may move a length that lies on the edge of a place.
		var counted, moved int64
		for p := range max(len(got.pages), len(want.pages)) {
			g, w := got.page(p), want.page(p)
			for s := range g {
				counted += int64(g[s])
				if d := int64(g[s]) - int64(w[s]); d > 0 {
					moved += d
				}
			}
		}
		if counted != n || moved > 1 {
			t.Errorf("%v cells less %v, %d times: got %d lengths, %d of them in another place", v, step, n, counted, moved)
		}
	}
}

func TestQuantiles(t *testing.T) {
	const cell = 100 * time.Microsecond
	var h histogram
	for i := range uint64(10000) {
		h.add(i, 1)
	}
	h.max = 9999 * cell
	for _, tt := range []struct {
		q    float64
		want uint64
	}{{0.5, 5000}, {0.9, 9000}, {0.99, 9900}, {0.999, 9990}, {1, 9999}} {
		got := float64(h.quantile(tt.q, cell) / cell)
		if want := float64(tt.want); got < want*0.99 || got > want*1.02 {
			t.Errorf("quantile %v: got %v cells, want %v", tt.q, got, want)
		}
	}
	if got := new(histogram).quantile(0.5, cell); got != 0 {
		t.Errorf("got %v of nothing, want 0", got)
	}
	for _, cells := range []uint64{0, 1, 63, 64, 65, 127, 128, 1000, 1 << 20, 1<<40 + 12345} {
		p, s := place(cells)
		if low, high := lowest(p, s), upper(p, s); cells < low || cells > high || high-low > cells/subs {
			t.Errorf("%d cells: got a place of %d to %d", cells, low, high)
		}
	}
}
