package docker

// This file tests on real Kafka what mirrors, users, tools and relays do.

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"starfall/interp/plan"
	"starfall/runtime"
	"starfall/runtime/agent"
	"starfall/runtime/agent/network"
)

// testEnv is what clients of a test share.
func testEnv(w *world) runtime.Env {
	return runtime.Env{Run: "test", RunID: 1, Speed: 1, Log: func(string) {}, Operators: w.o.Operators}
}

// admin gives the control side of a world, without a recording.
func admin(t *testing.T, w *world) runtime.Clients {
	t.Helper()
	c, err := Connect(w, testEnv(w), w.p, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func asOperator(auth string) map[string]runtime.Login {
	return map[string]runtime.Login{"kafka": {Mechanism: mechanismOf(auth), User: "operator", Password: `o"p\`}}
}

// TestRealUsers brings up clusters with users, and looks whom they let do what.
func TestRealUsers(t *testing.T) {
	e := real(t)
	for _, tt := range []struct {
		auth    string
		cluster plan.Cluster
	}{
		{"plain", combined(3)},
		{"scram-sha-256", layout(2, 1, 0)},
		{"scram-sha-512", combined(1)},
	} {
		t.Run(tt.auth, func(t *testing.T) {
			tt.cluster.Auth = tt.auth
			p := planOf(tt.cluster)
			p.Topics = []plan.Topic{{Name: "orders", Cluster: "kafka", Partitions: 2, Replicas: 1, MinInsync: 1}}
			p.Users = []plan.User{{Name: "alice", Cluster: "kafka", Password: "secret"}}
			w := up(t, e, p, runtime.UpOptions{Operators: asOperator(tt.auth)})
			ctx := limited(t)
			c := admin(t, w)
			if err := c.Admin.Create(ctx, "kafka", p.Topics); err != nil {
				t.Fatal(err)
			}
			rights := []plan.ACL{{Operation: "Describe", Resource: "topic", Name: "orders", Host: "*"}}
			if proof, err := c.Admin.(runtime.Grantor).Grant(ctx, "kafka", "alice", rights); err != nil || !proof.OK {
				t.Fatalf("grant: got %+v, %v", proof, err)
			}
			// The tool logs in as the operator; a file of settings makes it alice.
			list := func(login runtime.Login) runtime.ToolResult {
				t.Helper()
				var b strings.Builder
				loginLines(login, func(name, value string) { b.WriteString(propertyLine(name, value)) })
				path := dirWork + "/test.properties"
				if err := w.control.agent.Write(ctx, agentFile(path, b.String())); err != nil {
					t.Fatal(err)
				}
				r, err := w.Tool(ctx, "kafka", "kafka-topics", []string{"--list", "--command-config", path})
				if err != nil {
					t.Fatal(err)
				}
				return r
			}
			mechanism := mechanismOf(tt.auth)
			if r := list(runtime.Login{Mechanism: mechanism, User: "alice", Password: "secret"}); r.Code != 0 || strings.TrimSpace(string(r.Output)) != "orders" {
				t.Errorf("alice: got %d, %q, want the topic", r.Code, r.Output)
			}
			if r := list(runtime.Login{Mechanism: mechanism, User: "alice", Password: "wrong"}); r.Code == 0 || !strings.Contains(string(r.Output), "Authentication failed") {
				t.Errorf("a wrong password: got %d, %q, want a failure", r.Code, r.Output)
			}
			r, err := w.Tool(ctx, "kafka", "kafka-acls", []string{"--list"})
			if err != nil || r.Code != 0 || !strings.Contains(string(r.Output), "principal=User:alice, host=*, operation=DESCRIBE") {
				t.Errorf("kafka-acls: got %d, %v, %s", r.Code, err, r.Output)
			}
			controllers, err := w.controllers("kafka")
			if err != nil {
				t.Fatal(err)
			}
			r, err = w.Tool(ctx, "kafka", "kafka-metadata-quorum", []string{"--bootstrap-controller", controllers[0], "describe", "--status"})
			if err != nil || r.Code != 0 || !strings.Contains(string(r.Output), "LeaderId:") {
				t.Errorf("kafka-metadata-quorum: got %d, %v, %s", r.Code, err, r.Output)
			}
			for _, s := range []runtime.Signal{runtime.SignalKill, runtime.SignalStart} {
				if proof, err := w.Signal(ctx, runtime.NodeKey{Cluster: "kafka", ID: 1}, s); err != nil || !proof.OK {
					t.Errorf("%s: got %+v, %v", s, proof, err)
				}
			}
		})
	}
}

// TestRealTools runs a tool of each shape.
func TestRealTools(t *testing.T) {
	e := real(t)
	w := up(t, e, planOf(combined(1)), runtime.UpOptions{})
	ctx := limited(t)
	for _, tt := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"kafka-topics", []string{"--create", "--topic", "orders", "--partitions", "2"}, 0, "Created topic orders."},
		{"kafka-topics", []string{"--create", "--topic", "orders"}, 1, "already exists"},
		{"kafka-producer-perf-test", []string{"--topic", "orders", "--num-records", "100", "--record-size", "10", "--throughput", "-1"}, 0, "100 records sent"},
		{"kafka-verifiable-producer", []string{"--topic", "orders", "--max-messages", "3"}, 0, `"name":"tool_data"`},
		{"kafka-console-consumer", []string{"--topic", "orders", "--group", "g", "--from-beginning", "--max-messages", "103"}, 0, "Processed a total of 103 messages"},
		{"kafka-consumer-groups", []string{"--describe", "--group", "g"}, 0, "orders"},
		{"kafka-get-offsets", []string{"--topic", "orders"}, 0, "orders:0:"},
		{"kafka-metadata-quorum", []string{"describe", "--status"}, 0, "LeaderId:"},
		{"kafka-cluster", []string{"cluster-id"}, 0, "Cluster ID: "},
		{"kafka-features", []string{"describe"}, 0, "metadata.version"},
		{"kafka-transactions", []string{"list"}, 0, "TransactionalId"},
		{"kafka-log-dirs", []string{"--describe", "--topic-list", "orders"}, 0, `"partition":"orders-0"`},
		{"kafka-dump-log", []string{"--files", dirData + "/orders-0/00000000000000000000.log"}, 0, "Log starting offset: 0"},
		{"kafka-leader-election", []string{"--election-type", "preferred", "--all-topic-partitions"}, 0, ""},
		{"kafka-run-class", []string{"org.apache.kafka.tools.TopicCommand", "--version"}, 0, "3."},
	} {
		began := time.Now()
		got, err := w.Tool(ctx, "kafka", tt.name, tt.args)
		if err != nil || got.Code != tt.code || !strings.Contains(string(got.Output), tt.want) || got.Cut {
			t.Errorf("%s %s: got exit code %d, %v, want %d and %q in\n%s", tt.name, strings.Join(tt.args, " "), got.Code, err, tt.code, tt.want, got.Output)
		}
		t.Logf("%s: %v", tt.name, time.Since(began))
	}
	if _, err := w.Tool(ctx, "kafka", "kafka-topic", nil); err == nil || err.Error() != "Kafka has no tool kafka-topic" {
		t.Errorf("got %v, want that there is no such tool", err)
	}
	brief, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	got, err := w.Tool(brief, "kafka", "kafka-console-consumer", []string{"--topic", "orders", "--from-beginning"})
	if err == nil || len(got.Output) == 0 {
		t.Errorf("a tool that goes on: got %v, %q, want it ended, and what it printed", err, got.Output)
	}
}

// mirrored gives a plan of two clusters, the second of one broker, and a mirror
// from the first to it.
func mirrored(rename string) *plan.Plan {
	east, west := combined(3), combined(1)
	east.Name, west.Name = "east", "west"
	p := &plan.Plan{Format: plan.Format, Name: "test", Clusters: []plan.Cluster{east, west}, Sites: []plan.Site{{Name: plan.ImpliedSite}, {Name: "far"}}}
	p.Topics = []plan.Topic{
		{Name: "orders", Cluster: "east", Partitions: 3, Replicas: 3, MinInsync: 2, Config: map[string]string{"retention.ms": "7200000"}},
		{Name: "pay.ments", Cluster: "east", Partitions: 1, Replicas: 3, MinInsync: 1},
		{Name: "other", Cluster: "east", Partitions: 1, Replicas: 1, MinInsync: 1},
	}
	m := plan.Mirror{Name: "m", Topics: []string{"orders", "pay.ments"}, From: "east", To: "west", Site: "far", Rename: rename, SyncOffsetsEvery: plan.Duration(time.Second)}
	for _, t := range p.Topics[:2] {
		name := strings.NewReplacer("{cluster}", "east", "{topic}", t.Name).Replace(rename)
		p.Topics = append(p.Topics, plan.Topic{Name: "west/" + name, Kafka: name, Origin: plan.Mirrored, Of: t.Name, Mirror: "m", Cluster: "west", Partitions: t.Partitions, Replicas: 1, MinInsync: 1})
	}
	p.Mirrors = []plan.Mirror{m}
	return p
}

func mirrorSpec(t *testing.T, w *world) runtime.MirrorSpec {
	t.Helper()
	m := w.p.Mirrors[0]
	s := runtime.MirrorSpec{Env: testEnv(w), Mirror: m, Place: runtime.Place{Client: m.Name, Member: 1, Site: m.Site}}
	for _, name := range m.Topics {
		s.Topics, s.Copies = append(s.Topics, *w.p.Topic(name)), append(s.Copies, *w.p.Copy(m.Name, name))
	}
	var err error
	if s.From, err = w.Bootstrap(m.From, s.Place); err != nil {
		t.Fatal(err)
	}
	if s.To, err = w.Bootstrap(m.To, s.Place); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestRealMirror mirrors three brokers to one, by either naming.
func TestRealMirror(t *testing.T) {
	e := real(t)
	for _, rename := range []string{plan.RenameDefault, plan.RenameIdentity} {
		t.Run(rename, func(t *testing.T) {
			p := mirrored(rename)
			folder := t.TempDir()
			w := up(t, e, p, runtime.UpOptions{Folder: folder})
			ctx := limited(t)
			c := admin(t, w)
			if err := c.Admin.Create(ctx, "east", p.Topics[:3]); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			spec := mirrorSpec(t, w)
			m, err := w.Mirror(ctx, spec)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("ready after %v", time.Since(began))
			sent := time.Now()
			for i, args := range [][]string{
				{"--topic", "orders", "--num-records", "1000", "--record-size", "10", "--throughput", "-1"},
				{"--topic", "pay.ments", "--num-records", "10", "--record-size", "10", "--throughput", "-1"},
			} {
				if r, err := w.Tool(ctx, "east", "kafka-producer-perf-test", args); err != nil || r.Code != 0 {
					t.Fatalf("%d: got %d, %v, %s", i, r.Code, err, r.Output)
				}
			}
			r, err := w.Tool(ctx, "east", "kafka-console-consumer", []string{"--topic", "orders", "--group", "billing", "--from-beginning", "--max-messages", "1000"})
			if err != nil || r.Code != 0 {
				t.Fatalf("got %d, %v", r.Code, err)
			}
			want := map[string]int64{spec.Copies[0].KafkaName(): 1000, spec.Copies[1].KafkaName(): 10}
			for {
				state, err := w.Inspect(ctx, "west")
				if err != nil {
					t.Fatal(err)
				}
				got := map[string]int64{}
				for _, x := range state.Partitions {
					got[x.Topic] += max(x.HighWater, 0)
				}
				if got[spec.Copies[0].KafkaName()] == 1000 && got[spec.Copies[1].KafkaName()] == 10 {
					break
				}
				if ctx.Err() != nil {
					t.Fatalf("got %v, want %v", got, want)
				}
				time.Sleep(50 * time.Millisecond)
			}
			t.Logf("copied %v after it was sent", time.Since(sent))
			for {
				g, err := c.Audit.Group(ctx, "west", "billing")
				if err == nil && fmt.Sprint(g.Committed) != "map[]" {
					t.Logf("positions %v, %v after records were sent", g.Committed, time.Since(sent))
					break
				}
				if ctx.Err() != nil {
					t.Fatalf("positions of the group: got %+v, %v, want some", g, err)
				}
				time.Sleep(50 * time.Millisecond)
			}
			ends := map[string]map[int32]int64{}
			for _, cluster := range []string{"east", "west"} {
				state, err := w.Inspect(ctx, cluster)
				if err != nil {
					t.Fatal(err)
				}
				for _, x := range state.Partitions {
					if topic := p.KafkaTopic(cluster, x.Topic); topic != nil {
						if ends[topic.Name] == nil {
							ends[topic.Name] = map[int32]int64{}
						}
						ends[topic.Name][x.Partition] = x.HighWater
					}
				}
			}
			list, err := c.Admin.(runtime.Comparer).Compare(ctx, spec, ends, []string{"billing"})
			if err != nil {
				t.Errorf("compare: %v", err)
			}
			for _, x := range list {
				t.Logf("%s: %d of %d differ %s", x.Aspect, x.Different, x.Compared, x.First)
			}
			r, err = w.Tool(ctx, "west", "kafka-topics", []string{"--describe", "--exclude-internal"})
			t.Logf("%v\n%s", err, r.Output)
			began = time.Now()
			if err := m.Stop(ctx); err != nil {
				t.Errorf("stop: %v", err)
			}
			t.Logf("stopped after %v", time.Since(began))
			if err := w.failed(); err != nil {
				t.Errorf("got %v, want a mirror that was stopped to be no failure", err)
			}
			began = time.Now()
			m, err = w.Mirror(ctx, spec)
			if err != nil {
				t.Fatalf("again: %v", err)
			}
			t.Logf("ready again after %v", time.Since(began))
			// One that ends by itself is a failure of the run.
			if _, err := w.standing(spec.Place).agent.Signal(ctx, processMirror, runtime.SignalKill); err != nil {
				t.Fatal(err)
			}
			select {
			case <-w.broken:
			case <-ctx.Done():
			}
			if err := w.failed(); err == nil || !strings.Contains(err.Error(), "mirror m: MirrorMaker has ended; the last lines of its log:") {
				t.Errorf("got %v, want that it has ended", err)
			}
			m.Crash()
		})
	}
}

// TestRealRelay leads a client through another site when its own way is cut off.
func TestRealRelay(t *testing.T) {
	e := real(t)
	p := planOf(combined(2), "home", "london", "dc1")
	for i := range p.Clusters[0].Nodes {
		p.Clusters[0].Nodes[i].Site = "dc1"
	}
	p.Producers = []plan.Producer{{Name: "shop", Site: "home", Members: 1}, {Name: "other", Site: "home", Members: 1}}
	p.Events = []plan.Event{{Name: "e", Actions: []plan.Action{{Verb: plan.Reroute, Targets: []plan.Ref{{Kind: plan.RefProducer, Name: "shop"}}, Via: "london"}}}}
	w := up(t, e, p, runtime.UpOptions{})
	ctx := limited(t)
	shop, other := runtime.Place{Client: "shop", Member: 1}, runtime.Place{Client: "other", Member: 1}
	var ends []runtime.Endpoint
	for _, place := range []runtime.Place{shop, other} {
		if _, err := w.Bootstrap("kafka", place); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, runtime.Endpoint{Place: place})
	}
	var nodes []runtime.Endpoint
	for id := int32(1); id <= 2; id++ {
		nodes = append(nodes, runtime.Endpoint{Node: runtime.NodeKey{Cluster: "kafka", ID: id}})
	}
	relayEnd := runtime.Endpoint{Place: runtime.RelayPlace("london")}
	between := func(as, bs []runtime.Endpoint, c plan.Condition) (out []runtime.Path) {
		for _, a := range as {
			for _, b := range bs {
				out = append(out, runtime.Path{From: a, To: b, Condition: c}, runtime.Path{From: b, To: a, Condition: c})
			}
		}
		return out
	}
	shape := func(want string, paths []runtime.Path) {
		t.Helper()
		proof, err := w.Shape(ctx, paths)
		if err != nil || !proof.OK || !strings.Contains(proof.Text, want) {
			t.Fatalf("got %+v, %v, want %q", proof, err, want)
		}
	}
	answers := func(place runtime.Place) error {
		addr, err := w.member(place)
		if err != nil {
			return err
		}
		return askVersions(ctx, w.sites["home"], addr, addrPort(w.servers[nodes[0].Node]))
	}
	addr, err := w.member(shop)
	if err != nil {
		t.Fatal(err)
	}
	stood, err := w.sites["home"].agent.Dial(ctx, addr, addrPort(w.servers[nodes[0].Node]).String())
	if err != nil {
		t.Fatal(err)
	}
	defer stood.Close()
	cut := between(ends, nodes, plan.Condition{Cut: true})
	shape("4 silent", cut)
	if err := answers(shop); err == nil {
		t.Error("cut off: got an answer")
	}
	proof, err := w.Relay(ctx, "shop", "london")
	if err != nil || !proof.OK || proof.Text != "through the relay in london 2 of 2 brokers answer, 1 connections reset" {
		t.Fatalf("got %+v, %v", proof, err)
	}
	if _, err := stood.Read(make([]byte, 1)); err == nil {
		t.Error("what stood: got no error, want a reset")
	}
	if err := answers(shop); err != nil {
		t.Errorf("through london: %v", err)
	}
	if err := answers(other); err == nil {
		t.Error("another client: got an answer, want it cut off as before")
	}
	// A member that comes later goes the same way.
	if _, err := w.Bootstrap("kafka", runtime.Place{Client: "shop", Member: 2}); err != nil {
		t.Fatal(err)
	}
	if err := answers(runtime.Place{Client: "shop", Member: 2}); err != nil {
		t.Errorf("a new member: %v", err)
	}
	// Both halves of the way count.
	slow := plan.Condition{Latency: plan.Duration(40 * time.Millisecond)}
	for name, more := range map[string][]runtime.Path{
		"client to relay": between(ends[:1], []runtime.Endpoint{relayEnd}, slow),
		"relay to broker": between([]runtime.Endpoint{relayEnd}, nodes, slow),
	} {
		shape("rules of delay", append(more, cut...))
		began := time.Now()
		if err := answers(shop); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if took := time.Since(began); took < 150*time.Millisecond {
			t.Errorf("%s: got an answer after %v, want two round trips of 80 ms", name, took)
		}
	}
	shape("silent", append(between([]runtime.Endpoint{relayEnd}, nodes, plan.Condition{Cut: true}), cut...))
	if err := answers(shop); err == nil {
		t.Error("london cut off, too: got an answer")
	}
	shape("answered", nil)
	if err := answers(shop); err != nil {
		t.Errorf("whole: %v", err)
	}
	if proof, err = w.Relay(ctx, "shop", ""); err != nil || !proof.OK || !strings.HasPrefix(proof.Text, "straight again, ") {
		t.Fatalf("got %+v, %v", proof, err)
	}
	before, err := w.relays[runtime.RelayPlace("london").Client].Count(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := answers(shop); err != nil {
		t.Errorf("straight: %v", err)
	}
	after, err := w.relays[runtime.RelayPlace("london").Client].Count(ctx)
	if err != nil || after.Accepted != before.Accepted {
		t.Errorf("got %+v after %+v, %v, want the relay to carry nothing more", after, before, err)
	}
	if out, err := w.sites["home"].agent.Reach(ctx, []network.Probe{{Local: addr, Peer: addrPort(w.servers[nodes[1].Node]), Wait: time.Second}}); err != nil || out[0].Answer != network.Connected {
		t.Errorf("got %+v, %v", out, err)
	}
}

func agentFile(path, text string) agent.File { return agent.File{Path: path, Content: []byte(text)} }
