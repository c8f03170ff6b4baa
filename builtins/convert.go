// This file defines the types of parameters: what each accepts, what it
// becomes in Go, and what an error says when it does not fit.

package builtins

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"starfall/internal/spell"
	"starfall/interp/plan"
)

// Type is the type of a parameter or result, by the language's name.
type Type string

// The types. The third column is what convert makes of it.
//
//	type          accepts                                        Go
//	name          string of letters, digits, . _ -               string
//	text          string                                         string
//	number        int or float                                   float64
//	duration      "90s" or duration                              plan.Duration
//	instant       duration, "90s" or instant                     plan.Instant
//	moment        instant, or an event                           moment
//	size          "4KB" or int                                   float64
//	bandwidth     "10MB/s" or number                             float64
//	rate          number or "max"                                float64, +Inf for max
//	acks          "all", 1, 0, "1", "0"                          string
//	config        dict of Kafka's names                          *starlark.Dict
//	placement     dict of partition to list of broker ids        map[int][]int32
//	broker_config dict of broker id to dict of config            *starlark.Dict
//	nodes         node, or list                                  []plan.Ref
//	nodes or event                                               []plan.Ref
//	place         site, node, client, member, or list            []plan.Ref
//	members       member, or list                                []plan.Ref
//	configurable  topic, cluster, broker, brokers, or list       []plan.Ref
//	dedup         what id_set or high_water gives                plan.Dedup
//	offsets       "earliest", "latest", "2m ago", or dict        plan.Offsets
//	cut           "latest", int, or dict                         plan.Offsets
//	operation     one of Kafka's names                           string
//	resource      topic, consumer, cluster or string             plan.ACL
//	argument      string, int, float, topic, or consumer         string
//	bound         number, duration, size or bool, by the measure boundValue
const (
	TypeNone         Type = "None"
	TypeAny          Type = "any"
	TypeString       Type = "string"
	TypeText         Type = "text"
	TypeName         Type = "name"
	TypeInt          Type = "int"
	TypeNumber       Type = "number"
	TypeBool         Type = "bool"
	TypeList         Type = "list"
	TypeStrings      Type = "list of strings"
	TypeDuration     Type = "duration"
	TypeInstant      Type = "instant"
	TypeMoment       Type = "moment"
	TypeSize         Type = "size"
	TypeBandwidth    Type = "bandwidth"
	TypeRate         Type = "rate"
	TypeAcks         Type = "acks"
	TypeConfig       Type = "config"
	TypePlacement    Type = "placement"
	TypeBrokerConfig Type = "broker_config"
	TypeSite         Type = "site"
	TypeSites        Type = "list of sites"
	TypeCluster      Type = "cluster"
	TypeTopic        Type = "topic"
	TypeTopics       Type = "topics"
	TypeProducer     Type = "producer"
	TypeConsumer     Type = "consumer"
	TypeClient       Type = "client"
	TypeClients      Type = "clients"
	TypeAlarm        Type = "alarm"
	TypeEvent        Type = "event"
	TypeNode         Type = "node"
	TypeNodes        Type = "nodes"
	TypeNodesOrHit   Type = "nodes or event"
	TypeMember       Type = "member"
	TypeMembers      Type = "members"
	TypePlaces       Type = "place"
	TypeConfigurable Type = "configurable"
	TypeMirror       Type = "mirror"
	TypeUser         Type = "user"
	TypeDedup        Type = "dedup"
	TypeOffsets      Type = "offsets"
	TypeCut          Type = "cut"
	TypeOperation    Type = "operation"
	TypeResource     Type = "resource"
	TypeArg          Type = "argument"
	TypeAction       Type = "action"
	TypeMeasure      Type = "measure"
	TypeClaim        Type = "claim"
	TypeBound        Type = "bound"
)

// TypeOf gives the type of a predeclared constant.
func TypeOf(v starlark.Value) Type { return Type(v.Type()) }

// want says in an error what a parameter takes.
func (t Type) want() string {
	switch t {
	case TypeText, TypeName:
		return "string"
	case TypeNumber:
		return "int or float"
	case TypeDuration:
		return wantDuration
	case TypeInstant:
		return `a duration such as "90s", or an instant such as outage.end + 10 * second`
	case TypeMoment:
		return `a duration such as "90s", an instant such as outage.end, or an event`
	case TypeSize:
		return `a size such as "1KB" or 4 * KB`
	case TypeBandwidth:
		return `a bandwidth such as "10MB/s"`
	case TypeRate:
		return `records per second, int or float, or "max"`
	case TypeAcks:
		return `"all", 1 or 0`
	case TypeConfig:
		return `a dict of Kafka's names, such as {"retention.ms": 60000}`
	case TypeBrokerConfig:
		return `a dict of broker id to Kafka's names, such as {1: {"num.io.threads": 2}}`
	case TypePlacement:
		return "a dict of partition to list of broker ids, such as {0: [1, 2, 3]}"
	case TypeTopics:
		return "topic or list of topics"
	case TypeClient, TypeClients:
		return "producer or consumer"
	case TypeNodes:
		return "node or list of nodes"
	case TypeNodesOrHit:
		return "node, list of nodes or event"
	case TypeMembers:
		return "member or list of members"
	case TypePlaces:
		return "site, node, client, member or list of these"
	case TypeConfigurable:
		return "topic, cluster, broker or brokers"
	case TypeDedup:
		return "id_set() or high_water(per = …)"
	case TypeOffsets:
		return `"earliest", "latest", a time such as "2m ago", or a dict of partition to offset`
	case TypeCut:
		return `an offset, "latest", or a dict of partition to offset`
	case TypeOperation:
		return spell.List(operations())
	case TypeResource:
		return `topic, consumer, cluster, or a string such as "group:billing", "topic:ord*", "transactional_id:shop" or "cluster"`
	case TypeArg:
		return "string, int, float, topic or consumer"
	}
	return string(t)
}

// moment is a time in a claim: of an event, before takes its start and after
// its end.
type moment struct {
	at    plan.Instant
	event string // when an event was given
}

var namePattern = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

var identifier = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]{0,60}$`)

// convert turns an argument into the parameter's Go type, or records why not.
func (c *call) convert(p *Param, a argument) (any, bool) {
	switch p.Type {
	case TypeAny, TypeList, TypeBound:
		return a.value, true
	case TypeString, TypeText, TypeName:
		return c.toString(p, a)
	case TypeAcks:
		if i, ok := a.value.(starlark.Int); ok {
			a.value = starlark.String(i.String())
		}
		return c.toString(p, a)
	case TypeInt:
		return c.toInt(p, a)
	case TypeNumber, TypeRate:
		return c.toNumber(p, a)
	case TypeBool:
		if v, ok := a.value.(starlark.Bool); ok {
			return bool(v), true
		}
		return c.mismatch(p, a)
	case TypeStrings:
		return c.toStrings(p, a)
	case TypeDuration:
		return c.toDuration(p, a)
	case TypeInstant, TypeMoment:
		return c.toMoment(p, a)
	case TypeSize, TypeBandwidth:
		return c.toSize(p, a)
	case TypeConfig, TypeBrokerConfig:
		if v, ok := a.value.(*starlark.Dict); ok {
			return v, true
		}
		return c.mismatch(p, a)
	case TypePlacement:
		return c.toPlacement(p, a)
	case TypeSite, TypeCluster, TypeTopic, TypeProducer, TypeConsumer, TypeClient, TypeClients, TypeEvent, TypeMirror, TypeUser:
		return c.toThing(p, a)
	case TypeDedup:
		if v, ok := a.value.(dedup); ok {
			return v.how, true
		}
		return c.mismatch(p, a)
	case TypeOffsets, TypeCut:
		return c.toOffsets(p, a)
	case TypeOperation:
		return c.toOperation(p, a)
	case TypeResource:
		return c.toResource(p, a)
	case TypeArg:
		return c.toArg(p, a)
	case TypeSites, TypeTopics:
		return c.toThings(p, a)
	case TypeNode, TypeNodes, TypeNodesOrHit, TypeMembers, TypePlaces, TypeConfigurable:
		return c.toRefs(p, a)
	case TypeAction:
		return c.toAction(p, a)
	case TypeClaim:
		return c.toClaim(p, a)
	case TypeMeasure:
		return c.toMeasure(p, a)
	}
	panic("builtins: no conversion to " + string(p.Type))
}

// mismatch records `got x, want y`, with a hint where x shows what was meant.
func (c *call) mismatch(p *Param, a argument) (any, bool) {
	c.wrong(p, a, "got "+shown(a.value)+", want "+p.Type.want(), hintFor(p.Type, a.value))
	markUsed(a.value)
	return nil, false
}

func (c *call) toString(p *Param, a argument) (any, bool) {
	s, ok := starlark.AsString(a.value)
	switch {
	case !ok:
		return c.mismatch(p, a)
	case len(p.Choices) > 0:
		for _, choice := range p.Choices {
			if s == choice {
				return s, true
			}
		}
		suggestion := ""
		if near, ok := spell.Nearest(s, p.Choices); ok {
			suggestion = "did you mean " + strconv.Quote(near) + "?"
		}
		if p.Type == TypeAcks && s == "-1" { // Kafka's other way to say it
			suggestion = `did you mean "all"?`
		}
		c.wrong(p, a, "got "+quote(s)+", want "+spell.List(quoted(p.Choices)), suggestion)
		return nil, false
	case p.Type == TypeName && !namePattern.MatchString(s):
		c.wrong(p, a, "got "+quote(s)+", want a name of letters, digits, ., _ and -", "")
		return nil, false
	case strings.Contains(s, "\x00"):
		c.wrong(p, a, "got a string with a NUL character", "")
		return nil, false
	case len(s) > maxText:
		c.wrong(p, a, fmt.Sprintf("got a string of %d bytes, want at most %d", len(s), maxText), "")
		return nil, false
	case s == "" && p.Required && p.Type != TypeText:
		c.wrong(p, a, `got "", want a string that is not empty`, "")
		return nil, false
	}
	return s, true
}

func quoted(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = strconv.Quote(s)
	}
	return out
}

func (c *call) toInt(p *Param, a argument) (any, bool) {
	n, ok := a.value.(starlark.Int)
	if !ok {
		return c.mismatch(p, a)
	}
	v, ok := n.Int64()
	if !ok {
		c.wrong(p, a, "got an int of more than 64 bits", "")
		return nil, false
	}
	if p.In != nil && (float64(v) < p.In.Min || float64(v) > p.In.Max) {
		c.outside(p, a, n.String())
		return nil, false
	}
	return int(v), true
}

func (c *call) outside(p *Param, a argument, got string) {
	want := "at least " + trimNumber(p.In.Min)
	if n, ok := starlark.AsFloat(a.value); ok && n > p.In.Max {
		want = "at most " + trimNumber(p.In.Max)
	}
	c.wrong(p, a, "got "+got+", want "+want, "")
}

func trimNumber(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

func (c *call) toNumber(p *Param, a argument) (any, bool) {
	if s, ok := a.value.(starlark.String); ok && p.Type == TypeRate && s == "max" {
		return math.Inf(1), true
	}
	v, ok := starlark.AsFloat(a.value)
	if !ok {
		return c.mismatch(p, a)
	}
	if math.IsNaN(v) || math.IsInf(v, 0) {
		c.wrong(p, a, "got "+a.value.String()+", want a finite number", "")
		return nil, false
	}
	if p.In != nil && (v < p.In.Min || v > p.In.Max) {
		c.outside(p, a, a.value.String())
		return nil, false
	}
	return v, true
}

func (c *call) toStrings(p *Param, a argument) (any, bool) {
	items, ok := c.elements(p, a)
	if !ok {
		return nil, false
	}
	var out []string
	for _, item := range items {
		s, ok := starlark.AsString(item.value)
		if !ok {
			return c.mismatch(p, item)
		}
		out = append(out, s)
	}
	return out, true
}

// elements gives the elements of a list or tuple, or records that it is none.
func (c *call) elements(p *Param, a argument) ([]argument, bool) {
	seq, ok := a.value.(starlark.Indexable)
	if _, str := a.value.(starlark.String); str || !ok {
		c.mismatch(p, a)
		return nil, false
	}
	switch {
	case seq.Len() > maxElements:
		c.wrong(p, a, fmt.Sprintf("got %d elements, want at most %d", seq.Len(), maxElements), "")
		return nil, false
	case seq.Len() == 0:
		c.wrong(p, a, "got an empty "+a.value.Type()+", want "+p.Type.want(), "")
		return nil, false
	}
	exprs := elementExprs(a.expr)
	out := make([]argument, seq.Len())
	for i := range out {
		out[i] = argument{value: seq.Index(i), pos: a.pos}
		if len(exprs) == len(out) {
			c.locate(&out[i], exprs[i])
		}
	}
	return out, true
}

func elementExprs(x syntax.Expr) []syntax.Expr {
	switch x := x.(type) {
	case *syntax.ListExpr:
		return x.List
	case *syntax.TupleExpr:
		return x.List
	case *syntax.ParenExpr:
		return elementExprs(x.X)
	}
	return nil
}

func (c *call) toDuration(p *Param, a argument) (any, bool) {
	d, ok := c.parseTime(p, a)
	if !ok {
		return nil, false
	}
	if d < 0 {
		c.wrong(p, a, "got "+d.String()+", want a duration that is not negative", "")
		return nil, false
	}
	return d, true
}

// parseTime reads a duration of either sign.
func (c *call) parseTime(p *Param, a argument) (plan.Duration, bool) {
	switch v := a.value.(type) {
	case Duration:
		return plan.Duration(v), true
	case starlark.String:
		d, err := parseDuration(string(v))
		if err != nil {
			c.wrong(p, a, "got "+quote(string(v))+", want "+p.Type.want(), err.Error())
			return 0, false
		}
		return d, true
	case starlark.Int, starlark.Float:
		c.wrong(p, a, "got "+shown(v)+", want "+p.Type.want(), "a bare number has no unit: say \""+v.String()+"s\" or "+v.String()+" * second")
		return 0, false
	}
	c.mismatch(p, a)
	return 0, false
}

func (c *call) toMoment(p *Param, a argument) (any, bool) {
	var m moment
	switch v := a.value.(type) {
	case instant:
		m.at = v.at
	case *thing:
		if p.Type != TypeMoment || v.kind != plan.RefEvent {
			return c.mismatch(p, a)
		}
		m.event = v.id
	default:
		d, ok := c.parseTime(p, a)
		if !ok {
			return nil, false
		}
		m.at.Offset = d
	}
	if m.event == "" && m.at.Event == "" && m.at.Offset < 0 {
		c.wrong(p, a, "got "+m.at.Offset.String()+", want a time after the start of load", "")
		return nil, false
	}
	if p.Type == TypeInstant {
		return m.at, true
	}
	return m, true
}

func (c *call) toSize(p *Param, a argument) (any, bool) {
	var v float64
	switch x := a.value.(type) {
	case starlark.String:
		parse := parseSize
		if p.Type == TypeBandwidth {
			parse = parseBandwidth
		}
		n, err := parse(string(x))
		if err != nil {
			c.wrong(p, a, "got "+quote(string(x))+", want "+p.Type.want(), err.Error())
			return nil, false
		}
		v = n
	case starlark.Int, starlark.Float:
		n, ok := starlark.AsFloat(x)
		if !ok || math.IsNaN(n) || math.IsInf(n, 0) {
			return c.mismatch(p, a)
		}
		v = n
	default:
		return c.mismatch(p, a)
	}
	if p.Type == TypeBandwidth && v <= 0 {
		c.wrong(p, a, "got "+shown(a.value)+", want more than 0", "netsplit lets nothing pass")
		return nil, false
	}
	if p.In != nil && (v < p.In.Min || v > p.In.Max) {
		c.wrong(p, a, fmt.Sprintf("got %s, want %s to %s", strings.TrimPrefix(shown(a.value), "string "), bytesText(p.In.Min), bytesText(p.In.Max)), "")
		return nil, false
	}
	if p.Type == TypeSize {
		return math.Round(v), true
	}
	return v, true
}

// bytesText writes a size as the language does.
func bytesText(v float64) string {
	for _, u := range []struct {
		size float64
		name string
	}{{1 << 30, "GB"}, {1 << 20, "MB"}, {1 << 10, "KB"}} {
		if v >= u.size && math.Mod(v, u.size) == 0 {
			return trimNumber(v/u.size) + u.name
		}
	}
	return trimNumber(v) + "B"
}

func (c *call) toPlacement(p *Param, a argument) (any, bool) {
	d, ok := a.value.(*starlark.Dict)
	if !ok || d.Len() == 0 {
		return c.mismatch(p, a)
	}
	if d.Len() > maxElements {
		c.wrong(p, a, fmt.Sprintf("got %d elements, want at most %d", d.Len(), maxElements), "")
		return nil, false
	}
	out := map[int][]int32{}
	for _, item := range d.Items() {
		entry := c.entry(a, item)
		partition, ok := item[0].(starlark.Int)
		n, small := partition.Int64()
		if !ok || !small || n < 0 || n >= maxPartitions {
			c.wrong(p, entry, "got the partition "+shown(item[0])+", want an int from 0", "")
			return nil, false
		}
		list, ok := item[1].(starlark.Indexable)
		if _, str := item[1].(starlark.String); !ok || str || list.Len() == 0 || list.Len() > maxBrokers {
			c.wrong(p, entry, fmt.Sprintf("got %s for partition %d, want a list of broker ids", shown(item[1]), n), "")
			return nil, false
		}
		for i := range list.Len() {
			id, ok := list.Index(i).(starlark.Int)
			b, small := id.Int64()
			if !ok || !small || b < 1 || b > maxBrokers {
				c.wrong(p, entry, fmt.Sprintf("got the broker id %s for partition %d, want an int from 1", shown(list.Index(i)), n), "")
				return nil, false
			}
			out[int(n)] = append(out[int(n)], int32(b))
		}
	}
	return out, true
}

// entry points at one entry of a dict where the source shows it.
func (c *call) entry(a argument, item starlark.Tuple) argument {
	d, ok := a.expr.(*syntax.DictExpr)
	if !ok {
		return a
	}
	for _, x := range d.List {
		e, ok := x.(*syntax.DictEntry)
		if !ok {
			continue
		}
		key, ok := e.Key.(*syntax.Literal)
		if !ok {
			continue
		}
		same := false
		switch v := key.Value.(type) {
		case string:
			s, ok := starlark.AsString(item[0])
			same = ok && s == v
		case int64:
			same = item[0].String() == strconv.FormatInt(v, 10)
		}
		if same {
			c.locate(&a, key)
			return a
		}
	}
	return a
}
