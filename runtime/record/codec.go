// This file defines how spans are written: in columns, each value only where
// it differs from what the spans before let expect.

package record

import (
	"encoding/binary"
	"errors"
	"time"
)

// The columns of a spans section. The first four have a value in each row;
// the others only where the row's flags say that the expectation failed.
//
//	column  value                                       expected
//	ops     op, and the flags in the upper four bits    –
//	times   cells since the row before of its class     – (zigzag)
//	parts   partition*topics + topic                    – (not for accepted and late)
//	source  producer and its member                     –
//	member  consumer's member                           – (consumer streams only)
//	seqs    First less the expected one, zigzag         the row before of (source, partition) goes on
//	counts  N - 1                                       1
//	strides Stride                                      as the row before of (source, partition)
//	offsets Offset less the expected one, zigzag        the row before of the partition goes on
//
// Expectations live as long as the stream, so a reader reads from the start.
const (
	colOps = iota
	colTimes
	colParts
	colSources
	colMembers
	colSeqs
	colCounts
	colStrides
	colOffsets
	numCols
)

const (
	flagSeq    = 0x10
	flagCount  = 0x20
	flagStride = 0x40
	flagOffset = 0x80
)

// expectation is what the next span of a (source, partition) is expected to be.
type expectation struct {
	next   uint64
	stride uint64
}

// predictor holds the expectations of a stream; writer and reader keep equal
// ones.
type predictor struct {
	times   [2]int64        // by class: accepted and late, others
	slots   [][]expectation // by source, then 0 for accepted and 1+part for others
	offsets []int64         // next offset by part
	sent    []expectation   // by source: accepted
}

func class(op Op) int {
	if op == OpAccepted || op == OpLate {
		return 0
	}
	return 1
}

func grow[T any](s []T, n int) []T {
	for len(s) <= n {
		s = append(s, make([]T, n+1-len(s))...)
	}
	return s
}

func (p *predictor) slot(source, part int) *expectation {
	if part < 0 {
		p.sent = grow(p.sent, source)
		return &p.sent[source]
	}
	if source >= len(p.slots) || part >= len(p.slots[source]) {
		p.slots = grow(p.slots, source)
		p.slots[source] = grow(p.slots[source], part)
	}
	return &p.slots[source][part]
}

func (p *predictor) offset(part int) *int64 {
	if part >= len(p.offsets) {
		p.offsets = grow(p.offsets, part)
	}
	return &p.offsets[part]
}

func zig(v int64) uint64   { return uint64(v<<1) ^ uint64(v>>63) }
func unzig(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }

func hasPart(op Op) bool   { return op != OpAccepted && op != OpLate }
func hasSeq(op Op) bool    { return op != OpLate && op != OpForeign && op != OpPosition }
func hasReason(op Op) bool { return op == OpFailed || op == OpUnknown }
func hasOffset(op Op) bool {
	const those = 1<<OpAcked | 1<<OpDelivered | 1<<OpForeign | 1<<OpPosition | 1<<OpAudited | 1<<OpAborted | 1<<OpDropped
	return those>>op&1 != 0
}

// shape is what numbers in a stream mean.
type shape struct {
	producers, topics int // of the plan, at least 1
	members           bool
	cell, coarse      time.Duration
}

func (s shape) part(topic, partition int32) int { return int(partition)*s.topics + int(topic) }
func (s shape) source(producer, member int32) int {
	return int(member)*s.producers + int(producer)
}

// split undoes part and source. Often there is but one topic, or producer, and
// nothing to divide.
func split(v, n int) (int32, int32) {
	if n == 1 {
		return int32(v), 0
	}
	return int32(v / n), int32(v % n)
}

// encoder writes spans sections.
type encoder struct {
	shape
	predictor
	rows int
	cols [numCols][]byte
}

func (e *encoder) put(col int, v uint64) { e.cols[col] = binary.AppendUvarint(e.cols[col], v) }

func (e *encoder) size() int {
	n := 0
	for i := range e.cols {
		n += len(e.cols[i])
	}
	return n
}

// add appends one span.
func (e *encoder) add(s *Span) {
	op := byte(s.Op)
	cells := int64(s.At / e.cell)
	if s.At < 0 && s.At%e.cell != 0 {
		cells--
	}
	c := class(s.Op)
	e.put(colTimes, zig(cells-e.times[c]))
	e.times[c] = cells
	part := -1
	if hasPart(s.Op) {
		part = e.part(s.Topic, s.Partition)
		e.put(colParts, uint64(part))
	}
	source := 0
	if hasSeq(s.Op) || s.Op == OpLate {
		source = e.source(s.Producer, s.Source)
		e.put(colSources, uint64(source))
	}
	if e.members {
		e.put(colMembers, uint64(s.Member))
	}
	if hasSeq(s.Op) {
		x := e.slot(source, part)
		if s.First != x.next {
			op |= flagSeq
			e.put(colSeqs, zig(int64(s.First-x.next)))
		}
		stride := s.Stride
		if s.N == 1 {
			stride = x.stride
		}
		if stride != x.stride {
			op |= flagStride
			e.put(colStrides, stride)
		}
		x.stride = stride
		x.next = s.First + uint64(s.N)*stride
	}
	if s.N != 1 {
		op |= flagCount
		e.put(colCounts, uint64(s.N-1))
	}
	switch {
	case hasOffset(s.Op):
		x := e.offset(part)
		if s.Offset != *x {
			op |= flagOffset
			e.put(colOffsets, zig(s.Offset-*x))
		}
		*x = s.Offset + int64(s.N)
		if s.Op == OpPosition {
			*x = s.Offset
		}
	case hasReason(s.Op) && s.Reason != 0:
		op |= flagOffset
		e.put(colOffsets, uint64(s.Reason))
	}
	e.cols[colOps] = append(e.cols[colOps], op)
	e.rows++
}

// take gives the section's body and starts a new one.
func (e *encoder) take(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(e.rows))
	for i := range e.cols {
		dst = binary.AppendUvarint(dst, uint64(len(e.cols[i])))
	}
	for i := range e.cols {
		dst = append(dst, e.cols[i]...)
		e.cols[i] = e.cols[i][:0]
	}
	e.rows = 0
	return dst
}

var errSection = errors.New("record: evidence: section is damaged")

// column is a cursor over a column; bad is set when it runs out. Values are
// decoded some ahead, in a loop of their own, so that taking one is no call.
type column struct {
	b     []byte
	ahead []uint64 // decoded; at is the next
	at    int
	bad   bool
	buf   [32]uint64
}

func (c *column) next() uint64 {
	if c.at == len(c.ahead) {
		c.fill()
	}
	c.at++
	return c.ahead[c.at-1]
}

// fill decodes the next values, at least one: a zero when there are no more.
func (c *column) fill() {
	n, b := 0, c.b
	for n < len(c.buf) {
		if len(b) >= 8 && n <= len(c.buf)-8 && binary.LittleEndian.Uint64(b)&0x8080808080808080 == 0 {
			to := c.buf[n : n+8]
			for i, v := range b[:8] {
				to[i] = uint64(v)
			}
			n, b = n+8, b[8:]
			continue
		}
		v, size := binary.Uvarint(b)
		if size <= 0 {
			break
		}
		c.buf[n], b = v, b[size:]
		n++
	}
	if n == 0 {
		c.bad = true
		c.buf[0], n = 0, 1
	}
	c.b, c.ahead, c.at = b, c.buf[:n], 0
}

// maxPart, maxSource and maxSlots bound what a damaged file can make the reader
// allocate: 64 MB of expectations.
const (
	maxPart   = 1 << 20
	maxSource = 1 << 20
	maxSlots  = 1 << 22
)

// decoder reads the spans sections of one stream.
type decoder struct {
	shape
	predictor
	slotsMade int
}

// fits tells whether the expectations of a new slot fit into the bound.
func (d *decoder) fits(source, part int) bool {
	have := 0
	if source < len(d.slots) {
		have = len(d.slots[source])
	}
	if part >= have {
		d.slotsMade += part + 1 - have
	}
	return d.slotsMade <= maxSlots
}

// decode calls f with the section's spans in order, some hundreds at a time;
// the slice is used again.
func (d *decoder) decode(body []byte, buf []Span, f func([]Span) error) error {
	head := cursor{b: body}
	rows := head.uint()
	var lens [numCols]uint64
	for i := range lens {
		lens[i] = head.uint()
	}
	rest := head.b
	var cols [numCols]column
	for i, n := range lens {
		if head.bad || n > uint64(len(rest)) {
			return errSection
		}
		cols[i].b, rest = rest[:n], rest[n:]
	}
	if rows != lens[colOps] {
		return errSection
	}
	for ops := cols[colOps].b; len(ops) > 0; {
		out := buf[:min(len(ops), cap(buf))]
		for i := range out {
			if err := d.row(&out[i], ops[i], &cols); err != nil {
				return err
			}
		}
		ops = ops[len(out):]
		// A column that ran out has given zeros since.
		for i := range cols {
			if cols[i].bad {
				return errSection
			}
		}
		if err := f(out); err != nil {
			return err
		}
	}
	return nil
}

// row decodes one span; b is its op with the flags.
func (d *decoder) row(s *Span, b byte, cols *[numCols]column) error {
	op := Op(b & 0x0f)
	if op >= numOps {
		return errSection
	}
	*s = Span{Op: op, N: 1, Stride: 1}
	c := class(op)
	d.times[c] += unzig(cols[colTimes].next())
	s.At = time.Duration(d.times[c]) * d.cell
	part := -1
	if hasPart(op) {
		v := cols[colParts].next()
		if v > maxPart {
			return errSection
		}
		part = int(v)
		s.Partition, s.Topic = split(part, d.topics)
	}
	source := 0
	if hasSeq(op) || op == OpLate {
		v := cols[colSources].next()
		if v > maxSource {
			return errSection
		}
		source = int(v)
		s.Source, s.Producer = split(source, d.producers)
	}
	if d.members {
		s.Member = int32(cols[colMembers].next())
	}
	if b&flagCount != 0 {
		n := cols[colCounts].next()
		if n >= 1<<31 {
			return errSection
		}
		s.N = uint32(n) + 1
	}
	if hasSeq(op) {
		var x *expectation
		switch {
		case part >= 0 && source < len(d.slots) && part < len(d.slots[source]):
			x = &d.slots[source][part]
		case part >= 0 && !d.fits(source, part):
			return errSection
		default:
			x = d.slot(source, part)
		}
		s.First = x.next
		if b&flagSeq != 0 {
			s.First += uint64(unzig(cols[colSeqs].next()))
		}
		if b&flagStride != 0 {
			x.stride = cols[colStrides].next()
		}
		s.Stride = x.stride
		x.next = s.First + uint64(s.N)*x.stride
	}
	switch {
	case hasOffset(op):
		x := d.offset(part)
		s.Offset = *x
		if b&flagOffset != 0 {
			s.Offset += unzig(cols[colOffsets].next())
		}
		*x = s.Offset + int64(s.N)
		if op == OpPosition {
			*x = s.Offset
		}
	case hasReason(op) && b&flagOffset != 0:
		s.Reason = uint32(cols[colOffsets].next())
	}
	return nil
}
