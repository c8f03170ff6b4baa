package network

// This file defines when a delayed packet may go on: a scheduler that knows packets
// by number and size only, and time as what it is told. The kernel keeps the packets.
//
//	a packet arrives on a path that is       it
//	whole, or has no rule                    goes on at once
//	cut                                      is dropped
//	slow, and its narrow place is full       is dropped
//	slow                                     waits: first for the bytes before it to
//	                                         leave the narrow place, then for latency ±
//	                                         jitter, and never overtakes one before it
//
//	the rules change while it waits, and now the path is    it
//	the same                                                waits on
//	whole, or has no rule                                   goes on at once, in order
//	cut, or the host is dark                                is dropped
//	slow in another way                                     starts anew, but is never later than before
//
// The times are those of the embedded engine: jitter is uniform between latency −
// jitter, but not below 0, and latency + jitter.

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"starfall/interp/plan"
)

const (
	// A narrow path has room for a thousand full-size packets (netem's limit), or for
	// what it lets through in a second where that is less; what comes beyond is
	// dropped, so that TCP learns of it.
	roomBytes = 1000 * 1500
	roomTime  = time.Second
	// What is on its way is bounded too, on each path and in all. TCP's windows end
	// well below.
	maxPathBytes    = 64 << 20
	maxPathPackets  = 32 << 10
	maxTotalBytes   = 256 << 20
	maxTotalPackets = 128 << 10
)

// ends are the addresses of a packet as this host sees them, and its direction. As the
// key of a rule, a local address of zeros is any.
type ends struct {
	local, peer [4]byte
	out         bool
}

// packet is one that the kernel keeps and wants a verdict for.
type packet struct {
	ends  ends
	queue uint16
	id    uint32
	size  int // bytes, of a packet that is to be segmented in full
}

// verdict is what the kernel is to do with a packet.
type verdict struct {
	queue  uint16
	id     uint32
	accept bool
}

// lane is the path of one rule.
type lane struct {
	condition plan.Condition
	busy      time.Duration // when the last byte has left the narrow place
	last      time.Duration // when the last packet goes on
	bytes     int           // held
	packets   int           // held
	dropped   uint64
	late      time.Duration // the most that a packet was held beyond its time
}

type held struct {
	packet
	lane *lane
	due  time.Duration
	seq  uint64 // order among equals
}

func before(a, b held) int {
	return cmp.Or(cmp.Compare(a.due, b.due), cmp.Compare(a.seq, b.seq))
}

// scheduler holds the packets of a namespace. It is not safe for concurrent use.
type scheduler struct {
	rng   *rand.Rand
	lanes map[ends]*lane
	dark  bool
	heap  []held // by before
	seq   uint64
	bytes int
}

func newScheduler(seed uint64) *scheduler {
	return &scheduler{rng: rand.New(rand.NewPCG(seed, 0x6e6574)), lanes: map[ends]*lane{}}
}

func (s *scheduler) lane(e ends) *lane {
	if l, ok := s.lanes[e]; ok {
		return l
	}
	return s.lanes[ends{peer: e.peer, out: e.out}]
}

// arrive decides on a packet. It reports false when the packet has to wait.
func (s *scheduler) arrive(now time.Duration, p packet) (verdict, bool) {
	v := verdict{p.queue, p.id, true}
	l := s.lane(p.ends)
	switch {
	case s.dark:
		return verdict{p.queue, p.id, false}, true
	case l == nil:
		return v, true
	case cut(l.condition):
		v.accept = false
		return v, true
	case !l.room(now) || s.bytes >= maxTotalBytes || len(s.heap) >= maxTotalPackets:
		l.dropped++
		v.accept = false
		return v, true
	}
	due := s.time(now, l, p.size)
	if due <= now {
		return v, true
	}
	s.hold(p, l, due)
	return verdict{}, false
}

// room says whether a path can take one more packet. It asks for the backlog without
// it, so that a packet larger than the room passes through an idle path.
func (l *lane) room(now time.Duration) bool {
	if l.bytes >= maxPathBytes || l.packets >= maxPathPackets {
		return false
	}
	if l.condition.Bandwidth == 0 {
		return true
	}
	backlog := l.busy - now
	return backlog < roomTime && backlog.Seconds()*l.condition.Bandwidth < roomBytes
}

// time sends size bytes over a path and says when they arrive.
func (s *scheduler) time(now time.Duration, l *lane, size int) time.Duration {
	at := now
	c := l.condition
	if c.Bandwidth > 0 {
		l.busy = max(l.busy, now) + transmission(size, c.Bandwidth)
		at = l.busy
	}
	lowest := max(c.Latency-c.Jitter, 0).Std()
	at += lowest
	if c.Jitter > 0 {
		at += time.Duration(s.rng.Int64N(int64((c.Latency+c.Jitter).Std()-lowest) + 1))
	}
	l.last = max(l.last, at)
	return l.last
}

// transmission is how long bytes take through a bandwidth, an hour at most: the
// least of bandwidths is no overflow.
func transmission(size int, bandwidth float64) time.Duration {
	return time.Duration(min(float64(size)/bandwidth, time.Hour.Seconds()) * float64(time.Second))
}

func (s *scheduler) hold(p packet, l *lane, due time.Duration) {
	l.bytes += p.size
	l.packets++
	s.bytes += p.size
	s.seq++
	s.heap = append(s.heap, held{p, l, due, s.seq})
	for i := len(s.heap) - 1; i > 0; {
		up := (i - 1) / 2
		if before(s.heap[up], s.heap[i]) < 0 {
			break
		}
		s.heap[up], s.heap[i] = s.heap[i], s.heap[up]
		i = up
	}
}

// next is the time of the next packet to go on.
func (s *scheduler) next() (time.Duration, bool) {
	if len(s.heap) == 0 {
		return 0, false
	}
	return s.heap[0].due, true
}

// release appends the verdicts that are due.
func (s *scheduler) release(now time.Duration, out []verdict) []verdict {
	for len(s.heap) > 0 && s.heap[0].due <= now {
		h := s.heap[0]
		last := len(s.heap) - 1
		s.heap[0] = s.heap[last]
		s.heap = s.heap[:last]
		for i := 0; ; {
			least := i
			for child := 2*i + 1; child <= 2*i+2 && child < last; child++ {
				if before(s.heap[child], s.heap[least]) < 0 {
					least = child
				}
			}
			if least == i {
				break
			}
			s.heap[i], s.heap[least] = s.heap[least], s.heap[i]
			i = least
		}
		h.lane.bytes -= h.size
		h.lane.packets--
		h.lane.late = max(h.lane.late, now-h.due)
		s.bytes -= h.size
		out = append(out, verdict{h.queue, h.id, true})
	}
	return out
}

// replace puts other rules in force and gives the verdicts that follow for packets
// that wait.
func (s *scheduler) replace(now time.Duration, rules map[ends]plan.Condition, dark bool) []verdict {
	lanes := make(map[ends]*lane, len(rules))
	for e, c := range rules {
		l := s.lanes[e]
		if l == nil || l.condition != c {
			l = &lane{condition: c}
		}
		l.bytes, l.packets = 0, 0
		lanes[e] = l
	}
	waiting := s.heap
	slices.SortFunc(waiting, before)
	s.lanes, s.dark, s.heap, s.bytes = lanes, dark, nil, 0
	var out []verdict
	for _, h := range waiting {
		l := s.lane(h.ends)
		switch {
		case dark || l != nil && cut(l.condition):
			out = append(out, verdict{h.queue, h.id, false})
		case l == nil || !slow(l.condition):
			out = append(out, verdict{h.queue, h.id, true})
		case l == h.lane:
			s.hold(h.packet, l, h.due)
		default:
			l.last = min(s.time(now, l, h.size), h.due)
			s.hold(h.packet, l, l.last)
		}
	}
	return out
}
