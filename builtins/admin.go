// This file defines what the words do that a cluster's operator has: users and
// their rights, offsets, replays, deletions and Kafka's own tools.

package builtins

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"starfall/internal/kafkatools"
	"starfall/internal/spell"
	"starfall/interp/plan"
)

// everyGroup is what kafka-acls --consumer is mostly given for --group.
const everyGroup = "*"

func runUser(c *call) starlark.Value {
	t := c.newThing(plan.RefUser)
	if s := c.str("password"); c.has("password") && (s == "" || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })) {
		c.wrong(c.param("password"), c.raw("password"), "got "+quote(s)+", want ASCII characters, one at least", "")
	}
	u := plan.User{Pos: c.at.pos, Name: t.id, Cluster: c.thing("cluster").id, Password: c.str("password")}
	right := func(operation, resource, name string) {
		acl := plan.ACL{Operation: operation, Resource: resource, Name: name, Host: "*"}
		if !slices.Contains(u.Rights, acl) {
			u.Rights = append(u.Rights, acl)
		}
	}
	for _, topic := range c.things("produces") {
		for _, operation := range []string{"Write", "Describe", "Create"} {
			right(operation, "topic", topic.id)
		}
	}
	for _, topic := range c.things("consumes") {
		for _, operation := range []string{"Read", "Describe"} {
			right(operation, "topic", topic.id)
		}
	}
	if c.has("consumes") {
		right("Read", "group", everyGroup)
	}
	c.env.plan.Users = append(c.env.plan.Users, u)
	return t
}

// operations are Kafka's (org.apache.kafka.common.acl.AclOperation), as
// kafka-acls writes them.
func operations() []string {
	return []string{"Read", "Write", "Create", "Delete", "Alter", "Describe", "ClusterAction", "DescribeConfigs", "AlterConfigs", "IdempotentWrite", "All"}
}

// operationsOn are those that a kind of resource knows
// (org.apache.kafka.security.authorizer.AclEntry.supportedOperations); others
// Kafka takes and never asks for.
func operationsOn(resource string) []string {
	switch resource {
	case "topic":
		return []string{"Read", "Write", "Create", "Delete", "Alter", "Describe", "DescribeConfigs", "AlterConfigs", "All"}
	case "group":
		return []string{"Read", "Delete", "Describe", "All"}
	case "cluster":
		return []string{"Create", "ClusterAction", "DescribeConfigs", "AlterConfigs", "IdempotentWrite", "Alter", "Describe", "All"}
	}
	return []string{"Write", "Describe", "All"}
}

// toOperation reads an operation as kafka-acls does, in any case.
func (c *call) toOperation(p *Param, a argument) (any, bool) {
	s, ok := starlark.AsString(a.value)
	if !ok {
		return c.mismatch(p, a)
	}
	plain := strings.ToLower(strings.ReplaceAll(s, "_", ""))
	for _, name := range operations() {
		if strings.ToLower(name) == plain {
			return name, true
		}
	}
	suggestion := ""
	if near, ok := spell.Nearest(s, operations()); ok {
		suggestion = "did you mean " + quote(near) + "?"
	}
	c.wrong(p, a, "got the operation "+quote(s)+", want "+spell.List(operations()), suggestion)
	return nil, false
}

// clusterResource is what Kafka calls a cluster in an ACL.
const clusterResource = "kafka-cluster"

// toResource reads what a right is on.
func (c *call) toResource(p *Param, a argument) (any, bool) {
	if t, ok := a.value.(*thing); ok {
		switch t.kind {
		case plan.RefTopic:
			return plan.ACL{Resource: "topic", Name: t.id}, true
		case plan.RefConsumer:
			return plan.ACL{Resource: "group", Name: t.group}, true
		case plan.RefCluster:
			return plan.ACL{Resource: "cluster", Name: clusterResource}, true
		}
	}
	s, ok := starlark.AsString(a.value)
	if !ok {
		return c.mismatch(p, a)
	}
	kind, name, named := strings.Cut(s, ":")
	kinds := []string{"topic", "group", "transactional_id", "cluster"}
	switch {
	case kind == "cluster" && !named:
		return plan.ACL{Resource: "cluster", Name: clusterResource}, true
	case named && kind != "cluster" && slices.Contains(kinds, kind) && name != "" && !strings.Contains(s, "\x00") && len(s) <= maxText:
		acl := plan.ACL{Resource: kind, Name: name}
		if stem, star := strings.CutSuffix(name, "*"); star && stem != "" {
			acl.Name, acl.Prefix = stem, true
		}
		return acl, true
	}
	suggestion := ""
	if near, ok := spell.Nearest(kind, kinds); ok && near != kind {
		suggestion = "did you mean " + quote(near) + "?"
	}
	c.wrong(p, a, "got the resource "+quote(s)+", want "+p.Type.want(), suggestion)
	return nil, false
}

func runACL(verb plan.Verb) func(*call) starlark.Value {
	return func(c *call) starlark.Value {
		a := c.newAction(verb)
		acl, _ := c.arg("resource").(plan.ACL)
		acl.Operation, acl.Host = c.str("operation"), c.str("host")
		if on := operationsOn(acl.Resource); !slices.Contains(on, acl.Operation) {
			c.wrong(c.param("operation"), c.raw("operation"), fmt.Sprintf("Kafka never asks for %s on a %s, want %s", acl.Operation, acl.Resource, spell.List(on)), "")
			return a
		}
		a.plan.Targets, a.plan.ACL = []plan.Ref{c.thing("user").subjectRef()}, &acl
		return a
	}
}

func runReplay(c *call) starlark.Value {
	a := c.newAction(plan.Replay)
	to := c.thing("to").subjectRef()
	a.plan.Targets, a.plan.To = []plan.Ref{c.thing("topic").subjectRef()}, &to
	a.plan.Since, a.plan.Until = c.dur("since"), c.dur("until")
	if c.has("until") && a.plan.Until <= a.plan.Since {
		c.wrong(c.param("until"), c.raw("until"), fmt.Sprintf("got %s, want more than since, %s", a.plan.Until, a.plan.Since), "")
	}
	return a
}

func runResetOffsets(c *call) starlark.Value {
	a := c.newAction(plan.ResetOffsets)
	a.plan.Targets = []plan.Ref{c.thing("consumer").subjectRef()}
	to, _ := c.arg("to").(plan.Offsets)
	a.plan.Offsets = &to
	return a
}

func runDeleteRecords(c *call) starlark.Value {
	a := c.newAction(plan.DeleteRecords)
	topic := c.thing("topic")
	a.plan.Targets = []plan.Ref{topic.subjectRef()}
	before, _ := c.arg("before").(plan.Offsets)
	if offset, all := before.ByPartition[everyPartition]; all {
		before.ByPartition = map[int]int64{}
		for p := range topic.partitions {
			before.ByPartition[p] = offset
		}
	}
	a.plan.Offsets = &before
	return a
}

func runDelete(c *call) starlark.Value {
	a := c.newAction(plan.Delete)
	a.plan.Targets = []plan.Ref{c.thing("topic").subjectRef()}
	return a
}

// everyPartition stands in a converted argument for all partitions; no plan
// holds it.
const everyPartition = -1

// toOffsets reads a position: of a group, or the first record to be kept.
func (c *call) toOffsets(p *Param, a argument) (any, bool) {
	switch v := a.value.(type) {
	case starlark.String:
		s := string(v)
		switch {
		case s == "latest":
			return plan.Offsets{Kind: plan.OffsetsLatest}, true
		case s == "earliest" && p.Type == TypeOffsets:
			return plan.Offsets{Kind: plan.OffsetsEarliest}, true
		}
		if text, ago := strings.CutSuffix(s, " ago"); ago && p.Type == TypeOffsets {
			d, err := parseDuration(text)
			if err == nil && d > 0 {
				return plan.Offsets{Kind: plan.OffsetsAgo, Ago: d}, true
			}
		}
		suggestion := ""
		words := []string{"latest"}
		if p.Type == TypeOffsets {
			words = append(words, "earliest")
		}
		if near, ok := spell.Nearest(s, words); ok {
			suggestion = "did you mean " + quote(near) + "?"
		} else if d, err := parseDuration(s); err == nil && p.Type == TypeOffsets {
			suggestion = "did you mean " + quote(d.String()+" ago") + "?"
		}
		c.wrong(p, a, "got "+quote(s)+", want "+p.Type.want(), suggestion)
		return nil, false
	case starlark.Int:
		if p.Type != TypeCut {
			break
		}
		offset, ok := c.offset(p, a, v)
		return plan.Offsets{Kind: plan.OffsetsGiven, ByPartition: map[int]int64{everyPartition: offset}}, ok
	case *starlark.Dict:
		if v.Len() == 0 {
			break
		}
		if v.Len() > maxPartitions {
			c.wrong(p, a, fmt.Sprintf("got %d elements, want at most %d", v.Len(), maxPartitions), "")
			return nil, false
		}
		out := plan.Offsets{Kind: plan.OffsetsGiven, ByPartition: map[int]int64{}}
		for _, item := range v.Items() {
			entry := c.entry(a, item)
			number, isInt := item[0].(starlark.Int)
			partition, small := int64(0), false
			if isInt {
				partition, small = number.Int64()
			}
			if !small || partition < 0 || partition >= maxPartitions {
				c.wrong(p, entry, "got the partition "+shown(item[0])+", want an int from 0", "")
				return nil, false
			}
			offset, ok := c.offset(p, entry, item[1])
			if !ok {
				return nil, false
			}
			out.ByPartition[int(partition)] = offset
		}
		return out, true
	}
	return c.mismatch(p, a)
}

// offset reads one offset.
func (c *call) offset(p *Param, a argument, v starlark.Value) (int64, bool) {
	n, isInt := v.(starlark.Int)
	if isInt {
		if offset, ok := n.Int64(); ok && offset >= 0 {
			return offset, true
		}
	}
	c.wrong(p, a, "got the offset "+shown(v)+", want an int from 0", "")
	return 0, false
}

func runTool(c *call) starlark.Value {
	a := c.newAction(plan.Tool)
	a.plan.Tool = c.str("name")
	// What its cluster's release has of it is checked when that is known.
	var unknown *kafkatools.Unknown
	if errors.As(kafkatools.Check(a.plan.Tool, ""), &unknown) {
		c.wrong(c.param("name"), c.raw("name"), unknown.Message, unknown.Hint)
	}
	list, _ := c.arg("args").([]any)
	for _, x := range list {
		a.plan.Args = append(a.plan.Args, x.(string))
	}
	if c.has("on") {
		a.plan.Targets = []plan.Ref{c.thing("on").subjectRef()}
		return a
	}
	c.env.toolsOnly = append(c.env.toolsOnly, c.at.pos)
	a.plan.Targets = []plan.Ref{{Kind: plan.RefCluster, Name: theCluster}}
	return a
}

// theCluster stands for the only cluster of a plan until evaluation is over.
const theCluster = "\x00the cluster"

// onlyCluster gives a name to what theCluster stands for.
func (e *Env) onlyCluster(names map[string]string) {
	switch n := len(e.plan.Clusters); {
	case n == 1:
		names[theCluster] = names[e.plan.Clusters[0].Name]
	case n > 1:
		for _, pos := range e.toolsOnly {
			e.Report(pos, fmt.Sprintf("tool: missing parameter on: there are %d clusters", n), "say on = "+names[e.plan.Clusters[0].Name])
		}
	}
}

// toArg reads an argument of a tool: a topic is its name, a consumer its group.
func (c *call) toArg(p *Param, a argument) (any, bool) {
	switch v := a.value.(type) {
	case starlark.String:
		return c.toString(p, a)
	case starlark.Int:
		return v.String(), true
	case starlark.Float:
		return trimNumber(float64(v)), true
	case *thing:
		switch v.kind {
		case plan.RefTopic:
			return v.id, true
		case plan.RefConsumer:
			return v.group, true
		}
	}
	return c.mismatch(p, a)
}
