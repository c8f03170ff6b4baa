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

// addSeries adds n lengths that begin at v cells and become shorter by step;
// what would be negative counts as nothing. They are counted place by place,
// not one by one: as many lie at or above a place as steps fit between v and
// the place's lowest value.
func (h *histogram) addSeries(v, step float64, n int64) {
	page, sub := place(uint64(v))
	if step <= 0 {
		h.add(uint64(v), uint32(n))
		return
	}
	h.n += uint64(n)
	perStep := 1 / step
	for done := int64(0); ; page, sub = page-1, subs-1 {
		width := 1.0
		if page > 0 {
			width = float64(uint64(1) << (page - 1))
		}
		counts := h.page(page)
		steps := (v - float64(lowest(page, sub))) * perStep
		for ; sub >= 0; sub-- {
			upTo := min(int64(steps)+1, n)
			counts[sub%subs] += uint32(upTo - done)
			if done = upTo; done == n {
				return
			}
			steps += width * perStep
		}
		if page == 0 {
			counts[0] += uint32(n - done)
			return
		}
	}
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
