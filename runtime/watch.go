// This file defines what the run reads from its own recording while it goes
// on: rates for the live screen and positions for the end of the drain.

package runtime

import (
	"sync"
	"time"

	"starfall/runtime/record"
)

// blocks is a recording that is followed. *record.Follower is one.
type blocks interface {
	Next(func(*record.Block) error) error
}

// watcher follows the recording.
type watcher struct {
	clock *clock
	// observers are the consumers, by index in the plan, whose deliveries are
	// not those of a client.
	observers map[int32]bool

	mu        sync.Mutex
	from      blocks
	err       error
	at        time.Duration // of the last look
	positions map[position]read
	arrived   map[int32]time.Duration // by consumer: the last delivery
	counts    counts
	seconds   []countsAt // the last second or more, for rates
}

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

func newWatcher(c *clock, from blocks) *watcher {
	return &watcher{
		clock: c, from: from,
		positions: make(map[position]read), arrived: make(map[int32]time.Duration),
		observers: make(map[int32]bool),
	}
}

// look reads what was recorded since the last look; w.mu is held.
func (w *watcher) look() {
	if w.err != nil {
		return
	}
	w.err = w.from.Next(func(b *record.Block) error {
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
	consumer := int32(s.Index)
	switch x.Op {
	case record.OpAccepted:
		w.counts.sent += uint64(x.N)
	case record.OpAcked:
		w.counts.acked += uint64(x.N)
	case record.OpDelivered, record.OpForeign:
		if s.Actor != record.ActorConsumer {
			return
		}
		if !w.observers[consumer] {
			w.counts.delivered += uint64(x.N)
		}
		w.arrived[consumer] = max(w.arrived[consumer], x.At)
		w.read(position{consumer, x.Topic, x.Partition}, x.At, x.Offset+int64(x.N))
	case record.OpDropped:
		w.arrived[consumer] = max(w.arrived[consumer], x.At)
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
	at, ok := w.arrived[consumer]
	return ok && at >= since
}

// failure is why the recording could no longer be followed, nil while it can.
func (w *watcher) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}
