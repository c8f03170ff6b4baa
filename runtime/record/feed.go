// This file defines how one recording is written by several processes: each
// has a Writer of its own for the producers and consumers that it runs, or for
// the audit, and the Writer of the run takes in what they recorded.

package record

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"starfall/interp/plan"
)

// nowhere is the sink of a Writer whose payloads are taken.
type nowhere struct{}

func (nowhere) block([]byte) error                  { return nil }
func (nowhere) journal([]byte) error                { return nil }
func (nowhere) series(string, string, []byte) error { return nil }
func (nowhere) size() int64                         { return 0 }
func (nowhere) seriesSizes() map[string]int64       { return nil }
func (nowhere) close() error                        { return nil }

// NewPart makes a Writer that writes nowhere: Take gives what it has, for the
// Feed of another Writer with the same plan and Info. A producer or a consumer
// has all its members in one part.
func NewPart(p *plan.Plan, info Info) *Writer {
	w := newWriter(p, info, nowhere{})
	close(w.done)
	return w
}

// Take gives what was recorded since the last call, nil for nothing. What is
// logged while it goes on is in this or the next answer.
func (w *Writer) Take() []byte {
	w.flushMu.Lock()
	defer w.flushMu.Unlock()
	w.cutMu.Lock()
	w.cut()
	payload := w.pending
	w.pending = nil
	w.cutMu.Unlock()
	for _, s := range slices.Concat(w.producers, w.consumers) {
		s.take(false) // the rows are counted where the parts come together
	}
	return payload
}

// part is a payload by what has to stand first in a block: what streams refer
// to, then acknowledgements, then deliveries, which are compared with them.
type part struct {
	through                           time.Duration
	meta, producers, consumers, audit []byte
}

func (p *part) size() int {
	return len(p.meta) + len(p.producers) + len(p.consumers) + len(p.audit)
}

// Feed takes in what the Writer of a part recorded. Its methods are safe for
// use by several goroutines; payloads are to be given in order and completely.
//
// What comes in is held until all feeds have come as far, and so are samples:
// the blocks of the recording are what a single Writer would have cut, without
// deliveries that are ahead of their acknowledgements or samples ahead of what
// they are compared with. A feed without load (the audit) waits for nobody.
type Feed struct {
	w    *Writer
	name string

	mu  sync.Mutex // one payload at a time; before the Writer's cutMu
	dec *Decoder
	err error

	// Guarded by the Writer's cutMu.
	load    bool // a producer or a consumer came in
	through time.Duration
	held    []part
}

// Feed opens a feed. The name is for errors.
func (w *Writer) Feed(name string) *Feed {
	f := &Feed{w: w, name: name, dec: newDecoder(w.plan, w.info)}
	w.cutMu.Lock()
	defer w.cutMu.Unlock()
	w.feeds = append(w.feeds, f)
	return f
}

var errSealed = errors.New("the recording is closed")

// Absorb takes the next payload, which the caller may use again; through is the scenario time up
// to which the part has now told everything. A payload that is damaged, or that
// another feed's streams stand in, is refused: nothing of it is recorded, and
// nothing more is taken from this feed.
func (f *Feed) Absorb(payload []byte, through time.Duration) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return f.err
	}
	p, in, err := f.read(payload)
	w := f.w
	w.cutMu.Lock()
	defer w.cutMu.Unlock()
	if err == nil && w.sealed {
		err = errSealed
	}
	if err == nil {
		err = f.claim(in)
	}
	if err != nil {
		f.err = fmt.Errorf("record: part of %s: %w", f.name, err)
		f.leave()
		return f.err
	}
	for s, x := range in {
		if x.seconds != nil {
			w.streamOf(s).put(x.seconds)
		}
	}
	f.through = max(f.through, through)
	p.through = f.through
	if p.size() > 0 {
		f.held = append(f.held, p)
	}
	w.cut() // samples stand in the block of what they are compared with
	if len(w.pending) > wakeAt {
		w.over.Store(true)
		w.poke()
	}
	return nil
}

// Flush puts what is held into the recording now. It is for the moments when
// what was recorded until then must be there.
func (f *Feed) Flush() {
	f.w.cutMu.Lock()
	defer f.w.cutMu.Unlock()
	f.w.merge([]*Feed{f}, math.MaxInt64, false)
}

// Close says that nothing more comes. What came stays.
func (f *Feed) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = fmt.Errorf("record: part of %s: closed", f.name)
	}
	f.w.cutMu.Lock()
	defer f.w.cutMu.Unlock()
	f.leave()
}

// leave lets nobody wait for the feed any more; cutMu is held.
func (f *Feed) leave() {
	w := f.w
	i := slices.Index(w.feeds, f)
	if i < 0 {
		return
	}
	w.merge([]*Feed{f}, math.MaxInt64, false)
	w.feeds = slices.Delete(w.feeds, i, i+1)
	w.release()
}

// arrival is what a payload says about one stream.
type arrival struct {
	seconds map[int]*counts
}

// read checks a payload and takes it apart.
func (f *Feed) read(payload []byte) (part, map[Stream]*arrival, error) {
	var p part
	in := map[Stream]*arrival{}
	touch := func(actor byte, owner int) *arrival {
		s := Stream{Actor(actor), owner}
		if in[s] == nil {
			in[s] = &arrival{}
		}
		return in[s]
	}
	for c := (cursor{b: payload}); len(c.b) > 0; {
		rest := c.b
		kind, of, owner, _ := c.section()
		if c.bad {
			return p, nil, errSection
		}
		raw := rest[:len(rest)-len(c.b)]
		switch kind {
		case sectionProducer:
			p.producers = append(p.producers, raw...)
		case sectionConsumer:
			p.consumers = append(p.consumers, raw...)
		case sectionAudit:
			p.audit = append(p.audit, raw...)
		default:
			p.meta = append(p.meta, raw...)
		}
		switch kind {
		case sectionProducer, sectionConsumer, sectionAudit:
			touch(kind, owner)
		case sectionReason:
			touch(of, owner)
		case sectionSegment:
			touch(sectionProducer, owner)
		case sectionChange, sectionState:
			touch(sectionConsumer, owner)
		case sectionAuditMark:
			touch(sectionAudit, 0)
			if owner >= len(f.w.plan.Topics) {
				return p, nil, errSection
			}
		default:
			return p, nil, fmt.Errorf("got section kind %d, want what clients record", kind)
		}
	}
	for s := range in {
		if s.Actor != ActorProducer && s.Actor != ActorConsumer && (s.Actor != ActorAudit || s.Index != 0) {
			return p, nil, errSection
		}
		if _, err := f.dec.stream(s); err != nil {
			return p, nil, fmt.Errorf("stream %d of kind %d is not in the plan", s.Index, s.Actor)
		}
	}
	b, err := f.dec.Decode(payload)
	if err != nil {
		return p, nil, err
	}
	err = b.Spans(func(s Stream, spans []Span) error {
		x := in[s]
		if x.seconds == nil {
			x.seconds = map[int]*counts{}
		}
		for i := range spans {
			if !belongs(s.Actor, spans[i].Op) {
				return errSection
			}
			if at := spans[i].At; at >= 0 {
				made(x.seconds, int(at/time.Second)).add(&spans[i])
			}
		}
		return nil
	})
	return p, in, err
}

func made(m map[int]*counts, k int) *counts {
	if m[k] == nil {
		m[k] = new(counts)
	}
	return m[k]
}

// belongs tells whether spans of an op stand in streams of an actor.
func belongs(a Actor, op Op) bool {
	switch op {
	case OpAccepted, OpAcked, OpFailed, OpUnknown, OpLate:
		return a == ActorProducer
	case OpDelivered, OpPosition, OpDropped:
		return a == ActorConsumer
	case OpForeign:
		return a == ActorConsumer || a == ActorAudit
	case OpAudited, OpAborted:
		return a == ActorAudit
	}
	return false
}

// claim makes the streams that came in the feed's own; cutMu is held. Bytes of
// two writers in one stream could not be read.
func (f *Feed) claim(in map[Stream]*arrival) error {
	w := f.w
	for s := range in {
		if o := w.owners[s]; o != nil && o != f {
			return fmt.Errorf("stream %d of kind %d comes from %s already", s.Index, s.Actor, o.name)
		}
	}
	if w.owners == nil {
		w.owners = map[Stream]*Feed{}
	}
	for s := range in {
		w.owners[s] = f
		f.load = f.load || s.Actor != ActorAudit
	}
	return nil
}

func (w *Writer) streamOf(s Stream) *stream {
	switch s.Actor {
	case ActorProducer:
		return w.producers[s.Index]
	case ActorConsumer:
		return w.consumers[s.Index]
	}
	return w.audit
}

// put adds what was counted of the stream elsewhere.
func (s *stream) put(seconds map[int]*counts) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for second, c := range seconds {
		s.seconds.put(second, *c)
	}
}

// horizon is the scenario time up to which all feeds with load have told
// everything; cutMu is held.
func (w *Writer) horizon() time.Duration {
	t := time.Duration(math.MaxInt64)
	for _, f := range w.feeds {
		if f.load {
			t = min(t, f.through)
		}
	}
	return t
}

// Through is the scenario time up to which the recording is complete at now,
// which is now where all of it is recorded here.
func (w *Writer) Through(now time.Duration) time.Duration {
	w.cutMu.Lock()
	defer w.cutMu.Unlock()
	return min(now, w.horizon())
}

// release moves into the recording what no feed is behind of; cutMu is held.
func (w *Writer) release() { w.merge(w.feeds, w.horizon(), true) }

// releaseAll moves everything; cutMu is held.
func (w *Writer) releaseAll() { w.merge(w.feeds, math.MaxInt64, true) }

// merge makes one payload of what feeds hold up to a scenario time, and of what
// was cut here; cutMu is held.
func (w *Writer) merge(feeds []*Feed, to time.Duration, own bool) {
	var parts []part
	held := 0
	move := func(from []part, to time.Duration) []part {
		n := 0
		for n < len(from) && from[n].through <= to {
			n++
		}
		parts = append(parts, from[:n]...)
		from = slices.Delete(from, 0, n)
		for i := range from {
			held += from[i].size()
		}
		return from
	}
	if own {
		w.own = move(w.own, to)
	}
	for _, f := range feeds {
		if f.load {
			f.held = move(f.held, to)
		} else {
			f.held = move(f.held, math.MaxInt64)
		}
	}
	if len(parts) > 0 {
		n := 0
		for i := range parts {
			n += parts[i].size()
		}
		payload := make([]byte, 0, n)
		for _, of := range [...]func(*part) []byte{
			func(p *part) []byte { return p.meta },
			func(p *part) []byte { return p.producers },
			func(p *part) []byte { return p.consumers },
			func(p *part) []byte { return p.audit },
		} {
			for i := range parts {
				payload = append(payload, of(&parts[i])...)
			}
		}
		w.enqueue(payload)
	}
	if held > maxWaiting {
		w.mu.Lock()
		w.fail(fmt.Errorf("record: evidence: %d MB wait for a part of the run that does not tell anything", held>>20))
		w.mu.Unlock()
	}
}
