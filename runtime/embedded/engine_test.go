package embedded

// This file defines the tests of the engine's own edges: refusals, errors, proofs.

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"starfall/internal/kafkatools"
	"starfall/interp/plan"
	"starfall/runtime"
	"starfall/runtime/embedded/core"
)

func TestRefuse(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*plan.Cluster)
		want   string // "" for none
	}{
		{"nothing special", func(*plan.Cluster) {}, ""},
		{"its own version", func(c *plan.Cluster) { c.Version = "3.9.1" }, ""},
		{"another version", func(c *plan.Cluster) { c.Version = "4.0.0" }, `cluster kafka: for parameter version: got "4.0.0", want 3.9, whose behaviour this is`},
		{"a version that only looks alike", func(c *plan.Cluster) { c.Version = "3.90" }, `cluster kafka: for parameter version: got "3.90", want 3.9, whose behaviour this is`},
		{"an image", func(c *plan.Cluster) { c.Image = "apache/kafka" }, `cluster kafka: for parameter image: there is no container to run "apache/kafka" in`},
		{"ZooKeeper", func(c *plan.Cluster) {
			c.Nodes = append(c.Nodes, plan.Node{ID: plan.FirstZooKeeperID, Role: plan.RoleZooKeeper})
		}, "cluster kafka: for parameter zookeeper: the cluster runs in KRaft mode only"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := kafkaPlan(1, 0, nil)
			tt.change(&p.Clusters[0])
			got := ""
			for _, r := range (Engine{}).Refuse(p) {
				got += r.Message
				if r.Engine != docker {
					t.Errorf("engine that can: got %q, want %q", r.Engine, docker)
				}
			}
			if got != tt.want {
				t.Errorf("refusal: got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestRefuseByPosition: a claim on what brokers use would be judged on nothing.
func TestRefuseByPosition(t *testing.T) {
	term := plan.Expr{Op: plan.OpTerm, Term: &plan.Term{Subject: plan.Ref{Kind: plan.RefCluster, Name: "kafka"}, Measure: "cpu"}}
	other := plan.Expr{Op: plan.OpTerm, Term: &plan.Term{Subject: plan.Ref{Kind: plan.RefCluster, Name: "kafka"}, Measure: "alive"}}
	p := kafkaPlan(1, 0, nil)
	p.Claims = []plan.Claim{
		{Pos: plan.Pos{Line: 1}, Expr: plan.Expr{Op: plan.OpBoth, Args: []plan.Expr{other, term}}},
		{Pos: plan.Pos{Line: 2}, Expr: other},
	}
	p.Alarms = []plan.Alarm{{Pos: plan.Pos{Line: 3}, Claim: term}}
	p.Events = []plan.Event{{Pos: plan.Pos{Line: 4}, Trigger: plan.Trigger{Kind: plan.TriggerWhen, Claim: &term}}, {Actions: []plan.Action{
		{Pos: plan.Pos{Line: 5}, Verb: plan.Move, Bandwidth: 1e6},
		{Pos: plan.Pos{Line: 6}, Verb: plan.Move},
		{Pos: plan.Pos{Line: 7}, Verb: plan.Throttle, Bandwidth: 1e6},
		{Pos: plan.Pos{Line: 8}, Verb: plan.Tool, Tool: "kafka-topics", Args: []string{"--describe"}},
	}}}
	var lines []int
	for _, r := range (Engine{}).Refuse(p) {
		lines = append(lines, r.Pos.Line)
	}
	if want := []int{1, 3, 4, 8}; !slices.Equal(lines, want) {
		t.Errorf("refused lines: got %v, want %v", lines, want)
	}
}

// TestRefuseTool: who asks for a tool learns the word that does the same here.
func TestRefuseTool(t *testing.T) {
	acls, ok := kafkatools.Lookup("kafka-acls")
	if !ok || acls.Word == "" {
		t.Fatalf("got tool %+v, want one with a word", acls)
	}
	for _, tt := range []struct{ tool, want string }{
		{"kafka-acls", "tool: kafka-acls needs Kafka's own processes: here say " + acls.Word},
		{"kafka-storage", "tool: kafka-storage needs Kafka's own processes"},
	} {
		p := kafkaPlan(1, 0, nil)
		p.Events = []plan.Event{{Actions: []plan.Action{{Verb: plan.Tool, Tool: tt.tool}}}}
		got := (Engine{}).Refuse(p)
		if len(got) != 1 || got[0].Message != tt.want || got[0].Engine != docker {
			t.Errorf("got %+v, want %q", got, tt.want)
		}
	}
}

func TestUpFails(t *testing.T) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	port := ln.Addr().(*net.TCPAddr).Port
	_, err = Engine{}.Up(context.Background(), kafkaPlan(1, 0, nil), runtime.UpOptions{FixedPorts: port})
	if err == nil || !strings.Contains(err.Error(), "is in use by another program") {
		t.Errorf("port in use: got %v, want an error that says so", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := (Engine{}).Up(ctx, kafkaPlan(3, 0, nil), runtime.UpOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v, want %v", err, context.Canceled)
	}
	gap := kafkaPlan(2, 0, nil)
	gap.Clusters[0].Nodes[1].ID = 5
	if _, err := (Engine{}).Up(context.Background(), gap, runtime.UpOptions{}); err == nil {
		t.Error("a gap in the ids: got no error, want one")
	}
}

// freePair finds two free ports in a row, below those that systems give out by
// themselves, so that nobody takes them by chance.
func freePair(t *testing.T) int {
	t.Helper()
	for i := range 1_000 {
		port := 20_000 + (os.Getpid()*7+i*2)%10_000
		first, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		second, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port+1)))
		first.Close()
		if err == nil {
			second.Close()
			return port
		}
	}
	t.Fatal("no two free ports in a row in 1,000 attempts")
	return 0
}

func TestFixedPorts(t *testing.T) {
	port := freePair(t)
	for range 2 { // the second start finds the ports of the first free again
		w, err := Engine{}.Up(context.Background(), kafkaPlan(2, 0, nil), runtime.UpOptions{Speed: 10, FixedPorts: port})
		if err != nil {
			t.Fatal(err)
		}
		addrs, err := w.Bootstrap("kafka", runtime.Place{Site: plan.ImpliedSite})
		if err != nil {
			t.Fatal(err)
		}
		if _, got, _ := net.SplitHostPort(addrs[0]); len(addrs) != 2 || got != strconv.Itoa(port) {
			t.Errorf("addresses: got %v, want two from port %d", addrs, port)
		}
		if err := w.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSignals goes through the life of a broker, and of a controller that no client can
// dial, with the proof of each step.
func TestSignals(t *testing.T) {
	b := start(t, kafkaPlan(3, 3, nil), 10)
	for _, step := range []struct {
		node    int32
		signal  runtime.Signal
		process string
		alive   bool
		text    string // part of the proof
	}{
		{1, runtime.SignalKill, "stopped", false, "process gone, port refuses"},
		{1, runtime.SignalStart, "running", true, "registered after"},
		{1, runtime.SignalPause, "paused", false, "process frozen, port silent"},
		{1, runtime.SignalResume, "running", true, "port answers"},
		{1, runtime.SignalStop, "stopped", false, "process ended after"},
		{1, runtime.SignalStart, "running", true, "port answers"},
		{1, runtime.SignalPowerOff, "stopped", false, "host off, port silent"},
		{1, runtime.SignalStart, "running", true, "registered after"},
		{101, runtime.SignalKill, "stopped", false, "process gone"},
		{101, runtime.SignalStart, "running", false, "in the quorum after"},
	} {
		proof := b.signal(step.node, step.signal)
		if !strings.Contains(proof.Text, step.text) || time.Since(proof.At) > limit {
			t.Errorf("%s of %d: got proof %q at %v, want %q and a moment ago", step.signal, step.node, proof.Text, proof.At, step.text)
		}
		b.until(string(step.signal), func(s runtime.State) bool {
			i := slices.IndexFunc(s.Nodes, func(n runtime.NodeState) bool { return n.ID == step.node })
			return s.Nodes[i].Process == step.process && s.Nodes[i].Alive == step.alive
		})
	}
	for _, bad := range []struct {
		node   int32
		signal runtime.Signal
	}{{9, runtime.SignalKill}, {1, runtime.SignalStart}, {1, runtime.SignalResume}, {1, "hang"}} {
		if _, err := b.Signal(b.ctx, runtime.NodeKey{Cluster: "kafka", ID: bad.node}, bad.signal); err == nil {
			t.Errorf("%s of %d: got no error, want one", bad.signal, bad.node)
		}
	}
}

// TestNoProofWithoutAQuorum: a broker that cannot register is not proved to be started.
func TestNoProofWithoutAQuorum(t *testing.T) {
	b := start(t, kafkaPlan(1, 3, nil), 10)
	b.signal(1, runtime.SignalKill)
	b.signal(101, runtime.SignalKill)
	b.signal(102, runtime.SignalKill)
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	c := b.clusters["kafka"]
	go func() {
		// Give up once the process has run for a while; registering takes a fraction.
		ran := time.Duration(-1)
		_ = c.await(b.ctx, func() bool {
			if ran < 0 && c.state(1).Process == core.Running {
				ran = c.core.Now()
			}
			return ran >= 0 && c.core.Now() > ran+5*time.Second
		}) // an error is the end of the test's time, which fails it below
		cancel()
	}()
	proof, err := b.Signal(ctx, runtime.NodeKey{Cluster: "kafka", ID: 1}, runtime.SignalStart)
	if err != nil || proof.OK || proof.Text != "the process runs, but is not registered" {
		t.Errorf("start: got %+v, %v, want no proof, because it is not registered", proof, err)
	}
}

func TestShapeErrors(t *testing.T) {
	b := start(t, kafkaPlan(1, 0, nil), 10)
	client := runtime.Endpoint{Place: runtime.Place{Client: "c", Member: 1}}
	stranger := runtime.Endpoint{Node: runtime.NodeKey{Cluster: "other", ID: 1}}
	for _, p := range []runtime.Path{{From: client, To: client}, {From: client, To: stranger}} {
		if _, err := b.Shape(b.ctx, []runtime.Path{p}); err == nil {
			t.Errorf("path %+v: got no error, want one", p)
		}
	}
}

// TestNodesSplit cuts broker 1 off from the others: its peers see it fenced, it comes
// back after healing.
func TestNodesSplit(t *testing.T) {
	b := start(t, kafkaPlan(3, 3, nil), 10)
	b.shape(cutOff(runtime.Endpoint{Node: runtime.NodeKey{Cluster: "kafka", ID: 1}}, 2, 3, 101, 102, 103)...)
	alive := func(want bool) func(runtime.State) bool {
		return func(s runtime.State) bool { return s.Nodes[0].Alive == want }
	}
	b.until("broker 1 fenced", alive(false))
	b.shape()
	b.until("broker 1 back", alive(true))
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, kind := range []runtime.ChangeKind{runtime.ChangeFenced, runtime.ChangeUnfenced} {
		if !slices.ContainsFunc(b.changes, func(c runtime.Change) bool { return c.Kind == kind && c.Node == 1 }) {
			t.Errorf("changes: want node 1 %s among %v", kind, b.changes)
		}
	}
}

func TestCondition(t *testing.T) {
	ms := func(n int) plan.Duration { return plan.Duration(n) * plan.Duration(time.Millisecond) }
	for _, tt := range []struct {
		in   plan.Condition
		want core.Path
	}{
		{plan.Condition{}, core.Path{}},
		{plan.Condition{Latency: ms(50), Jitter: ms(10)}, core.Path{Latency: 40 * time.Millisecond, Jitter: 20 * time.Millisecond}},
		{plan.Condition{Latency: ms(5), Jitter: ms(10)}, core.Path{Jitter: 15 * time.Millisecond}},
		{plan.Condition{Loss: 1}, core.Path{Cut: true, Loss: 1}},
		{plan.Condition{Loss: 0.1, Bandwidth: 1e6}, core.Path{Loss: 0.1, Bandwidth: 1e6}},
	} {
		if got := condition(tt.in); got != tt.want {
			t.Errorf("condition %+v: got %+v, want %+v", tt.in, got, tt.want)
		}
	}
}

func TestNodeIDs(t *testing.T) {
	for _, id := range []int32{1, 9, plan.FirstControllerID, plan.FirstControllerID + 2} {
		if got := toPlan(toCore(id)); got != id {
			t.Errorf("node %d there and back: got %d", id, got)
		}
	}
	if got := toCore(plan.FirstControllerID); got != core.ControllerID(1) {
		t.Errorf("first controller: got %d, want %d", got, core.ControllerID(1))
	}
}
