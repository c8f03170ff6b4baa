// This file tests that a playback tells what the updates of the run told.

package runtime

import (
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"starfall/interp/plan"
)

// TestPlaybackTellsWhatTheRunTold runs a history and compares a playback of its
// recording with each update of the run: lines word by word, states wherever
// they have stood for a second, and counts within a quarter of one.
func TestPlaybackTellsWhatTheRunTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shop, reader := ref(plan.RefProducer, "shop"), plan.Ref{Kind: plan.RefMember, Name: "billing", Index: 1}
		p := small(
			plan.Event{Trigger: at(4), Actions: []plan.Action{{Verb: plan.Kill, Targets: []plan.Ref{broker(2)}, UndoAfter: after(4)}}},
			plan.Event{Trigger: at(10), Actions: []plan.Action{{Verb: plan.Crash, Targets: []plan.Ref{reader}, UndoAfter: after(3)}}},
			plan.Event{Trigger: at(14), Actions: []plan.Action{{Verb: plan.Crash, Targets: []plan.Ref{shop}, UndoAfter: after(3)}}},
			plan.Event{Trigger: at(18), Actions: []plan.Action{{Verb: plan.Note, Text: "nothing is broken by this"}}},
		)
		rate := plan.Expr{Op: plan.OpTerm, Term: &plan.Term{Subject: shop, Measure: "rate", Bound: &plan.Bound{Op: plan.NeverBelow, Value: 15}}}
		p.Alarms = []plan.Alarm{{Name: "page", Claim: rate}}
		var told, lines []Progress
		f := newFake()
		f.delay[SignalStart] = time.Second
		res := play(t, f, p, func(o *Options) {
			o.Progress = func(p Progress) {
				if p.Line == "" {
					told = append(told, p)
				} else {
					lines = append(lines, p)
				}
			}
		})
		if res.err != nil {
			t.Fatal(res.err)
		}
		b, err := NewPlayback(res.rec)
		if err != nil {
			t.Fatal(err)
		}
		if b.Cut != "" || b.From != 0 || b.To < 20*time.Second {
			t.Errorf("got a playback from %s to %s, cut %q", b.From, b.To, b.Cut)
		}

		played := b.Lines(-time.Hour, b.To)
		text := func(ps []Progress) (out []string) {
			for _, p := range ps {
				out = append(out, p.Line)
			}
			slices.Sort(out) // those of one moment have no order
			return out
		}
		if got, want := text(played), text(lines); !slices.Equal(got, want) {
			t.Errorf("got lines\n%q\nwant\n%q", got, want)
		}
		if got := b.Lines(3*time.Second, 5*time.Second); len(got) == 0 || got[0].Phase != PhaseRun || got[0].At < 3*time.Second || got[0].Left <= 0 {
			t.Errorf("got lines %v from 3 s to 5 s, want the kill, in the run", got)
		}

		steady := func(i int, same func(a, b Progress) bool) bool {
			for _, x := range told[i:] {
				if x.At > told[i].At+time.Second {
					break
				}
				if !same(x, told[i]) {
					return false
				}
			}
			for _, x := range told[:i] {
				if x.At >= told[i].At-time.Second && !same(x, told[i]) {
					return false
				}
			}
			return true
		}
		compared := map[string]int{}
		check := func(i int, what string, same func(a, b Progress) bool) {
			t.Helper()
			if !steady(i, same) {
				return
			}
			compared[what]++
			if got := b.At(told[i].At); !same(got, told[i]) {
				t.Errorf("%s at %s: got\n%+v\nwant\n%+v", what, told[i].At, got, told[i])
			}
		}
		for i := range told {
			if told[i].Phase != PhaseRun || told[i].At < time.Second {
				continue
			}
			check(i, "nodes", func(a, b Progress) bool { return slices.Equal(a.Nodes, b.Nodes) })
			check(i, "partitions", func(a, b Progress) bool { return slices.Equal(a.Partitions, b.Partitions) })
			check(i, "faults", func(a, b Progress) bool {
				return slices.EqualFunc(a.Faults, b.Faults, func(a, b FaultProgress) bool { return a.Text == b.Text })
			})
			check(i, "alarms", func(a, b Progress) bool { return slices.Equal(a.Alarms, b.Alarms) })
			check(i, "next", func(a, b Progress) bool { return a.Next == b.Next && a.NextAt == b.NextAt })
			check(i, "group", func(a, b Progress) bool {
				return a.Consumers[0].State == b.Consumers[0].State && a.Consumers[0].Members == b.Consumers[0].Members
			})
			got := b.At(told[i].At)
			// Counts lie between those of the updates before and after, or
			// half a second of the load away.
			for what, count := range map[string]func(Progress) float64{
				"sent":      func(p Progress) float64 { return p.Sent },
				"accepted":  func(p Progress) float64 { return float64(p.Producers[0].Accepted) },
				"acked":     func(p Progress) float64 { return float64(p.Producers[0].Acked) },
				"delivered": func(p Progress) float64 { return float64(p.Consumers[0].Delivered) },
				"lag":       func(p Progress) float64 { return float64(p.Consumers[0].Lag) },
			} {
				low, high := math.Inf(1), math.Inf(-1)
				for _, x := range told[i-1 : min(i+2, len(told))] {
					low, high = min(low, count(x)), max(high, count(x))
				}
				if n := count(got); n < low-12 || n > high+12 {
					t.Errorf("%s at %s: got %g, want %g to %g", what, told[i].At, n, low, high)
				}
			}
		}
		for _, what := range []string{"nodes", "partitions", "faults", "alarms", "next", "group"} {
			if compared[what] < 10 {
				t.Errorf("%s: compared %d times, want 10 or more", what, compared[what])
			}
		}

		// Back and forth gives the same.
		there := b.At(6 * time.Second)
		b.At(18 * time.Second)
		again := b.At(6 * time.Second)
		if there.Producers[0].Acked != again.Producers[0].Acked || !slices.Equal(there.Nodes, again.Nodes) || there.Consumers[0] != again.Consumers[0] {
			t.Errorf("got %+v at 6 s after going back, want %+v", again, there)
		}
	})
}
