package core

// This file tests the network between nodes by literal exchanges.

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// exchange sends requests from node 1 to node 2 at the given times, each answered at once,
// and gives when each was settled and how.
func exchange(t *testing.T, w *World, at []time.Duration, timeout time.Duration) (when []time.Duration, errs []error) {
	t.Helper()
	when, errs = make([]time.Duration, len(at)), make([]error, len(at))
	start := w.Now()
	n := w.byID[1]
	for i, d := range at {
		when[i] = -1
		w.at(start+d, func() {
			// Node 2 is not the controller and says so at once.
			n.call(2, chanHeartbeat, &brokerHeartbeat{id: 1}, 1000, timeout, func(_ any, err error) {
				when[i], errs[i] = w.Now()-start, err
			})
		})
	}
	return when, errs
}

func TestPathConditions(t *testing.T) {
	tests := []struct {
		name string
		path Path
		at   []time.Duration
		low  []time.Duration
		high []time.Duration
	}{
		{"healthy", Path{}, []time.Duration{0, 10 * ms}, []time.Duration{0, 10 * ms}, []time.Duration{ms, 11 * ms}},
		{"latency both ways, and a handshake first", Path{Latency: 20 * ms}, []time.Duration{0, 200 * ms}, []time.Duration{80 * ms, 240 * ms}, []time.Duration{82 * ms, 242 * ms}},
		{"bandwidth", Path{Bandwidth: 10_000}, []time.Duration{0, 0, 0}, []time.Duration{100 * ms, 200 * ms, 300 * ms}, []time.Duration{130 * ms, 230 * ms, 330 * ms}},
		{"everything lost is a cut", Path{Loss: 1}, []time.Duration{0}, []time.Duration{-1}, []time.Duration{-1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, Options{Brokers: 3, Controllers: 1})
			settle(t, w)
			w.SetPaths(func(from, to int32) Path {
				if from <= 2 && to <= 2 {
					return tt.path
				}
				return Path{}
			})
			when, errs := exchange(t, w, tt.at, 0)
			w.Advance(w.Now() + 3*sec)
			for i := range when {
				if when[i] < tt.low[i] || when[i] > tt.high[i] || errs[i] != nil {
					t.Errorf("request %d: got settled at %v with %v, want %v to %v", i, when[i], errs[i], tt.low[i], tt.high[i])
				}
			}
		})
	}
}

func TestJitterAndLossKeepOrder(t *testing.T) {
	w := newWorld(t, Options{Brokers: 3, Controllers: 1})
	settle(t, w)
	w.SetPaths(func(from, to int32) Path { return Path{Latency: 5 * ms, Jitter: 50 * ms, Loss: 0.2} })
	at := make([]time.Duration, 100)
	for i := range at {
		at[i] = time.Duration(i) * 5 * ms
	}
	when, errs := exchange(t, w, at, 0)
	w.Advance(w.Now() + 60*sec)
	for i := range errs {
		if errs[i] != nil || when[i] < 0 {
			t.Errorf("request %d: got settled at %v with %v, want an answer", i, when[i], errs[i])
		}
	}
	if !slices.IsSorted(when) {
		t.Errorf("got answers out of order: %v", when)
	}
}

func TestCutHoldsPacketsUntilARetransmission(t *testing.T) {
	w := newWorld(t, Options{Brokers: 3, Controllers: 1})
	settle(t, w)
	when, _ := exchange(t, w, []time.Duration{0}, 0)
	w.Advance(w.Now() + sec)
	if when[0] < 0 {
		t.Fatal("no answer while the path is whole")
	}
	split(w, 2)
	// Retransmissions at 0.204, 0.408, 0.816 and 1.632 s; the path is whole from 1 s.
	when, errs := exchange(t, w, []time.Duration{0, 500 * ms}, 0)
	w.Advance(w.Now() + sec)
	if when[0] >= 0 || when[1] >= 0 {
		t.Fatalf("got answers %v through a cut", when)
	}
	heal(w)
	w.Advance(w.Now() + 5*sec)
	for i := range when {
		if got := when[i].Round(ms); got != 1632*ms || errs[i] != nil {
			t.Errorf("request %d: got settled at %v with %v, want at 1.632s", i, got, errs[i])
		}
	}
	// A request that times out closes the connection; the next one begins with a new
	// handshake, whose retransmissions are a second apart at first.
	split(w, 2)
	when, errs = exchange(t, w, []time.Duration{0, 600 * ms}, 500*ms)
	w.Advance(w.Now() + 4*sec)
	for i, want := range []time.Duration{500 * ms, 1100 * ms} {
		if when[i] != want || !errors.Is(errs[i], errTimedOut) {
			t.Errorf("request %d: got settled at %v with %v, want a timeout at %v", i, when[i], errs[i], want)
		}
	}
	heal(w)
}

func TestKilledPeerIsSeenAtOnceAndPoweredOffOnlyByTimeout(t *testing.T) {
	for _, tt := range []struct {
		name string
		how  func(w *World) error
		at   time.Duration
		want error
	}{
		{"kill", func(w *World) error { return w.Kill(2) }, 0, errDisconnected},
		{"power off", func(w *World) error { return w.PowerOff(2) }, 5 * sec, errTimedOut},
		{"pause", func(w *World) error { return w.Pause(2) }, 5 * sec, errTimedOut},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, Options{Brokers: 3, Controllers: 1})
			settle(t, w)
			exchange(t, w, []time.Duration{0}, 0)
			w.Advance(w.Now() + sec)
			must(t, tt.how(w))
			when, errs := exchange(t, w, []time.Duration{0}, 5*sec)
			w.Advance(w.Now() + 8*sec)
			if got := when[0].Round(100 * ms); got != tt.at || !errors.Is(errs[0], tt.want) {
				t.Errorf("got settled at %v with %v, want %v at %v", when[0], errs[0], tt.want, tt.at)
			}
		})
	}
}
