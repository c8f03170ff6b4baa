package explore

// This file defines how a seed becomes a schedule.

import (
	"math/rand/v2"
	"time"

	"starfall/runtime/embedded/core"
)

const (
	ms  = time.Millisecond
	sec = time.Second
)

// Generate makes the schedule of a seed. Which faults are likely, and whether they come
// in bursts, differs from seed to seed: bugs hide in mixtures.
func Generate(seed uint64) Schedule {
	g := &generator{rng: rand.New(rand.NewPCG(seed, 0x6578706c6f7265)), down: map[int32]bool{}, paused: map[int32]bool{}}
	s := Schedule{Seed: seed, Brokers: 3, Partitions: 2, For: 20 * sec, Unclean: seed%16 == 15}
	switch seed % 4 {
	case 1:
		s.Controllers = 1
	case 3:
		s.Controllers = 3
	}
	if seed%8 == 4 {
		s.Brokers = 5
	}
	if seed%2 == 0 {
		s.Members = 2
	}
	if seed%3 != 0 {
		s.Transactions = 1
	}
	g.s = &s
	for i := range s.Brokers {
		g.nodes = append(g.nodes, int32(i+1))
	}
	for i := range s.Controllers {
		g.nodes = append(g.nodes, core.ControllerID(i+1))
	}
	g.weights()
	at := time.Duration(g.rng.IntN(1000)) * ms
	for at < s.For {
		a := g.action()
		a.At = at
		if g.rng.IntN(4) == 0 {
			on := []Trigger{OnISR, OnISR, OnLeader, OnFence, OnJoin}
			if s.Transactions > 0 {
				on = append(on, OnEnd, OnEnd, OnEnd)
			}
			a.On = on[g.rng.IntN(len(on))]
		}
		s.Actions = append(s.Actions, a)
		if a.Verb == PowerOff && g.rng.IntN(3) == 0 {
			s.Actions = append(s.Actions, g.outage(a)...)
		}
		if g.rng.IntN(3) == 0 {
			at += time.Duration(g.rng.IntN(300)) * ms
		} else {
			at += time.Duration(200+g.rng.IntN(4000)) * ms
		}
	}
	return s
}

type generator struct {
	rng    *rand.Rand
	s      *Schedule
	nodes  []int32
	down   map[int32]bool
	paused map[int32]bool
	cut    bool
	choice []Verb // each as often as it is likely
}

func (g *generator) weights() {
	add := func(most int, verbs ...Verb) {
		for range g.rng.IntN(most + 1) {
			g.choice = append(g.choice, verbs...)
		}
	}
	add(3, Kill)
	add(1, PowerOff)
	add(2, Stop)
	add(3, Pause)
	add(3, Split)
	add(2, Mute)
	add(4, Slow)
	add(1, Lose)
	add(4, Lead)
	if g.s.Members > 0 {
		add(2, Freeze)
	}
	if g.s.Transactions > 0 {
		add(3, Crash)
		add(2, Rival)
	}
	g.choice = append(g.choice, Kill, Split, Lead)
}

func (g *generator) action() Action {
	// What is broken is mended about as often as something breaks.
	if broken := len(g.down) + len(g.paused); broken > 0 || g.cut {
		if g.rng.IntN(5) < 2 || broken > (len(g.nodes)+1)/2 {
			return g.mend()
		}
	}
	a := Action{Verb: g.choice[g.rng.IntN(len(g.choice))], Node: g.nodes[g.rng.IntN(len(g.nodes))]}
	switch a.Verb {
	case Kill, PowerOff, Stop:
		g.down[a.Node] = true
		delete(g.paused, a.Node)
	case Pause:
		if g.down[a.Node] {
			a.Verb = Start
			delete(g.down, a.Node)
			break
		}
		g.paused[a.Node] = true
	case Split, Mute:
		a.Node = 0
		g.cut = true
		first := g.rng.IntN(len(g.nodes))
		for i, id := range g.nodes {
			if i == first || g.rng.IntN(3) == 0 {
				a.Nodes = append(a.Nodes, id)
			}
		}
	case Slow:
		g.cut = true
		a.To = g.nodes[g.rng.IntN(len(g.nodes))]
		a.Delay = time.Duration(1+g.rng.IntN(40)) * 50 * ms
	case Lose:
		a.Node = 0
		g.cut = true
	case Lead:
		a.Node = int32(1 + g.rng.IntN(g.s.Brokers))
		a.Partition = int32(g.rng.IntN(g.s.Partitions))
	case Freeze:
		a.Node = int32(1 + g.rng.IntN(g.s.Members))
		a.Delay = time.Duration(1+g.rng.IntN(80)) * 100 * ms
	case Crash:
		a.Node = int32(1 + g.rng.IntN(g.s.Transactions))
		a.Delay = time.Duration(1+g.rng.IntN(80)) * 100 * ms
	case Rival:
		a.Node = int32(1 + g.rng.IntN(g.s.Transactions))
	}
	return a
}

// outage takes the power from other nodes at the same time.
func (g *generator) outage(a Action) []Action {
	var more []Action
	for _, id := range g.nodes {
		if id != a.Node && g.rng.IntN(3) > 0 {
			b := a
			b.Node = id
			more = append(more, b)
			g.down[id] = true
			delete(g.paused, id)
		}
	}
	return more
}

func (g *generator) mend() Action {
	var can []Action
	for _, id := range g.nodes {
		if g.down[id] {
			can = append(can, Action{Verb: Start, Node: id})
		}
		if g.paused[id] {
			can = append(can, Action{Verb: Resume, Node: id})
		}
	}
	if g.cut {
		can = append(can, Action{Verb: Heal})
	}
	a := can[g.rng.IntN(len(can))]
	switch a.Verb {
	case Start:
		delete(g.down, a.Node)
	case Resume:
		delete(g.paused, a.Node)
	case Heal:
		g.cut = false
	}
	return a
}
