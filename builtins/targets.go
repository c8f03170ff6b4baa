// This file defines how arguments that are handles become things and
// references: which kinds of handle each type of parameter accepts.

package builtins

import (
	"go.starlark.net/starlark"

	"starfall/interp/plan"
)

func (c *call) toThing(p *Param, a argument) (any, bool) {
	if t, ok := a.value.(*thing); ok {
		if string(p.Type) == t.typ || (p.Type == TypeClient || p.Type == TypeClients) && (t.kind == plan.RefProducer || t.kind == plan.RefConsumer) {
			return t, true
		}
	}
	return c.mismatch(p, a)
}

func (c *call) toThings(p *Param, a argument) (any, bool) {
	want := plan.RefSite
	if p.Type == TypeTopics {
		want = plan.RefTopic
		if t, ok := a.value.(*thing); ok && t.kind == want {
			return []*thing{t}, true
		}
	}
	items, ok := c.elements(p, a)
	if !ok {
		return nil, false
	}
	var out []*thing
	for _, item := range items {
		t, ok := item.value.(*thing)
		if !ok || t.kind != want {
			return c.mismatch(p, item)
		}
		for _, before := range out {
			// A site may come twice: it is dealt two nodes in turn.
			if before == t && p.Type == TypeTopics {
				c.wrong(p, item, "got the same "+t.typ+" twice", "")
				return nil, false
			}
		}
		out = append(out, t)
	}
	return out, true
}

// toRefs reads one target or a list of them.
func (c *call) toRefs(p *Param, a argument) (any, bool) {
	if ref, ok := refFor(p.Type, a.value); ok {
		return []plan.Ref{ref}, true
	}
	if _, list := a.value.(*starlark.List); !list {
		if _, tuple := a.value.(starlark.Tuple); !tuple {
			return c.mismatch(p, a)
		}
	}
	items, ok := c.elements(p, a)
	if !ok {
		return nil, false
	}
	var refs []plan.Ref
	for _, item := range items {
		ref, ok := refFor(p.Type, item.value)
		if !ok || p.Type == TypeNode {
			return c.mismatch(p, item)
		}
		refs = append(refs, ref)
	}
	return refs, true
}

// refFor gives the reference for a value where a parameter takes it.
func refFor(t Type, v starlark.Value) (plan.Ref, bool) {
	var ref plan.Ref
	switch v := v.(type) {
	case selected:
		ref = v.ref
	case brokerList:
		ref = v.ref
	case *thing:
		ref = v.subjectRef()
	default:
		return ref, false
	}
	return ref, accepts(t, ref.Kind)
}

func accepts(t Type, k plan.RefKind) bool {
	one := k == plan.RefBroker || k == plan.RefCtlNode || k == plan.RefZooKeeper || k == plan.RefControl || k == plan.RefAnyBroker ||
		k == plan.RefLeader || k == plan.RefFollower || k == plan.RefCoord
	several := k == plan.RefBrokers || k == plan.RefReplicas
	switch t {
	case TypeNode:
		return one
	case TypeNodes:
		return one || several
	case TypeNodesOrHit:
		return one || several || k == plan.RefEvent
	case TypeMembers:
		return k == plan.RefMember
	case TypePlaces:
		return one || several || k == plan.RefSite || k == plan.RefMember || k == plan.RefProducer || k == plan.RefConsumer
	case TypeConfigurable:
		return k == plan.RefTopic || k == plan.RefCluster || one && k != plan.RefCtlNode && k != plan.RefZooKeeper || several
	}
	return false
}
