package core

// This file tests that what replicas and logs note, so as not to look it up with every
// batch, is what it follows from.

import (
	"fmt"
	"slices"
	"testing"
)

// noted says what is noted wrong of a replica; "" for nothing.
func (r *replica) noted() string {
	l := r.log
	last := int32(-1)
	if n := len(l.epochs.starts); n > 0 {
		last = l.epochs.starts[n-1].epoch
	}
	if got := l.epochs.last(); got != last {
		return fmt.Sprintf("latest leader epoch: got %d, want %d", got, last)
	}
	if n := len(l.entries); n > 0 && l.maxTime != l.entries[n-1].maxTime {
		return fmt.Sprintf("largest timestamp: got %d, want %d", l.maxTime, l.entries[n-1].maxTime)
	}
	size := int64(0)
	for _, e := range l.entries {
		size += int64(e.b.size())
	}
	if got := l.size(); got != size {
		return fmt.Sprintf("size of the segments: got %d, want %d", got, size)
	}
	if !r.leading {
		return ""
	}
	if want := len(r.state.ISR) < r.effectiveMinISR(); r.underMin != want {
		return fmt.Sprintf("fewer in sync than needed: got %v, want %v", r.underMin, want)
	}
	isr := r.maximalISR()
	for _, f := range r.remotes {
		switch want := slices.Contains(isr, f.id); {
		case f.awaited != want:
			return fmt.Sprintf("follower %d: got awaited %v, want %v", f.id, f.awaited, want)
		case f.r != r:
			return fmt.Sprintf("follower %d: its leader is another replica", f.id)
		case f.session == nil && (f.queued || f.marked || f.agreed):
			return fmt.Sprintf("follower %d: it is in no session and has news", f.id)
		}
	}
	return ""
}

func TestLeaderEpochs(t *testing.T) {
	var e leaderEpochs
	check := func(what string, last, at10, at30 int32) {
		t.Helper()
		if got := [3]int32{e.last(), e.at(10), e.at(30)}; got != [3]int32{last, at10, at30} {
			t.Errorf("%s: got latest epoch %d, %d at 10 and %d at 30, want %d, %d and %d", what, got[0], got[1], got[2], last, at10, at30)
		}
	}
	check("empty", -1, -1, -1)
	for _, b := range []epochStart{{1, 0}, {1, 5}, {3, 20}, {4, 30}, {2, 40}} {
		e.begin(b.epoch, b.start) // known and older ones change nothing
	}
	check("three", 4, 1, 4)
	for _, tt := range []struct {
		asked, epoch int32
		end          int64
	}{{-1, -1, -1}, {0, 0, 0}, {1, 1, 20}, {2, 1, 20}, {3, 3, 30}, {4, 4, 50}, {5, -1, -1}} {
		if epoch, end := e.endOffset(tt.asked, 50); epoch != tt.epoch || end != tt.end {
			t.Errorf("end of epoch %d: got %d at %d, want %d at %d", tt.asked, epoch, end, tt.epoch, tt.end)
		}
	}
	e.dropFrom(30)
	check("cut at 30", 3, 1, 3)
	e.dropBefore(25)
	check("begins at 25", 3, -1, 3)
	e.dropFrom(0)
	check("cut at 0", -1, -1, -1)
	e.begin(7, 10)
	check("written again", 7, 7, 7)
}
