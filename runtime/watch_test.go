// This file tests what the run reads from its own recording.

package runtime

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"starfall/runtime/record"
)

func TestReadPositions(t *testing.T) {
	type report struct {
		at   time.Duration
		next int64
	}
	for _, tt := range []struct {
		name    string
		reports []report
		want    int64
	}{
		{"nothing", nil, 0},
		{"goes on", []report{{1, 5}, {2, 9}}, 9},
		{"at one moment the furthest", []report{{1, 9}, {1, 5}}, 9},
		{"a truncated log is read again", []report{{1, 9}, {2, 5}}, 5},
	} {
		var r read
		for _, x := range tt.reports {
			r = r.report(x.at, x.next)
		}
		if r.next != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, r.next, tt.want)
		}
	}
}

// broken cannot be followed.
type broken struct{}

func (broken) Next(func(*record.Block) error) error { return errors.New("torn") }

func TestRecordingThatCannotBeFollowed(t *testing.T) {
	w := newWatcher(small(), newClock(1), broken{}, true)
	if sent, acked, delivered := w.rates(); sent != 0 || acked != 0 || delivered != 0 {
		t.Errorf("got rates %g %g %g, want none", sent, acked, delivered)
	}
	if err := w.failure(); err == nil || err.Error() != "torn" {
		t.Errorf("got failure %v, want why", err)
	}
	if got := w.reached(0, map[position]int64{{0, 0, 0}: 5}); len(got) != 1 {
		t.Errorf("got %v missing, want the one partition", got)
	}
}

func TestRatesAreOfTheLastSecondOfScenarioTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := small()
		rec := record.NewMemory(p, record.Info{Speed: 10})
		c := newClock(10)
		c.set(time.Now())
		w := newWatcher(p, c, rec.Follow(), true)
		log := rec.Producer("shop", 1)
		log.Due(0, 0, 10, 3)
		seq := uint64(0)
		for i := range 40 { // four seconds: ten records a second, then twenty
			n := 1
			if i >= 20 {
				n = 2
			}
			log.Accepted(seq, n, c.Now())
			seq += uint64(n)
			w.rates()
			time.Sleep(10 * time.Millisecond)
		}
		if sent, acked, _ := w.rates(); sent < 18 || sent > 22 || acked != 0 {
			t.Errorf("got %g sent and %g acknowledged a second, want 20 and none", sent, acked)
		}
		if err := rec.Close(c.Now()); err != nil {
			t.Fatal(err)
		}
	})
}
