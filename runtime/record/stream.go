// This file defines stream: how single records become spans while the load
// runs. A stream belongs to one producer, one consumer, or the audit.

package record

import (
	"encoding/binary"
	"fmt"
	"sync"
	"time"
)

// sealAt is the size at which a stream closes a section, so that one cut does
// not have to copy much; wakeAt the size at which it asks for a cut.
const (
	sealAt = 64 << 10
	wakeAt = 1 << 20
)

// open is a span that may still grow.
type open struct {
	span Span
	live bool
}

// stream turns records into spans. A span grows while the next record of its
// (source, partition) continues it within the same cell; when the cell is
// over, all growing spans are written in the order in which they began, so a
// stream is in order of time up to one cell.
//
//	record for (source, partition)                     effect
//	same op, member, cell; sequence and offset go on   the span grows
//	anything else of that (source, partition)          the span is written, a new one begins
//	later cell, of whatever (source, partition)        all spans are written
type stream struct {
	w     *Writer
	kind  byte // section kind
	owner int

	mu      sync.Mutex
	enc     encoder
	cell    int64
	growing []*open
	slots   [][]*open // by source, then part
	sending []open    // by source: accepted
	waiting []byte    // sealed sections
	reasons map[string]uint32
	news    []string // reasons not yet written
	seconds perSecond
}

func (s *stream) slot(source, part int) *open {
	if source >= len(s.slots) {
		s.slots = grow(s.slots, source)
	}
	if part >= len(s.slots[source]) {
		s.slots[source] = grow(s.slots[source], part)
	}
	if s.slots[source][part] == nil {
		s.slots[source][part] = new(open)
	}
	return s.slots[source][part]
}

// write ends a growing span.
func (s *stream) write(o *open) {
	if !o.live {
		return
	}
	o.live = false
	s.seconds.count(&o.span)
	s.enc.add(&o.span)
	if s.enc.size() > sealAt {
		s.seal()
	}
}

// settle writes the growing spans of records with a partition.
func (s *stream) settle() {
	for _, o := range s.growing {
		s.write(o)
	}
	s.growing = s.growing[:0]
}

func (s *stream) seal() {
	if s.enc.rows == 0 {
		return
	}
	before := len(s.waiting)
	body := s.enc.take(nil)
	s.waiting = append(s.waiting, s.kind)
	s.waiting = binary.AppendUvarint(s.waiting, uint64(s.owner))
	s.waiting = binary.AppendUvarint(s.waiting, uint64(len(body)))
	s.waiting = append(s.waiting, body...)
	s.w.waits(len(s.waiting) - before)
}

// add takes the records of x, which all have the same time.
func (s *stream) add(x *Span) {
	cell := int64(x.At / s.enc.cell)
	if cell != s.cell {
		s.settle()
		s.cell = cell
	}
	source := 0
	if hasSeq(x.Op) {
		source = s.enc.source(x.Producer, x.Source)
	}
	o := s.slot(source, s.enc.part(x.Topic, x.Partition))
	if o.live {
		c := &o.span
		if c.Op == x.Op && c.Member == x.Member && c.Reason == x.Reason && x.Op != OpPosition &&
			(!hasOffset(x.Op) || x.Offset == c.Offset+int64(c.N)) && s.extend(c, x) {
			return
		}
		s.write(o)
		// Its place in growing stays; the new span takes it.
	} else {
		s.growing = append(s.growing, o)
	}
	o.span = *x
	o.live = true
}

// extend lets c grow by x when the sequence goes on.
func (s *stream) extend(c, x *Span) bool {
	if !hasSeq(x.Op) {
		c.N += x.N
		return true
	}
	if x.First <= c.Last() {
		return false
	}
	step := x.First - c.Last()
	if (c.N > 1 && c.Stride != step) || (x.N > 1 && x.Stride != step) {
		return false
	}
	c.Stride = step
	c.N += x.N
	return true
}

// accept takes records handed over to the client.
func (s *stream) accept(x *Span) {
	source := s.enc.source(x.Producer, x.Source)
	if source >= len(s.sending) {
		s.sending = grow(s.sending, source)
	}
	o := &s.sending[source]
	coarse := s.enc.coarse
	at := x.At / coarse * coarse
	if x.At < 0 && at != x.At {
		at -= coarse
	}
	end := o.span.First + uint64(o.span.N)
	if o.live && o.span.At == at && x.First == end {
		o.span.N += x.N
		return
	}
	if x.First < end {
		// Sent again: the end of the first attempt is to stand before it.
		s.settle()
	}
	s.write(o)
	o.span = *x
	o.span.At = at
	o.live = true
}

// end writes the accepted span of one source, so that what follows about it
// stands behind it.
func (s *stream) endAccepted(source int) {
	if source < len(s.sending) {
		s.write(&s.sending[source])
	}
}

// reason numbers a text; 0 is the empty one.
func (s *stream) reason(text string) uint32 {
	if text == "" {
		return 0
	}
	if n, ok := s.reasons[text]; ok {
		return n
	}
	if len(s.reasons) >= maxReasons {
		return 0
	}
	if s.reasons == nil {
		s.reasons = map[string]uint32{}
	}
	n := uint32(len(s.reasons) + 1)
	s.reasons[text] = n
	s.news = append(s.news, text)
	return n
}

// maxReasons bounds the number of distinct texts a stream keeps.
const maxReasons = 1000

// cut gives all sections since the last cut.
func (s *stream) cut(dst []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.sending {
		s.write(&s.sending[i])
	}
	s.settle()
	s.seal()
	for _, text := range s.news {
		body := appendString(nil, text)
		dst = append(dst, sectionReason)
		dst = binary.AppendUvarint(dst, uint64(s.kind))
		dst = binary.AppendUvarint(dst, uint64(s.owner))
		dst = binary.AppendUvarint(dst, uint64(len(body)))
		dst = append(dst, body...)
	}
	s.news = nil
	dst = append(dst, s.waiting...)
	s.w.waits(-len(s.waiting))
	s.waiting = s.waiting[:0]
	return dst
}

// ProducerLog takes the fates of the records of one member of a producer. It
// is safe for use by many goroutines. A member that crashes and restarts goes
// on with its log and its sequence numbers; before a crash call Unknown for
// what is in flight.
type ProducerLog struct {
	s        *stream
	producer int32
	member   int32
	topic    int32
}

// On gives the log of the same member for another topic of the plan, to which
// it has failed over or back. The schedule and the fates of both stand in one
// stream: a record has one fate, whichever topic it ends in. It panics on a
// topic that the plan has not.
func (l *ProducerLog) On(topic string) *ProducerLog {
	i, ok := l.s.w.topics[topic]
	if !ok {
		panic(fmt.Sprintf("record: topic %q: not in the plan", topic))
	}
	out := *l
	out.topic = int32(i)
	return &out
}

// Due says that the records from first on are due from at on, rate of them a
// second (0: all at at), over that many partitions, until the next Due or End.
// Call it at the start, at a change of rate or of the number of partitions,
// and, as fast as possible being wanted, for each batch.
func (l *ProducerLog) Due(first uint64, at time.Duration, rate float64, partitions int) {
	l.s.w.segment(SegmentNote{int(l.producer), int(l.member), Segment{first, at, rate, partitions}, false})
}

// End says that from at on nothing more is due: the member was stopped or has
// crashed. Records with a sequence number of first or more will not be sent
// before the next Due.
func (l *ProducerLog) End(first uint64, at time.Duration) {
	l.s.w.segment(SegmentNote{int(l.producer), int(l.member), Segment{First: first, At: at}, true})
}

// Accepted says that the client has taken the n records from first on into
// its buffer at at. It may be called again for a record that is sent again
// after a restart.
func (l *ProducerLog) Accepted(first uint64, n int, at time.Duration) {
	x := Span{Op: OpAccepted, Producer: l.producer, Source: l.member, First: first, Stride: 1, N: uint32(n), At: at}
	l.s.mu.Lock()
	l.s.accept(&x)
	l.s.mu.Unlock()
}

// Late says that n records were offered to the client more than 100 ms of wall
// time after they were due, though the client's buffer was not full.
func (l *ProducerLog) Late(n int, at time.Duration) {
	if n <= 0 {
		return
	}
	x := Span{Op: OpLate, Producer: l.producer, Source: l.member, N: uint32(n), At: at}
	l.s.mu.Lock()
	l.s.enc.add(&x)
	l.s.seconds.count(&x)
	l.s.mu.Unlock()
}

// Acked says that record seq was acknowledged.
func (l *ProducerLog) Acked(seq uint64, partition int32, offset int64, at time.Duration) {
	x := Span{Op: OpAcked, Producer: l.producer, Source: l.member, Topic: l.topic, Partition: partition,
		First: seq, Stride: 1, N: 1, Offset: offset, At: at}
	l.s.mu.Lock()
	l.s.add(&x)
	l.s.mu.Unlock()
}

// AckedRun says that the n records first, first+stride, … were acknowledged
// with consecutive offsets.
func (l *ProducerLog) AckedRun(first, stride uint64, n int, partition int32, offset int64, at time.Duration) {
	if n <= 0 {
		return
	}
	x := Span{Op: OpAcked, Producer: l.producer, Source: l.member, Topic: l.topic, Partition: partition,
		First: first, Stride: max(stride, 1), N: uint32(n), Offset: offset, At: at}
	l.s.mu.Lock()
	l.s.add(&x)
	l.s.mu.Unlock()
}

// Failed says that record seq was definitely not written, and why.
func (l *ProducerLog) Failed(seq uint64, partition int32, at time.Duration, reason string) {
	l.ended(OpFailed, seq, partition, at, reason)
}

// Unknown says that nobody knows whether record seq was written, and why.
func (l *ProducerLog) Unknown(seq uint64, partition int32, at time.Duration, reason string) {
	l.ended(OpUnknown, seq, partition, at, reason)
}

func (l *ProducerLog) ended(op Op, seq uint64, partition int32, at time.Duration, reason string) {
	x := Span{Op: op, Producer: l.producer, Source: l.member, Topic: l.topic, Partition: max(partition, 0),
		First: seq, Stride: 1, N: 1, At: at}
	l.s.mu.Lock()
	l.s.endAccepted(l.s.enc.source(l.producer, l.member))
	x.Reason = l.s.reason(reason)
	l.s.add(&x)
	l.s.mu.Unlock()
}

// ConsumerLog takes the deliveries to one member of a consumer. It is safe for
// use by many goroutines. Deliveries of one partition are to be reported in
// their order.
type ConsumerLog struct {
	s        *stream
	consumer int
	member   int32
	topics   map[string]int
}

// topic numbers a topic of the plan. Evidence of a topic that the plan has not
// would be taken for another's: the recording fails.
func (l *ConsumerLog) topic(name string) int32 {
	i, ok := l.topics[name]
	if !ok {
		l.s.w.mu.Lock()
		l.s.w.fail(fmt.Errorf("record: topic %q: not in the plan", name))
		l.s.w.mu.Unlock()
	}
	return int32(i)
}

// Delivered says that the record was processed (its work done).
func (l *ConsumerLog) Delivered(topic string, partition int32, offset int64, id Identity, at time.Duration) {
	l.one(OpDelivered, topic, partition, offset, id, at)
}

// Dropped says that dedup recognised the record, rightly or wrongly, and did
// not process it. It moves the group's position as a delivery does, and is to
// be reported in one order with the deliveries of its partition.
func (l *ConsumerLog) Dropped(topic string, partition int32, offset int64, id Identity, at time.Duration) {
	l.one(OpDropped, topic, partition, offset, id, at)
}

// one takes one record of this run; what claims to be of a producer that the
// plan has not is none.
func (l *ConsumerLog) one(op Op, topic string, partition int32, offset int64, id Identity, at time.Duration) {
	if id.Producer >= len(l.s.w.plan.Producers) {
		l.Foreign(topic, partition, offset, at)
		return
	}
	x := Span{Op: op, Member: l.member, Topic: l.topic(topic), Partition: partition,
		Producer: int32(id.Producer), Source: int32(id.Member), First: id.Seq, Stride: 1, N: 1, Offset: offset, At: at}
	l.s.mu.Lock()
	l.s.add(&x)
	l.s.mu.Unlock()
}

// DeliveredRun says that n records were processed at the same moment: id and
// those that follow it, stride apart, at consecutive offsets.
func (l *ConsumerLog) DeliveredRun(topic string, partition int32, offset int64, id Identity, stride uint64, n int, at time.Duration) {
	if n <= 0 {
		return
	}
	if id.Producer >= len(l.s.w.plan.Producers) {
		for i := range n {
			l.Foreign(topic, partition, offset+int64(i), at)
		}
		return
	}
	x := Span{Op: OpDelivered, Member: l.member, Topic: l.topic(topic), Partition: partition,
		Producer: int32(id.Producer), Source: int32(id.Member), First: id.Seq, Stride: max(stride, 1), N: uint32(n), Offset: offset, At: at}
	l.s.mu.Lock()
	l.s.add(&x)
	l.s.mu.Unlock()
}

// Foreign says that something was delivered that is no record of this run.
func (l *ConsumerLog) Foreign(topic string, partition int32, offset int64, at time.Duration) {
	x := Span{Op: OpForeign, Member: l.member, Topic: l.topic(topic), Partition: partition,
		N: 1, Offset: offset, At: at}
	l.s.mu.Lock()
	l.s.add(&x)
	l.s.mu.Unlock()
}

// Position says where the member goes on reading a partition: after an
// assignment, a seek, or a reset of offsets. Deliveries move it by themselves.
func (l *ConsumerLog) Position(topic string, partition int32, offset int64, at time.Duration) {
	x := Span{Op: OpPosition, Member: l.member, Topic: l.topic(topic), Partition: partition,
		N: 1, Offset: offset, At: at}
	l.s.mu.Lock()
	l.s.settle()
	l.s.enc.add(&x)
	l.s.mu.Unlock()
}

// Assigned says what the member owns in this generation of the group; nothing
// is an assignment too.
func (l *ConsumerLog) Assigned(generation int32, owned []TopicPartition, at time.Duration) {
	l.s.w.change(GroupChange{At: at, Consumer: l.consumer, Member: int(l.member), Generation: generation, Assigned: owned})
}

// State says how many bytes the memory holds by which the member recognises
// records at present (dedup). A member that stops or crashes loses it: that is
// State(0). It is to be called about five times a wall second, or on change.
func (l *ConsumerLog) State(bytes int64, at time.Duration) {
	l.s.w.state(StateNote{At: at, Consumer: l.consumer, Member: int(l.member), Bytes: bytes})
}

// Left says that the member has left the group in good order.
func (l *ConsumerLog) Left(at time.Duration) {
	l.s.w.change(GroupChange{At: at, Consumer: l.consumer, Member: int(l.member), Left: true})
}

// AuditLog takes what the audit read of one partition, in the order of the log.
type AuditLog struct {
	s    *stream
	mark AuditMark
}

// Record says that the record stands in the log at offset.
func (l *AuditLog) Record(offset int64, id Identity) {
	l.add(OpAudited, offset, id, 1, 1)
}

// Aborted says that the record stands in the log at offset, but in a transaction that was
// aborted or never ended: readers of committed records do not see it.
func (l *AuditLog) Aborted(offset int64, id Identity) {
	l.add(OpAborted, offset, id, 1, 1)
}

// Run says that n records stand in the log at consecutive offsets: id and those
// that follow it, stride apart.
func (l *AuditLog) Run(offset int64, id Identity, stride uint64, n int) {
	if n > 0 {
		l.add(OpAudited, offset, id, max(stride, 1), n)
	}
}

// Foreign says that something stands at offset that is no record of this run.
func (l *AuditLog) Foreign(offset int64) {
	l.add(OpForeign, offset, Identity{}, 1, 1)
}

func (l *AuditLog) add(op Op, offset int64, id Identity, stride uint64, n int) {
	x := Span{Op: OpForeign, Topic: int32(l.mark.Topic), Partition: l.mark.Partition, N: uint32(n), Offset: offset}
	if op != OpForeign && id.Producer < len(l.s.w.plan.Producers) {
		x.Op, x.Producer, x.Source, x.First, x.Stride = op, int32(id.Producer), int32(id.Member), id.Seq, stride
	}
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	// The log is one sequence: a span ends where another source's record
	// stands, lest the order of the log be lost.
	if n := len(l.s.growing); n > 0 && l.s.growing[n-1] != l.s.slot(l.slotSource(&x), l.s.enc.part(x.Topic, x.Partition)) {
		l.s.settle()
	}
	l.s.add(&x)
}

func (l *AuditLog) slotSource(x *Span) int {
	if x.Op == OpForeign {
		return 0
	}
	return l.s.enc.source(x.Producer, x.Source)
}

// Close ends the partition's audit; err says why it could not be read to the
// high-water mark.
func (l *AuditLog) Close(err error) {
	l.mark.Complete = err == nil
	if err != nil {
		l.mark.Error = err.Error()
	}
	l.s.w.audited(l.mark)
}
