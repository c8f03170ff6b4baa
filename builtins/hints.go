// This file defines the hints of errors: what was probably meant where a value
// of another type stands.

package builtins

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"go.starlark.net/starlark"

	"starfall/interp/plan"
)

const hintHandle = `the handle is what at(…) gives: outage = at("30s", kill(…))`

// hintFor names the usual slip that leads to a value of this type here.
func hintFor(t Type, v starlark.Value) string {
	if b, ok := v.(*starlark.Builtin); ok {
		if b.Receiver() != nil {
			return "add the parentheses: " + b.Name() + calledWith(b)
		}
		return b.Name() + " is a word of the language; call it"
	}
	switch v := v.(type) {
	case *thing:
		switch {
		case t == TypeMeasure || t == TypeClaim:
			return v.measureHint()
		case v.kind == plan.RefCluster && (t == TypeNodes || t == TypeNode || t == TypeNodesOrHit || t == TypePlaces):
			return "all its nodes are .brokers, one is .broker(1)"
		case v.kind == plan.RefTopic && (t == TypeNodes || t == TypeNode || t == TypePlaces):
			return "its nodes are .leader(partition = 0), .follower(partition = 0) and .replicas(partition = 0)"
		case t == TypeMembers && (v.kind == plan.RefProducer || v.kind == plan.RefConsumer):
			return "one of its clients is .member(1); scale(…, members = 0) stops all"
		case v.kind == plan.RefSite && (t == TypeNodes || t == TypeNodesOrHit):
			return "name the nodes that stand there: [kafka.broker(1), …]"
		case v.kind == plan.RefEvent && (t == TypeInstant || t == TypeDuration):
			return "an event has .start and .end"
		case t == TypeMirror && v.kind == plan.RefCluster:
			return "the mirror is what mirror(…, to = …) gives"
		}
	case selected:
		if t == TypeClients && v.typ == "member" {
			return "all members of a client go together"
		}
		if t == TypeNodes && v.typ == "member" {
			return "a client is ended by crash(…)"
		}
	case *action:
		switch t {
		case TypeEvent, TypeNodesOrHit, TypeMoment:
			return hintHandle
		case TypeInstant:
			return `the time comes first: at("30s", kill(…))`
		}
	case instant:
		if t == TypeDuration {
			return "an instant is a moment, not a length"
		}
	case starlark.String:
		switch t {
		case TypeInt, TypeNumber, TypeRate, TypeBound:
			return numberIn(string(v))
		case TypeNode, TypeNodes, TypeNodesOrHit:
			return hintNode
		case TypeSite, TypeCluster, TypeTopic, TypeTopics, TypeProducer, TypeConsumer, TypeClient, TypeClients, TypeEvent, TypeMirror, TypeUser:
			if identifier.MatchString(string(v)) {
				return "a handle is a global, without quotes: " + string(v)
			}
		case TypeBool:
			return "say True or False"
		}
	case *starlark.List:
		if t == TypeClients {
			return "one after the other, or *list"
		}
	case starlark.Int:
		switch t {
		case TypeBool:
			return "say True or False"
		case TypeNode, TypeNodes, TypeNodesOrHit:
			return hintNode
		}
	}
	if t == TypeAction {
		return "an action is what a verb makes: kill(…), note(\"…\")"
	}
	return ""
}

// measureHint lists what can be said of a thing.
func (t *thing) measureHint() string {
	var names []string
	for name, w := range t.env.words[t.typ] {
		if w.Family == Measures {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	slices.Sort(names)
	return "the measures of this " + t.typ + " are " + strings.Join(names, ", ")
}

const hintNode = "one broker is kafka.broker(1), the leader of a partition orders.leader(partition = 0)"

// numberIn finds the number in a string that stands where one is wanted.
func numberIn(s string) string {
	text := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSpace(s), "%"), "/s")
	n, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil || math.IsNaN(n) || math.IsInf(n, 0):
		return ""
	case strings.Contains(s, "%"):
		return "a share is a number from 0 to 1: " + trimNumber(n/100)
	}
	return "a number has no quotes: " + text
}

// calledWith writes the parentheses of a method: with something in them where
// it has parameters.
func calledWith(b *starlark.Builtin) string {
	if m, ok := b.Receiver().(*measure); ok {
		if w := m.env.words["measure"][b.Name()]; w != nil && len(w.Params) > 0 {
			return "(…)"
		}
	}
	if t, ok := b.Receiver().(*thing); ok {
		if w := t.env.words[t.typ][b.Name()]; w != nil && len(w.Params) > 0 {
			p := w.Params[0]
			if p.Name == "partition" {
				return "(partition = 0)"
			}
			return "(1)"
		}
	}
	return "()"
}
