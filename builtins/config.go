// This file defines how config = {…} is checked against Kafka's own tables.

package builtins

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"go.starlark.net/starlark"

	"starfall/internal/kafkaconf"
	"starfall/internal/spell"
)

const (
	brokerScope   = kafkaconf.Broker
	topicScope    = kafkaconf.Topic
	producerScope = kafkaconf.Producer
	consumerScope = kafkaconf.Consumer
)

// spoken lists the names for which the language has a word of its own, or
// which belong to starfall; a second way to say them would contradict the
// first.
func spoken(scope kafkaconf.Scope, name string) string {
	const ours = "starfall sets it"
	words := map[kafkaconf.Scope]map[string]string{
		brokerScope: {
			"node.id": ours, "broker.id": ours, "process.roles": ours, "listeners": ours, "advertised.listeners": ours,
			"controller.quorum.voters": ours, "controller.listener.names": ours, "inter.broker.listener.name": ours,
			"listener.security.protocol.map": ours, "log.dir": ours, "log.dirs": ours, "zookeeper.connect": ours,
			"broker.rack": "say racks = [\"a\", \"b\"]",
		},
		topicScope: {"min.insync.replicas": "say min_insync = 2"},
		producerScope: {
			"bootstrap.servers": ours, "client.id": ours, "key.serializer": ours, "value.serializer": ours,
			"acks": `say acks = "all"`, "enable.idempotence": "say idempotent = True", "delivery.timeout.ms": `say timeout = "2m"`,
			"buffer.memory": `say buffer = "32MB"`, "compression.type": `say compression = "lz4"`,
			"partitioner.class": `say partitioner = "hash"`,
			"retries":           `retries go on for as long as the parameter timeout says: timeout = "2m"`,
		},
		consumerScope: {
			"bootstrap.servers": ours, "client.id": ours, "key.deserializer": ours, "value.deserializer": ours,
			"group.id": `say group = "billing"`, "auto.offset.reset": `say start = "earliest"`,
			"enable.auto.commit": `say commit = "auto"`, "auto.commit.interval.ms": `say commit_every = "1s"`,
			"session.timeout.ms":            `say session_timeout = "45s"`,
			"partition.assignment.strategy": `say assignor = "range"`,
		},
	}
	return words[scope][name]
}

// config checks a dict of Kafka's names and gives the values as Kafka reads
// them. Values may be strings, numbers, bools, and durations for names that
// are times.
func (c *call) config(param string, scope kafkaconf.Scope) map[string]string {
	return c.settings(param, scope, true)
}

// settings is config; declared says that a thing is declared, for which some
// names have words of their own.
func (c *call) settings(param string, scope kafkaconf.Scope, declared bool) map[string]string {
	d, ok := c.arg(param).(*starlark.Dict)
	if !ok || d.Len() == 0 {
		return nil
	}
	return c.settingsOf(d, c.param(param), c.raw(param), scope, declared)
}

// brokerConfigs checks a dict of broker id to settings of that broker alone.
func (c *call) brokerConfigs(param string, brokers int) map[int32]map[string]string {
	d, ok := c.arg(param).(*starlark.Dict)
	if !ok {
		return nil
	}
	p, a := c.param(param), c.raw(param)
	out := map[int32]map[string]string{}
	for _, item := range d.Items() {
		entry := c.entry(a, item)
		id, err := starlark.AsInt32(item[0])
		if _, isInt := item[0].(starlark.Int); err != nil || !isInt || id < 1 || id > brokers {
			c.wrong(p, entry, fmt.Sprintf("got the broker id %s, want 1 to %d", shown(item[0]), brokers), "")
			continue
		}
		settings, ok := item[1].(*starlark.Dict)
		if !ok {
			c.wrong(p, entry, fmt.Sprintf("got %s for broker %d, want %s", item[1].Type(), id, TypeConfig.want()), "")
			continue
		}
		if values := c.settingsOf(settings, p, entry, brokerScope, true); len(values) > 0 {
			out[int32(id)] = values
		}
	}
	return out
}

// settingsOf checks the entries of one dict, which the argument a gave.
func (c *call) settingsOf(d *starlark.Dict, p *Param, a argument, scope kafkaconf.Scope, declared bool) map[string]string {
	if d.Len() > maxElements {
		c.wrong(p, a, fmt.Sprintf("got %d elements, want at most %d", d.Len(), maxElements), "")
		return nil
	}
	out := map[string]string{}
	for _, item := range d.Items() {
		entry := c.entry(a, item)
		name, ok := starlark.AsString(item[0])
		if !ok {
			c.wrong(p, entry, "got the name "+shown(item[0])+", want string", "")
			continue
		}
		e, known := kafkaconf.Lookup(scope, name)
		if !known {
			c.wrong(p, entry, fmt.Sprintf("Kafka has no %s config %s", scope, quote(name)), elsewhere(scope, name))
			continue
		}
		if hint := spoken(scope, name); declared && hint != "" {
			c.wrong(p, entry, "got "+name+", which has a word of its own", hint)
			continue
		}
		if hint, unmapped := c.env.unmapped(scope, name); unmapped {
			c.wrong(p, entry, "got "+name+", which the load clients have no equivalent of", hint)
			continue
		}
		value, problem := configValue(e, item[1])
		hint := ""
		if problem == "" {
			if err := e.Check(value); err != nil {
				problem, hint = err.Error(), unitHint(e, value)
			}
		}
		if problem != "" {
			c.wrong(p, entry, problem, hint)
			continue
		}
		out[name] = value
	}
	return out
}

// unmapped reports whether a configuration is one of Kafka's client that the
// load clients cannot be told, and names those that they can.
func (e *Env) unmapped(scope kafkaconf.Scope, name string) (hint string, unmapped bool) {
	if e.opts.Clients == nil || scope != producerScope && scope != consumerScope {
		return "", false
	}
	mapped := e.opts.Clients(scope)
	if slices.Contains(mapped, name) {
		return "", false
	}
	// A name that the language speaks for itself may be mapped as well.
	mapped = slices.DeleteFunc(slices.Clone(mapped), func(n string) bool { return spoken(scope, n) != "" })
	return "a " + string(scope) + " takes " + strings.Join(mapped, ", "), true
}

// elsewhere suggests what an unknown name may have meant.
func elsewhere(scope kafkaconf.Scope, name string) string {
	if near, ok := spell.Nearest(name, kafkaconf.Names(scope)); ok {
		return "did you mean " + near + "?"
	}
	for _, other := range []kafkaconf.Scope{brokerScope, topicScope, producerScope, consumerScope} {
		if _, ok := kafkaconf.Lookup(other, name); ok {
			return "that is a " + string(other) + " config"
		}
	}
	return ""
}

// unitHint says how a time or size that was written as the language's strings
// is written for Kafka, whose names carry their units.
func unitHint(e kafkaconf.Entry, value string) string {
	if unit := unitOf(e.Unit); unit > 0 {
		if d, err := parseDuration(value); err == nil && time.Duration(d)%unit == 0 {
			return fmt.Sprintf("in %s: %d", e.Unit, time.Duration(d)/unit)
		}
		return ""
	}
	if n, err := parseSize(value); err == nil && e.Unit == kafkaconf.Bytes {
		return "in bytes: " + trimNumber(n)
	}
	return ""
}

// unitOf is the length of a unit of time, 0 for what is none.
func unitOf(u kafkaconf.Unit) time.Duration {
	switch u {
	case kafkaconf.Milliseconds:
		return time.Millisecond
	case kafkaconf.Seconds:
		return time.Second
	case kafkaconf.Minutes:
		return time.Minute
	case kafkaconf.Hours:
		return time.Hour
	}
	return 0
}

// configValue writes a value as Kafka's properties have it.
func configValue(e kafkaconf.Entry, v starlark.Value) (value, problem string) {
	switch v := v.(type) {
	case starlark.String:
		return string(v), ""
	case starlark.Int:
		return v.String(), ""
	case starlark.Float:
		return strconv.FormatFloat(float64(v), 'f', -1, 64), ""
	case starlark.Bool:
		return strconv.FormatBool(bool(v)), ""
	case Duration:
		unit := unitOf(e.Unit)
		if unit == 0 {
			return "", fmt.Sprintf("for config %s: got duration, want %s", e.Name, e.Want())
		}
		if time.Duration(v)%unit != 0 {
			return "", fmt.Sprintf("for config %s: got %s, want whole %s", e.Name, v, e.Unit)
		}
		return strconv.FormatInt(int64(time.Duration(v)/unit), 10), ""
	}
	return "", fmt.Sprintf("for config %s: got %s, want string, int, float, bool or duration", e.Name, shown(v))
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
