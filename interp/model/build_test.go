package model_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"starfall/interp/model"
	"starfall/interp/plan"
)

// builder makes plans for tests. The File of every position is the name of the
// thing that stands there ("orders", "cut", "cut/kill", "claim-1"), so that a
// test reads where a problem is reported.
type builder struct{ p *plan.Plan }

func dur(s string) plan.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		panic(err)
	}
	return plan.Duration(d)
}

func after(s string) *plan.Duration {
	d := dur(s)
	return &d
}

func pos(name string) plan.Pos { return plan.Pos{File: name, Line: 1, Col: 1} }

// newBuilder gives a sound plan without events: three combined brokers, a topic
// with six partitions, a producer and a group of two, one claim.
func newBuilder() *builder {
	b := &builder{&plan.Plan{
		Format: plan.Format, Name: "test",
		Scenario: plan.Scenario{Pos: pos("scenario"), RunFor: dur("90s"), Warmup: dur("10s"), Drain: dur("60s"), Seed: 1},
		Sites:    []plan.Site{{Pos: pos("site"), Name: plan.ImpliedSite, Implied: true}},
	}}
	b.cluster("kafka", 3, 0)
	b.p.Topics = []plan.Topic{{Pos: pos("orders"), Name: "orders", Cluster: "kafka", Partitions: 6, Replicas: 3, MinInsync: 2}}
	b.p.Producers = []plan.Producer{{
		Pos: pos("shop"), Name: "shop", Topic: "orders", Rate: 1000, Members: 1, Acks: "all", Size: 100,
		Partitioner: "round_robin", Timeout: dur("2m"), Buffer: 32 << 20, Site: plan.ImpliedSite,
	}}
	b.p.Consumers = []plan.Consumer{{
		Pos: pos("billing"), Name: "billing", Topics: []string{"orders"}, Group: "billing", Members: 2, Start: "earliest",
		Commit: "after", CommitEvery: dur("1s"), Assignor: "range", SessionTimeout: dur("45s"), Site: plan.ImpliedSite,
	}}
	b.expect(on("producer", "shop", "stall"), bound(plan.AtMost, 5))
	return b
}

func (b *builder) cluster(name string, brokers, controllers int) {
	c := plan.Cluster{Pos: pos(name), Name: name}
	role := plan.RoleCombined
	if controllers > 0 {
		role = plan.RoleBroker
	}
	for i := range brokers {
		c.Nodes = append(c.Nodes, plan.Node{ID: int32(i + 1), Role: role, Site: plan.ImpliedSite})
	}
	for i := range controllers {
		c.Nodes = append(c.Nodes, plan.Node{ID: int32(plan.FirstControllerID + i), Role: plan.RoleController, Site: plan.ImpliedSite})
	}
	for i := range b.p.Clusters {
		if b.p.Clusters[i].Name == name {
			b.p.Clusters[i] = c
			return
		}
	}
	b.p.Clusters = append(b.p.Clusters, c)
}

func (b *builder) topic() *plan.Topic       { return &b.p.Topics[0] }
func (b *builder) producer() *plan.Producer { return &b.p.Producers[0] }
func (b *builder) consumer() *plan.Consumer { return &b.p.Consumers[0] }

func (b *builder) event(name string, t plan.Trigger, actions []plan.Action) {
	for i := range actions {
		actions[i].Pos = pos(name + "/" + string(actions[i].Verb))
		actions[i].Source = string(actions[i].Verb) + "(…)"
	}
	b.p.Events = append(b.p.Events, plan.Event{Pos: pos(name), Name: name, Trigger: t, Actions: actions})
}

func (b *builder) at(name, when string, actions ...plan.Action) {
	b.event(name, plan.Trigger{Kind: plan.TriggerAt, At: plan.Instant{Offset: dur(when)}}, actions)
}

func (b *builder) atEdge(name, of string, edge plan.Edge, offset string, actions ...plan.Action) {
	b.event(name, plan.Trigger{Kind: plan.TriggerAt, At: plan.Instant{Event: of, Edge: edge, Offset: dur(offset)}}, actions)
}

func (b *builder) every(name, interval, first, until string, actions ...plan.Action) {
	b.event(name, plan.Trigger{Kind: plan.TriggerEvery, At: plan.Instant{Offset: dur(first)}, Interval: dur(interval), Until: dur(until)}, actions)
}

func (b *builder) when(name string, t plan.Term, actions ...plan.Action) {
	t.Pos = pos(name + "/claim")
	b.event(name, plan.Trigger{Kind: plan.TriggerWhen, Claim: &plan.Expr{Op: plan.OpTerm, Term: &t}, Within: dur("60s")}, actions)
}

// part changes a term.
type part func(*plan.Term)

func on(kind plan.RefKind, name, measure string) part {
	return func(t *plan.Term) { t.Subject, t.Measure = plan.Ref{Kind: kind, Name: name}, measure }
}

func bound(op plan.BoundOp, value float64) part {
	return func(t *plan.Term) { t.Bound = &plan.Bound{Op: op, Value: value} }
}

func window(kind plan.WindowKind, at string) part {
	return func(t *plan.Term) {
		t.Windows = append(t.Windows, plan.Window{Kind: kind, A: &plan.Instant{Offset: dur(at)}, Explicit: kind == plan.At})
	}
}

// windowOf is before, after, during or outside a handle, as evaluation makes it.
func windowOf(kind plan.WindowKind, event string) part {
	return func(t *plan.Term) {
		w := plan.Window{Kind: kind}
		switch kind {
		case plan.Before:
			w.A = &plan.Instant{Event: event, Edge: plan.Start}
		case plan.After:
			w.A = &plan.Instant{Event: event, Edge: plan.End}
		default:
			w.Event = event
		}
		t.Windows = append(t.Windows, w)
	}
}

func during(a, b string) part {
	return func(t *plan.Term) {
		t.Windows = append(t.Windows, plan.Window{
			Kind: plan.During, A: &plan.Instant{Offset: dur(a)}, B: &plan.Instant{Offset: dur(b)}, Explicit: true,
		})
	}
}

func atEnd(t *plan.Term) { t.Windows = append(t.Windows, plan.Window{Kind: plan.AtEnd}) }

func per(s string) part { return func(t *plan.Term) { t.Per = dur(s) } }

func by(s string) part { return func(t *plan.Term) { t.By = s } }

func term(parts ...part) plan.Term {
	var t plan.Term
	for _, p := range parts {
		p(&t)
	}
	return t
}

func (b *builder) claim(kind plan.ClaimKind, e plan.Expr) {
	at := pos(fmt.Sprintf("claim-%d", len(b.p.Claims)))
	var place func(*plan.Expr)
	place = func(e *plan.Expr) {
		if e.Term != nil {
			e.Term.Pos = at
		}
		for i := range e.Args {
			place(&e.Args[i])
		}
	}
	place(&e)
	b.p.Claims = append(b.p.Claims, plan.Claim{Pos: at, Kind: kind, Expr: e})
}

func expr(parts ...part) plan.Expr {
	t := term(parts...)
	return plan.Expr{Op: plan.OpTerm, Term: &t}
}

func (b *builder) expect(parts ...part) { b.claim(plan.Expect, expr(parts...)) }

// References.

func broker(i int) plan.Ref { return plan.Ref{Kind: plan.RefBroker, Name: "kafka", Index: i} }
func leader(i int) plan.Ref { return plan.Ref{Kind: plan.RefLeader, Name: "orders", Index: i} }
func member(i int) plan.Ref { return plan.Ref{Kind: plan.RefMember, Name: "billing", Index: i} }
func hit(event string) plan.Ref {
	return plan.Ref{Kind: plan.RefHit, Name: event}
}
func ref(kind plan.RefKind, name string) plan.Ref { return plan.Ref{Kind: kind, Name: name} }

// Actions.

func act(v plan.Verb, targets ...plan.Ref) plan.Action { return plan.Action{Verb: v, Targets: targets} }

func undone(a plan.Action, s string) plan.Action {
	a.UndoAfter = after(s)
	return a
}

func split(groups ...[]plan.Ref) plan.Action { return plan.Action{Verb: plan.Netsplit, Groups: groups} }

func refs(r ...plan.Ref) []plan.Ref { return r }

func resize(n int) plan.Action {
	return plan.Action{Verb: plan.Resize, Targets: refs(ref(plan.RefTopic, "orders")), Partitions: n}
}

func scale(n int) plan.Action {
	return plan.Action{Verb: plan.Scale, Targets: refs(ref(plan.RefConsumer, "billing")), Members: n}
}

func configure(r plan.Ref, name, value string) plan.Action {
	return plan.Action{Verb: plan.Configure, Targets: refs(r), Config: map[string]string{name: value}}
}

// said gives the problems as "place: severity: message".
func said(ps []model.Problem) []string {
	out := []string{}
	for _, p := range ps {
		out = append(out, fmt.Sprintf("%s: %s: %s", p.Pos.File, p.Severity, p.Message))
	}
	return out
}

// problemCase has a plan in which exactly the wanted problems are found, and a
// close one without any.
type problemCase struct {
	name string
	bad  func(*builder)
	want []string
	good func(*builder)
}

func runCases(t *testing.T, cases []problemCase) {
	t.Helper()
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			b := newBuilder()
			tt.bad(b)
			if got := said(model.Check(b.p)); !slices.Equal(got, tt.want) {
				t.Errorf("got\n\t%q\nwant\n\t%q", got, tt.want)
			}
			b = newBuilder()
			tt.good(b)
			if got := said(model.Check(b.p)); len(got) > 0 {
				t.Errorf("for the sound plan: got %q, want no problem", got)
			}
		})
	}
}
