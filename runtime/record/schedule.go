// This file defines the pure functions that the load and the judge share: when
// a record is due, which key it has, and to which partition it goes.

package record

import (
	"math"
	"sort"
	"strconv"
	"time"
)

// Segment is a part of a member's schedule: the records from First on are due
// from At on, Rate of them a second of scenario time. With Rate 0 (as fast as
// possible) all of them are due at At. A segment ends where the next begins.
// Partitions is the number of partitions that the member sends to.
type Segment struct {
	First      uint64
	At         time.Duration
	Rate       float64
	Partitions int
}

// Due is the moment the segment's record seq is due.
func (s Segment) Due(seq uint64) time.Duration {
	if s.Rate <= 0 {
		return s.At
	}
	return s.At + time.Duration(float64(seq-s.First)*1e9/s.Rate)
}

// NextAfter is the first sequence number of the segment that is due later than t.
func (s Segment) NextAfter(t time.Duration) uint64 {
	if t < s.At {
		return s.First
	}
	if s.Rate <= 0 {
		return math.MaxUint64
	}
	seq := s.First + uint64(float64(t-s.At)*s.Rate/1e9)
	for seq > s.First && s.Due(seq) > t {
		seq--
	}
	for s.Due(seq) <= t {
		seq++
	}
	return seq
}

// Schedule is all segments of a member, in order of First.
type Schedule []Segment

// Segment finds the segment of seq; false before the first.
func (s Schedule) Segment(seq uint64) (Segment, bool) {
	i := sort.Search(len(s), func(i int) bool { return s[i].First > seq })
	if i == 0 {
		return Segment{}, false
	}
	return s[i-1], true
}

// Due is the moment seq is due; false when no segment says so.
func (s Schedule) Due(seq uint64) (time.Duration, bool) {
	g, ok := s.Segment(seq)
	return g.Due(seq), ok
}

// The stream constants keep keys and partitions of the same record unrelated.
const (
	streamKey       = 0x6b65790000000001
	streamPartition = 0x7061727400000002
)

func draw(stream uint64, seed int64, producer, member int, seq uint64) uint64 {
	x := mix(uint64(seed) ^ stream)
	x = mix(x ^ uint64(producer)<<32 ^ uint64(member))
	return mix(x + seq*0x9e3779b97f4a7c15)
}

// below maps a random 64-bit number to 0 … n-1.
func below(x uint64, n int) int { return int((x >> 32) * uint64(n) >> 32) }

// KeyOf is the index of a record's key, 0 to keys-1; 0 when there are no keys.
// Producer is the index in plan.Producers.
func KeyOf(seed int64, producer, member int, seq uint64, keys int) int {
	if keys <= 1 {
		return 0
	}
	return below(draw(streamKey, seed, producer, member, seq), keys)
}

// Key is the text of the key with that index, as it stands in the record.
func Key(index int) string { return "key-" + strconv.Itoa(index) }

// Partitioner chooses partitions for one member of a producer. The load asks
// it for each record and sends there; the judge asks it for which partition a
// record was due that nobody acknowledged.
type Partitioner struct {
	Kind     string // round_robin, hash, random or available, as in plan.Producer
	Seed     int64
	Producer int // index in plan.Producers
	Member   int // from 1
	Members  int // of the producer when the run starts: spreads round_robin
	Keys     int
	Owns     bool     // the member has partitions of its own (plan.Producer.Owns); set before use
	hashes   []uint32 // murmur2 of each key, filled for hash
}

// NewPartitioner prepares a Partitioner; keys are hashed once.
func NewPartitioner(kind string, seed int64, producer, member, members, keys int) *Partitioner {
	p := &Partitioner{Kind: kind, Seed: seed, Producer: producer, Member: member, Members: max(members, 1), Keys: keys}
	if kind == "hash" && keys > 0 {
		p.hashes = make([]uint32, keys)
		for i := range p.hashes {
			p.hashes[i] = murmur2([]byte(Key(i))) & 0x7fffffff
		}
	}
	return p
}

// Partition is where record seq goes when the topic has n partitions.
// round_robin starts each member at another partition. hash is Kafka's default
// for records with a key (murmur2 of the key); without keys it is random.
// available goes by turns as round_robin does: the answer is its first choice,
// and where the record really goes, the load alone knows.
//
// A member that owns partitions chooses among these in the same way: of n they
// are m-1, m-1+Members, … for member m. Where there are fewer partitions than
// members, members share them.
func (p *Partitioner) Partition(seq uint64, n int) int32 {
	if n <= 1 {
		return 0
	}
	first, step, own := p.Choices(n)
	start := uint64(0)
	if !p.Owns {
		start = uint64(p.Member-1) * uint64(n) / uint64(p.Members)
	}
	return int32(first + step*int(p.among(seq, own, start)))
}

// Choices are the partitions, of n, among which the member chooses: the first of
// them, the step to the next, and how many there are.
func (p *Partitioner) Choices(n int) (first, step, count int) {
	if !p.Owns || n <= 0 {
		return 0, 1, max(n, 0)
	}
	first = (p.Member - 1) % p.Members % n
	return first, p.Members, (n - first + p.Members - 1) / p.Members
}

// among chooses one of n; start is where turns begin.
func (p *Partitioner) among(seq uint64, n int, start uint64) int32 {
	switch {
	case p.Kind == "round_robin", p.Kind == "available":
		return int32((start + seq) % uint64(n))
	case p.Kind == "hash" && p.Keys > 0:
		return int32(p.hashes[KeyOf(p.Seed, p.Producer, p.Member, seq, p.Keys)] % uint32(n))
	}
	return int32(below(draw(streamPartition, p.Seed, p.Producer, p.Member, seq), n))
}

// murmur2 is the hash of Kafka's default partitioner
// (org.apache.kafka.common.utils.Utils.murmur2): MurmurHash2, 32 bits, with
// seed 0x9747b28c.
func murmur2(data []byte) uint32 {
	const m = 0x5bd1e995
	h := uint32(0x9747b28c) ^ uint32(len(data))
	for ; len(data) >= 4; data = data[4:] {
		k := uint32(data[0]) | uint32(data[1])<<8 | uint32(data[2])<<16 | uint32(data[3])<<24
		k *= m
		k ^= k >> 24
		k *= m
		h = h*m ^ k
	}
	switch len(data) {
	case 3:
		h ^= uint32(data[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(data[1]) << 8
		fallthrough
	case 1:
		h = (h ^ uint32(data[0])) * m
	}
	h ^= h >> 13
	h *= m
	return h ^ h>>15
}
