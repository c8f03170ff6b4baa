package core

// This file defines how the records inside a batch are read, packed or not, and how a
// batch is packed anew where a topic wants another compression than the producer's.

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"

	"starfall/runtime/embedded/codec"
)

const attrCodec = 7

func (b *batch) codec() codec.Type { return codec.Type(b.attributes & attrCodec) }

// recordHead is what Kafka looks at in a record that it does not rewrite.
type recordHead struct {
	offsetDelta int64
	timeDelta   int64
	hasKey      bool
}

// errShort is a batch with fewer bytes than its records say.
var errShort = errors.New("incorrect declared batch size, premature end reached")

// eachRecord walks over the records of a batch until fn says false. It unpacks as it
// goes, most bytes at most, and keeps no record.
func (b *batch) eachRecord(c *codec.Codec, most int64, fn func(i int32, h recordHead) bool) error {
	r, err := c.Reader(b.codec(), b.data[batchHeader:], most)
	if err != nil {
		return err
	}
	for i := range b.count {
		h, err := readHead(r)
		if err != nil {
			return err
		}
		if !fn(i, h) {
			return nil
		}
	}
	if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
		return errInvalidRecord
	}
	return nil
}

// readHead reads one record and skips what is not in a recordHead.
func readHead(r *bufio.Reader) (recordHead, error) {
	var h recordHead
	length, err := binary.ReadVarint(r)
	if err != nil {
		return h, short(err)
	}
	if length < 0 || length > 1<<31 {
		return h, errInvalidRecord
	}
	body := counted{r: r, left: length}
	if _, err := body.ReadByte(); err != nil { // attributes
		return h, short(err)
	}
	var key int64
	for _, v := range []*int64{&h.timeDelta, &h.offsetDelta, &key} {
		if *v, err = binary.ReadVarint(&body); err != nil {
			return h, short(err)
		}
	}
	h.hasKey = key >= 0
	_, err = r.Discard(int(body.left))
	return h, short(err)
}

func short(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errShort
	}
	return err
}

// counted reads single bytes of a record and knows how many are left.
type counted struct {
	r    *bufio.Reader
	left int64
}

// ReadByte belongs to io.ByteReader.
func (c *counted) ReadByte() (byte, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	c.left--
	return c.r.ReadByte()
}

// recordRules are what a topic asks of records.
type recordRules struct {
	keys bool // compacted topics
	// oldest and newest are the bounds of timestamps, in the clients' time.
	oldest, newest int64
	times          bool
}

// rules are those of a replica's topic now.
func (r *replica) rules() recordRules {
	s, w := r.settings, r.b.n.w
	rules := recordRules{keys: s.compact, times: s.limitTime}
	if s.limitTime {
		now := w.clientMillis(w.now)
		rules.oldest, rules.newest = now-min(w.clientSpan(s.beforeMaxMS), now), now+min(w.clientSpan(s.afterMaxMS), math.MaxInt64-now)
	}
	return rules
}

// looksInside: the records are looked at one by one. Of plain ones without rules parse
// has added up the lengths.
func (b *batch) looksInside(rules recordRules) bool {
	return b.codec() != codec.None || rules.keys || rules.times
}

// checkRecords looks into a batch that a client has packed, or whose topic has rules for
// records, as Kafka does before it appends: the records must be as many as the header
// says, one offset after the other. They may unpack to most bytes.
func (b *batch) checkRecords(c *codec.Codec, rules recordRules, most int64) (code int16, message string) {
	first := int64(binary.BigEndian.Uint64(b.data[batchFirstTime:]))
	err := b.eachRecord(c, most, func(i int32, h recordHead) bool {
		at := first + h.timeDelta
		switch {
		case rules.times && at >= 0 && (at < rules.oldest || at > rules.newest):
			code, message = codeInvalidTimestamp, fmt.Sprintf("Timestamp %d of message with offset %d is out of range. The timestamp should be within [%d, %d]", at, i, rules.oldest, rules.newest)
		case h.offsetDelta != int64(i):
			code, message = codeInvalidRecord, "Inner record has an invalid offset"
		case rules.keys && !h.hasKey:
			code, message = codeInvalidRecord, "Compacted topic cannot accept message without key"
		}
		return code == 0
	})
	switch {
	case code != 0:
		return code, message
	case errors.Is(err, codec.ErrTooLarge):
		return codeMessageTooLarge, ""
	case errors.Is(err, codec.ErrUnknown), err != nil && !errors.Is(err, errShort) && !errors.Is(err, errInvalidRecord):
		return codeCorruptMessage, ""
	case err != nil:
		return codeInvalidRecord, err.Error()
	}
	return 0, ""
}

// repacked is the batch in another compression, of at most most bytes: compression.type of
// the topic, where that is not the producer's.
func (b *batch) repacked(c *codec.Codec, to codec.Type, level, most int) (*batch, error) {
	r, err := c.Reader(b.codec(), b.data[batchHeader:], codec.MaxUnpacked)
	if err != nil {
		return nil, err
	}
	data, err := c.Compress(bytes.Clone(b.data[:batchHeader]), to, level, r, most-batchHeader)
	if err != nil {
		return nil, err
	}
	out := *b
	out.attributes = b.attributes&^attrCodec | int16(to)
	out.data = bytes.Clone(data) // without the room that it grew into
	out.seal()
	return &out, nil
}

// seal writes length, attributes and checksum into a batch whose records have changed.
func (b *batch) seal() {
	be := binary.BigEndian
	be.PutUint32(b.data[batchLength:], uint32(len(b.data)-12))
	be.PutUint16(b.data[batchAttributes:], uint16(b.attributes))
	be.PutUint32(b.data[batchCRC:], crc32.Checksum(b.data[batchAttributes:], castagnoli))
}

// findTime is the offset and time of the first record from an offset on whose time is at
// least ms; a special time (below 0) asks for the record with the largest.
func (b *batch) findTime(c *codec.Codec, ms, from int64) (offset, at int64, ok bool) {
	if ms < 0 {
		ms = b.maxTime
	}
	if b.attributes&attrLogAppendTime != 0 {
		// Every record has the batch's time.
		return max(b.base, from), b.maxTime, b.maxTime >= ms && b.count > 0 // compaction leaves empty ones
	}
	first := int64(binary.BigEndian.Uint64(b.data[batchFirstTime:]))
	err := b.eachRecord(c, codec.MaxUnpacked, func(_ int32, h recordHead) bool {
		if b.base+h.offsetDelta >= from && first+h.timeDelta >= ms {
			offset, at, ok = b.base+h.offsetDelta, first+h.timeDelta, true
		}
		return !ok
	})
	return offset, at, ok && err == nil
}
