// This file defines bitset: which records of a producer's member something is
// true of, a bit a record.

package judge

import "math/bits"

const (
	chunkBits  = 1 << 16
	chunkWords = chunkBits / 64
)

type chunk [chunkWords]uint64

// bitset grows by chunks of 8 KB, so that a hundred million records take
// 12.5 MB and growing copies nothing. A nil bitset is empty and can be read.
type bitset struct{ chunks []*chunk }

func (b *bitset) chunk(seq uint64) *chunk {
	if i := seq / chunkBits; i < uint64(len(b.chunks)) && b.chunks[i] != nil {
		return b.chunks[i]
	}
	return b.grow(seq)
}

// grow makes the chunk of a record.
func (b *bitset) grow(seq uint64) *chunk {
	i := int(seq / chunkBits)
	for i >= len(b.chunks) {
		b.chunks = append(b.chunks, nil)
	}
	b.chunks[i] = new(chunk)
	return b.chunks[i]
}

func (b *bitset) has(seq uint64) bool {
	i := seq / chunkBits
	if b == nil || i >= uint64(len(b.chunks)) || b.chunks[i] == nil {
		return false
	}
	return b.chunks[i][seq%chunkBits/64]>>(seq%64)&1 != 0
}

func (b *bitset) clear(seq uint64) {
	if b.has(seq) {
		b.chunks[seq/chunkBits][seq%chunkBits/64] &^= 1 << (seq % 64)
	}
}

// set sets n bits from first on, stride apart.
func (b *bitset) set(first, stride uint64, n uint32) {
	b.setNew(first, stride, n, nil)
}

// setNew sets n bits from first on, stride apart, and appends to again those
// that were set before.
func (b *bitset) setNew(first, stride uint64, n uint32, again []uint64) []uint64 {
	if n == 1 {
		w, bit := &b.chunk(first)[first%chunkBits/64], uint64(1)<<(first%64)
		if *w&bit != 0 {
			again = append(again, first)
		}
		*w |= bit
		return again
	}
	if stride == 1 {
		return b.setAll(first, n, again)
	}
	for left := uint64(n); left > 0; {
		c := b.chunk(first)
		base := first / chunkBits * chunkBits
		at := first % chunkBits
		fit := min(left, (chunkBits-at+stride-1)/stride)
		left -= fit
		first += fit * stride
		for ; fit > 0; fit-- {
			w, bit := &c[at/64%chunkWords], uint64(1)<<(at%64)
			if *w&bit != 0 {
				again = append(again, base+at)
			}
			*w |= bit
			at += stride
		}
	}
	return again
}

func (b *bitset) setAll(first uint64, n uint32, again []uint64) []uint64 {
	for left := uint64(n); left > 0; {
		c := b.chunk(first)
		at := first % chunkBits
		fit := min(left, 64-at%64)
		mask := (^uint64(0) >> (64 - fit)) << (at % 64)
		w := &c[at/64]
		if old := *w & mask; old != 0 {
			each(first-at%64, old, func(seq uint64) { again = append(again, seq) })
		}
		*w |= mask
		first += fit
		left -= fit
	}
	return again
}

func (b *bitset) word(chunk, i int) uint64 {
	if b == nil || chunk >= len(b.chunks) || b.chunks[chunk] == nil {
		return 0
	}
	return b.chunks[chunk][i]
}

func (b *bitset) count() (n uint64) {
	for _, c := range b.chunks {
		if c != nil {
			for _, w := range c {
				n += uint64(bits.OnesCount64(w))
			}
		}
	}
	return n
}

// combine calls f with each word for which op of the sets' words is not zero,
// and the sequence number of the word's first bit.
func combine(op func(w []uint64) uint64, f func(first, word uint64), sets ...*bitset) {
	most := 0
	for _, s := range sets {
		if s != nil {
			most = max(most, len(s.chunks))
		}
	}
	w := make([]uint64, len(sets))
	for c := range most {
		for i := range chunkWords {
			for k, s := range sets {
				w[k] = s.word(c, i)
			}
			if x := op(w); x != 0 {
				f(uint64(c)*chunkBits+uint64(i)*64, x)
			}
		}
	}
}

// each calls f with each set bit of a word.
func each(first, word uint64, f func(seq uint64)) {
	for ; word != 0; word &= word - 1 {
		f(first + uint64(bits.TrailingZeros64(word)))
	}
}
