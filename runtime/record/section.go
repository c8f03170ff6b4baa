// This file defines the sections of a block other than spans, and Block, what
// a reader gets.

package record

import (
	"encoding/binary"
	"math"
	"time"
)

// A block's payload is a sequence of sections: kind byte, owner (uvarint), for
// reasons the stream's kind before it, length (uvarint), body.
//
//	kind       owner           body
//	producer   producer index  spans
//	consumer   consumer index  spans
//	audit      0               spans
//	reason     stream          kind before owner; one string
//	segment    producer index  SegmentNote
//	change     consumer index  GroupChange
//	sample     cluster index   Sample
//	auditMark  topic index     AuditMark
//	state      consumer index  StateNote
const (
	sectionProducer byte = iota + 1
	sectionConsumer
	sectionAudit
	sectionReason
	sectionSegment
	sectionChange
	sectionSample
	sectionAuditMark
	sectionState
)

// SegmentNote is a Segment of one member's schedule. End: from Segment.At on
// nothing is due; records from Segment.First on are not sent.
type SegmentNote struct {
	Producer int // index in plan.Producers
	Member   int // from 1
	Segment  Segment
	End      bool
}

func appendInt(dst []byte, v int64) []byte { return binary.AppendVarint(dst, v) }

func appendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}

func appendFloat(dst []byte, v float64) []byte {
	return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v))
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func appendIDs(dst []byte, ids []int32) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(ids)))
	for _, id := range ids {
		dst = appendInt(dst, int64(id))
	}
	return dst
}

// cursor reads what the append functions wrote; after bad is set all answers
// are zero.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) fail() {
	c.bad = true
	c.b = nil
}

func (c *cursor) uint() uint64 {
	v, n := binary.Uvarint(c.b)
	if n <= 0 {
		c.fail()
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) int() int64 {
	v, n := binary.Varint(c.b)
	if n <= 0 {
		c.fail()
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) bytes(n uint64) []byte {
	if n > uint64(len(c.b)) {
		c.fail()
		return nil
	}
	out := c.b[:n]
	c.b = c.b[n:]
	return out
}

func (c *cursor) byte() byte {
	if b := c.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) bool() bool { return c.byte() != 0 }

func (c *cursor) float() float64 {
	if b := c.bytes(8); b != nil {
		return math.Float64frombits(binary.LittleEndian.Uint64(b))
	}
	return 0
}

func (c *cursor) string() string { return string(c.bytes(c.uint())) }

// count reads the length of a list whose items take a byte or more.
func (c *cursor) count() int {
	n := c.uint()
	if n > uint64(len(c.b)) {
		c.fail()
		return 0
	}
	return int(n)
}

func (c *cursor) ids() []int32 {
	n := c.count()
	if n == 0 {
		return nil
	}
	out := make([]int32, n)
	for i := range out {
		out[i] = int32(c.int())
	}
	return out
}

func appendSection(dst []byte, kind byte, owner int, body []byte) []byte {
	dst = append(dst, kind)
	dst = binary.AppendUvarint(dst, uint64(owner))
	dst = binary.AppendUvarint(dst, uint64(len(body)))
	return append(dst, body...)
}

// section reads what appendSection wrote; of is the kind of the stream that a
// reason belongs to, else the kind itself.
func (c *cursor) section() (kind, of byte, owner int, body []byte) {
	kind = c.byte()
	of = kind
	if kind == sectionReason {
		of = c.byte()
	}
	owner = int(c.uint() & (1<<31 - 1))
	return kind, of, owner, c.bytes(c.uint())
}

func appendSegment(dst []byte, n SegmentNote) []byte {
	dst = appendInt(dst, int64(n.Member))
	dst = appendBool(dst, n.End)
	dst = binary.AppendUvarint(dst, n.Segment.First)
	dst = appendInt(dst, int64(n.Segment.At))
	dst = appendFloat(dst, n.Segment.Rate)
	return appendInt(dst, int64(n.Segment.Partitions))
}

func readSegment(c *cursor, owner int) SegmentNote {
	n := SegmentNote{Producer: owner, Member: int(c.int()), End: c.bool()}
	n.Segment.First = c.uint()
	n.Segment.At = time.Duration(c.int())
	n.Segment.Rate = c.float()
	n.Segment.Partitions = int(c.int())
	return n
}

func appendChange(dst []byte, g GroupChange) []byte {
	dst = appendInt(dst, int64(g.At))
	dst = appendInt(dst, int64(g.Member))
	dst = appendInt(dst, int64(g.Generation))
	dst = appendBool(dst, g.Left)
	dst = binary.AppendUvarint(dst, uint64(len(g.Assigned)))
	for _, tp := range g.Assigned {
		dst = appendString(dst, tp.Topic)
		dst = appendInt(dst, int64(tp.Partition))
	}
	return dst
}

func readChange(c *cursor, owner int) GroupChange {
	g := GroupChange{Consumer: owner, At: time.Duration(c.int()), Member: int(c.int()), Generation: int32(c.int()), Left: c.bool()}
	for n := c.count(); n > 0; n-- {
		g.Assigned = append(g.Assigned, TopicPartition{c.string(), int32(c.int())})
	}
	return g
}

func appendState(dst []byte, n StateNote) []byte {
	dst = appendInt(dst, int64(n.At))
	dst = appendInt(dst, int64(n.Member))
	return appendInt(dst, n.Bytes)
}

func readState(c *cursor, owner int) StateNote {
	return StateNote{Consumer: owner, At: time.Duration(c.int()), Member: int(c.int()), Bytes: c.int()}
}

func appendSample(dst []byte, s Sample, topics map[string]int) []byte {
	dst = appendInt(dst, int64(s.At))
	dst = appendInt(dst, int64(s.ActiveControllers))
	dst = appendInt(dst, int64(s.Controller))
	dst = binary.AppendUvarint(dst, uint64(len(s.Brokers)))
	for _, b := range s.Brokers {
		dst = appendInt(dst, int64(b.ID))
		dst = appendBool(dst, b.Alive)
		dst = appendBool(dst, b.Usage)
		if b.Usage {
			dst = appendFloat(dst, b.CPU)
			dst = appendInt(dst, b.Memory)
		}
	}
	var known int
	for _, p := range s.Partitions {
		if _, ok := topics[p.Topic]; ok {
			known++
		}
	}
	dst = binary.AppendUvarint(dst, uint64(known))
	for _, p := range s.Partitions {
		topic, ok := topics[p.Topic]
		if !ok {
			continue
		}
		dst = appendInt(dst, int64(topic))
		dst = appendInt(dst, int64(p.Partition))
		dst = appendInt(dst, int64(p.Leader))
		dst = appendInt(dst, int64(p.Epoch))
		dst = appendIDs(dst, p.ISR)
		dst = appendIDs(dst, p.Replicas)
		dst = appendInt(dst, int64(p.MinInsync))
		for _, v := range [...]int64{p.LogStart, p.LogEnd, p.HighWater, p.Size} {
			dst = appendInt(dst, v)
		}
	}
	dst = binary.AppendUvarint(dst, uint64(len(s.Groups)))
	for _, g := range s.Groups {
		dst = appendString(dst, g.Group)
		dst = appendString(dst, g.State)
		dst = appendInt(dst, int64(g.Members))
		dst = appendInt(dst, int64(g.Coordinator))
	}
	return dst
}

func (d *Decoder) readSample(c *cursor, owner int) Sample {
	s := Sample{At: time.Duration(c.int()), ActiveControllers: int(c.int()), Controller: int32(c.int())}
	if owner < len(d.plan.Clusters) {
		s.Cluster = d.plan.Clusters[owner].Name
	} else {
		c.fail()
	}
	for n := c.count(); n > 0; n-- {
		b := BrokerState{ID: int32(c.int()), Alive: c.bool(), Usage: c.bool()}
		if b.Usage {
			b.CPU, b.Memory = c.float(), c.int()
		}
		s.Brokers = append(s.Brokers, b)
	}
	n := c.count()
	if n > 0 {
		s.Partitions = make([]PartitionState, 0, n)
	}
	for ; n > 0; n-- {
		topic := int(c.int())
		if topic < 0 || topic >= len(d.plan.Topics) {
			c.fail()
			break
		}
		p := PartitionState{Topic: d.plan.Topics[topic].Name, Partition: int32(c.int()), Leader: int32(c.int()), Epoch: int32(c.int())}
		p.ISR, p.Replicas, p.MinInsync = c.ids(), c.ids(), int(c.int())
		p.LogStart, p.LogEnd, p.HighWater, p.Size = c.int(), c.int(), c.int(), c.int()
		s.Partitions = append(s.Partitions, p)
	}
	for n := c.count(); n > 0; n-- {
		s.Groups = append(s.Groups, GroupState{c.string(), c.string(), int(c.int()), int32(c.int())})
	}
	return s
}

func appendMark(dst []byte, m AuditMark) []byte {
	dst = appendInt(dst, int64(m.Partition))
	dst = appendInt(dst, m.LogStart)
	dst = appendInt(dst, m.HighWater)
	dst = appendBool(dst, m.Complete)
	return appendString(dst, m.Error)
}

func readMark(c *cursor, owner int) AuditMark {
	return AuditMark{Topic: owner, Partition: int32(c.int()), LogStart: c.int(), HighWater: c.int(), Complete: c.bool(), Error: c.string()}
}
