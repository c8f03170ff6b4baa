// This file defines Writer: the side of a recording that a run writes to.

package record

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"starfall/interp/plan"
)

// sink is where a Writer puts what it has: a folder or memory. Its methods are
// called by one goroutine at a time.
type sink interface {
	block(payload []byte) error
	journal(lines []byte) error
	series(name string, head string, rows []byte) error
	size() int64                   // of the blocks so far
	seriesSizes() map[string]int64 // bytes so far, by file
	close() error
}

// maxWaiting is how many bytes may wait for a slow disk before records are
// dropped and the recording is declared broken.
const maxWaiting = 256 << 20

// flushEvery is how much wall time of a run a crash may cost.
const flushEvery = time.Second

// Writer writes a recording. All methods are safe for use by many goroutines
// and none but Flush and Close waits for the disk.
type Writer struct {
	names
	info Info
	mem  *memory // nil when writing to a folder

	waiting atomic.Int64
	over    atomic.Bool

	mu        sync.Mutex // guards what follows
	producers []*stream
	consumers []*stream
	audit     *stream
	meta      []byte        // sections other than spans
	metaAt    time.Duration // of the latest sample in it
	lines     []byte        // of the journal
	events    []Event
	samples   []Sample // not yet in a series
	err       error
	closed    bool

	cutMu     sync.Mutex // one cut at a time; before mu
	pending   []byte     // cut, not yet in a block
	followers []*Follower
	feeds     []*Feed // that are open
	owners    map[Stream]*Feed
	own       []part // cut here, waiting for the feeds: see release
	sealed    bool   // no feed may add any more

	flushMu sync.Mutex // one flush at a time; before cutMu
	out     sink
	series  seriesState

	failed chan struct{}
	wake   chan struct{}
	quit   chan struct{}
	done   chan struct{}
}

func newWriter(p *plan.Plan, info Info, out sink) *Writer {
	info.Format = Format
	w := &Writer{
		names: newNames(p), info: info, out: out,
		failed: make(chan struct{}), wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
	}
	for i := range p.Producers {
		w.producers = append(w.producers, w.newStream(sectionProducer, i))
	}
	for i := range p.Consumers {
		w.consumers = append(w.consumers, w.newStream(sectionConsumer, i))
	}
	w.audit = w.newStream(sectionAudit, 0)
	return w
}

func (w *Writer) newStream(kind byte, owner int) *stream {
	s := &stream{w: w, kind: kind, owner: owner}
	s.enc.shape = newShape(w.plan, w.info, kind == sectionConsumer)
	return s
}

// Info gives the conditions of the run.
func (w *Writer) Info() Info { return w.info }

// Producer gives the log of a producer's member, counted from 1. All logs of
// one member are the same log. It panics on a producer that the plan has not.
func (w *Writer) Producer(name string, member int) *ProducerLog {
	i, ok := w.names.producers[name]
	if !ok {
		panic(fmt.Sprintf("record: producer %q: not in the plan", name))
	}
	return &ProducerLog{s: w.producers[i], producer: int32(i), member: int32(member), topic: int32(w.topics[w.plan.Producers[i].Topic])}
}

// Consumer gives the log of a consumer's member, counted from 1. It panics on
// a consumer that the plan has not.
func (w *Writer) Consumer(name string, member int) *ConsumerLog {
	i, ok := w.names.consumers[name]
	if !ok {
		panic(fmt.Sprintf("record: consumer %q: not in the plan", name))
	}
	return &ConsumerLog{s: w.consumers[i], consumer: i, member: int32(member), topics: w.topics}
}

// Audit gives the log for the audit of one partition, read from logStart to
// highWater (exclusive). It panics on a topic that the plan has not.
func (w *Writer) Audit(topic string, partition int32, logStart, highWater int64) *AuditLog {
	i, ok := w.topics[topic]
	if !ok {
		panic(fmt.Sprintf("record: topic %q: not in the plan", topic))
	}
	return &AuditLog{s: w.audit, mark: AuditMark{Topic: i, Partition: partition, LogStart: logStart, HighWater: highWater}}
}

// Event writes a line of the journal.
func (w *Writer) Event(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	lines, err := appendEvent(w.lines, e)
	if err != nil {
		w.fail(fmt.Errorf("record: journal: %w", err))
		return
	}
	w.lines = lines
	w.events = append(w.events, e)
	w.poke()
}

// Events gives the journal so far, in the order of its recording.
func (w *Writer) Events() []Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.events[:len(w.events):len(w.events)]
}

// Sample writes what a cluster looked like. A cluster that the plan has not is
// left out.
func (w *Writer) Sample(s Sample) {
	i, ok := w.clusters[s.Cluster]
	if !ok {
		return
	}
	body := appendSample(nil, s, w.topics)
	w.mu.Lock()
	w.metaAt = max(w.metaAt, s.At)
	w.meta = appendSection(w.meta, sectionSample, i, body)
	w.samples = append(w.samples, s)
	w.mu.Unlock()
}

func (w *Writer) segment(n SegmentNote) {
	body := appendSegment(nil, n)
	w.mu.Lock()
	w.meta = appendSection(w.meta, sectionSegment, n.Producer, body)
	w.mu.Unlock()
}

func (w *Writer) change(g GroupChange) {
	body := appendChange(nil, g)
	w.mu.Lock()
	w.meta = appendSection(w.meta, sectionChange, g.Consumer, body)
	w.mu.Unlock()
}

func (w *Writer) state(n StateNote) {
	body := appendState(nil, n)
	w.mu.Lock()
	w.meta = appendSection(w.meta, sectionState, n.Consumer, body)
	w.mu.Unlock()
}

func (w *Writer) audited(m AuditMark) {
	body := appendMark(nil, m)
	w.mu.Lock()
	w.meta = appendSection(w.meta, sectionAuditMark, m.Topic, body)
	w.mu.Unlock()
}

// poke wakes the flusher.
func (w *Writer) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// waits counts bytes that wait for the disk.
func (w *Writer) waits(n int) {
	total := w.waiting.Add(int64(n))
	if n > 0 && total > wakeAt {
		w.over.Store(true)
		w.poke()
	}
}

// fail keeps the first error; w.mu is held.
func (w *Writer) fail(err error) {
	if w.err == nil {
		w.err = err
		close(w.failed)
	}
}

// Err is the first error of writing, nil while all is well. A recording with
// an error cannot bear a verdict.
func (w *Writer) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Failed is closed at the first error of writing.
func (w *Writer) Failed() <-chan struct{} { return w.failed }

// cut moves what all logs have into pending and to the followers, as far as
// the feeds have come; cutMu is held. Spans are taken first: what a span refers
// to is in the same block.
func (w *Writer) cut() {
	if p := w.take(); p.size() > 0 {
		w.own = append(w.own, p)
	}
	w.release()
}

// take empties the logs; cutMu is held.
func (w *Writer) take() part {
	var p part
	for _, s := range w.producers {
		p.producers = s.cut(p.producers)
	}
	// What is in a copy shows in what its observer read: that stands before the
	// deliveries that are compared with it.
	for _, observers := range []bool{true, false} {
		for i, s := range w.consumers {
			if (w.plan.Consumers[i].Observes != "") == observers {
				p.consumers = s.cut(p.consumers)
			}
		}
	}
	p.audit = w.audit.cut(p.audit)
	w.mu.Lock()
	p.meta, p.through = w.meta, w.metaAt
	w.meta = nil
	w.mu.Unlock()
	return p
}

// enqueue gives a payload to the followers and to the disk; cutMu is held. The
// payload is kept.
func (w *Writer) enqueue(payload []byte) {
	if len(payload) == 0 {
		return
	}
	for _, f := range w.followers {
		f.queue = append(f.queue, payload)
	}
	if w.Err() != nil {
		return
	}
	if len(w.pending)+len(payload) > maxWaiting {
		w.mu.Lock()
		w.fail(fmt.Errorf("record: evidence: %d MB wait for the disk: it is too slow for this load", len(w.pending)>>20))
		w.mu.Unlock()
		w.pending = nil
		return
	}
	if w.pending == nil {
		w.pending = payload
		return
	}
	w.pending = append(w.pending, payload...)
}

// Flush writes all that was recorded before the call.
func (w *Writer) Flush() error {
	w.cutMu.Lock()
	w.cut()
	w.releaseAll()
	w.cutMu.Unlock()
	return w.flush()
}

// flush writes what can be written without getting ahead of the feeds.
func (w *Writer) flush() error {
	w.flushMu.Lock()
	defer w.flushMu.Unlock()
	w.cutMu.Lock()
	w.cut()
	payload := w.pending
	w.pending = nil
	w.cutMu.Unlock()
	return w.put(payload, true)
}

// flushJournal writes the journal only.
func (w *Writer) flushJournal() {
	w.flushMu.Lock()
	defer w.flushMu.Unlock()
	w.put(nil, false)
}

// put hands everything to the sink; flushMu is held.
func (w *Writer) put(payload []byte, series bool) error {
	w.mu.Lock()
	lines := w.lines
	w.lines = nil
	samples := w.samples
	w.samples = nil
	err := w.err
	w.mu.Unlock()
	if err != nil {
		return err
	}
	if len(lines) > 0 {
		if err = w.out.journal(lines); err != nil {
			err = fmt.Errorf("record: journal: %w", err)
		}
	}
	if err == nil && len(payload) > 0 {
		if err = w.out.block(payload); err != nil {
			err = fmt.Errorf("record: evidence: %w", err)
		}
	}
	w.series.samples = append(w.series.samples, samples...)
	if err == nil && series {
		if err = w.writeSeries(false); err != nil {
			err = fmt.Errorf("record: series: %w", err)
		}
	}
	if err != nil {
		w.mu.Lock()
		w.fail(err)
		w.mu.Unlock()
	}
	return err
}

// run is the goroutine that writes while the load runs.
func (w *Writer) run() {
	defer close(w.done)
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-w.quit:
			return
		case <-tick.C:
			w.flush()
		case <-w.wake:
			if w.over.Swap(false) {
				w.flush()
			} else {
				w.flushJournal()
			}
		}
	}
}

// Close ends the recording at the given scenario time and waits for the disk.
// Only a recording that was closed is whole. The error is the first of the
// whole recording.
func (w *Writer) Close(at time.Duration) error {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return w.Err()
	}
	w.mu.Unlock()
	close(w.quit)
	<-w.done
	w.cutMu.Lock()
	w.sealed = true
	w.cutMu.Unlock()
	w.Flush()
	w.flushMu.Lock()
	defer w.flushMu.Unlock()
	// The last rows first, so that the journal can say how long all files are.
	err := w.Err()
	if err == nil {
		if err = w.writeSeries(true); err != nil {
			err = fmt.Errorf("record: series: %w", err)
			w.mu.Lock()
			w.fail(err)
			w.mu.Unlock()
		}
	}
	w.Event(Event{At: at, Kind: KindClosed, Bytes: w.out.size(), Files: w.out.seriesSizes()})
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	if perr := w.put(nil, false); err == nil {
		err = perr
	}
	if cerr := w.out.close(); err == nil {
		err = cerr
	}
	return err
}

// Follower reads a recording while it is written.
type Follower struct {
	w     *Writer
	queue [][]byte // guarded by w.cutMu
	dec   *Decoder
}

// Follow starts a Follower. It is to be called before the load starts: what was
// recorded before is not seen. Next is to be called about once a second or more
// often, as what it has not read is kept in memory.
func (w *Writer) Follow() *Follower {
	f := &Follower{w: w, dec: newDecoder(w.plan, w.info)}
	w.cutMu.Lock()
	defer w.cutMu.Unlock()
	w.cut()
	w.followers = append(w.followers, f)
	return f
}

// Reason is the text of Span.Reason in a stream, once Next has read it.
func (f *Follower) Reason(s Stream, n uint32) string { return f.dec.Reason(s, n) }

// Next calls fn with all blocks up to now. It is not safe for use by several
// goroutines.
func (f *Follower) Next(fn func(*Block) error) error {
	f.w.cutMu.Lock()
	f.w.cut()
	queue := f.queue
	f.queue = nil
	f.w.cutMu.Unlock()
	for _, payload := range queue {
		b, err := f.dec.Decode(payload)
		if err != nil {
			return err
		}
		if err := fn(b); err != nil {
			return err
		}
	}
	return nil
}
