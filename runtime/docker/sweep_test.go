package docker

import (
	"os/exec"
	"strconv"
	"testing"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/agent/network"
)

func TestOwner(t *testing.T) {
	me := self()
	if me.life() != living {
		t.Errorf("self: got %v, want living", me.life())
	}
	again, ok := parseOwner(me.String())
	if !ok || again != me {
		t.Errorf("got %v, want %v", again, me)
	}
	later := me
	later.start += "1"
	if later.life() != gone {
		t.Error("another process with the same id: want gone")
	}
	elsewhere := me
	elsewhere.boot = "another"
	if elsewhere.life() != unknown {
		t.Error("another boot: want unknown")
	}
	if (owner{}).life() != unknown {
		t.Error("no owner: want unknown")
	}
	// A process that has died is gone even before its parent has waited for it.
	cmd := exec.Command("cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skipf("cat, which is to end: %v", err)
	}
	child := me
	child.pid = strconv.Itoa(cmd.Process.Pid)
	child.start = started(child.pid)
	if child.life() != living {
		t.Errorf("child that runs: got %v, want living", child.life())
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if child.life() != gone {
		t.Errorf("child that has ended: got %v, want gone", child.life())
	}
}

func TestGoes(t *testing.T) {
	now := time.Now()
	me, dead, far := self(), self(), self()
	dead.start, far.boot = "1", "another"
	for _, tt := range []struct {
		name       string
		owner      owner
		containers []string
		kept       bool
		age        time.Duration
		sweep      bool // what a run does
		clean      bool // what clean does
		told       bool // whether clean tells what it leaves
	}{
		{"living", me, nil, false, time.Hour, false, false, false},
		{"living and to be kept", me, []string{"a"}, true, time.Hour, false, false, false},
		{"gone", dead, nil, false, 0, true, true, false},
		{"gone with containers", dead, []string{"a"}, false, 0, true, true, false},
		{"kept", dead, []string{"a"}, true, 0, false, true, false},
		{"unknown, young and empty", far, nil, false, time.Minute, false, false, true},
		{"unknown, old and empty", far, nil, false, time.Hour, true, true, false},
		{"unknown with containers", far, []string{"a"}, false, time.Hour, false, false, true},
	} {
		r := Remains{Kept: tt.kept, Containers: tt.containers, owner: tt.owner, made: now.Add(-tt.age)}
		if goes, why := r.goes(false, now); goes != tt.sweep || why != "" {
			t.Errorf("%s: a run: got %v, %q, want %v and nothing told", tt.name, goes, why, tt.sweep)
		}
		if goes, why := r.goes(true, now); goes != tt.clean || (why != "") != tt.told {
			t.Errorf("%s: clean: got %v, %q, want %v, told %v", tt.name, goes, why, tt.clean, tt.told)
		}
	}
}

func TestNeeds(t *testing.T) {
	at := func(line int) plan.Pos { return plan.Pos{File: "x.star", Line: line, Col: 1} }
	p := &plan.Plan{
		Links: []plan.Link{{Pos: at(1), Condition: plan.Condition{Latency: plan.Duration(time.Millisecond)}}, {Pos: at(2)}},
		Events: []plan.Event{{Actions: []plan.Action{
			{Pos: at(3), Verb: plan.Netsplit},
			{Pos: at(4), Verb: plan.Lose, Condition: plan.Condition{Loss: 0.1}},
			{Pos: at(5), Verb: plan.Throttle, Condition: plan.Condition{Bandwidth: 1000}},
			{Pos: at(6), Verb: plan.Lose, Condition: plan.Condition{Loss: 1}},
			{Pos: at(7), Verb: plan.Kill},
		}}},
	}
	for _, tt := range []struct {
		can  network.Support
		want []int
	}{
		{network.Support{}, nil},
		{network.Support{Delay: "no queue"}, []int{1, 5}},
		{network.Support{Loss: "no numgen"}, []int{4}},
		{network.Support{Cut: "no nftables"}, []int{3, 6}},
	} {
		var got []int
		for _, r := range unsupported(networkNeeds(p), tt.can) {
			got = append(got, r.Pos.Line)
		}
		if len(got) != len(tt.want) {
			t.Errorf("%+v: got refusals at lines %v, want %v", tt.can, got, tt.want)
			continue
		}
		for i := range got {
			if got[i] != tt.want[i] {
				t.Errorf("%+v: got refusals at lines %v, want %v", tt.can, got, tt.want)
			}
		}
	}
}

func TestRefuse(t *testing.T) {
	pos := plan.Pos{File: "x.star", Line: 3, Col: 9}
	cluster := func(c plan.Cluster, version, image string) *plan.Plan {
		c.Pos, c.Version, c.Image = pos, version, image
		return &plan.Plan{Clusters: []plan.Cluster{c}}
	}
	for _, tt := range []struct {
		name string
		p    *plan.Plan
		want string
	}{
		{"nothing asked", cluster(combined(3), "", ""), ""},
		{"4.0", cluster(combined(3), "4.0", ""), ""},
		{"ZooKeeper", cluster(layout(3, 0, 3), "3.9.1", ""), ""},
		{"ZooKeeper by default", cluster(layout(3, 0, 3), "", ""), ""},
		{"ZooKeeper on 4", cluster(layout(3, 0, 3), "4.0.0", ""), "cluster kafka: for parameter zookeeper: Kafka 4.0.0 has no ZooKeeper mode any more, 3.9 was the last"},
		{"ZooKeeper on an image", cluster(layout(3, 0, 3), "", "mine:latest"), ""},
		{"no version", cluster(combined(1), "latest", ""), `cluster kafka: for parameter version: got "latest", want a version such as 3.9.1`},
		{"too old", cluster(combined(1), "2.8.0", ""), "cluster kafka: for parameter version: got 2.8.0, want 3.3 or newer"},
	} {
		got := Engine{}.Refuse(tt.p)
		switch {
		case tt.want == "" && len(got) > 0, tt.want != "" && (len(got) != 1 || got[0].Message != tt.want || got[0].Pos != pos):
			t.Errorf("%s: got %+v, want %q", tt.name, got, tt.want)
		}
	}
}
