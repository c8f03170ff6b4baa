package network

// This file tests the times at which packets go on, on a clock of its own.

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"starfall/interp/plan"
)

const packetMS = plan.Duration(time.Millisecond)

var (
	pathA = ends{local: [4]byte{10, 0, 0, 1}, peer: [4]byte{10, 0, 0, 2}}
	pathB = ends{local: [4]byte{10, 0, 0, 9}, peer: [4]byte{10, 0, 0, 2}}
	anyA  = ends{peer: [4]byte{10, 0, 0, 2}}
	other = ends{local: [4]byte{10, 0, 0, 1}, peer: [4]byte{10, 0, 0, 3}}
)

// trace sends packets and lets all of them go, and notes for each id the time, in
// milliseconds, and "x" when it was dropped.
type trace struct {
	s   *scheduler
	got []string
}

func (tr *trace) note(now time.Duration, v verdict) {
	s := fmt.Sprintf("%d@%v", v.id, now.Seconds()*1000)
	if !v.accept {
		s += "x"
	}
	tr.got = append(tr.got, s)
}

func (tr *trace) send(now time.Duration, id uint32, e ends, size int) {
	if v, decided := tr.s.arrive(now, packet{ends: e, id: id, size: size}); decided {
		tr.note(now, v)
	}
}

func (tr *trace) replace(now time.Duration, rules map[ends]plan.Condition, dark bool) {
	for _, v := range tr.s.replace(now, rules, dark) {
		tr.note(now, v)
	}
}

func (tr *trace) drain() {
	for {
		at, ok := tr.s.next()
		if !ok {
			return
		}
		for _, v := range tr.s.release(at, nil) {
			tr.note(at, v)
		}
	}
}

func TestScheduler(t *testing.T) {
	const ms = time.Millisecond
	type conditions = map[ends]plan.Condition
	for _, test := range []struct {
		name string
		do   func(tr *trace)
		want string
	}{
		{"no rule", func(tr *trace) {
			tr.send(3*ms, 1, pathA, 100)
		}, "1@3"},
		{"whole", func(tr *trace) {
			tr.replace(0, conditions{pathA: {}}, false)
			tr.send(3*ms, 1, pathA, 100)
		}, "1@3"},
		{"cut", func(tr *trace) {
			tr.replace(0, conditions{pathA: {Cut: true}}, false)
			tr.send(0, 1, pathA, 100)
			tr.send(0, 2, pathB, 100)
		}, "1@0x 2@0"},
		{"all lost", func(tr *trace) {
			tr.replace(0, conditions{pathA: {Loss: 1}}, false)
			tr.send(0, 1, pathA, 100)
		}, "1@0x"},
		{"dark", func(tr *trace) {
			tr.replace(0, nil, true)
			tr.send(0, 1, pathA, 100)
		}, "1@0x"},
		{"latency", func(tr *trace) {
			tr.replace(0, conditions{pathA: {Latency: 10 * packetMS}}, false)
			tr.send(0, 1, pathA, 100)
			tr.send(2*ms, 2, pathA, 100)
			tr.send(2*ms, 3, other, 100)
		}, "3@2 1@10 2@12"},
		{"latency of two paths", func(tr *trace) {
			tr.replace(0, conditions{pathA: {Latency: 10 * packetMS}, anyA: {Latency: 1 * packetMS}}, false)
			for i := range uint32(3) {
				tr.send(0, 10+i, pathA, 100)
				tr.send(0, 20+i, pathB, 100)
			}
		}, "20@1 21@1 22@1 10@10 11@10 12@10"},
		{"bandwidth", func(tr *trace) {
			tr.replace(0, conditions{pathA: {Bandwidth: 1e6}}, false) // 1000 bytes a millisecond
			tr.send(0, 1, pathA, 1000)
			tr.send(0, 2, pathA, 2000)
			tr.send(10*ms, 3, pathA, 500)
		}, "1@1 2@3 3@10.5"},
		{"bandwidth and latency", func(tr *trace) {
			tr.replace(0, conditions{pathA: {Bandwidth: 1e6, Latency: 5 * packetMS}}, false)
			tr.send(0, 1, pathA, 1000)
			tr.send(0, 2, pathA, 1000)
		}, "1@6 2@7"},
		{"two addresses share the bandwidth of one rule", func(tr *trace) {
			tr.replace(0, conditions{anyA: {Bandwidth: 1e6}}, false)
			tr.send(0, 1, pathA, 1000)
			tr.send(0, 2, pathB, 1000)
		}, "1@1 2@2"},
		{"becomes whole", func(tr *trace) {
			tr.replace(0, conditions{pathA: {Latency: 10 * packetMS}}, false)
			tr.send(0, 1, pathA, 100)
			tr.send(1*ms, 2, pathA, 100)
			tr.replace(2*ms, nil, false)
			tr.send(3*ms, 3, pathA, 100)
		}, "1@2 2@2 3@3"},
		{"becomes cut", func(tr *trace) {
			tr.replace(0, conditions{pathA: {Latency: 10 * packetMS}, pathB: {Latency: 10 * packetMS}}, false)
			tr.send(0, 1, pathA, 100)
			tr.send(0, 2, pathB, 100)
			tr.replace(2*ms, conditions{pathA: {Cut: true}, pathB: {Latency: 10 * packetMS}}, false)
		}, "1@2x 2@10"},
		{"goes dark", func(tr *trace) {
			tr.replace(0, conditions{pathA: {Latency: 10 * packetMS}}, false)
			tr.send(0, 1, pathA, 100)
			tr.replace(2*ms, conditions{pathA: {Latency: 10 * packetMS}}, true)
		}, "1@2x"},
		{"becomes faster", func(tr *trace) {
			tr.replace(0, conditions{pathA: {Latency: 100 * packetMS}}, false)
			tr.send(0, 1, pathA, 100)
			tr.send(1*ms, 2, pathA, 100)
			tr.replace(2*ms, conditions{pathA: {Latency: 5 * packetMS}}, false)
			tr.send(3*ms, 3, pathA, 100)
		}, "1@7 2@7 3@8"},
		{"becomes slower", func(tr *trace) {
			tr.replace(0, conditions{pathA: {Latency: 10 * packetMS}}, false)
			tr.send(0, 1, pathA, 100)
			tr.replace(2*ms, conditions{pathA: {Latency: 50 * packetMS}}, false)
			tr.send(3*ms, 2, pathA, 100)
		}, "1@10 2@53"},
		{"another rule changes", func(tr *trace) {
			tr.replace(0, conditions{pathA: {Bandwidth: 1e6}}, false)
			tr.send(0, 1, pathA, 5000)
			tr.replace(2*ms, conditions{pathA: {Bandwidth: 1e6}, other: {Cut: true}}, false)
			tr.send(2*ms, 2, pathA, 1000)
		}, "1@5 2@6"},
		{"a rule for one address comes", func(tr *trace) {
			tr.replace(0, conditions{anyA: {Latency: 10 * packetMS}}, false)
			tr.send(0, 1, pathA, 100)
			tr.send(0, 2, pathB, 100)
			tr.replace(1*ms, conditions{anyA: {Latency: 10 * packetMS}, pathA: {}}, false)
		}, "1@1 2@10"},
		{"slowest of bandwidths", func(tr *trace) {
			tr.replace(0, conditions{pathA: {Bandwidth: math.SmallestNonzeroFloat64}}, false)
			tr.send(0, 1, pathA, 1)
			tr.send(0, 2, pathA, 1)
		}, "2@0x 1@3.6e+06"},
	} {
		t.Run(test.name, func(t *testing.T) {
			tr := &trace{s: newScheduler(1)}
			test.do(tr)
			tr.drain()
			if got := strings.Join(tr.got, " "); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			if tr.s.bytes != 0 {
				t.Errorf("got %d bytes still held, want none", tr.s.bytes)
			}
		})
	}
}

func TestSchedulerJitter(t *testing.T) {
	for _, test := range []struct {
		latency, jitter plan.Duration
		least, most     time.Duration
	}{
		{20 * packetMS, 5 * packetMS, 15 * time.Millisecond, 25 * time.Millisecond},
		{5 * packetMS, 20 * packetMS, 0, 25 * time.Millisecond},
		{0, 10 * packetMS, 0, 10 * time.Millisecond},
	} {
		s := newScheduler(1)
		s.replace(0, map[ends]plan.Condition{pathA: {Latency: test.latency, Jitter: test.jitter}}, false)
		const packets = 10000
		least, most := time.Hour, time.Duration(0)
		var ids []uint32
		for i := range uint32(packets) {
			now := time.Duration(i) * time.Second // far apart, so that order holds nothing back
			v, decided := s.arrive(now, packet{ends: pathA, id: i, size: 1})
			at := now
			if !decided {
				at, _ = s.next()
				v = s.release(at, nil)[0]
			}
			ids = append(ids, v.id)
			least, most = min(least, at-now), max(most, at-now)
		}
		width := (test.most - test.least) / 100
		if least < test.least || least > test.least+width || most > test.most || most < test.most-width {
			t.Errorf("latency %s, jitter %s: got %v to %v, want %v to %v", test.latency, test.jitter, least, most, test.least, test.most)
		}
		// Close together they would overtake each other.
		ids = ids[:0]
		for i := range uint32(packets) {
			now := 2*packets*time.Second + time.Duration(i)*10*time.Microsecond
			for _, v := range s.release(now, nil) {
				ids = append(ids, v.id)
			}
			if v, decided := s.arrive(now, packet{ends: pathA, id: i, size: 1}); decided {
				ids = append(ids, v.id)
			}
		}
		for _, v := range s.release(math.MaxInt64, nil) {
			ids = append(ids, v.id)
		}
		if len(ids) != packets || !slices.IsSorted(ids) {
			t.Errorf("latency %s, jitter %s: got %d packets, sorted %v; want %d in order", test.latency, test.jitter, len(ids), slices.IsSorted(ids), packets)
		}
	}
}

func TestSchedulerRoom(t *testing.T) {
	for _, test := range []struct {
		name      string
		condition plan.Condition
		size      int
		want      int // accepted of 100,000 at once
	}{
		{"a thousand full packets", plan.Condition{Bandwidth: 10e6}, 1500, 1000},
		{"a second", plan.Condition{Bandwidth: 15e3}, 1500, 10},
		{"one that is larger than the room", plan.Condition{Bandwidth: 1e3}, 65000, 1},
		{"bytes on their way", plan.Condition{Latency: 10 * packetMS}, 64 << 10, maxPathBytes / (64 << 10)},
		{"packets on their way", plan.Condition{Latency: 10 * packetMS}, 40, maxPathPackets},
	} {
		s := newScheduler(1)
		s.replace(0, map[ends]plan.Condition{pathA: test.condition}, false)
		waiting := 0
		for i := range uint32(100000) {
			if _, decided := s.arrive(0, packet{ends: pathA, id: i, size: test.size}); !decided {
				waiting++
			}
		}
		if waiting != test.want || s.lanes[pathA].dropped != uint64(100000-waiting) {
			t.Errorf("%s: got %d waiting and %d dropped, want %d waiting and the rest dropped", test.name, waiting, s.lanes[pathA].dropped, test.want)
		}
	}
}

func TestValidate(t *testing.T) {
	v4, v6 := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1")
	for _, test := range []struct {
		rules []Rule
		want  string
	}{
		{[]Rule{{Peer: v4}, {Peer: v4, Out: true}, {Local: v4, Peer: v4}}, ""},
		{[]Rule{{}}, "rule invalid IP to any: for peer: got invalid IP, want an IPv4 address"},
		{[]Rule{{Peer: v6}}, "rule fd00::1 to any: for peer: got fd00::1, want an IPv4 address"},
		{[]Rule{{Local: v6, Peer: v4, Out: true}}, "rule fd00::1 to 10.0.0.1: for local: got fd00::1, want an IPv4 address or none"},
		{[]Rule{{Peer: v4}, {Peer: v4}}, "rule 10.0.0.1 to any: given twice"},
		{[]Rule{{Peer: v4, Condition: plan.Condition{Latency: -1}}}, "rule 10.0.0.1 to any: for latency and jitter: got -1ns and 0s, want neither below 0"},
		{[]Rule{{Peer: v4, Condition: plan.Condition{Loss: math.NaN()}}}, "rule 10.0.0.1 to any: for loss: got NaN, want 0 to 1"},
		{[]Rule{{Peer: v4, Condition: plan.Condition{Loss: 1.5, Bandwidth: -1}}}, "rule 10.0.0.1 to any: for loss: got 1.5, want 0 to 1\nrule 10.0.0.1 to any: for bandwidth: got -1, want bytes a second, 0 for no limit"},
	} {
		got := ""
		if err := (State{Rules: test.rules}).Validate(); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%v: got %q, want %q", test.rules, got, test.want)
		}
	}
}
