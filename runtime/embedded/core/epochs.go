package core

// This file defines the leader epochs of a log and where each of them begins, by which a
// follower finds out up to where its log agrees with its leader's (KIP-101, KIP-279).

import (
	"slices"
	"sort"
)

type epochStart struct {
	epoch int32
	start int64
}

// leaderEpochs are the leader epochs of a log, in order (Kafka's LeaderEpochFileCache).
//
// The latest one is kept beside the list because every append asks for it: the list itself
// lies elsewhere in memory.
type leaderEpochs struct {
	latest int32 // the last one's epoch, when there is one
	starts []epochStart
}

// last is the latest leader epoch, -1 when there is none.
func (e *leaderEpochs) last() int32 {
	if len(e.starts) == 0 {
		return -1
	}
	return e.latest
}

// begin notes that an epoch begins at an offset, unless it is known already.
func (e *leaderEpochs) begin(epoch int32, start int64) {
	if e.last() < epoch {
		e.starts = append(e.starts, epochStart{epoch, start})
		e.latest = epoch
	}
}

// dropFrom forgets the epochs that begin at an offset or behind it.
func (e *leaderEpochs) dropFrom(offset int64) {
	n := len(e.starts)
	for n > 0 && e.starts[n-1].start >= offset {
		n--
	}
	e.starts = e.starts[:n]
	if n > 0 {
		e.latest = e.starts[n-1].epoch
	}
}

// dropBefore forgets the epochs that end before an offset, where the log begins now.
func (e *leaderEpochs) dropBefore(offset int64) {
	first := 0
	for first+1 < len(e.starts) && e.starts[first+1].start <= offset {
		first++
	}
	if len(e.starts) > 0 {
		e.starts = slices.Clone(e.starts[first:])
		e.starts[0].start = max(e.starts[0].start, offset)
	}
}

// endOffset is the largest epoch that is not after the asked one, and the offset where it
// ends in a log that ends at end. An epoch of -1 says that nothing is known.
func (e *leaderEpochs) endOffset(epoch int32, end int64) (int32, int64) {
	last := e.last()
	switch {
	case epoch < 0 || last < 0 || epoch > last:
		return -1, -1
	case epoch == last:
		return epoch, end
	}
	i := e.after(epoch)
	if i == 0 {
		// All known epochs are later: the log begins with the first of them.
		return epoch, e.starts[0].start
	}
	return e.starts[i-1].epoch, e.starts[i].start
}

// after is the index of the first epoch behind one.
func (e *leaderEpochs) after(epoch int32) int {
	return sort.Search(len(e.starts), func(i int) bool { return e.starts[i].epoch > epoch })
}

// at is the leader epoch in which an offset was written, -1 for unknown.
func (e *leaderEpochs) at(offset int64) int32 {
	i := sort.Search(len(e.starts), func(i int) bool { return e.starts[i].start > offset })
	if i == 0 {
		return -1
	}
	return e.starts[i-1].epoch
}
