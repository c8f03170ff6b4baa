// This file tests mirrors, and clients that fail over to them, in bubbles.

package runtime

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

// twin is small with a second cluster, west, to which a mirror named copy takes
// orders from site b: what the language derives is written out.
func twin(events ...plan.Event) *plan.Plan {
	p := small(events...)
	p.Sites = append(p.Sites, plan.Site{Name: "b"})
	p.Clusters = append(p.Clusters, plan.Cluster{Name: "west", Nodes: []plan.Node{{ID: 1, Role: plan.RoleCombined, Site: "b"}}})
	p.Topics = append(p.Topics,
		plan.Topic{Name: "west/kafka.orders", Kafka: "kafka.orders", Origin: plan.Mirrored, Of: "orders", Mirror: "copy", Cluster: "west", Partitions: 3, Replicas: 1, MinInsync: 1},
		plan.Topic{Name: "west/orders", Kafka: "orders", Origin: plan.FailedTo, Of: "orders", Mirror: "copy", Cluster: "west", Partitions: 3, Replicas: 1, MinInsync: 1},
	)
	p.Consumers = append(p.Consumers, plan.Consumer{
		Name: "copy", Observes: "copy", Topics: []string{"west/kafka.orders"}, Members: 1, Commit: "none", Site: "b",
	})
	p.Mirrors = []plan.Mirror{{Name: "copy", Topics: []string{"orders"}, From: "kafka", To: "west", Site: "b", Rename: plan.RenameDefault}}
	return p
}

func failOver(names ...string) plan.Action {
	a := plan.Action{Verb: plan.FailOver, To: &plan.Ref{Kind: plan.RefMirror, Name: "copy"}}
	for _, n := range names {
		a.Targets = append(a.Targets, clientRef(n))
	}
	return a
}

func failBack(names ...string) plan.Action {
	a := failOver(names...)
	a.Verb, a.To = plan.FailBack, nil
	return a
}

func clientRef(name string) plan.Ref {
	if name == "shop" {
		return ref(plan.RefProducer, name)
	}
	return ref(plan.RefConsumer, name)
}

// inOrder tells whether calls hold some, in their order.
func inOrder(calls, want []string) bool {
	i := 0
	for _, c := range calls {
		if i < len(want) && c == want[i] {
			i++
		}
	}
	return i == len(want)
}

// TestMirrorRuns: it starts after the topics and before the clients, its observer
// stands on the control side and is no client, and it stops after the drain.
func TestMirrorRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		p := twin()
		p.Links = []plan.Link{{A: plan.ImpliedSite, B: "b", Condition: plan.Condition{Latency: 100}}}
		out := play(t, f, p)
		if out.err != nil {
			t.Fatal(out.err)
		}
		calls := f.called()
		if want := []string{"create 1", "create 1", "mirror copy from kafka.copyb.1:9092 to west.copyb.1:9092", "start copy-1", "stop copy-1", "stop mirror copy", "audit west/kafka.orders"}; !inOrder(calls, want) {
			t.Errorf("got calls %v, want %v among them", calls, want)
		}
		if slices.Index(calls, "start shop-1") < slices.IndexFunc(calls, func(c string) bool { return strings.HasPrefix(c, "mirror ") }) {
			t.Errorf("got calls %v, want the mirror before the clients", calls)
		}
		if !slices.Contains(f.members, `copy-1 at west..0:9092: [west/kafka.orders] as ""`) {
			t.Errorf("got members %q, want the observer on the control side", f.members)
		}
		var places []string
		for _, x := range f.shapes[len(f.shapes)-1] {
			if x.From.Node.ID == 0 {
				places = append(places, x.From.Place.Client)
			}
		}
		slices.Sort(places)
		// The mirror stands in b, two members each of shop and billing elsewhere.
		if want := []string{"billing", "billing", "copy", "copy", "copy", "shop", "shop"}; !slices.Equal(places, want) {
			t.Errorf("got paths from %v, want %v: no path of the observer", places, want)
		}
		for _, a := range f.asked {
			if a != "kafka billing" {
				t.Errorf("got group %q described, want billing on kafka only", a)
			}
		}
		drained := out.journal(record.KindDrained)
		if len(drained) != 2 {
			t.Errorf("got %v drained, want the group and the observer", drained)
		}
		sampled := make(map[string]bool)
		_, err := out.rec.Scan(func(b *record.Block) error {
			for _, s := range b.Samples {
				for _, x := range s.Partitions {
					sampled[s.Cluster+": "+x.Topic] = true
				}
			}
			return b.Spans(func(record.Stream, []record.Span) error { return nil })
		})
		if err != nil {
			t.Fatal(err)
		}
		if want := []string{"kafka: orders", "west: west/kafka.orders", "west: west/orders"}; !slices.Equal(sorted(sampled), want) {
			t.Errorf("got samples of %v, want %v", sorted(sampled), want)
		}
	})
}

// TestMirrorDrains: the end of a copy is noted once it has what its source has.
func TestMirrorDrains(t *testing.T) {
	for _, tt := range []struct {
		name  string
		every time.Duration // to copy one of ten records a second
		drain float64
		limit string // what the journal says of the mirror
	}{
		{"in time", 120 * time.Millisecond, 10, ""},
		{"not in time", 200 * time.Millisecond, 5, "mirror copy: 7[0-9] records not copied when drain was over, arriving true"},
		{"not at all", time.Hour, 5, "mirror copy: 20[0-2] records not copied when drain was over, arriving false"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				f.mirrored = tt.every
				p := twin()
				p.Producers[0].Members = 1
				p.Scenario.Drain = seconds(tt.drain)
				out := play(t, f, p)
				if out.err != nil {
					t.Fatal(out.err)
				}
				got := ""
				for _, e := range out.rec.Events {
					if e.Kind == record.KindDrainLimit && e.Name == "copy" && strings.HasPrefix(e.What, "mirror ") {
						got = fmt.Sprintf("%s, arriving %v", e.What, e.Arriving)
					}
				}
				// How many it has copied depends on what happens first of two things at one moment.
				if !regexp.MustCompile("^" + tt.limit + "$").MatchString(got) {
					t.Errorf("got %q, want %q", got, tt.limit)
				}
				if tt.limit == "" && f.logs["west/kafka.orders"] != f.logs["orders"] {
					t.Errorf("got %d records copied of %d", f.logs["west/kafka.orders"], f.logs["orders"])
				}
			})
		})
	}
}

func TestUncopied(t *testing.T) {
	p := twin()
	s := MirrorSpec{Topics: p.Topics[:1], Copies: p.Topics[1:2]}
	from := State{Partitions: []PartitionState{
		{Topic: "orders", Partition: 0, Start: 10, HighWater: 30},
		{Topic: "orders", Partition: 1, Start: -1, HighWater: 5},
		{Topic: "other", Partition: 0, HighWater: 99},
	}}
	for _, tt := range []struct {
		name          string
		to            []PartitionState
		missing, ends int64
	}{
		{"there is no copy yet", nil, 25, 0},
		{"some", []PartitionState{{Topic: "kafka.orders", HighWater: 18}, {Topic: "orders", HighWater: 50}}, 7, 18},
		{"copied again does not make up for another partition", []PartitionState{{Topic: "kafka.orders", HighWater: 40}, {Topic: "kafka.orders", Partition: 1, HighWater: 3}}, 2, 43},
		{"all", []PartitionState{{Topic: "kafka.orders", HighWater: 20}, {Topic: "kafka.orders", Partition: 1, HighWater: 5}}, 0, 25},
		{"its partition has no leader", []PartitionState{{Topic: "kafka.orders", HighWater: -1}, {Topic: "kafka.orders", Partition: 1, HighWater: 5}}, 20, 5},
	} {
		missing, ends := uncopied(s, from, State{Partitions: tt.to})
		if missing != tt.missing || ends != tt.ends {
			t.Errorf("%s: got %d missing and ends %d, want %d and %d", tt.name, missing, ends, tt.missing, tt.ends)
		}
	}
}

func TestCompareIsAskedByClaims(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		p := twin()
		p.Claims = []plan.Claim{{Kind: plan.Expect, Expr: plan.Expr{Op: plan.OpNo, Args: []plan.Expr{{Op: plan.OpTerm, Term: &plan.Term{
			Subject: ref(plan.RefMirror, "copy"), Measure: "identical", Aspect: "records",
		}}}}}}
		out := play(t, f, p)
		if out.err != nil {
			t.Fatal(out.err)
		}
		var got []record.Event
		for _, e := range out.rec.Events {
			if e.Kind == record.KindCompared {
				got = append(got, e)
			}
		}
		if len(got) != 1 || got[0].Name != "copy" || got[0].Aspect != "records" || got[0].Compared != 9 || got[0].Different != 2 || got[0].Error != "orders/0 at 3: another value" {
			t.Errorf("got %+v, want what was asked, with the first difference", got)
		}
		if !slices.ContainsFunc(f.called(), func(c string) bool {
			return strings.HasPrefix(c, "compare copy up to ") && strings.HasSuffix(c, "groups [billing]")
		}) {
			t.Errorf("got calls %v, want a comparison", f.called())
		}
	})
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		if out := play(t, f, twin()); out.err != nil || slices.ContainsFunc(f.called(), func(c string) bool { return strings.HasPrefix(c, "compare") }) {
			t.Errorf("got error %v and calls %v, want no comparison that no claim asks for", out.err, f.called())
		}
	})
}

func TestFailOver(t *testing.T) {
	scale := plan.Action{Verb: plan.Scale, Targets: refs(clientRef("billing")), Members: 3}
	crash := plan.Action{Verb: plan.Crash, Targets: refs(ref(plan.RefMember, "shop", 2)), UndoAfter: after(2)}
	for _, tt := range []struct {
		name   string
		set    func(*fake)
		change func(*plan.Plan)
		events []plan.Event
		want   []string // the timeline
		calls  []string // that must have been made, in any order
		errs   []string // of what is unproved
		order  []string // calls that must have been made in this order
	}{
		{
			name:   "both, there and back",
			events: []plan.Event{event("a", at(3), failOver("shop", "billing")), event("b", at(9), failBack("shop", "billing"))},
			want: []string{
				"3s fired a → shop,billing", "3s effect a → shop,billing", "3s complete a",
				"9s fired b → shop,billing", "9s effect b → shop,billing", "9s complete b",
			},
			calls: []string{
				`redirect shop-1 to west.shopdefault.1:9092: [west/orders] as "", finish false`,
				`redirect shop-2 to west.shopdefault.2:9092: [west/orders] as "", finish false`,
				`redirect billing-2 to west.billingdefault.2:9092: [west/orders west/kafka.orders] as "", finish false`,
				`redirect shop-1 to kafka.shopdefault.1:9092: [orders] as "", finish false`,
				`redirect billing-1 to kafka.billingdefault.1:9092: [orders] as "", finish true`,
			},
		},
		{
			name: "members that come later start there",
			events: []plan.Event{
				event("a", at(3), failOver("shop", "billing")), event("b", at(5), scale), event("c", at(6), crash),
			},
			want: []string{
				"3s fired a → shop,billing", "3s effect a → shop,billing", "3s complete a",
				"5s fired b → billing", "5s effect b → billing", "5s complete b",
				"6s fired c → shop-2", "6s effect c → shop-2", "8s undoing c → shop-2", "8s undone c → shop-2",
			},
		},
		{
			name:   "back from nowhere, and twice there",
			events: []plan.Event{event("a", at(3), failBack("shop")), event("b", at(4), failOver("billing")), event("c", at(5), failOver("billing"))},
			want: []string{
				"3s fired a → shop", "3s unproved a → shop", "4s fired b → billing", "4s effect b → billing", "4s complete b",
				"5s fired c → billing", "5s unproved c → billing",
			},
			errs: []string{"shop: it is at kafka already", "billing: it is at west already"},
		},
		{
			name:   "consumers that go back with producers do so after them, of several actions too",
			set:    func(f *fake) { f.redirectDelay = time.Second },
			events: []plan.Event{event("a", at(3), failOver("shop", "billing")), event("b", at(9), failBack("billing"), failBack("shop"))},
			want: []string{
				"3s fired a → shop,billing", "4s effect a → shop,billing", "4s complete a", "9s fired b → shop", "9s fired b → billing",
				"10s effect b → shop", "10s complete b", "11s effect b → billing", "11s complete b",
			},
			order: []string{
				`redirect shop-1 to kafka.shopdefault.1:9092: [orders] as "", finish false`,
				`redirect billing-1 to kafka.billingdefault.1:9092: [orders] as "", finish true`,
			},
		},
		{
			name: "one that is on its way can be crashed",
			set:  func(f *fake) { f.redirectDelay = 5 * time.Second },
			events: []plan.Event{event("a", at(3), failOver("shop")), event("b", at(4), plan.Action{
				Verb: plan.Crash, Targets: refs(ref(plan.RefMember, "shop", 2)), UndoAfter: after(1),
			})},
			want: []string{
				"3s fired a → shop", "8s effect a → shop", "8s complete a",
				"4s fired b → shop-2", "4s effect b → shop-2", "5s undoing b → shop-2", "5s undone b → shop-2",
			},
			order: []string{"crash shop-2", "start shop-2"},
		},
		{
			name:   "a mirror that lacks the topic",
			change: func(p *plan.Plan) { p.Mirrors[0].Topics = nil; p.Topics = p.Topics[:1]; p.Consumers = p.Consumers[:1] },
			events: []plan.Event{event("a", at(3), failOver("shop"))},
			want:   []string{"3s fired a → shop", "3s unproved a → shop"},
			errs:   []string{"shop: mirror copy does not hold topic orders"},
		},
		{
			name:   "members that do not become ready there",
			set:    func(f *fake) { f.redirect = errors.New("dial: i/o timeout") },
			events: []plan.Event{event("a", at(3), failOver("shop"))},
			want:   []string{"3s fired a → shop", "3s unproved a → shop"},
			errs:   []string{"shop-1: dial: i/o timeout\nshop-2: dial: i/o timeout"},
		},
		{
			name: "as a user of that cluster",
			change: func(p *plan.Plan) {
				p.Clusters[1].Auth = "scram-sha-256"
				p.Users = []plan.User{{Name: "ann", Cluster: "west", Password: "secret"}}
				p.Producers[0].User = "ann"
			},
			events: []plan.Event{event("a", at(3), failOver("shop"))},
			want:   []string{"3s fired a → shop", "3s effect a → shop", "3s complete a"},
			calls:  []string{`redirect shop-1 to west.shopdefault.1:9092: [west/orders] as "ann", finish false`},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				if tt.set != nil {
					tt.set(f)
				}
				p := twin(tt.events...)
				if tt.change != nil {
					tt.change(p)
				}
				out := play(t, f, p)
				if out.err != nil {
					t.Fatal(out.err)
				}
				got := out.journal(timelineKinds...)
				slices.Sort(got)
				want := slices.Clone(tt.want)
				slices.Sort(want)
				wantLines(t, "timeline", got, want)
				for _, c := range tt.calls {
					if !slices.Contains(f.called(), c) {
						t.Errorf("got calls\n%s\nwant %s among them", strings.Join(f.called(), "\n"), c)
					}
				}
				if tt.order != nil && !inOrder(f.called(), tt.order) {
					t.Errorf("got calls\n%s\nwant in this order %q", strings.Join(f.called(), "\n"), tt.order)
				}
				var errs []string
				for _, e := range out.rec.Events {
					if e.Kind == record.KindUnproved {
						errs = append(errs, e.Error)
					}
				}
				wantLines(t, "errors", sortedErrors(errs), tt.errs)
				if tt.name == "members that come later start there" {
					if !slices.Contains(f.members, `billing-3 at west.billingdefault.3:9092: [west/orders west/kafka.orders] as ""`) {
						t.Errorf("got members %q, want the third of billing at west", f.members)
					}
					last := f.specs[len(f.specs)-1]
					if last.Member != 2 || last.Topic.Name != "west/orders" || last.Bootstrap[0] != "west.shopdefault.2:9092" {
						t.Errorf("got the restarted member at %v, writing %s; want it at west", last.Bootstrap, last.Topic.Name)
					}
					if !slices.Contains(f.asked, "west billing") || f.asked[len(f.asked)-1] != "west billing" {
						t.Errorf("got groups %v, want billing on west at the end", f.asked)
					}
				}
			})
		})
	}
}

// sortedErrors puts the lines of each error in order: members have none.
func sortedErrors(errs []string) []string {
	var out []string
	for _, e := range errs {
		lines := strings.Split(e, "\n")
		slices.Sort(lines)
		out = append(out, strings.Join(lines, "\n"))
	}
	return out
}

// TestDrainAfterFailOver: a group that has failed over is at the end when it has
// read the copy and the other topic; the source it has left.
func TestDrainAfterFailOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.mirrored = 40 * time.Millisecond
		out := play(t, f, twin(event("a", at(5), failOver("billing"))))
		if out.err != nil {
			t.Fatal(out.err)
		}
		if got := out.journal(record.KindDrainLimit); len(got) != 0 {
			t.Errorf("got %v, want the group at its end", got)
		}
	})
}

// TestElectionsByPlanName: what a cluster calls orders is told apart from the
// topic of that name on another.
func TestElectionsByPlanName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		o := f.options(t)
		var lines []string
		o.Progress = func(p Progress) {
			if p.Line != "" {
				lines = append(lines, p.Line)
			}
		}
		p := twin(event("a", at(3), plan.Action{Verb: plan.Note, Text: "now"}))
		go func() {
			time.Sleep(5 * time.Second)
			f.mu.Lock()
			observe := f.observe
			f.mu.Unlock()
			observe(Change{At: time.Now(), Cluster: "west", Kind: ChangeLeader, Topic: "orders", Node: 1, Epoch: 2, Text: "orders/0: leader is west-1"})
			observe(Change{At: time.Now(), Cluster: "west", Kind: ChangeTruncated, Topic: "orders", Node: 1, Text: "orders/0: west-1 truncated"})
			observe(Change{At: time.Now(), Cluster: "west", Kind: ChangeLeader, Topic: "heartbeats", Node: 1})
		}()
		out := open(t, func() (Result, error) { return Run(t.Context(), p, o) })
		if out.err != nil {
			t.Fatal(out.err)
		}
		var got []string
		for _, e := range out.rec.Events {
			if e.Kind == record.KindElection {
				got = append(got, e.Topic)
			}
		}
		if !slices.Equal(got, []string{"west/orders"}) {
			t.Errorf("got elections of %v, want one of west/orders", got)
		}
		if !slices.Contains(lines, "west/orders/0: west-1 truncated") {
			t.Errorf("got lines %q, want the plan's name in them", lines)
		}
	})
}
