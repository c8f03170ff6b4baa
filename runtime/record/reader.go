// This file defines how evidence is read: payloads are decoded into Blocks,
// one after the other, in little memory.

package record

import (
	"fmt"

	"starfall/interp/plan"
)

// Actor says whose spans these are.
type Actor uint8

// The actors.
const (
	ActorProducer = Actor(sectionProducer)
	ActorConsumer = Actor(sectionConsumer)
	ActorAudit    = Actor(sectionAudit)
)

// Stream names a stream of spans: the producer, consumer or audit, and its
// index in the plan.
type Stream struct {
	Actor Actor
	Index int
}

// Block is what was recorded between two cuts of the writer. Segments,
// Changes, States, Samples and Audits are in order of their recording; the spans of
// one stream are too.
type Block struct {
	Segments []SegmentNote
	Changes  []GroupChange
	States   []StateNote
	Samples  []Sample
	Audits   []AuditMark

	sections []section
	dec      *Decoder
}

type section struct {
	stream Stream
	body   []byte
}

// Spans calls f with the block's spans, stream by stream. The slice is valid
// only during the call. Spans is to be called once for each block, in order.
func (b *Block) Spans(f func(Stream, []Span) error) error {
	for _, s := range b.sections {
		d, err := b.dec.stream(s.stream)
		if err != nil {
			return err
		}
		if err := d.decode(s.body, b.dec.buf, func(spans []Span) error { return f(s.stream, spans) }); err != nil {
			return err
		}
	}
	return nil
}

// Decoder turns payloads into Blocks. It carries expectations from block to
// block, so payloads are to be given in order and completely.
type Decoder struct {
	plan    *plan.Plan
	info    Info
	streams map[Stream]*decoder
	reasons map[Stream][]string
	buf     []Span
}

func newDecoder(p *plan.Plan, info Info) *Decoder {
	return &Decoder{plan: p, info: info, streams: map[Stream]*decoder{}, reasons: map[Stream][]string{}, buf: make([]Span, 256)}
}

func newShape(p *plan.Plan, info Info, members bool) shape {
	return shape{producers: max(len(p.Producers), 1), topics: max(len(p.Topics), 1), members: members, cell: info.Cell(), coarse: info.acceptedCell()}
}

func (d *Decoder) stream(s Stream) (*decoder, error) {
	if x, ok := d.streams[s]; ok {
		return x, nil
	}
	limit := 1
	switch s.Actor {
	case ActorProducer:
		limit = len(d.plan.Producers)
	case ActorConsumer:
		limit = len(d.plan.Consumers)
	}
	if s.Index >= limit {
		return nil, errSection
	}
	x := &decoder{shape: newShape(d.plan, d.info, s.Actor == ActorConsumer)}
	d.streams[s] = x
	return x, nil
}

// Reason is the text of Span.Reason in a stream.
func (d *Decoder) Reason(s Stream, n uint32) string {
	if n == 0 || int(n) > len(d.reasons[s]) {
		return ""
	}
	return d.reasons[s][n-1]
}

// Decode reads a payload.
func (d *Decoder) Decode(payload []byte) (*Block, error) {
	b := &Block{dec: d}
	c := cursor{b: payload}
	for len(c.b) > 0 && !c.bad {
		kind, of, owner, body := c.section()
		if c.bad {
			break
		}
		in := cursor{b: body}
		switch kind {
		case sectionProducer, sectionConsumer, sectionAudit:
			b.sections = append(b.sections, section{Stream{Actor(kind), owner}, body})
		case sectionReason:
			s := Stream{Actor(of), owner}
			d.reasons[s] = append(d.reasons[s], in.string())
		case sectionSegment:
			b.Segments = append(b.Segments, readSegment(&in, owner))
		case sectionChange:
			b.Changes = append(b.Changes, readChange(&in, owner))
		case sectionSample:
			b.Samples = append(b.Samples, d.readSample(&in, owner))
		case sectionAuditMark:
			b.Audits = append(b.Audits, readMark(&in, owner))
		case sectionState:
			b.States = append(b.States, readState(&in, owner))
		default:
			return nil, fmt.Errorf("record: evidence: got section kind %d, want 1 to %d", kind, sectionState)
		}
		if in.bad {
			return nil, errSection
		}
	}
	if c.bad {
		return nil, errSection
	}
	return b, nil
}
