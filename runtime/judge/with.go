// This file defines which claims of another plan a recording can answer.

package judge

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

// Unfit is a claim that a recording cannot answer, or answers otherwise than its
// plan reads.
type Unfit struct {
	Pos     plan.Pos
	Message string
	// Name is what the recording does not have, Have what it has of that kind.
	Name string
	Have []string
	// Warning: it can be judged, but the recorded thing is not as this plan has
	// it.
	Warning bool
}

// Unfits gives what speaks against judging a recording by the claims of p: they
// name things that the recorded plan has not, or ask for what was not recorded.
// It is empty for the recording's own plan. The error is one of reading.
func Unfits(p *plan.Plan, rec *record.Recording) ([]Unfit, error) {
	u := unfits{p: p, rec: rec, told: map[string]bool{}}
	for i := range p.Claims {
		terms(&p.Claims[i].Expr, u.term)
	}
	return u.found, u.err
}

type unfits struct {
	p     *plan.Plan
	rec   *record.Recording
	found []Unfit
	told  map[string]bool // warnings, once for each thing
	usage *bool           // whether samples have what brokers use
	err   error
}

func (u *unfits) refuse(t *plan.Term, name string, have []string, format string, args ...any) {
	u.found = append(u.found, Unfit{Pos: t.Pos, Name: name, Have: have, Message: fmt.Sprintf(format, args...)})
}

func (u *unfits) term(t *plan.Term) {
	here, there, have := named(u.p, t.Subject), named(u.rec.Plan, t.Subject), namesOf(u.rec.Plan, t.Subject.Kind)
	if there == nil {
		u.refuse(t, t.Subject.Name, have, "the recording has no %s %s", t.Subject.Kind, t.Subject.Name)
		return
	}
	if here != nil && !equal(here, there) {
		switch t.Subject.Kind {
		case plan.RefAlarm:
			u.refuse(t, "", nil, "alarm %s: the recording has another alarm of that name, on %s", t.Subject.Name, u.rec.Plan.Alarm(t.Subject.Name).Text)
			return
		case plan.RefEvent:
			u.event(t, t.Subject.Name)
			return
		}
		if k := string(t.Subject.Kind) + " " + t.Subject.Name; !u.told[k] {
			u.told[k] = true
			u.found = append(u.found, Unfit{Pos: t.Pos, Warning: true,
				Message: k + " is not declared as it was recorded; what is judged is what was recorded"})
		}
	}
	for _, w := range t.Windows {
		for _, name := range []string{w.Event, eventOf(w.A), eventOf(w.B)} {
			if name != "" {
				u.event(t, name)
			}
		}
		for _, at := range []*plan.Instant{w.A, w.B} {
			if ran := u.rec.Plan.Scenario.RunFor; at != nil && at.Event == "" && at.Offset > ran {
				u.refuse(t, "", nil, "%s is behind the end of the recorded run, which lasted %s", at.Offset, ran)
			}
		}
	}
	u.evidence(t)
}

func eventOf(i *plan.Instant) string {
	if i == nil {
		return ""
	}
	return i.Event
}

// event refuses a term about an event that was not in the recorded plan, or was
// something else there.
func (u *unfits) event(t *plan.Term, name string) {
	ref := plan.Ref{Kind: plan.RefEvent, Name: name}
	here, there := named(u.p, ref), named(u.rec.Plan, ref)
	switch {
	case there == nil:
		u.refuse(t, name, namesOf(u.rec.Plan, plan.RefEvent), "the recording has no event %s", name)
	case here != nil && !equal(here, there):
		u.refuse(t, "", nil, "event %s: the recording has another event of that name: %s", name, u.rec.Plan.Event(name).Text)
	}
}

// evidence refuses a term that asks for what this run did not record.
//
//	measure                recorded
//	mirror identical       in the respects that the run's own claims asked for
//	cluster cpu, memory    where brokers are processes of their own
//	consumer state_size    of consumers with dedup
//	event exit_code        of events with a tool
func (u *unfits) evidence(t *plan.Term) {
	name := t.Subject.Name
	switch {
	case t.Subject.Kind == plan.RefMirror && t.Measure == "identical":
		compared := map[string]bool{}
		for _, e := range u.rec.Events {
			if e.Kind == record.KindCompared && e.Name == name {
				compared[e.Aspect] = true
			}
		}
		if !compared[t.Aspect] {
			u.refuse(t, t.Aspect, slices.Sorted(maps.Keys(compared)), "%s was not compared with its source in %q when it was recorded", name, t.Aspect)
		}
	case t.Subject.Kind == plan.RefCluster && (t.Measure == "cpu" || t.Measure == "memory"):
		if !u.usages() && u.err == nil {
			u.refuse(t, "", nil, "%s of %s was not recorded: on the %s engine it is not known", t.Measure, name, u.rec.Info.Engine)
		}
	case t.Subject.Kind == plan.RefConsumer && t.Measure == "state_size":
		if u.rec.Plan.Consumer(name).Dedup == nil {
			u.refuse(t, "", nil, "state_size of %s was not recorded: it ran without dedup", name)
		}
	case t.Subject.Kind == plan.RefEvent && t.Measure == "exit_code":
		if !slices.ContainsFunc(u.rec.Plan.Event(name).Actions, func(a plan.Action) bool { return a.Verb == plan.Tool }) {
			u.refuse(t, "", nil, "exit_code of %s was not recorded: it ran no tool", name)
		}
	}
}

// usages tells whether some sample has what a broker uses.
func (u *unfits) usages() bool {
	if u.usage == nil {
		u.usage = new(bool)
		_, u.err = u.rec.Scan(func(b *record.Block) error {
			for i := range b.Samples {
				*u.usage = *u.usage || slices.ContainsFunc(b.Samples[i].Brokers, func(x record.BrokerState) bool { return x.Usage })
			}
			return nil
		})
	}
	return *u.usage
}

// named gives a thing of a plan without its positions, nil when it is not there.
func named(p *plan.Plan, r plan.Ref) any {
	switch r.Kind {
	case plan.RefProducer:
		if x := p.Producer(r.Name); x != nil {
			y := *x
			y.Pos = plan.Pos{}
			return y
		}
	case plan.RefConsumer:
		if x := p.Consumer(r.Name); x != nil {
			y := *x
			y.Pos = plan.Pos{}
			return y
		}
	case plan.RefTopic:
		if x := p.Topic(r.Name); x != nil {
			y := *x
			y.Pos = plan.Pos{}
			return y
		}
	case plan.RefCluster:
		if x := p.Cluster(r.Name); x != nil {
			y := *x
			y.Pos = plan.Pos{}
			return y
		}
	case plan.RefMirror:
		if x := p.Mirror(r.Name); x != nil {
			y := *x
			y.Pos = plan.Pos{}
			return y
		}
	case plan.RefAlarm:
		if x := p.Alarm(r.Name); x != nil {
			return struct {
				Claim   plan.Expr
				Lasting time.Duration
			}{bareExpr(x.Claim), x.Lasting.Std()}
		}
	case plan.RefEvent:
		if x := p.Event(r.Name); x != nil {
			trigger := x.Trigger
			if trigger.Claim != nil {
				claim := bareExpr(*trigger.Claim)
				trigger.Claim = &claim
			}
			var actions []plan.Action
			for _, a := range x.Actions {
				a.Pos, a.Source = plan.Pos{}, ""
				actions = append(actions, a)
			}
			return struct {
				Trigger plan.Trigger
				Actions []plan.Action
			}{trigger, actions}
		}
	}
	return nil
}

// bareExpr is an expression without where it stands and how it was written.
func bareExpr(e plan.Expr) plan.Expr {
	if e.Term != nil {
		t := *e.Term
		t.Pos, t.Text = plan.Pos{}, ""
		e.Term = &t
	}
	args := e.Args
	e.Args = nil
	for _, x := range args {
		e.Args = append(e.Args, bareExpr(x))
	}
	return e
}

func equal(a, b any) bool {
	x, err := json.Marshal(a)
	y, other := json.Marshal(b)
	return err == nil && other == nil && string(x) == string(y)
}

// namesOf gives the names of all things of a kind.
func namesOf(p *plan.Plan, k plan.RefKind) []string {
	var out []string
	switch k {
	case plan.RefProducer:
		for _, x := range p.Producers {
			out = append(out, x.Name)
		}
	case plan.RefConsumer:
		for _, x := range p.Consumers {
			if x.Observes == "" {
				out = append(out, x.Name)
			}
		}
	case plan.RefTopic:
		for _, x := range p.Topics {
			out = append(out, x.Name)
		}
	case plan.RefCluster:
		for _, x := range p.Clusters {
			out = append(out, x.Name)
		}
	case plan.RefMirror:
		for _, x := range p.Mirrors {
			out = append(out, x.Name)
		}
	case plan.RefAlarm:
		for _, x := range p.Alarms {
			out = append(out, x.Name)
		}
	case plan.RefEvent:
		for _, x := range p.Events {
			out = append(out, x.Name)
		}
	}
	return out
}
