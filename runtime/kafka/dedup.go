// This file defines by what a consumer member recognises records that it has had
// (consumer(dedup = …)).

package kafka

import (
	"fmt"
	"reflect"
	"sync"
	"unsafe"

	"github.com/google/btree"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

// memory is what one member remembers. It is safe for use by its claims at the
// same time.
type memory struct {
	mu   sync.Mutex
	kind remembering
}

// remembering is one way to remember (plan.Dedup).
type remembering interface {
	known(topic string, partition int32, id record.Identity) bool
	add(topic string, partition int32, id record.Identity)
	bytes() int64 // held at present
}

func newMemory(d plan.Dedup) (*memory, error) {
	switch {
	case d.Kind == "id_set":
		return &memory{kind: newIDSet()}, nil
	case d.Kind != "high_water":
		return nil, fmt.Errorf("for parameter dedup: got %q, want id_set or high_water", d.Kind)
	}
	switch d.Per {
	case "partition":
		return &memory{kind: &partitionMarks{}}, nil
	case "topic":
		return &memory{kind: &topicMarks{}}, nil
	case "producer":
		return &memory{kind: &producerMarks{}}, nil
	}
	return nil, fmt.Errorf("for parameter per: got %q, want partition, topic or producer", d.Per)
}

func (m *memory) known(topic string, partition int32, id record.Identity) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.kind.known(topic, partition, id)
}

func (m *memory) add(topic string, partition int32, id record.Identity) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kind.add(topic, partition, id)
}

func (m *memory) bytes() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.kind.bytes()
}

// recordID is a record's identity within a run.
type recordID struct {
	producer, member uint32
	seq              uint64
}

func lessID(a, b recordID) bool {
	switch {
	case a.producer != b.producer:
		return a.producer < b.producer
	case a.member != b.member:
		return a.member < b.member
	}
	return a.seq < b.seq
}

// idDegree is the degree of the B-tree: a node has up to 63 ids, and about half
// as many where they come in order.
const idDegree = 32

// idSet has every identity in a B-tree.
type idSet struct {
	tree *btree.BTreeG[recordID]
	// weighed is what the tree held when it had so many ids; see bytes.
	weighed int64
	ids     int
}

func newIDSet() *idSet { return &idSet{tree: btree.NewG(idDegree, lessID)} }

func idOf(id record.Identity) recordID {
	return recordID{uint32(id.Producer), uint32(id.Member), id.Seq}
}

func (s *idSet) known(_ string, _ int32, id record.Identity) bool { return s.tree.Has(idOf(id)) }
func (s *idSet) add(_ string, _ int32, id record.Identity)        { s.tree.ReplaceOrInsert(idOf(id)) }

// bytes weighs the tree's nodes anew when it has grown by a tenth. In between it
// grows in proportion: to visit each node each time would cost more than the ids.
func (s *idSet) bytes() int64 {
	n := s.tree.Len()
	if n > s.ids+s.ids/10 || n < s.ids {
		s.ids, s.weighed = n, weighTree(s.tree)
	}
	if s.ids == 0 {
		return s.weighed
	}
	return int64(float64(s.weighed) * float64(n) / float64(s.ids))
}

// weighTree adds up what the tree's nodes hold, what is allocated and not used
// included. The tree does not tell, so it is read from its fields.
func weighTree(t *btree.BTreeG[recordID]) int64 {
	root := reflect.ValueOf(t).Elem().FieldByName("root")
	return int64(unsafe.Sizeof(*t)) + weighNode(root)
}

func weighNode(p reflect.Value) int64 {
	if p.IsNil() {
		return 0
	}
	n := p.Elem()
	items, children := n.FieldByName("items"), n.FieldByName("children")
	total := int64(n.Type().Size()) +
		int64(items.Cap())*int64(items.Type().Elem().Size()) +
		int64(children.Cap())*int64(children.Type().Elem().Size())
	for i := range children.Len() {
		total += weighNode(children.Index(i))
	}
	return total
}

// A mark is one more than the highest sequence number that was had; 0: none was.

// partitionMarks has a mark for each partition.
type partitionMarks struct {
	topics []string
	marks  [][]uint64 // by topic, partition
}

func (m *partitionMarks) at(topic string, partition int32) *uint64 {
	i := 0
	for i < len(m.topics) && m.topics[i] != topic {
		i++
	}
	if i == len(m.topics) {
		m.topics = append(m.topics, topic)
		m.marks = append(m.marks, nil)
	}
	m.marks[i] = upTo(m.marks[i], int(partition))
	return &m.marks[i][partition]
}

func (m *partitionMarks) known(topic string, partition int32, id record.Identity) bool {
	return id.Seq < *m.at(topic, partition)
}

func (m *partitionMarks) add(topic string, partition int32, id record.Identity) {
	raise(m.at(topic, partition), id)
}

func (m *partitionMarks) bytes() int64 {
	return int64(unsafe.Sizeof(*m)) + sizeOf(m.topics) + sizeOf(m.marks) + sizeOfAll(m.marks)
}

// topicMarks has a mark for each topic.
type topicMarks struct {
	topics []string
	marks  []uint64
}

func (m *topicMarks) at(topic string) *uint64 {
	for i, t := range m.topics {
		if t == topic {
			return &m.marks[i]
		}
	}
	m.topics, m.marks = append(m.topics, topic), append(m.marks, 0)
	return &m.marks[len(m.marks)-1]
}

func (m *topicMarks) known(topic string, _ int32, id record.Identity) bool {
	return id.Seq < *m.at(topic)
}

func (m *topicMarks) add(topic string, _ int32, id record.Identity) { raise(m.at(topic), id) }

func (m *topicMarks) bytes() int64 {
	return int64(unsafe.Sizeof(*m)) + sizeOf(m.topics) + sizeOf(m.marks)
}

// producerMarks has a mark for each member of each producer.
type producerMarks struct {
	marks [][]uint64 // by producer, member
}

func (m *producerMarks) at(id record.Identity) *uint64 {
	m.marks = upTo(m.marks, id.Producer)
	m.marks[id.Producer] = upTo(m.marks[id.Producer], id.Member)
	return &m.marks[id.Producer][id.Member]
}

func (m *producerMarks) known(_ string, _ int32, id record.Identity) bool { return id.Seq < *m.at(id) }
func (m *producerMarks) add(_ string, _ int32, id record.Identity)        { raise(m.at(id), id) }

func (m *producerMarks) bytes() int64 {
	return int64(unsafe.Sizeof(*m)) + sizeOf(m.marks) + sizeOfAll(m.marks)
}

func raise(mark *uint64, id record.Identity) { *mark = max(*mark, id.Seq+1) }

// upTo makes room for index i.
func upTo[T any](s []T, i int) []T {
	var zero T
	for len(s) <= i {
		s = append(s, zero)
	}
	return s
}

// sizeOf is what a slice has allocated; the texts of names are the plan's.
func sizeOf[T any](s []T) int64 {
	var zero T
	return int64(cap(s)) * int64(unsafe.Sizeof(zero))
}

func sizeOfAll[T any](s [][]T) int64 {
	var total int64
	for _, x := range s {
		total += sizeOf(x)
	}
	return total
}
