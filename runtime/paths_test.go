// This file tests how path faults add up, as tables.

package runtime

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"starfall/interp/plan"
)

// world of the tests: brokers 1 and 2 and controller 101 in a, broker 3 in b,
// a producer of two members in a, a consumer in b.
func testEnds() []end {
	node := func(id int32, site string) end {
		return end{Endpoint: Endpoint{Node: NodeKey{"k", id}}, site: site}
	}
	member := func(client string, n int, site string) end {
		return end{Endpoint: Endpoint{Place: Place{Client: client, Member: n, Site: site}}, site: site}
	}
	return []end{
		node(1, "a"), node(2, "a"), node(101, "a"), node(3, "b"),
		member("p", 1, "a"), member("p", 2, "a"), member("c", 1, "b"),
	}
}

func endText(e Endpoint) string {
	if e.Node.ID != 0 {
		return fmt.Sprint(e.Node.ID)
	}
	return fmt.Sprintf("%s%d", e.Place.Client, e.Place.Member)
}

func pathTexts(paths []Path) []string {
	var out []string
	for _, p := range paths {
		out = append(out, endText(p.From)+">"+endText(p.To))
	}
	slices.Sort(out)
	return out
}

func TestMatrix(t *testing.T) {
	cut := plan.Condition{Cut: true}
	n := func(id int32) spot { return spot{Node: NodeKey{"k", id}} }
	site := func(s string) spot { return spot{Site: s} }
	for _, tt := range []struct {
		name   string
		links  []plan.Link
		faults []pathFault
		want   []string
	}{
		{"nothing", nil, nil, nil},
		{
			"two nodes", nil,
			[]pathFault{{groups: [][]spot{{n(1)}, {n(3)}}, between: cut}},
			[]string{"1>3", "3>1"},
		},
		{
			"one way: packets from the first group only", nil,
			[]pathFault{{groups: [][]spot{{n(1)}, {n(3)}}, oneWay: true, between: cut}},
			[]string{"1>3"},
		},
		{
			"groups are cut from each other, not within", nil,
			[]pathFault{{groups: [][]spot{{n(1), n(2)}, {n(3)}}, between: cut}},
			[]string{"1>3", "2>3", "3>1", "3>2"},
		},
		{
			"three groups", nil,
			[]pathFault{{groups: [][]spot{{n(1)}, {n(2)}, {n(3)}}, between: cut}},
			[]string{"1>2", "1>3", "2>1", "2>3", "3>1", "3>2"},
		},
		{
			"one place alone: against all others, clients too", nil,
			[]pathFault{{groups: [][]spot{{n(3)}}, between: cut}},
			[]string{"101>3", "1>3", "2>3", "3>1", "3>101", "3>2", "3>c1", "3>p1", "3>p2", "c1>3", "p1>3", "p2>3"},
		},
		{
			"one way alone: its packets reach nobody", nil,
			[]pathFault{{groups: [][]spot{{n(3)}}, oneWay: true, between: cut}},
			[]string{"3>1", "3>101", "3>2", "3>c1", "3>p1", "3>p2"},
		},
		{
			"sites hold nodes and members; clients do not talk to each other", nil,
			[]pathFault{{groups: [][]spot{{site("a")}, {site("b")}}, between: cut}},
			[]string{"101>3", "101>c1", "1>3", "1>c1", "2>3", "2>c1", "3>1", "3>101", "3>2", "3>p1", "3>p2", "c1>1", "c1>101", "c1>2", "p1>3", "p2>3"},
		},
		{
			"the closest name decides: a broker against its own site", nil,
			[]pathFault{{groups: [][]spot{{site("a")}, {n(2)}}, between: cut}},
			[]string{"101>2", "1>2", "2>1", "2>101", "2>p1", "2>p2", "p1>2", "p2>2"},
		},
		{
			"a member, not the other one", nil,
			[]pathFault{{groups: [][]spot{{{Client: "p", Member: 2}}, {n(1)}}, between: cut}},
			[]string{"1>p2", "p2>1"},
		},
		{
			"a client: all members", nil,
			[]pathFault{{groups: [][]spot{{{Client: "p"}}, {n(1)}}, between: cut}},
			[]string{"1>p1", "1>p2", "p1>1", "p2>1"},
		},
		{
			"a link applies both ways between its sites",
			[]plan.Link{{A: "a", B: "b", Condition: plan.Condition{Latency: 5}}}, nil,
			[]string{"101>3", "101>c1", "1>3", "1>c1", "2>3", "2>c1", "3>1", "3>101", "3>2", "3>p1", "3>p2", "c1>1", "c1>101", "c1>2", "p1>3", "p2>3"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := pathTexts(matrix(tt.links, tt.faults, testEnds(), nil))
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// TestRoutes: packets of a client that goes through a site take the conditions
// of both ways, whichever way they go; without a relay as an endpoint.
func TestRoutes(t *testing.T) {
	node := end{Endpoint: Endpoint{Node: NodeKey{"kafka", 1}}, site: "dc1"}
	shop := end{Endpoint: Endpoint{Place: Place{Client: "shop", Member: 1, Site: "home"}}, site: "home"}
	billing := end{Endpoint: Endpoint{Place: Place{Client: "billing", Member: 1, Site: "home"}}, site: "home"}
	relay := relayOf("london")
	links := []plan.Link{
		{A: "home", B: "london", Condition: plan.Condition{Latency: 5, Bandwidth: 100}},
		{A: "london", B: "dc1", Condition: plan.Condition{Latency: 20, Bandwidth: 300}},
	}
	apart := func(a, b string) pathFault {
		return pathFault{groups: [][]spot{{{Site: a}}, {{Site: b}}}, between: plan.Condition{Cut: true}}
	}
	text := func(paths []Path) []string {
		var out []string
		name := func(e Endpoint) string {
			if e.Node.ID != 0 {
				return "broker"
			}
			return e.Place.Client
		}
		for _, p := range paths {
			s := name(p.From) + ">" + name(p.To)
			if p.Condition.Cut {
				s += " cut"
			}
			out = append(out, fmt.Sprintf("%s %d %g", s, p.Condition.Latency, p.Condition.Bandwidth))
		}
		return out
	}
	routed := map[string]string{"shop": "london"}
	for _, tt := range []struct {
		name   string
		ends   []end
		faults []pathFault
		routes map[string]string
		want   []string
	}{
		{"straight, with the direct way cut", []end{node, shop}, []pathFault{apart("home", "dc1")}, nil, []string{"shop>broker cut 0 0", "broker>shop cut 0 0"}},
		{"around the cut", []end{node, shop, billing}, []pathFault{apart("home", "dc1")}, routed, []string{"billing>broker cut 0 0", "shop>broker 25 100", "broker>billing cut 0 0", "broker>shop 25 100"}},
		{"the first half cut", []end{node, shop}, []pathFault{apart("home", "london")}, routed, []string{"shop>broker cut 25 100", "broker>shop cut 25 100"}},
		{"the second half cut", []end{node, shop}, []pathFault{apart("london", "dc1")}, routed, []string{"shop>broker cut 25 100", "broker>shop cut 25 100"}},
		{"a relay that stands", []end{node, shop, relay}, []pathFault{apart("london", "dc1")}, nil, []string{
			"relay/london>shop 5 100", "relay/london>broker cut 20 300", "shop>relay/london 5 100", "broker>relay/london cut 20 300",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := text(matrix(links, tt.faults, tt.ends, tt.routes))
			slices.Sort(got)
			slices.Sort(tt.want)
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestCompose(t *testing.T) {
	for _, tt := range []struct {
		name       string
		a, b, want plan.Condition
	}{
		{"nothing", plan.Condition{}, plan.Condition{}, plan.Condition{}},
		{"cut wins", plan.Condition{Latency: 5}, plan.Condition{Cut: true}, plan.Condition{Cut: true, Latency: 5}},
		{"latency and jitter add", plan.Condition{Latency: 5, Jitter: 1}, plan.Condition{Latency: 7, Jitter: 2}, plan.Condition{Latency: 12, Jitter: 3}},
		{"losses combine", plan.Condition{Loss: 0.5}, plan.Condition{Loss: 0.5}, plan.Condition{Loss: 0.75}},
		{"total loss stays total", plan.Condition{Loss: 1}, plan.Condition{Loss: 0.3}, plan.Condition{Loss: 1}},
		{"the narrower bandwidth", plan.Condition{Bandwidth: 100}, plan.Condition{Bandwidth: 50}, plan.Condition{Bandwidth: 50}},
		{"0 is unlimited", plan.Condition{Bandwidth: 100}, plan.Condition{}, plan.Condition{Bandwidth: 100}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := compose(tt.a, tt.b); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			if got := compose(tt.b, tt.a); got != tt.want {
				t.Errorf("the other way round: got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestOverlappingFaults(t *testing.T) {
	n := func(id int32) spot { return spot{Node: NodeKey{"k", id}} }
	slow := pathFault{groups: [][]spot{{n(1)}, {n(3)}}, between: plan.Condition{Latency: 10}}
	lossy := pathFault{groups: [][]spot{{{Site: "a"}}, {{Site: "b"}}}, between: plan.Condition{Loss: 0.25}}
	cut := pathFault{groups: [][]spot{{n(1)}}, between: plan.Condition{Cut: true}}
	links := []plan.Link{{A: "b", B: "a", Condition: plan.Condition{Latency: 100, Bandwidth: 9}}}
	condition := func(faults ...pathFault) plan.Condition {
		for _, p := range matrix(links, faults, testEnds(), nil) {
			if endText(p.From) == "1" && endText(p.To) == "3" {
				return p.Condition
			}
		}
		return plan.Condition{}
	}
	for _, tt := range []struct {
		name   string
		faults []pathFault
		want   plan.Condition
	}{
		{"the link alone", nil, plan.Condition{Latency: 100, Bandwidth: 9}},
		{"slow over the link", []pathFault{slow}, plan.Condition{Latency: 110, Bandwidth: 9}},
		{"the same twice", []pathFault{slow, slow}, plan.Condition{Latency: 120, Bandwidth: 9}},
		{"all", []pathFault{slow, lossy, cut}, plan.Condition{Cut: true, Latency: 110, Loss: 0.25, Bandwidth: 9}},
		{"one healed", []pathFault{lossy, slow}, plan.Condition{Latency: 110, Loss: 0.25, Bandwidth: 9}},
	} {
		if got := condition(tt.faults...); got != tt.want {
			t.Errorf("%s: got %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func TestNodeStates(t *testing.T) {
	const running, stopped, paused = processRunning, processStopped, processPaused
	for _, tt := range []struct {
		signal Signal
		want   [3]string // from running, stopped, paused; "" is refused
	}{
		{SignalKill, [3]string{stopped, "", stopped}},
		{SignalStop, [3]string{stopped, "", ""}},
		{SignalPause, [3]string{paused, "", ""}},
		{SignalResume, [3]string{"", "", running}},
		{SignalPowerOff, [3]string{stopped, stopped, stopped}},
		{SignalStart, [3]string{"", running, ""}},
		{"hup", [3]string{"", "", ""}},
	} {
		for i, from := range []string{running, stopped, paused} {
			got, err := step(from, tt.signal)
			if got != tt.want[i] || (err == nil) != (tt.want[i] != "") || err != nil && !errors.Is(err, errRefused) {
				t.Errorf("%s of a %s node: got %q (%v), want %q", tt.signal, from, got, err, tt.want[i])
			}
		}
	}
}

func TestAnyBrokerIsSeeded(t *testing.T) {
	s := State{Nodes: []NodeState{
		{ID: 3, Process: processRunning, Alive: true}, {ID: 1, Process: processRunning, Alive: true},
		{ID: 2, Process: processPaused, Alive: true}, {ID: 4, Process: processRunning},
		{ID: 101, Process: processRunning, Alive: true},
	}}
	seen := make(map[int32]bool)
	for seed := range int64(40) {
		a, err := anyBroker("k", s, seeded(seed, "e", 0, 0))
		if err != nil {
			t.Fatal(err)
		}
		slices.Reverse(s.Nodes)
		b, err := anyBroker("k", s, seeded(seed, "e", 0, 0))
		if err != nil {
			t.Fatal(err)
		}
		if a[0] != b[0] {
			t.Errorf("seed %d: got %v and %v, want the same", seed, a, b)
		}
		seen[a[0].ID] = true
	}
	if len(seen) != 2 || !seen[1] || !seen[3] {
		t.Errorf("got brokers %v over 40 seeds, want 1 and 3: the living", seen)
	}
	if _, err := anyBroker("k", State{}, seeded(1, "e", 0, 0)); err == nil {
		t.Error("got a broker of a cluster without one, want an error")
	}
}
