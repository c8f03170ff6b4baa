// This file defines how a mirror translates offsets: the pairs of offsets that it
// keeps of each partition, and where a group's position in the source lies in the
// copy (MirrorMaker 2's OffsetSyncStore, KIP-545, Kafka 3.9).

package kafka

// syncsKept is how many pairs are kept of a partition: one for each bit of an
// offset.
const syncsKept = 64

// syncPoint says that the record at offset up of the source is at offset down of
// the copy.
type syncPoint struct{ up, down int64 }

// offsetSyncs are the pairs of one partition, the newest first. The further back,
// the fewer are kept:
//
//	place  holds
//	0      the newest pair
//	j > i  a pair not older than that at i by more than 2^j - 2^i offsets
//	j > i  the same pair as at i, or one older by at least 2^max(i-2, 0) offsets
//
// So a position close behind the newest pair is translated exactly, and one far
// behind to a record before it: never to one behind it, as that would skip records.
type offsetSyncs struct {
	points [syncsKept]syncPoint
	any    bool
}

// add takes a pair. One that lies before the newest says that the source was cut
// or made anew: all others are wrong then.
func (s *offsetSyncs) add(x syncPoint) {
	if !s.any || x.up < s.points[0].up {
		s.any = true
		for i := range s.points {
			s.points[i] = x
		}
		return
	}
	old := s.points
	s.points[0] = x
	candidate, next := x, 0
	for i := 1; i < syncsKept; i++ {
		before := s.points[i-1]
		for {
			o := old[next]
			apart := farEnough(before, o, i-1)
			keep := apart && nearEnough(before, o, i-1, i) && (i+1 == syncsKept || farEnough(o, s.points[i+1], i))
			if keep {
				candidate = o
			}
			skip := !apart || next+1 < syncsKept && old[next+1] == o
			if keep || skip {
				next++
			}
			if !skip || next >= i {
				break
			}
		}
		if nearEnough(before, s.points[i], i-1, i) {
			return // and so it is at all later places
		}
		s.points[i] = candidate
	}
}

// nearEnough is the second line of the table, for places i < j; sums that overflow
// are far beyond every offset.
func nearEnough(a, b syncPoint, i, j int) bool {
	bound := b.up + 1<<j - 1<<i
	return a == b || bound < 0 || a.up <= bound
}

// farEnough is the third.
func farEnough(a, b syncPoint, i int) bool {
	bound := b.up + 1<<max(i-2, 0)
	return a == b || bound >= 0 && a.up >= bound
}

// translate gives the position in the copy for one in the source; false when it
// lies before all that is known. Behind a pair it is one record further at most:
// how many of those that follow are in the copy yet, nobody knows.
func (s *offsetSyncs) translate(up int64) (int64, bool) {
	if !s.any {
		return 0, false
	}
	for _, p := range s.points {
		switch {
		case p.up == up:
			return p.down, true
		case p.up < up:
			return p.down + 1, true
		}
	}
	return 0, false
}
