package network

// This file measures what changing the state costs, and what the rules cost packets
// that they do not concern.

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"starfall/interp/plan"
)

// many are rules about peers that are not there; each k has others.
func many(k, n int) State {
	var s State
	for i := range n {
		r := Rule{
			Local: netip.AddrFrom4([4]byte{10, 99, 1, byte(i)}),
			Peer:  netip.AddrFrom4([4]byte{10, 99, byte(2 + i/250 + 2*k), byte(i % 250)}),
			Out:   i%2 == 0, Condition: plan.Condition{Cut: true},
		}
		if i%5 == 1 {
			r.Condition = plan.Condition{Loss: 0.25}
		}
		s.Rules = append(s.Rules, r)
	}
	return s
}

// BenchmarkApply replaces 500 rules by 500 others.
func BenchmarkApply(b *testing.B) {
	n := lan(b, 1)[0].open()
	states := [2]State{many(0, 500), many(1, 500)}
	for i := 0; b.Loop(); i++ {
		apply(b, n, states[i%2])
	}
}

// BenchmarkRoundTrip sends a byte to and fro over TCP: without a table, with an empty
// one, and with 500 rules about others.
func BenchmarkRoundTrip(b *testing.B) {
	for _, rules := range []int{-1, 0, 500} {
		b.Run(fmt.Sprintf("rules=%d", rules), func(b *testing.B) {
			hosts := lan(b, 2)
			hosts[1].listen(port, echo)
			if rules >= 0 {
				apply(b, hosts[0].open(), many(0, rules))
				apply(b, hosts[1].open(), many(0, rules))
			}
			c := hosts[0].dial(none4, hosts[1], port)
			var took []time.Duration
			for b.Loop() {
				d, err := pingpong(b, c, time.Minute)
				if err != nil {
					b.Fatal(err)
				}
				took = append(took, d)
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
		})
	}
}

// BenchmarkThroughput pours bytes through TCP, whole, with 5 ms, and with 5 ms in
// single segments, as when a path loses packets too.
func BenchmarkThroughput(b *testing.B) {
	for _, c := range []struct {
		name      string
		condition plan.Condition
	}{
		{"whole", plan.Condition{}},
		{"5ms", plan.Condition{Latency: ms(5)}},
		{"5ms-segments", plan.Condition{Latency: ms(5), Loss: 1e-9}},
	} {
		b.Run(c.name, func(b *testing.B) {
			hosts := lan(b, 2)
			n, m := hosts[0].open(), hosts[1].open()
			slowly(b, n)
			apply(b, n, rules(in(hosts[1], c.condition)))
			apply(b, m, rules(out(hosts[0], c.condition)))
			var rate float64
			k := 0
			for b.Loop() {
				rate += pour(b, hosts[1], hosts[0], port+k, 500*time.Millisecond, time.Second)
				k++
			}
			b.ReportMetric(rate/float64(k)/1e6, "MB/s")
		})
	}
}
