// This file defines histogram: latencies of records by size, to 1.6 %.

package judge

import (
	"math/bits"
	"time"
)

const (
	subBits = 6 // 64 steps in each doubling
	subs    = 1 << subBits
)

// histogram counts lengths of time in steps of a cell up to 64 cells, then in
// steps of 1/64 of their size. Pages are made when needed: a second of a
// healthy run takes one or two.
type histogram struct {
	pages []*[subs]uint32
	n     uint64
	max   time.Duration
	// of the longest:
	maxAt  time.Duration
	member int32
	seq    uint64
	part   spot
}

func place(cells uint64) (page, sub int) {
	if cells < subs {
		return 0, int(cells)
	}
	shift := bits.Len64(cells) - subBits - 1
	return shift + 1, int(cells>>shift) - subs
}

// upper is the largest value that falls in the place, in cells.
func upper(page, sub int) uint64 {
	if page == 0 {
		return uint64(sub)
	}
	return (uint64(sub+subs)+1)<<(page-1) - 1
}

// lowest is the smallest value that falls in the place, in cells.
func lowest(page, sub int) uint64 {
	if page == 0 {
		return uint64(sub)
	}
	return uint64(sub+subs) << (page - 1)
}

func (h *histogram) page(i int) *[subs]uint32 {
	for i >= len(h.pages) {
		h.pages = append(h.pages, nil)
	}
	if h.pages[i] == nil {
		h.pages[i] = new([subs]uint32)
	}
	return h.pages[i]
}

func (h *histogram) add(cells uint64, n uint32) {
	p, s := place(cells)
	h.page(p)[s%subs] += n
	h.n += uint64(n)
}

func (h *histogram) merge(o *histogram) {
	if o == nil || o.n == 0 {
		return
	}
	for i, page := range o.pages {
		if page == nil {
			continue
		}
		mine := h.page(i)
		for k, n := range page {
			mine[k] += n
		}
	}
	if h.n == 0 || o.max > h.max {
		h.max, h.maxAt, h.member, h.seq, h.part = o.max, o.maxAt, o.member, o.seq, o.part
	}
	h.n += o.n
}

// quantile is the value below or at which a share q of the records lie; never
// more than the longest.
func (h *histogram) quantile(q float64, cell time.Duration) time.Duration {
	if h.n == 0 {
		return 0
	}
	rank := uint64(q*float64(h.n) + 0.999999)
	rank = min(max(rank, 1), h.n)
	for p, page := range h.pages {
		if page == nil {
			continue
		}
		for s, n := range page {
			if uint64(n) >= rank {
				return min(time.Duration(upper(p, s))*cell, h.max)
			}
			rank -= uint64(n)
		}
	}
	return h.max
}
