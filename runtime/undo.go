// This file defines how effects are undone: by themselves, by another event,
// or all of them at run_for.

package runtime

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

// undo undoes effects that the caller has taken, all at once: the paths in one
// change of the network, nodes and members side by side. By names the event
// that does it, "" for the effect's own undo and for the healing at run_for.
func (r *run) undo(es []*effect, by string) (Proof, error) {
	ctx, cancel := r.limit(r.hard)
	defer cancel()
	var paths []*effect
	var mu sync.Mutex
	var proofs []Proof
	var errs []error
	keep := func(p Proof, err error) {
		mu.Lock()
		defer mu.Unlock()
		proofs, errs = append(proofs, p), append(errs, err)
	}
	var fs []func(context.Context) error
	for _, e := range es {
		entry := e.entry(record.KindUndoing)
		entry.By, entry.Targets = by, e.targets
		r.journal.add(time.Now(), entry)
		if e.fault != 0 {
			paths = append(paths, e)
			continue
		}
		fs = append(fs, func(context.Context) error {
			proof, err := r.reverse(ctx, e)
			keep(proof, err)
			r.undone(e, by, proof, err)
			return nil
		})
	}
	if len(paths) > 0 {
		fs = append(fs, func(context.Context) error {
			ids := make([]int, len(paths))
			for i, e := range paths {
				ids[i] = e.fault
			}
			proof, err := r.shaper.remove(ctx, ids...)
			keep(proof, err)
			for _, e := range paths {
				r.undone(e, by, proof, err)
			}
			return nil
		})
	}
	err := together(ctx, fs)
	return combine(proofs, true), errors.Join(append(errs, err)...)
}

// undone journals the end of an effect and ends it.
func (r *run) undone(e *effect, by string, proof Proof, err error) {
	kind := record.KindUndone
	if e.verb == plan.Restart {
		kind = record.KindComplete // its coming back is a part of it
	}
	at := r.proved(e, kind, by, proof, err)
	r.effects.done(e)
	r.effects.end(e.event, at)
}

// reverse undoes one effect that is not on paths.
func (r *run) reverse(ctx context.Context, e *effect) (Proof, error) {
	switch {
	case len(e.nodes) > 0:
		_, signal := signals(e.verb)
		keys := slices.Clone(e.nodes)
		proof, err := eachNode(ctx, keys, true, func(_ int, k NodeKey) (Proof, error) { return r.nodes.mend(ctx, k, signal) })
		if err == nil && proof.OK {
			for _, k := range keys {
				r.back(k, e.event, proof)
			}
		}
		return proof, err
	case len(e.member) > 0:
		proofs := make([]Proof, len(e.member))
		fs := make([]func(context.Context) error, len(e.member))
		for i, m := range e.member {
			fs[i] = func(context.Context) (err error) {
				proofs[i], err = r.load.restart(ctx, m.Name, m.Index)
				return err
			}
		}
		err := together(ctx, fs)
		return combine(proofs, true), err
	case e.revert != nil:
		return e.revert(ctx)
	}
	return Proof{OK: true, At: time.Now(), Text: "nothing was left to undo"}, nil
}

// back ends the effects of other events that held only this node.
func (r *run) back(k NodeKey, by string, proof Proof) {
	for _, e := range r.effects.back(k) {
		entry := e.entry(record.KindUndoing)
		entry.By, entry.Targets = by, e.targets
		r.journal.add(cmp.Or(proof.At, time.Now()), entry)
		r.undone(e, by, proof, nil)
	}
}

// startNodes is start and resume: of a handle they undo what its event holds;
// of a node, whatever holds it.
func (r *run) startNodes(ctx context.Context, e *effect, keys []NodeKey, s Signal) (Proof, error) {
	return eachNode(ctx, keys, true, func(_ int, k NodeKey) (Proof, error) {
		proof, err := r.nodes.signal(ctx, k, s)
		if err == nil && proof.OK {
			r.back(k, e.event, proof)
		}
		return proof, err
	})
}

// heal is heal(handle) and heal_all().
func (r *run) heal(e *effect) (Proof, error) {
	es := r.effects.take(func(x *effect) bool {
		if x.fault == 0 {
			return false
		}
		if e.verb == plan.HealAll {
			return true
		}
		return slices.ContainsFunc(e.act.Targets, func(t plan.Ref) bool { return t.Name == x.event })
	})
	if len(es) == 0 {
		if e.verb == plan.HealAll {
			return Proof{OK: true, At: time.Now(), Text: "every path was whole"}, nil
		}
		return Proof{}, fmt.Errorf("%s: it holds no path now", refNames(e.act.Targets))
	}
	for _, x := range es {
		e.targets = append(e.targets, x.targets...)
	}
	return r.undo(es, e.event)
}

// healAll undoes everything that is still broken, at run_for or earlier. It
// waits for actions that are under way; what one of them waits for (a broker
// that cannot register without its quorum) is mended meanwhile.
//
// Crashed members come back only when the plan brings them back: a consumer
// that was to be restarted later is needed for the drain, a producer is not.
func (r *run) healAll() {
	all := func(e *effect) bool {
		if len(e.member) == 0 {
			return true
		}
		return e.act.UndoAfter != nil
	}
	if es := r.effects.take(all); len(es) > 0 {
		r.undo(es, "")
	}
	r.acts.Wait()
	if es := r.effects.take(all); len(es) > 0 {
		r.undo(es, "")
	}
	// What a panic, or an undo without proof, has left.
	ctx, cancel := r.limit(r.hard)
	defer cancel()
	var fs []func(context.Context) error
	for k, s := range r.nodes.unhealed(ctx) {
		fs = append(fs, func(context.Context) error {
			proof, err := r.nodes.mend(ctx, k, s)
			e := record.Event{
				Kind: record.KindCluster, Cluster: k.Cluster, Proof: proof.Text,
				What: fmt.Sprintf("%s was still down: %s", r.nodes.label(k), s),
			}
			if err != nil {
				e.Error = err.Error()
			}
			r.journal.add(time.Now(), e)
			return nil
		})
	}
	fs = append(fs, func(ctx context.Context) error {
		proof, err := r.shaper.clear(ctx)
		if err == nil && proof.OK {
			return nil
		}
		r.journal.add(time.Now(), record.Event{
			Kind: record.KindUnproved, Undo: true, What: "network", Error: unprovedText(proof, err),
		})
		return nil
	})
	if err := together(ctx, fs); err != nil {
		r.fail(err)
	}
}

// unprovedText says why something counts as unproved.
func unprovedText(proof Proof, err error) string {
	if err != nil {
		return err.Error()
	}
	return cmp.Or(proof.Text, "its effect did not show in time")
}
