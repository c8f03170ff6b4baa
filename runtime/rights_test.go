// This file tests rights, tools, deletions and reroutes, in bubbles.

package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

// guarded is small with a user on its cluster, who is the producer.
func guarded(events ...plan.Event) *plan.Plan {
	p := small(events...)
	p.Clusters[0].Auth = "plain"
	p.Users = []plan.User{{Name: "ann", Cluster: "kafka", Password: "secret", Rights: []plan.ACL{
		{Operation: "Write", Resource: "topic", Name: "orders", Host: "*"}, {Operation: "Describe", Resource: "topic", Name: "ord", Prefix: true, Host: "10.0.0.1"},
	}}}
	p.Producers[0].User = "ann"
	return p
}

func rightsAction(v plan.Verb) plan.Action {
	return plan.Action{Verb: v, Targets: refs(ref(plan.RefUser, "ann")), ACL: &plan.ACL{Operation: "Write", Resource: "topic", Name: "orders"}}
}

func TestOperators(t *testing.T) {
	p := twin()
	if got := operators(p, 7); got != nil {
		t.Errorf("without authentication: got %v, want none", got)
	}
	p.Clusters[1].Auth = "scram-sha-512"
	p.Users = []plan.User{{Name: "starfall", Cluster: "west"}}
	got := operators(p, 7)
	if len(got) != 1 || got["west"].User != "starfall-operator" || got["west"].Mechanism != "SCRAM-SHA-512" || len(got["west"].Password) != 32 {
		t.Errorf("got %+v, want one on west, with a name of its own", got)
	}
	if again := operators(p, 7); again["west"] != got["west"] {
		t.Errorf("got %+v and %+v for one run, want them alike", got, again)
	}
	if other := operators(p, 8); other["west"].Password == got["west"].Password {
		t.Error("got one password for two runs")
	}
}

// TestRightsComeBeforeClients: a user's own, and those of events at 0 s, which
// are then not carried out again.
func TestRightsComeBeforeClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		out := play(t, f, guarded(
			event("a", at(0), rightsAction(plan.Deny), plan.Action{Verb: plan.Note, Text: "go"}),
			event("b", at(4), rightsAction(plan.Revoke), rightsAction(plan.Deny), rightsAction(plan.Allow)),
			event("c", plan.Trigger{Kind: plan.TriggerAt, At: plan.Instant{Event: "a", Edge: plan.End}}, rightsAction(plan.Allow)),
		))
		if out.err != nil {
			t.Fatal(out.err)
		}
		if want := []string{"create 1", "grant 2 to ann on kafka", "deny", "start shop-1", "allow", "revoke"}; !inOrder(f.called(), want) {
			t.Errorf("got calls %v, want %v among them", f.called(), want)
		}
		var verbs []plan.Verb
		for _, a := range f.done {
			verbs = append(verbs, a.Verb)
		}
		if want := []plan.Verb{plan.Deny, plan.Allow, plan.Revoke, plan.Deny, plan.Allow}; !slices.Equal(verbs, want) {
			t.Errorf("got %v, want %v: each once, and those of one event in order", verbs, want)
		}
		for _, e := range out.rec.Events {
			if e.Kind == record.KindFired && e.Name == "a" && (e.Planned == nil || *e.Planned != 0 || e.Action == 0 && e.At > 0) {
				t.Errorf("got %+v, want it planned at 0 and the right before", e)
			}
		}
		if login, want := f.specs[0].Login, (Login{"PLAIN", "ann", "secret"}); login != want {
			t.Errorf("got login %+v, want %+v", login, want)
		}
		if f.opts.Operators["kafka"].User == "" || f.specs[0].Operators["kafka"] != f.opts.Operators["kafka"] {
			t.Errorf("got operators %v for the engine, %v for clients; want the same", f.opts.Operators, f.specs[0].Operators)
		}
		if !slices.ContainsFunc(out.rec.Events, func(e record.Event) bool {
			return e.What == "ann may Write on topic orders, Describe on topic ord* from 10.0.0.1"
		}) {
			t.Error("got no line on the rights that ann has")
		}
	})
}

func TestRightsThatCannotBeGivenEndTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.grantErr = errors.New("kafka server: not authorized")
		out := play(t, f, guarded())
		if out.err == nil || out.err.Error() != "prepare: rights of ann on kafka: kafka server: not authorized" {
			t.Errorf("got error %v, want Kafka's own", out.err)
		}
	})
}

func TestDeniedIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		go func() {
			time.Sleep(3 * time.Second)
			f.mu.Lock()
			denied := f.specs[0].Denied
			f.mu.Unlock()
			denied("shop", 1, "kafka", "not authorized")
			denied("shop", 2, "kafka", "not authorized")
			denied("shop", 1, "kafka", "another answer")
			denied("billing", 1, "kafka", "not authorized")
		}()
		out := play(t, f, small())
		if out.err != nil {
			t.Fatal(out.err)
		}
		var got []string
		for _, e := range out.rec.Events {
			if e.Kind == record.KindDenied {
				got = append(got, fmt.Sprintf("%s-%d %s: %s", e.Name, e.Member, e.Cluster, e.Error))
			}
		}
		wantLines(t, "denied", got, []string{"shop-1 kafka: not authorized", "shop-1 kafka: another answer", "billing-1 kafka: not authorized"})
	})
}

// TestDeletions: what the scenario took away is in the journal, and the audit
// does not look for a topic that is gone.
func TestDeletions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		p := small(
			event("a", at(3), plan.Action{Verb: plan.DeleteRecords, Targets: refs(ref(plan.RefTopic, "orders")), Offsets: &plan.Offsets{Kind: plan.OffsetsLatest}}),
			event("b", at(5), plan.Action{Verb: plan.Delete, Targets: refs(ref(plan.RefTopic, "spare"))}),
		)
		p.Topics = append(p.Topics, plan.Topic{Name: "spare", Cluster: "kafka", Partitions: 1, Replicas: 1, MinInsync: 1})
		out := play(t, f, p)
		if out.err != nil {
			t.Fatal(out.err)
		}
		var got []string
		for _, e := range out.rec.Events {
			if e.Kind == record.KindDeleted {
				got = append(got, fmt.Sprintf("%s %s %s/%d before %d", e.Name, e.Cluster, e.Topic, e.Partition, e.Offset))
			}
			if e.Kind == record.KindCluster && e.Error != "" {
				t.Errorf("got %+v, want no complaint", e)
			}
		}
		wantLines(t, "deleted", got, []string{"a kafka orders/1 before 5", "b kafka spare/-1 before 0"})
		if slices.Contains(f.called(), "audit spare") || !slices.Contains(f.called(), "audit orders") {
			t.Errorf("got calls %v, want an audit of orders only", f.called())
		}
	})
}

// toolWorld has Kafka's tools.
type toolWorld struct {
	*fakeWorld
	result ToolResult
	err    error
	hangs  bool
}

func (w toolWorld) Tool(ctx context.Context, cluster, name string, args []string) (ToolResult, error) {
	w.call("tool %s on %s %v", name, cluster, args)
	if w.hangs {
		<-ctx.Done()
		return w.result, context.Cause(ctx)
	}
	return w.result, w.err
}

func TestTool(t *testing.T) {
	long := strings.Repeat("ä", maxToolOutput)
	for _, tt := range []struct {
		name   string
		world  toolWorld
		kind   record.Kind // of the effect
		text   string      // proof or error
		output string
		file   string // its content
	}{
		{"a result", toolWorld{result: ToolResult{Output: []byte("Topic: orders\n")}}, record.KindEffect, "exit code 0", "Topic: orders\n", "$ kafka-topics --describe\nTopic: orders\n\nexit code 0\n"},
		{"a failure is a result", toolWorld{result: ToolResult{Output: []byte("no"), Code: 1}}, record.KindEffect, "exit code 1", "no", "$ kafka-topics --describe\nno\nexit code 1\n"},
		{"long", toolWorld{result: ToolResult{Output: []byte("x" + long)}}, record.KindEffect, "exit code 0", "x" + long[:maxToolOutput-2], "$ kafka-topics --describe\nx" + long + "\nexit code 0\n"},
		{"cut", toolWorld{result: ToolResult{Output: []byte("abc"), Cut: true}}, record.KindEffect, "exit code 0", "abc", "$ kafka-topics --describe\nabc\nthe rest is left out: it is more than is kept\n\nexit code 0\n"},
		{"it did not run", toolWorld{err: errors.New("no container")}, record.KindUnproved, "no container", "", ""},
		{"it does not end", toolWorld{hangs: true}, record.KindUnproved, "the run is over and it has not ended by itself", "", ""},
		{"it is ended", toolWorld{hangs: true, result: ToolResult{Output: []byte("one\ntwo\n")}}, record.KindUnproved, "the run is over and it has not ended by itself", "one\ntwo\n",
			"$ kafka-topics --describe\none\ntwo\n\nno exit code: the run is over and it has not ended by itself\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				f.power = func(w *fakeWorld) World { tt.world.fakeWorld = w; return tt.world }
				out := play(t, f, small(event("a", at(3), plan.Action{Verb: plan.Tool, Targets: refs(ref(plan.RefCluster, "kafka")), Tool: "kafka-topics", Args: []string{"--describe"}})))
				if out.err != nil {
					t.Fatal(out.err)
				}
				var effect, tool record.Event
				for _, e := range out.rec.Events {
					switch e.Kind {
					case record.KindEffect, record.KindUnproved:
						effect = e
					case record.KindTool:
						tool = e
					}
				}
				if effect.Kind != tt.kind || effect.Proof+effect.Error != tt.text {
					t.Errorf("got %+v, want %s with %q", effect, tt.kind, tt.text)
				}
				if tool.Output != tt.output || tool.Exit != tt.world.result.Code {
					t.Errorf("got output %q and exit %d, want %q", tool.Output, tool.Exit, tt.output)
				}
				if tt.file == "" {
					return
				}
				if tool.Error != effect.Error {
					t.Errorf("got error %q, want that of the effect, %q", tool.Error, effect.Error)
				}
				if tool.File != "logs/tools/01-kafka-topics.txt" || tool.Cluster != "kafka" || tool.Name != "a" {
					t.Errorf("got %+v, want the first file of event a on kafka", tool)
				}
				b, err := os.ReadFile(filepath.Join(out.res.Folder, tool.File))
				if err != nil || string(b) != tt.file {
					t.Errorf("got file %q and error %v, want %q", b, err, tt.file)
				}
			})
		})
	}
}

// resetWorld resets connections; relayWorld has relays.
type resetWorld struct{ *fakeWorld }

func (w resetWorld) Disconnect(p Place) { w.call("reset %s-%d", p.Client, p.Member) }

type relayWorld struct{ *fakeWorld }

func (w relayWorld) Relay(_ context.Context, client, via string) (Proof, error) {
	w.call("relay %s via %q", client, via)
	return Proof{OK: true, At: time.Now(), Text: "relayed"}, nil
}

func TestReroute(t *testing.T) {
	via := func(site string, undo *plan.Duration) plan.Action {
		return plan.Action{Verb: plan.Reroute, Targets: refs(clientRef("shop")), Via: site, UndoAfter: undo}
	}
	timeline := []string{"3s fired a → shop", "3s effect a → shop", "5s fired b → shop", "5s effect b → shop", "7s undoing b → shop", "7s undone b → shop", "20s undoing a → shop", "20s undone a → shop"}
	events := func() []plan.Event {
		return []plan.Event{event("a", at(3), via("london", nil)), event("b", at(5), via("paris", after(2)))}
	}
	links := []plan.Link{{A: plan.ImpliedSite, B: "london", Condition: plan.Condition{Latency: 5}}, {A: plan.ImpliedSite, B: "paris", Condition: plan.Condition{Latency: 7}}}
	for _, tt := range []struct {
		name  string
		power func(*fakeWorld) World
		want  []string
		calls []string
		err   string
	}{
		{"by paths", func(w *fakeWorld) World { return resetWorld{w} }, timeline, []string{
			"shape 0", "shape 12", "reset shop-1", "reset shop-2", "shape 12", "reset shop-1", "shape 12", "reset shop-2", "shape 0", "reset shop-1",
		}, ""},
		{"by relays", func(w *fakeWorld) World { return relayWorld{w} }, timeline, []string{
			`relay shop via "london"`, `relay shop via "paris"`, `relay shop via "london"`, `relay shop via ""`,
		}, ""},
		{"without either", nil, []string{"3s fired a → shop", "3s unproved a → shop", "5s fired b → shop", "5s unproved b → shop", "7s undoing b → shop", "7s unproved b → shop", "20s undoing a → shop", "20s unproved a → shop"}, nil, "this engine has no power over connections"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				f.power = tt.power
				p := small(events()...)
				p.Sites = append(p.Sites, plan.Site{Name: "london"}, plan.Site{Name: "paris"})
				p.Links = links
				out := play(t, f, p)
				if out.err != nil {
					t.Fatal(out.err)
				}
				got, want := out.journal(timelineKinds...), slices.Clone(tt.want)
				slices.Sort(got)
				slices.Sort(want)
				wantLines(t, "timeline", got, want)
				calls := f.called()
				if tt.name == "by paths" {
					calls = slices.DeleteFunc(calls, func(c string) bool { return c == "shape 0" })
					tt.calls = slices.DeleteFunc(tt.calls, func(c string) bool { return c == "shape 0" })
				}
				if !inOrder(calls, tt.calls) {
					t.Errorf("got calls %v, want %v among them", calls, tt.calls)
				}
				for _, e := range out.rec.Events {
					if e.Kind == record.KindUnproved && e.Error != tt.err {
						t.Errorf("got error %q, want %q", e.Error, tt.err)
					}
				}
			})
		})
	}
}
