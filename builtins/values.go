// This file defines the handles that a scenario holds: things, nodes, members,
// events, and the stand-in for what was declared wrongly.

package builtins

import (
	"errors"
	"fmt"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"starfall/interp/plan"
)

// subject is a handle that has measures.
type subject interface {
	starlark.Value
	subjectRef() plan.Ref
}

// handle is what all handles share: attributes come from the table.
type handle struct {
	env *Env
	typ string
}

func (h handle) Type() string          { return h.typ }
func (h handle) String() string        { return h.typ }
func (h handle) Freeze()               {}
func (h handle) Truth() starlark.Bool  { return true }
func (h handle) Hash() (uint32, error) { return 0, errors.New("unhashable: " + h.typ) }

// thing is what has a name: site, cluster, topic, producer, consumer, alarm or
// event. Until evaluation is over, id stands for the name.
type thing struct {
	handle
	kind  plan.RefKind
	id    string // provisional name, see Env.newThing
	given string // name = in the call
	lost  bool   // name = was wrong, which has been recorded
	pos   plan.Pos

	brokers    int    // of a cluster
	partitions int    // of a topic, as declared
	group      string // of a consumer
}

var (
	_ starlark.HasAttrs = (*thing)(nil)
	_ subject           = (*thing)(nil)
)

// Attr looks a word up in the table; a wrong one is recorded.
func (t *thing) Attr(name string) (starlark.Value, error) { return t.env.attr(t, t.typ, name) }

// AttrNames lists what Attr knows.
func (t *thing) AttrNames() []string { return t.env.attrNames(t.typ) }

// Hash allows things as keys of a dict.
func (t *thing) Hash() (uint32, error) { return starlark.String(t.id).Hash() }

func (t *thing) subjectRef() plan.Ref { return plan.Ref{Kind: t.kind, Name: t.id} }

// selected is a node, several nodes or a client member: often known only when
// its event fires.
type selected struct {
	handle
	ref plan.Ref
}

var _ starlark.HasAttrs = selected{}

// Attr records an error: nothing about a node is known before the run.
func (s selected) Attr(name string) (starlark.Value, error) { return s.env.attr(s, s.typ, name) }

// AttrNames is empty.
func (s selected) AttrNames() []string { return s.env.attrNames(s.typ) }

// brokerList is kafka.brokers: as a place or a target it is all brokers, and
// it can be counted, indexed, sliced, looped over and added to a list.
type brokerList struct {
	selected
	count int
}

var (
	_ starlark.Indexable = brokerList{}
	_ starlark.Sequence  = brokerList{}
	_ starlark.Sliceable = brokerList{}
	_ starlark.HasBinary = brokerList{}
	_ starlark.Callable  = brokerList{}
)

// Name and CallInternal let a mistaken kafka.brokers(1) be one error among
// others.
func (b brokerList) Name() string { return "brokers" }

// CallInternal records that the brokers are not called.
func (b brokerList) CallInternal(*starlark.Thread, starlark.Tuple, []starlark.Tuple) (starlark.Value, error) {
	b.env.Report(b.env.herePos(), "cluster.brokers: got a call, want it without parentheses", "it is all brokers; one is .broker(1)")
	return standIn{}, nil
}

// Len is the number of brokers.
func (b brokerList) Len() int { return b.count }

// Index gives the broker with id i+1.
func (b brokerList) Index(i int) starlark.Value {
	return selected{handle{b.env, "node"}, plan.Ref{Kind: plan.RefBroker, Name: b.ref.Name, Index: i + 1}}
}

// Iterate goes through the brokers by id.
func (b brokerList) Iterate() starlark.Iterator { return starlark.Tuple(b.nodes()).Iterate() }

func (b brokerList) nodes() []starlark.Value {
	items := make([]starlark.Value, b.count)
	for i := range items {
		items[i] = b.Index(i)
	}
	return items
}

// Slice gives a list of some of the brokers.
func (b brokerList) Slice(start, end, step int) starlark.Value {
	return starlark.NewList(b.nodes()).Slice(start, end, step)
}

// Binary is brokers + list and list + brokers, a list.
func (b brokerList) Binary(op syntax.Token, y starlark.Value, side starlark.Side) (starlark.Value, error) {
	var other []starlark.Value
	switch y := y.(type) {
	case brokerList:
		other = y.nodes()
	case *starlark.List:
		for i := range y.Len() {
			other = append(other, y.Index(i))
		}
	default:
		return nil, nil
	}
	switch {
	case op != syntax.PLUS:
		return nil, nil
	case side == starlark.Right:
		return starlark.NewList(append(other, b.nodes()...)), nil
	}
	return starlark.NewList(append(b.nodes(), other...)), nil
}

func brokersOf(e *Env, recv starlark.Value) starlark.Value {
	t := recv.(*thing)
	if t.brokers == 0 {
		return standIn{} // how many was wrong, which has been recorded
	}
	return brokerList{selected{handle{e, "nodes"}, plan.Ref{Kind: plan.RefBrokers, Name: t.id}}, t.brokers}
}

func edge(edge plan.Edge) func(*Env, starlark.Value) starlark.Value {
	return func(_ *Env, recv starlark.Value) starlark.Value {
		return instant{plan.Instant{Event: recv.(*thing).id, Edge: edge}}
	}
}

func selectPlain(kind plan.RefKind) func(*call) starlark.Value {
	return func(c *call) starlark.Value {
		return selected{handle{c.env, string(c.word.Returns)}, plan.Ref{Kind: kind, Name: c.recv.(*thing).id}}
	}
}

func selectIndex(kind plan.RefKind, param string) func(*call) starlark.Value {
	return func(c *call) starlark.Value {
		return selected{handle{c.env, string(c.word.Returns)}, plan.Ref{Kind: kind, Name: c.recv.(*thing).id, Index: c.int(param)}}
	}
}

// standIn takes the place of a value that could not be made, so that one
// mistake is one error. Everything can be done with it; nothing comes of it.
type standIn struct{}

// StandIn gives the value that takes the place of one that a mistake, which has
// been recorded, kept from coming about. Whatever is done with it is no mistake.
func StandIn() starlark.Value { return standIn{} }

var (
	_ starlark.Callable   = standIn{}
	_ starlark.HasAttrs   = standIn{}
	_ starlark.HasBinary  = standIn{}
	_ starlark.HasUnary   = standIn{}
	_ starlark.Comparable = standIn{}
	_ starlark.Sequence   = standIn{}
	_ starlark.Mapping    = standIn{}
)

func (standIn) String() string        { return "stand-in" }
func (standIn) Type() string          { return "stand-in" }
func (standIn) Freeze()               {}
func (standIn) Truth() starlark.Bool  { return true }
func (standIn) Hash() (uint32, error) { return 0, nil }
func (standIn) Name() string          { return "stand-in" }

// CallInternal gives a stand-in.
func (standIn) CallInternal(*starlark.Thread, starlark.Tuple, []starlark.Tuple) (starlark.Value, error) {
	return standIn{}, nil
}

// Attr gives a stand-in.
func (standIn) Attr(string) (starlark.Value, error) { return standIn{}, nil }

// AttrNames is empty.
func (standIn) AttrNames() []string { return nil }

// Binary gives a stand-in.
func (standIn) Binary(op syntax.Token, y starlark.Value, _ starlark.Side) (starlark.Value, error) {
	if op == syntax.IN || op == syntax.NOT_IN {
		return starlark.False, nil
	}
	return standIn{}, nil
}

// Unary gives a stand-in.
func (standIn) Unary(syntax.Token) (starlark.Value, error) { return standIn{}, nil }

// CompareSameType holds for ==, <= and >=.
func (standIn) CompareSameType(op syntax.Token, _ starlark.Value, _ int) (bool, error) {
	return threeway(op, 0, 0), nil
}

// Iterate has no elements.
func (standIn) Iterate() starlark.Iterator { return starlark.Tuple(nil).Iterate() }

// Len is 0.
func (standIn) Len() int { return 0 }

// Get gives a stand-in for every key.
func (standIn) Get(starlark.Value) (starlark.Value, bool, error) { return standIn{}, true, nil }

// typeName says what v is, in the language's words.
func typeName(v starlark.Value) string {
	switch v := v.(type) {
	case starlark.NoneType:
		return "None"
	case *starlark.Builtin:
		return "function " + v.Name()
	case *starlark.Function:
		return "function " + v.Name()
	}
	return v.Type()
}

// shown renders v for an error: numbers and strings with their value.
func shown(v starlark.Value) string {
	switch v := v.(type) {
	case starlark.String:
		return "string " + quote(string(v))
	case starlark.Int:
		if s := v.String(); len(s) < 30 {
			return "int " + s
		}
	case starlark.Float, starlark.Bool:
		return fmt.Sprintf("%s %s", v.Type(), v)
	case Duration:
		return "duration " + v.String()
	}
	return typeName(v)
}
