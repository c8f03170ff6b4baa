package core

// This file defines the records of the metadata log and the image of the cluster that
// a node builds by applying them. Records and partition states are never changed after
// they were made, so images and logs share them.

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

type topicID = [16]byte

// partitionKey names a partition inside one cluster.
type partitionKey struct {
	topic     string
	partition int32
}

func (k partitionKey) compare(o partitionKey) int {
	if c := strings.Compare(k.topic, o.topic); c != 0 {
		return c
	}
	return cmp.Compare(k.partition, o.partition)
}

// The records of the metadata log; the names follow Kafka's.
type (
	leaderChangeRecord struct{ leader int32 }
	noOpRecord         struct{}
	// registerBrokerRecord: the broker epoch is the record's offset.
	registerBrokerRecord struct {
		id          int32
		incarnation uint32
		rack        string
	}
	// brokerChangeRecord carries the whole new state.
	brokerChangeRecord struct {
		id                 int32
		fenced             bool
		controlledShutdown bool
	}
	topicRecord struct {
		name string
		id   topicID
	}
	removeTopicRecord struct{ name string }
	// partitionRecord creates or changes a partition; it carries the whole new state.
	partitionRecord struct{ state *PartitionState }
	configRecord    struct {
		resource configResource
		name     string
		value    *string // nil removes
	}
	producerIDsRecord struct{ next int64 }
	aclRecord         struct{ acl acl }
	removeACLRecord   struct{ acl acl }
	scramRecord       struct {
		key        scramKey
		credential *scramCredential // nil removes
	}
)

// configResource is a broker (kind 4, name "" for the cluster default) or a topic (kind 2).
type configResource struct {
	kind int8
	name string
}

const (
	resourceTopic  int8 = 2
	resourceBroker int8 = 4
)

// registration is what the metadata knows of a broker.
type registration struct {
	id                 int32
	epoch              int64
	incarnation        uint32
	rack               string
	fenced             bool
	controlledShutdown bool
}

// active brokers may lead partitions and join the in-sync replicas.
func (r *registration) active() bool { return r != nil && !r.fenced && !r.controlledShutdown }

type topicImage struct {
	name       string
	id         topicID
	partitions []*PartitionState
}

// image is the cluster as the metadata log up to an offset describes it.
type image struct {
	offset      int64 // of the last applied record, -1 for none
	brokers     map[int32]*registration
	topics      map[string]*topicImage
	names       map[topicID]string
	configs     map[configResource]map[string]string
	nextPID     int64
	acls        []acl // sorted
	scram       map[scramKey]*scramCredential
	sortedNames []string // nil when stale
}

func newImage() *image {
	return &image{
		offset:  -1,
		brokers: map[int32]*registration{},
		topics:  map[string]*topicImage{},
		names:   map[topicID]string{},
		configs: map[configResource]map[string]string{},
		scram:   map[scramKey]*scramCredential{},
	}
}

// clone copies what apply changes in place.
func (m *image) clone() *image {
	c := *m
	c.brokers = maps.Clone(m.brokers)
	c.names = maps.Clone(m.names)
	c.acls = slices.Clone(m.acls)
	c.scram = maps.Clone(m.scram)
	c.topics = make(map[string]*topicImage, len(m.topics))
	for name, t := range m.topics {
		c.topics[name] = &topicImage{name: t.name, id: t.id, partitions: slices.Clone(t.partitions)}
	}
	c.configs = make(map[configResource]map[string]string, len(m.configs))
	for r, kv := range m.configs {
		c.configs[r] = maps.Clone(kv)
	}
	return &c
}

// delta says what applying some records changed.
type delta struct {
	partitions map[partitionKey]bool
	removed    map[partitionKey]*PartitionState
	configs    map[configResource]bool
	brokers    bool
}

func newDelta() *delta {
	return &delta{partitions: map[partitionKey]bool{}, removed: map[partitionKey]*PartitionState{}, configs: map[configResource]bool{}}
}

func (m *image) apply(offset int64, rec any, d *delta) {
	m.offset = offset
	switch r := rec.(type) {
	case *leaderChangeRecord, *noOpRecord:
	case *registerBrokerRecord:
		m.brokers[r.id] = &registration{id: r.id, epoch: offset, incarnation: r.incarnation, rack: r.rack, fenced: true}
		d.brokers = true
	case *brokerChangeRecord:
		old := *m.brokers[r.id]
		old.fenced, old.controlledShutdown = r.fenced, r.controlledShutdown
		m.brokers[r.id] = &old
		d.brokers = true
	case *topicRecord:
		m.topics[r.name] = &topicImage{name: r.name, id: r.id}
		m.names[r.id] = r.name
		m.sortedNames = nil
	case *removeTopicRecord:
		t := m.topics[r.name]
		for _, p := range t.partitions {
			key := partitionKey{p.Topic, p.Partition}
			d.removed[key] = p
			delete(d.partitions, key)
		}
		delete(m.names, t.id)
		delete(m.topics, r.name)
		delete(m.configs, configResource{resourceTopic, r.name})
		m.sortedNames = nil
	case *partitionRecord:
		t := m.topics[r.state.Topic]
		for int(r.state.Partition) >= len(t.partitions) {
			t.partitions = append(t.partitions, nil)
		}
		t.partitions[r.state.Partition] = r.state
		d.partitions[partitionKey{r.state.Topic, r.state.Partition}] = true
	case *configRecord:
		kv := m.configs[r.resource]
		if kv == nil {
			kv = map[string]string{}
			m.configs[r.resource] = kv
		}
		if r.value == nil {
			delete(kv, r.name)
		} else {
			kv[r.name] = *r.value
		}
		d.configs[r.resource] = true
	case *producerIDsRecord:
		m.nextPID = r.next
	case *aclRecord:
		if i, there := slices.BinarySearchFunc(m.acls, r.acl, acl.compare); !there {
			m.acls = slices.Insert(m.acls, i, r.acl)
		}
	case *removeACLRecord:
		if i, there := slices.BinarySearchFunc(m.acls, r.acl, acl.compare); there {
			m.acls = slices.Delete(m.acls, i, i+1)
		}
	case *scramRecord:
		if r.credential == nil {
			delete(m.scram, r.key)
		} else {
			m.scram[r.key] = r.credential
		}
	}
}

func (m *image) partition(key partitionKey) *PartitionState {
	t := m.topics[key.topic]
	if t == nil || key.partition < 0 || int(key.partition) >= len(t.partitions) {
		return nil
	}
	return t.partitions[key.partition]
}

func (m *image) topicNames() []string {
	if m.sortedNames == nil {
		m.sortedNames = slices.Sorted(maps.Keys(m.topics))
	}
	return m.sortedNames
}

func (m *image) brokerIDs() []int32 { return slices.Sorted(maps.Keys(m.brokers)) }

// each calls fn for every partition, in order.
func (m *image) each(fn func(p *PartitionState)) {
	for _, name := range m.topicNames() {
		for _, p := range m.topics[name].partitions {
			fn(p)
		}
	}
}

func without(ids []int32, id int32) []int32 {
	out := make([]int32, 0, len(ids))
	for _, x := range ids {
		if x != id {
			out = append(out, x)
		}
	}
	return out
}
