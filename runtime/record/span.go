// This file defines Span: what happened to a run of records at one moment. It
// is the unit of evidence.

package record

import "time"

// Op says what happened to the records of a Span.
type Op uint8

// The kinds of Span and the fields that each sets besides N.
//
//	op         fields                                                in the stream of
//	accepted   At, Producer, Source, First, Stride                   producer: handed over to the client's buffer
//	acked      At, Producer, Source, Topic, Partition, First, Stride, Offset
//	failed     At, Producer, Source, Topic, Partition, First, Stride, Reason
//	unknown    like failed
//	late       At, Producer, Source: N records were offered late for want of machine
//	delivered  At, Member, Topic, Partition, Producer, Source, First, Stride, Offset    consumer
//	foreign    At, Member, Topic, Partition, Offset: not a record of this run           consumer, audit
//	position   At, Member, Topic, Partition, Offset: the next offset to be read         consumer
//	audited    Topic, Partition, Producer, Source, First, Stride, Offset                audit
//	aborted    like audited: stands in the log, in a transaction that did not commit    audit
//	dropped    like delivered: the group had it, and dedup did not let it through       consumer
const (
	OpAccepted Op = iota
	OpAcked
	OpFailed
	OpUnknown
	OpLate
	OpDelivered
	OpForeign
	OpPosition
	OpAudited
	OpAborted
	OpDropped
	numOps
)

// Span is N records with sequence numbers First, First+Stride, … and offsets
// Offset, Offset+1, … . Producer, Consumer and Topic are indexes in the plan;
// Source and Member count the members of the producer and of the consumer
// from 1. At is rounded down to a multiple of Info.Cell; of accepted spans more
// coarsely, to a part of 100 ms.
type Span struct {
	Op        Op
	Producer  int32
	Source    int32
	Member    int32
	Topic     int32
	Partition int32
	N         uint32
	Reason    uint32 // index in Block.Reasons
	First     uint64
	Stride    uint64
	Offset    int64
	At        time.Duration
}

// Last is the sequence number of the span's last record.
func (s *Span) Last() uint64 { return s.First + uint64(s.N-1)*s.Stride }
