// Package kafkaconf is the table of Kafka's own configuration names: those of
// brokers (and KRaft controllers), topics, and the Java producer, consumer and
// admin clients, with types, defaults, legal values and how they may be updated.
//
// The facts are those of the definitions in Kafka 3.9.1, read from its jars, and
// of 4.0.0 and 4.1.0 for names that came, went or changed their default there.
// Types, bounds and update modes are those of the first of these releases that has
// the name, the legal strings of a choice those of all three; so segment.bytes,
// which 4.1 wants to be a megabyte or more, may be as small as in 3.9, and
// auto.offset.reset has no by_duration (4.0). Names that Kafka builds at run time (a prefix such as
// listener.name.internal. or rsm.config. before another name) are not in the table.
package kafkaconf

import (
	"slices"
	"strings"
)

// Scope is who a configuration belongs to.
type Scope string

// The scopes. Controllers share the broker's.
const (
	Broker   Scope = "broker"
	Topic    Scope = "topic"
	Producer Scope = "producer"
	Consumer Scope = "consumer"
	Admin    Scope = "admin"
)

// Scopes returns all scopes.
func Scopes() []Scope { return []Scope{Broker, Topic, Producer, Consumer, Admin} }

// Type is the type that Kafka parses a value as.
type Type string

// Kafka's types. An int has 32 bits, a short 16 and a long 64.
const (
	Boolean  Type = "boolean"
	Int      Type = "int"
	Long     Type = "long"
	Short    Type = "short"
	Double   Type = "double"
	String   Type = "string"
	List     Type = "list" // separated by commas
	Class    Type = "class"
	Password Type = "password"
)

// Unit is what a number counts, where that is a time, an amount of data or a part.
// It follows from the name and, for the few names that do not say (batch.size),
// from what Kafka does with the number.
type Unit string

// The units. A number without one is a count, a level, a ratio or an id.
const (
	Milliseconds   Unit = "ms"
	Seconds        Unit = "seconds"
	Minutes        Unit = "minutes"
	Hours          Unit = "hours"
	Bytes          Unit = "bytes"
	BytesPerSecond Unit = "bytes/second"
	Percent        Unit = "percent"
)

// Update is how a running broker takes a new value (KIP-226).
type Update string

// The update modes of a broker's configuration.
const (
	ReadOnly    Update = "read-only"    // needs a restart
	PerBroker   Update = "per-broker"   // dynamic, for one broker at a time
	ClusterWide Update = "cluster-wide" // dynamic, for all brokers as a default or for one
)

// Entry is one configuration.
type Entry struct {
	Name  string
	Scope Scope
	Type  Type

	// Default is the value that holds when none is set, as it would be written in
	// a properties file. It is "null" when Null is set, and empty and without
	// meaning when Required is. Where a topic has a Server name, its default is
	// what the broker has for that, and Default is what the broker's default is.
	Default  string
	Null     bool // the default is no value at all
	Required bool // there is no default: it must be set

	Unit Unit

	// Min and Max bound a number, both inclusive, empty for no bound but the
	// type's; Or is one more value that is legal outside them. Values are the
	// legal strings, or the legal elements of a list; AnyCase says that their case
	// does not matter.
	Min, Max, Or string
	Values       []string
	AnyCase      bool
	Format       Format

	// Update is the update mode of a broker's configuration, empty in the other
	// scopes. DynamicOnly marks what a broker ignores in its properties file.
	Update      Update
	DynamicOnly bool

	// Server names the broker's configurations that hold where a topic has no
	// value of its own; the first that is set counts. Their units may differ.
	Server []string

	// Internal marks what Kafka leaves out of its documentation.
	Internal bool

	// Since is the first release that has the name, empty for 3.9 or before; Until
	// the first that has it no longer, empty when 4.1 has it. Later are changes of
	// the default, oldest first.
	Since, Until string
	Later        []Change
}

// Change is a default that a later release changed.
type Change struct {
	Since    string
	Default  string
	Required bool // there is no default any more
}

// Lookup returns the configuration of that exact name. The caller may keep and
// change what it gets.
func Lookup(scope Scope, name string) (Entry, bool) {
	t := table(scope)
	i, ok := slices.BinarySearchFunc(t, name, func(e Entry, name string) int { return strings.Compare(e.Name, name) })
	if !ok {
		return Entry{}, false
	}
	e := t[i]
	e.Scope = scope
	if scope == Broker && e.Update == "" {
		e.Update = ReadOnly
	}
	e.Values, e.Server, e.Later = slices.Clone(e.Values), slices.Clone(e.Server), slices.Clone(e.Later)
	return e, true
}

// Names returns all names of a scope, of every release and internal ones too,
// sorted. It returns none for a scope that does not exist.
func Names(scope Scope) []string {
	t := table(scope)
	names := make([]string, len(t))
	for i := range t {
		names[i] = t[i].Name
	}
	return names
}

func table(scope Scope) []Entry {
	switch scope {
	case Broker:
		return brokerTable
	case Topic:
		return topicTable
	case Producer:
		return producerTable
	case Consumer:
		return consumerTable
	case Admin:
		return adminTable
	}
	return nil
}

// Dynamic reports whether the configuration can be altered while its owner runs:
// all of a topic, none of a client, and of a broker what is not read-only.
func (e Entry) Dynamic() bool {
	switch e.Scope {
	case Topic:
		return true
	case Broker:
		return e.Update == PerBroker || e.Update == ClusterWide
	}
	return false
}

// IsDuration reports whether the value is a number of milliseconds, seconds,
// minutes or hours.
func (e Entry) IsDuration() bool {
	_, ok := e.Unit.duration()
	return ok
}
