// This file defines how an action is carried out: resolved, done, proved,
// journaled, undone.

package runtime

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

// How long an effect has to show itself, in scenario time but not less than
// proofFloor of real time. The longest that a healthy Kafka takes is the
// unfencing of a broker after the loss of a controller: 11.6 s were measured
// (kafka-facts.md).
const (
	proofLimit = 60 * time.Second
	proofFloor = 10 * time.Second
)

// reverter puts settings back.
type reverter func(context.Context) (Proof, error)

// fire starts the actions of an event, each by itself, but those on rights one
// after the other, in their order: what one gives the next may take. Planned is
// nil for an event that no instant fires.
func (r *run) fire(ev *plan.Event, occurrence int, planned *time.Duration) {
	now := time.Now()
	r.fired(now, planned)
	var writers sync.WaitGroup
	start := func(actions []int) {
		for range actions {
			r.effects.begin(ev.Name)
		}
		r.acts.Go(func() {
			defer r.recoverAs("event " + ev.Name)
			for _, i := range actions {
				r.act(happening{
					event: ev.Name, occurrence: occurrence, action: i, planned: planned,
					what: ev.Actions[i].Source, verb: ev.Actions[i].Verb, writers: &writers,
				}, ev.Actions[i], now)
			}
		})
	}
	for i := range ev.Actions {
		if ev.Actions[i].Verb == plan.FailBack {
			writers.Add(1)
		}
	}
	var ordered []int
	for i := range ev.Actions {
		switch {
		case early(ev, &ev.Actions[i]): // grant has done it
		case onRights(ev.Actions[i].Verb):
			ordered = append(ordered, i)
		default:
			start([]int{i})
		}
	}
	if len(ordered) > 0 {
		start(ordered)
	}
}

// act carries out one action and stays until it is undone, if it undoes
// itself.
func (r *run) act(h happening, a plan.Action, fired time.Time) {
	ctx, cancel := r.limit(r.hard)
	if a.Verb == plan.Tool {
		cancel()
		ctx, cancel = r.toolContext()
	}
	e := &effect{happening: h, act: a}
	prepared, err := r.prepare(ctx, e)
	entry := h.entry(record.KindFired)
	entry.Planned, entry.Targets = h.planned, e.targets
	r.journal.add(fired, entry)
	var proof Proof
	if err == nil {
		proof, err = prepared(ctx)
	}
	cancel()
	at := r.proved(e, record.KindEffect, "", proof, err)
	r.edges.reach(h.event, plan.Start, at)
	undo := a.UndoAfter
	if a.Verb == plan.Restart {
		undo = &a.DownFor
	}
	broke := len(e.nodes) > 0 || e.fault != 0 || len(e.member) > 0 || e.revert != nil
	if !broke {
		if err == nil && proof.OK {
			done := h.entry(record.KindComplete)
			done.Proof = proof.Text
			r.journal.add(cmp.Or(proof.At, time.Now()), done)
		}
		r.effects.end(h.event, at)
		return
	}
	e.since = at
	r.effects.add(e)
	if undo == nil {
		return
	}
	// An outage of 30 s ends 30 s after the planned moment, however long the
	// proof took; only restart waits from the moment the node was down.
	due := at + undo.Std()
	if h.planned != nil && a.Verb != plan.Restart {
		due = *h.planned + undo.Std()
	}
	select {
	case <-r.soft.Done():
		return // healed at run_for
	case <-e.taken:
		return // somebody else was quicker
	case <-r.after(due):
	}
	if len(r.effects.take(func(x *effect) bool { return x == e })) == 0 {
		return
	}
	r.undo([]*effect{e}, "")
}

// prepare resolves an action's targets and gives what is to be done. What the
// action breaks is put into e, also when it fails.
func (r *run) prepare(ctx context.Context, e *effect) (func(context.Context) (Proof, error), error) {
	a := e.act
	random := seeded(r.env.Seed, e.event, e.occurrence, e.action)
	switch a.Verb {
	case plan.Kill, plan.Stop, plan.Pause, plan.PowerOff, plan.Restart:
		keys, err := r.resolver.nodes(ctx, a.Targets, random)
		if err != nil {
			return nil, err
		}
		e.targets = labels(keys, r.nodes.label)
		signal, _ := signals(a.Verb)
		return func(ctx context.Context) (Proof, error) {
			proof, refused, err := r.signal(ctx, keys, signal)
			for _, k := range keys {
				if !refused[k] {
					e.nodes = append(e.nodes, k)
				}
			}
			return proof, err
		}, nil

	case plan.StartNode, plan.Resume:
		keys, err := r.resolver.nodes(ctx, a.Targets, random)
		if err != nil {
			return nil, err
		}
		e.targets = labels(keys, r.nodes.label)
		signal, _ := signals(a.Verb)
		return func(ctx context.Context) (Proof, error) { return r.startNodes(ctx, e, keys, signal) }, nil

	case plan.Netsplit, plan.Slow, plan.Lose, plan.Throttle:
		return r.preparePaths(ctx, e)

	case plan.Heal, plan.HealAll:
		return func(context.Context) (Proof, error) { return r.heal(e) }, nil

	case plan.Crash:
		var members []plan.Ref
		for _, ref := range a.Targets {
			for _, m := range r.members(ref) {
				e.targets = append(e.targets, fmt.Sprintf("%s-%d", m.Name, m.Index))
				members = append(members, m)
			}
		}
		if len(members) == 0 {
			return nil, errors.New("no such member runs now")
		}
		return func(ctx context.Context) (Proof, error) {
			return eachTarget(members, func(m plan.Ref) (Proof, error) {
				proof, err := r.load.crash(ctx, m.Name, m.Index)
				if err == nil {
					e.member = append(e.member, m)
				}
				return proof, err
			})
		}, nil

	case plan.Scale, plan.SetRate:
		e.targets = refNames(a.Targets)
		return func(ctx context.Context) (Proof, error) {
			return eachTarget(a.Targets, func(t plan.Ref) (Proof, error) {
				if a.Verb == plan.Scale {
					return r.load.scale(ctx, t.Name, a.Members)
				}
				return r.load.setRate(ctx, t.Name, a.Rate)
			})
		}, nil

	case plan.FailOver, plan.FailBack:
		e.targets = refNames(a.Targets)
		return func(ctx context.Context) (Proof, error) { return r.redirect(ctx, e) }, nil

	case plan.Reroute:
		e.targets = refNames(a.Targets)
		return func(ctx context.Context) (Proof, error) { return r.reroute(ctx, e) }, nil

	case plan.Resize, plan.Configure, plan.Elect, plan.Move, plan.Send,
		plan.Replay, plan.ResetOffsets, plan.Allow, plan.Deny, plan.Revoke, plan.DeleteRecords, plan.Delete:
		return r.prepareAdmin(ctx, e, random)

	case plan.Tool:
		e.targets = refNames(a.Targets)
		return func(ctx context.Context) (Proof, error) { return r.tool(ctx, e) }, nil

	case plan.Note:
		return func(context.Context) (Proof, error) {
			n := e.entry(record.KindNote)
			n.What = a.Text
			r.journal.add(time.Now(), n)
			return Proof{OK: true, At: time.Now()}, nil
		}, nil
	}
	return nil, fmt.Errorf("%s: this version cannot do that", a.Verb)
}

// members gives the running members that a ref names.
func (r *run) members(ref plan.Ref) []plan.Ref {
	if ref.Kind == plan.RefMember {
		return []plan.Ref{ref}
	}
	return r.load.members(ref.Name)
}

// preparePaths resolves the places of a path fault.
func (r *run) preparePaths(ctx context.Context, e *effect) (func(context.Context) (Proof, error), error) {
	a := e.act
	f := pathFault{oneWay: a.OneWay, between: a.Condition}
	if a.Verb == plan.Netsplit {
		f.between = plan.Condition{Cut: true}
	}
	for i, g := range a.Groups {
		spots, err := r.resolver.spots(ctx, g, seeded(r.env.Seed, e.event, e.occurrence, e.action<<8|i))
		if err != nil {
			return nil, err
		}
		f.groups = append(f.groups, spots)
		for _, s := range spots {
			e.targets = append(e.targets, r.resolver.spotText(s, r.nodes.label))
		}
	}
	return func(ctx context.Context) (Proof, error) {
		id, proof, err := r.shaper.add(ctx, f)
		e.fault = id
		return proof, err
	}, nil
}

// prepareAdmin resolves the targets of an admin verb.
func (r *run) prepareAdmin(ctx context.Context, e *effect, random *rand.Rand) (func(context.Context) (Proof, error), error) {
	a := e.act
	if len(a.Targets) == 0 {
		return nil, errors.New("it names no target")
	}
	cluster := a.Targets[0].Name
	var resolved []plan.Ref
	for _, t := range a.Targets {
		switch t.Kind {
		case plan.RefTopic:
			topic := r.p.Topic(t.Name)
			if topic == nil {
				return nil, fmt.Errorf("topic %s is not in the plan", t.Name)
			}
			cluster = topic.Cluster
			resolved = append(resolved, t)
		case plan.RefCluster:
			cluster = t.Name
			resolved = append(resolved, t)
		case plan.RefConsumer:
			if cluster = r.load.at(t.Name).cluster; cluster == "" {
				return nil, fmt.Errorf("consumer %s is not in the plan", t.Name)
			}
			resolved = append(resolved, t)
		case plan.RefUser:
			u := slices.IndexFunc(r.p.Users, func(u plan.User) bool { return u.Name == t.Name })
			if u < 0 {
				return nil, fmt.Errorf("user %s is not in the plan", t.Name)
			}
			cluster = r.p.Users[u].Cluster
			resolved = append(resolved, t)
		default:
			keys, err := r.resolver.nodes(ctx, []plan.Ref{t}, random)
			if err != nil {
				return nil, err
			}
			for _, k := range keys {
				cluster = k.Cluster
				resolved = append(resolved, plan.Ref{Kind: plan.RefBroker, Name: k.Cluster, Index: int(k.ID)})
			}
		}
	}
	a.Targets = resolved
	for _, t := range resolved {
		name := t.Name
		if t.Kind == plan.RefBroker {
			name = r.nodes.label(NodeKey{t.Name, int32(t.Index)})
		}
		e.targets = append(e.targets, name)
	}
	if a.Off != nil {
		keys, err := r.resolver.nodes(ctx, []plan.Ref{*a.Off}, random)
		if err != nil {
			return nil, err
		}
		if len(keys) != 1 {
			return nil, fmt.Errorf("%s: got %d brokers, want one", refText(*a.Off), len(keys))
		}
		a.Off = &plan.Ref{Kind: plan.RefBroker, Name: keys[0].Cluster, Index: int(keys[0].ID)}
		e.targets = append(e.targets, "off "+r.nodes.label(keys[0]))
	}
	if a.Verb == plan.Configure {
		return r.prepareConfigure(ctx, e, cluster, a)
	}
	return func(ctx context.Context) (Proof, error) {
		proof, err := r.clients.Admin.Do(ctx, cluster, a)
		if err == nil && proof.Wrote != nil {
			sent := e.entry(record.KindSent)
			sent.Topic, sent.Partition, sent.Offset = proof.Wrote.Topic, proof.Wrote.Partition, proof.Wrote.Offset
			r.journal.add(cmp.Or(proof.At, time.Now()), sent)
		}
		r.noteDeleted(e, cluster, a, proof, err)
		return proof, err
	}, nil
}

// noteDeleted journals what the scenario took away, so that it is not lost.
func (r *run) noteDeleted(e *effect, cluster string, a plan.Action, proof Proof, err error) {
	gone := proof.Deleted
	if len(gone) == 0 && a.Verb == plan.Delete && err == nil && proof.OK {
		for _, t := range a.Targets {
			gone = append(gone, Written{Topic: t.Name, Partition: -1})
		}
	}
	for _, d := range gone {
		if d.Partition < 0 {
			r.mu.Lock()
			r.deleted[d.Topic] = true
			r.mu.Unlock()
		}
		entry := e.entry(record.KindDeleted)
		entry.Cluster, entry.Topic, entry.Partition, entry.Offset = cluster, d.Topic, d.Partition, d.Offset
		r.journal.add(cmp.Or(proof.At, time.Now()), entry)
	}
}

// redirect is fail_over and fail_back: all clients at once, but that consumers
// which go back with producers wait until these no longer write where they were,
// and so find what they have to finish.
func (r *run) redirect(ctx context.Context, e *effect) (Proof, error) {
	a := e.act
	proofs, errs := make([]Proof, len(a.Targets)), make([]error, len(a.Targets))
	var early, late []func(context.Context) error
	for i, t := range a.Targets {
		f := func(context.Context) error {
			switch {
			case a.Verb == plan.FailBack:
				proofs[i], errs[i] = r.load.failBack(ctx, t.Name)
			case a.To == nil:
				errs[i] = errors.New("it names no mirror")
			default:
				proofs[i], errs[i] = r.load.failOver(ctx, t.Name, a.To.Name)
			}
			return nil
		}
		if a.Verb == plan.FailBack && t.Kind == plan.RefConsumer {
			late = append(late, f)
		} else {
			early = append(early, f)
		}
	}
	err := together(ctx, early)
	if a.Verb == plan.FailBack {
		e.writers.Done()
		if len(late) > 0 {
			// What does not end in time holds up nobody.
			_ = waitFor(ctx, e.writers)
			err = errors.Join(err, together(ctx, late))
		}
	}
	return combine(proofs, true), errors.Join(append(errs, err)...)
}

// prepareConfigure reads what is set now, so that it can be put back.
func (r *run) prepareConfigure(ctx context.Context, e *effect, cluster string, a plan.Action) (func(context.Context) (Proof, error), error) {
	before := make([]map[string]*string, len(a.Targets))
	if a.UndoAfter != nil {
		reader, ok := r.clients.Admin.(Configs)
		if !ok {
			return nil, errors.New("revert_after: these clients cannot read configs back")
		}
		names := sorted(a.Config)
		for i, t := range a.Targets {
			values, err := reader.Configs(ctx, cluster, t, names)
			if err != nil {
				return nil, fmt.Errorf("read what is set before: %w", err)
			}
			before[i] = values
		}
	}
	return func(ctx context.Context) (Proof, error) {
		if a.UndoAfter != nil {
			e.revert = func(ctx context.Context) (Proof, error) { return r.restore(ctx, cluster, a, before) }
		}
		proof, err := r.clients.Admin.Do(ctx, cluster, a)
		if err == nil && proof.OK {
			r.sampler.configured(cluster, a.Targets, a.Config)
		}
		return proof, err
	}, nil
}

// restore puts back what configs were set before.
func (r *run) restore(ctx context.Context, cluster string, a plan.Action, before []map[string]*string) (Proof, error) {
	i := -1
	return eachTarget(a.Targets, func(t plan.Ref) (Proof, error) {
		i++
		set := make(map[string]string)
		for name, v := range before[i] {
			if v != nil {
				set[name] = *v
			}
		}
		var proof Proof
		var err error
		if x, ok := r.clients.Admin.(Restorer); ok {
			proof, err = x.Restore(ctx, cluster, t, before[i])
		} else if len(set) < len(a.Config) {
			return Proof{}, errors.New("these clients cannot unset a config")
		} else {
			back := a
			back.Targets, back.Config, back.UndoAfter = []plan.Ref{t}, set, nil
			proof, err = r.clients.Admin.Do(ctx, cluster, back)
		}
		if err == nil && proof.OK {
			r.sampler.restored(cluster, t, before[i])
		}
		return proof, err
	})
}

// signal sends a signal to nodes, all at once. The proof is of the first to
// show its effect. Refused are the nodes in a state in which the signal makes
// no sense, to which it was not sent.
func (r *run) signal(ctx context.Context, keys []NodeKey, s Signal) (_ Proof, refused map[NodeKey]bool, _ error) {
	errs := make([]error, len(keys))
	proof, err := eachNode(ctx, keys, false, func(i int, k NodeKey) (p Proof, _ error) {
		p, errs[i] = r.nodes.signal(ctx, k, s)
		return p, errs[i]
	})
	refused = make(map[NodeKey]bool)
	for i, k := range keys {
		refused[k] = errors.Is(errs[i], errRefused)
	}
	return proof, refused, err
}

// eachNode does something to nodes, all at once. One node's failure says
// nothing about the others, which go on. The proof is of the first to show its
// effect, or of the last.
func eachNode(ctx context.Context, keys []NodeKey, last bool, f func(int, NodeKey) (Proof, error)) (Proof, error) {
	proofs := make([]Proof, len(keys))
	errs := make([]error, len(keys))
	fs := make([]func(context.Context) error, len(keys))
	for i, k := range keys {
		fs[i] = func(context.Context) error {
			proofs[i], errs[i] = f(i, k)
			return nil
		}
	}
	err := together(ctx, fs)
	return combine(proofs, last), errors.Join(append(errs, err)...)
}

// combine makes one proof of several: it holds when all do.
func combine(proofs []Proof, last bool) Proof {
	if len(proofs) == 0 {
		return Proof{}
	}
	out := Proof{OK: true}
	var texts []string
	for _, p := range proofs {
		out.OK = out.OK && p.OK
		texts = append(texts, p.Text)
		if p.At.IsZero() {
			continue
		}
		if out.At.IsZero() || p.At.After(out.At) == last {
			out.At = p.At
		}
	}
	out.Text = joinTexts(texts)
	return out
}

// eachTarget does something to each target, in order, and combines the proofs.
func eachTarget(targets []plan.Ref, f func(plan.Ref) (Proof, error)) (Proof, error) {
	var proofs []Proof
	var errs []error
	for _, t := range targets {
		p, err := f(t)
		if err != nil {
			errs = append(errs, err)
		}
		proofs = append(proofs, p)
	}
	return combine(proofs, true), errors.Join(errs...)
}

// proved journals whether an effect, or its undo, was proved, and gives the
// scenario time of it.
func (r *run) proved(e *effect, kind record.Kind, by string, proof Proof, err error) time.Duration {
	at := proof.At
	if at.IsZero() {
		at = time.Now()
	}
	entry := e.entry(kind)
	entry.Targets, entry.By, entry.Proof = e.targets, by, proof.Text
	if err != nil || !proof.OK {
		entry.Kind, entry.Undo = record.KindUnproved, kind != record.KindEffect
		entry.Error = unprovedText(proof, err)
	}
	r.journal.add(at, entry)
	return r.clock.scenario(at)
}
