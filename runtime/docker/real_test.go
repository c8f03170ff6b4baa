package docker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"starfall/interp/plan"
	"starfall/runtime"
	"starfall/runtime/agent/network"
)

// real gives an engine for tests that need one, or skips.
func real(t *testing.T) Engine {
	t.Helper()
	if testing.Short() {
		t.Skip("it starts containers: leave -short out")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	s, err := Ping(ctx, Options{})
	if err != nil {
		t.Skipf("%v: start Docker", err)
	}
	if !s.HasImage {
		t.Skip("no image of Kafka 3.9: type images/kafka/build.sh 3.9.1, or docker pull apache/kafka:3.9.1")
	}
	program := testProgram(t, s.System)
	return Engine{Program: func(context.Context, string) (string, error) { return program, nil }}
}

var built struct {
	sync.Once
	path string
	err  error
}

// testProgram builds the agent once for all tests of this process.
func testProgram(t *testing.T, system string) string {
	t.Helper()
	built.Do(func() {
		// For those who work on this package: what was built already.
		if path := os.Getenv("STARFALL_TEST_PROGRAM"); path != "" {
			built.path = path
			return
		}
		exe, err := os.Executable()
		if err != nil {
			built.err = err
			return
		}
		built.path, built.err = BuildProgram(context.Background(), exe, system)
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.path
}

// up brings a plan up and holds it to leaving nothing behind.
func up(t *testing.T, e Engine, p *plan.Plan, o runtime.UpOptions) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	began := time.Now()
	running, err := e.Up(ctx, p, o)
	if err != nil {
		t.Fatal(err)
	}
	w := running.(*world)
	t.Logf("up after %.2f s", time.Since(began).Seconds())
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		began := time.Now()
		if err := w.Close(ctx); err != nil {
			t.Error(err)
		}
		t.Logf("down after %.2f s", time.Since(began).Seconds())
		if !e.Keep {
			nothingLeft(t, w.run)
		}
	})
	return w
}

func nothingLeft(t *testing.T, run string) {
	t.Helper()
	h, err := open(context.Background(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.api.Close()
	left, err := h.remains(context.Background(), labelIs(run))
	if err != nil {
		t.Fatal(err)
	}
	if len(left) > 0 {
		t.Errorf("left behind: %+v", left)
	}
}

func planOf(c plan.Cluster, sites ...string) *plan.Plan {
	p := &plan.Plan{Format: plan.Format, Name: "test", Clusters: []plan.Cluster{c}}
	if len(sites) == 0 {
		sites = []string{plan.ImpliedSite}
	}
	for _, s := range sites {
		p.Sites = append(p.Sites, plan.Site{Name: s})
	}
	return p
}

func limited(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// TestRealCombined takes a cluster of three through every signal and a netsplit.
func TestRealCombined(t *testing.T) {
	e := real(t)
	folder := t.TempDir()
	p := planOf(combined(3))
	p.Producers = []plan.Producer{{Name: "shop", Site: plan.ImpliedSite, Members: 2}}
	w := up(t, e, p, runtime.UpOptions{Folder: folder})
	ctx := limited(t)
	state, err := w.Inspect(ctx, "kafka")
	if err != nil {
		t.Fatal(err)
	}
	if len(state.Controllers) != 1 || len(state.Nodes) != 3 || state.Memory < 100<<20 || state.CPU <= 0 {
		t.Errorf("got %+v, want three nodes, one controller, and what they use", state)
	}
	one, two := runtime.NodeKey{Cluster: "kafka", ID: 1}, runtime.NodeKey{Cluster: "kafka", ID: 2}
	for _, x := range []struct {
		signal runtime.Signal
		state  string
		text   string
	}{
		{runtime.SignalPause, "paused", "every thread of the process stopped"},
		{runtime.SignalResume, "running", "process running, port answers"},
		{runtime.SignalKill, "stopped", "process gone, port refuses"},
		{runtime.SignalStart, "running", "registered after"},
		{runtime.SignalPowerOff, "stopped", "host off"},
		{runtime.SignalStart, "running", "registered after"},
		{runtime.SignalStop, "stopped", "process ended after"},
		{runtime.SignalStart, "running", "registered after"},
	} {
		began := time.Now()
		proof, err := w.Signal(ctx, two, x.signal)
		if err != nil || !proof.OK || !strings.Contains(proof.Text, x.text) {
			t.Fatalf("%s: got %+v, %v, want %q", x.signal, proof, err, x.text)
		}
		t.Logf("%s: seen after %v, proved after %v: %s", x.signal, proof.At.Sub(began), time.Since(began), proof.Text)
		state, err := w.Inspect(ctx, "kafka")
		if err != nil {
			t.Fatal(err)
		}
		if got := state.Nodes[1].Process; got != x.state {
			t.Errorf("%s: got %s, want %s", x.signal, got, x.state)
		}
	}

	member := runtime.Place{Client: "shop", Member: 1}
	if _, err := w.Bootstrap("kafka", member); err != nil {
		t.Fatal(err)
	}
	cut := plan.Condition{Cut: true}
	path := func(a, b runtime.Endpoint) runtime.Path { return runtime.Path{From: a, To: b, Condition: cut} }
	n1, n2, m := runtime.Endpoint{Node: one}, runtime.Endpoint{Node: two}, runtime.Endpoint{Place: member}
	for _, x := range []struct {
		name  string
		paths []runtime.Path
		text  string
	}{
		{"two nodes", []runtime.Path{path(n1, n2), path(n2, n1)}, "dials: 2 silent"},
		{"one way, and a member", []runtime.Path{path(n1, n2), path(m, n1), path(n1, m)}, "dials: 3 silent"},
		{"member only", []runtime.Path{path(m, n1), path(n1, m)}, "dials: 1 silent, 2 answered"},
		{"slow", []runtime.Path{{From: n1, To: n2, Condition: plan.Condition{Latency: plan.Duration(60 * time.Millisecond)}}}, "dials: 1 answered, 2 answered as late as asked; 1 rules of delay or bandwidth in force, by "},
		{"whole", nil, "dials: 2 answered"},
	} {
		began := time.Now()
		proof, err := w.Shape(ctx, x.paths)
		if err != nil || !proof.OK || !strings.HasPrefix(proof.Text, x.text) {
			t.Fatalf("%s: got %+v, %v, want %q", x.name, proof, err, x.text)
		}
		t.Logf("%s: in force after %v, proved after %v", x.name, proof.At.Sub(began), time.Since(began))
	}
	// Another member is not cut off with the first.
	if _, err := w.Bootstrap("kafka", runtime.Place{Client: "shop", Member: 2}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Shape(ctx, []runtime.Path{path(m, n1), path(n1, m)}); err != nil {
		t.Fatal(err)
	}
	for number, want := range map[int]network.Answer{1: network.Silent, 2: network.Connected} {
		addr, err := w.member(runtime.Place{Client: "shop", Member: number})
		if err != nil {
			t.Fatal(err)
		}
		out, err := w.sites[plan.ImpliedSite].agent.Reach(ctx, []network.Probe{{
			Local: addr, Peer: addrPort(w.servers[one]), Wait: silence,
		}})
		if err != nil || out[0].Answer != want {
			t.Errorf("member %d: got %+v, %v, want %s", number, out, err, want)
		}
	}
	if err := w.Close(ctx); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"kafka-1.log", "kafka-1.properties", "kafka-1.effective", "kafka-3.log"} {
		info, err := os.Stat(filepath.Join(folder, name))
		if err != nil || info.Size() == 0 {
			t.Errorf("%s: got %v, %v, want something in it", name, info, err)
		}
	}
}

// TestRealLayouts brings up what is not three combined nodes.
func TestRealLayouts(t *testing.T) {
	e := real(t)
	for _, tt := range []struct {
		name    string
		cluster plan.Cluster
		kill    int32
		text    string
	}{
		{"separate controllers", layout(2, 3, 0), plan.FirstControllerID, "in the quorum"},
		{"ZooKeeper", layout(2, 0, 3), plan.FirstZooKeeperID + 1, "serving as follower"},
		{"one node", combined(1), 1, "registered"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := up(t, e, planOf(tt.cluster), runtime.UpOptions{})
			ctx := limited(t)
			key := runtime.NodeKey{Cluster: "kafka", ID: tt.kill}
			for _, s := range []runtime.Signal{runtime.SignalKill, runtime.SignalStart} {
				proof, err := w.Signal(ctx, key, s)
				if err != nil || !proof.OK {
					t.Fatalf("%s: got %+v, %v, want a proof", s, proof, err)
				}
				t.Logf("%s: %s", s, proof.Text)
			}
		})
	}
}

// TestRealFailure wants the last lines of a broker that does not start, and
// nothing left of it.
func TestRealFailure(t *testing.T) {
	e := real(t)
	c := combined(1)
	c.Config = map[string]string{"num.io.threads": "none"}
	folder := t.TempDir()
	_, err := e.Up(limited(t), planOf(c), runtime.UpOptions{Folder: folder})
	if err == nil {
		t.Fatal("got no error, want one")
	}
	for _, want := range []string{"kafka-1 did not start: it ended with exit code 1", "Invalid value none for configuration num.io.threads"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
	if _, err := os.Stat(filepath.Join(folder, "kafka-1.log")); err != nil {
		t.Error(err)
	}
}

// TestRealDoors reaches a cluster from this host, and is cut off with the site.
func TestRealDoors(t *testing.T) {
	e := real(t)
	e.Outside = true
	w := up(t, e, planOf(combined(1), "oslo", "rome"), runtime.UpOptions{})
	ctx := limited(t)
	answers := func(site string) error {
		addrs, err := w.Bootstrap("kafka", runtime.Place{Site: site})
		if err != nil {
			return err
		}
		conn, err := net.DialTimeout("tcp", addrs[0], time.Second)
		if err != nil {
			return err
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(time.Second))
		// ApiVersions, version 0, without a client id.
		if _, err := conn.Write([]byte{0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff}); err != nil {
			return err
		}
		var head [8]byte
		if n, err := conn.Read(head[:]); err != nil || n < 8 {
			return fmt.Errorf("%d bytes: %w", n, err)
		}
		return nil
	}
	for _, site := range []string{"oslo", "rome"} {
		if err := answers(site); err != nil {
			t.Fatalf("%s: %v", site, err)
		}
	}
	oslo := runtime.Endpoint{Place: runtime.Place{Site: "oslo"}}
	broker := runtime.Endpoint{Node: runtime.NodeKey{Cluster: "kafka", ID: 1}}
	proof, err := w.Shape(ctx, []runtime.Path{
		{From: oslo, To: broker, Condition: plan.Condition{Cut: true}},
		{From: broker, To: oslo, Condition: plan.Condition{Cut: true}},
	})
	if err != nil || !proof.OK {
		t.Fatalf("got %+v, %v", proof, err)
	}
	var timeout net.Error
	if err := answers("oslo"); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("oslo: got %v, want silence", err)
	}
	if err := answers("rome"); err != nil {
		t.Errorf("rome: %v", err)
	}
	if proof, err := w.Shape(ctx, nil); err != nil || !proof.OK {
		t.Fatalf("got %+v, %v", proof, err)
	}
	for _, s := range []runtime.Signal{runtime.SignalKill, runtime.SignalStart} {
		if proof, err := w.Signal(ctx, broker.Node, s); err != nil || !proof.OK {
			t.Fatalf("%s: got %+v, %v", s, proof, err)
		}
	}
	if err := answers("oslo"); err != nil {
		t.Errorf("oslo, after a restart: %v", err)
	}
}

// TestRealKeep keeps a cluster, reaches it, and has it removed.
func TestRealKeep(t *testing.T) {
	e := real(t)
	e.Keep = true
	var kept []Kept
	e.Kept = func(k Kept) { kept = append(kept, k) }
	w := up(t, e, planOf(combined(1)), runtime.UpOptions{})
	ctx := limited(t)
	if err := w.Close(ctx); err != nil {
		t.Fatal(err)
	}
	defer func() {
		h, err := open(ctx, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer h.api.Close()
		all, err := h.remains(ctx, labelIs(w.run))
		if err != nil || len(all) != 1 || len(all[0].Containers) != 1 || !all[0].Kept {
			t.Errorf("got %+v, %v, want the one kept container", all, err)
		}
		// Its owner lives: this test. So clean would leave it.
		if goes, _ := all[0].goes(true, time.Now()); goes {
			t.Error("clean would remove a cluster whose run goes on")
		}
		for _, r := range all {
			if err := h.removeAll(ctx, r); err != nil {
				t.Error(err)
			}
		}
		nothingLeft(t, w.run)
	}()
	if len(kept) != 1 || len(kept[0].Addresses) != 1 {
		t.Fatalf("got %+v, want one cluster", kept)
	}
	conn, err := net.DialTimeout("tcp", kept[0].Addresses[0].Bootstrap[0], 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}
