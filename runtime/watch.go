// This file defines what the run reads from its own recording while it goes
// on: rates for the live screen and positions for the end of the drain.

package runtime

import (
	"sync"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

// blocks is a recording that is followed. *record.Follower is one.
type blocks interface {
	Next(func(*record.Block) error) error
}

// watcher follows the recording.
type watcher struct {
	clock *clock

	mu        sync.Mutex
	from      blocks
	err       error
	at        time.Duration // of the last look
	positions map[position]read
	producers []fates // by index in the plan
	consumers []deliveries
	counts    counts
	seconds   []countsAt // the last second or more, for rates
}

// fates is what became of a producer's records. A record that is sent again
// after a crash counts each time.
type fates struct {
	accepted, acked, failed, unknown uint64
	took                             *latencies // nil: nobody asks
}

// deliveries is what came to a consumer.
type deliveries struct {
	observer bool // whose deliveries are not those of a client
	n        uint64
	any      bool
	last     time.Duration // of the last, also of one that dedup held back
}

func (d *deliveries) arrived(at time.Duration) { d.any, d.last = true, max(d.last, at) }

// position is a partition as a group reads it; all by index in the plan.
type position struct {
	consumer, topic, partition int32
}

// read is how far a group has read a partition: the last that was reported,
// since a truncated log is read again from an earlier offset. Within one moment
// of the recording's resolution reports have no order, and the furthest counts.
type read struct {
	at   time.Duration
	next int64
}

func (r read) report(at time.Duration, next int64) read {
	if at == r.at {
		next = max(next, r.next)
	}
	return read{at, next}
}

type counts struct{ sent, acked, delivered uint64 }

type countsAt struct {
	at time.Duration
	counts
}

// newWatcher follows a recording of a plan, with latencies when somebody asks
// for them.
func newWatcher(p *plan.Plan, c *clock, from blocks, latency bool) *watcher {
	w := &watcher{
		clock: c, from: from, positions: make(map[position]read),
		producers: make([]fates, len(p.Producers)), consumers: make([]deliveries, len(p.Consumers)),
	}
	for i := range w.producers {
		if latency {
			w.producers[i].took = new(latencies)
		}
	}
	for i, x := range p.Consumers {
		w.consumers[i].observer = x.Observes != ""
	}
	return w
}

// look reads what was recorded since the last look; w.mu is held.
func (w *watcher) look() {
	if w.err != nil {
		return
	}
	w.err = w.from.Next(func(b *record.Block) error {
		for _, n := range b.Segments {
			if n.Producer < len(w.producers) && w.producers[n.Producer].took != nil {
				w.producers[n.Producer].took.segment(n)
			}
		}
		return b.Spans(func(s record.Stream, spans []record.Span) error {
			for i := range spans {
				w.span(s, &spans[i])
			}
			return nil
		})
	})
	w.at = w.clock.Now()
	w.seconds = append(w.seconds, countsAt{w.at, w.counts})
	for len(w.seconds) > 2 && w.at-w.seconds[1].at >= time.Second {
		w.seconds = w.seconds[1:]
	}
}

func (w *watcher) span(s record.Stream, x *record.Span) {
	switch s.Actor {
	case record.ActorProducer:
		w.fate(&w.producers[s.Index], x)
	case record.ActorConsumer:
		w.delivered(int32(s.Index), x)
	}
}

// fate takes a span of a producer.
func (w *watcher) fate(p *fates, x *record.Span) {
	n := uint64(x.N)
	switch x.Op {
	case record.OpAccepted:
		w.counts.sent += n
		p.accepted += n
	case record.OpAcked:
		w.counts.acked += n
		p.acked += n
		if p.took != nil {
			p.took.acked(x)
		}
	case record.OpFailed:
		p.failed += n
	case record.OpUnknown:
		p.unknown += n
	}
}

// delivered takes a span of a consumer.
func (w *watcher) delivered(consumer int32, x *record.Span) {
	d := &w.consumers[consumer]
	switch x.Op {
	case record.OpDelivered, record.OpForeign:
		if d.n += uint64(x.N); !d.observer {
			w.counts.delivered += uint64(x.N)
		}
		d.arrived(x.At)
		w.read(position{consumer, x.Topic, x.Partition}, x.At, x.Offset+int64(x.N))
	case record.OpDropped:
		d.arrived(x.At)
		w.read(position{consumer, x.Topic, x.Partition}, x.At, x.Offset+int64(x.N))
	case record.OpPosition:
		w.read(position{consumer, x.Topic, x.Partition}, x.At, x.Offset)
	}
}

func (w *watcher) read(p position, at time.Duration, next int64) {
	w.positions[p] = w.positions[p].report(at, next)
}

// rates gives records a second of scenario time over the last second.
func (w *watcher) rates() (sent, acked, delivered float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.look()
	if len(w.seconds) == 0 {
		return 0, 0, 0
	}
	first := w.seconds[0]
	elapsed := (w.at - first.at).Seconds()
	if elapsed <= 0 {
		return 0, 0, 0
	}
	per := func(now, before uint64) float64 { return float64(now-before) / elapsed }
	return per(w.counts.sent, first.sent), per(w.counts.acked, first.acked), per(w.counts.delivered, first.delivered)
}

// reached tells whether a group has read each partition up to its end, by what
// was delivered to it. Group offsets committed may say so for the rest.
func (w *watcher) reached(consumer int32, ends map[position]int64) (missing []position) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.look()
	for p, end := range ends {
		if p.consumer == consumer && w.positions[p].next < end {
			missing = append(missing, p)
		}
	}
	return missing
}

// arriving tells whether a group got records since a scenario time.
func (w *watcher) arriving(consumer int32, since time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	d := w.consumers[consumer]
	return d.any && d.last >= since
}

// progress gives what became of the records of each producer, in order of the
// plan, as of the last look.
func (w *watcher) progress(p *plan.Plan) []ProducerProgress {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make([]ProducerProgress, len(w.producers))
	for i, x := range w.producers {
		out[i] = ProducerProgress{
			Name: p.Producers[i].Name, Accepted: x.accepted, Acked: x.acked, Failed: x.failed, Unknown: x.unknown,
		}
		if x.took != nil {
			out[i].Latency, out[i].LatencySum = x.took.cumulative(), x.took.sum
		}
	}
	return out
}

// consumed gives how many records came to a consumer, as of the last look, and
// how far it has read each of some partitions; -1 for one of which it has not
// told.
func (w *watcher) consumed(consumer int32, of []position) (n uint64, next []int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	next = make([]int64, len(of))
	for i, p := range of {
		next[i] = -1
		if r, ok := w.positions[p]; ok {
			next[i] = r.next
		}
	}
	return w.consumers[consumer].n, next
}

// failure is why the recording could no longer be followed, nil while it can.
func (w *watcher) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}
