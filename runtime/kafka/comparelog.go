// This file defines the comparison of a topic's logs, partition by partition.

package kafka

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"time"

	"github.com/IBM/sarama"

	"starfall/interp/plan"
)

const (
	// compareBlock is how many records of a source's partition are looked for in
	// the copy at a time, once the logs are no longer alike record by record.
	compareBlock = 256 << 10
	// compareStray is how many records of the copy that belong to none of the same
	// partition are looked for in the others at a time.
	compareStray = 1 << 20
)

// comparedTopic is a topic and its copy.
type comparedTopic struct {
	*comparing
	source, target plan.Topic
	copied         int // partitions of the copy
	from, to       *cluster

	parts   []*comparedPartition
	block   int        // compareBlock, unless a test says otherwise
	stray   int        // compareStray
	missing int64      // records that are not in their partition of the copy
	field   string     // the first record with a field that differs
	lost    *logRecord // the first that is nowhere
	lostIn  int32      // its partition
}

// comparedPartition is what is known of the records of a partition by their number,
// from where the logs stop being alike.
type comparedPartition struct {
	sourceAt, copyAt int64 // offsets there
	absent           bits  // of the source, not in the copy
	taken            bits  // of the copy, the copy of a record
	repeated         bits  // of the copy, one more of a record that has its copy
	records, copies  int   // how many
}

// bits is a set of small numbers.
type bits []uint64

func (b *bits) set(i int) {
	for len(*b) <= i/64 {
		*b = append(*b, 0)
	}
	(*b)[i/64] |= 1 << (i % 64)
}

func (b bits) has(i int) bool { return i/64 < len(b) && b[i/64]&(1<<(i%64)) != 0 }

func (t *comparedTopic) compare(ctx context.Context, partitions int) error {
	if t.block == 0 {
		t.block, t.stray = compareBlock, compareStray
	}
	for p := range int32(partitions) {
		x := &comparedPartition{}
		t.parts = append(t.parts, x)
		if err := t.partition(ctx, p, x); err != nil {
			return fmt.Errorf("partition %d: %w", p, err)
		}
	}
	for p := int32(partitions); int(p) < t.copied; p++ { // only the copy has it
		x := &comparedPartition{}
		t.parts = append(t.parts, x)
		r, err := t.open(ctx, t.to, t.target, p, 0)
		if err != nil {
			return err
		}
		for {
			_, ok, err := r.next()
			if err != nil {
				r.close()
				return fmt.Errorf("partition %d: %w", p, err)
			}
			if !ok {
				break
			}
			x.copies++
		}
		r.close()
	}
	if err := t.strays(ctx); err != nil {
		return err
	}
	o := t.out["records"]
	switch {
	case o.First != "" || o.Different == 0:
	case t.field != "":
		o.First = t.field
	case t.lost != nil:
		o.First = fmt.Sprintf("%s/%d, offset %d (%s) is not in the copy", t.source.Name, t.lostIn, t.lost.offset, described(*t.lost))
	}
	return nil
}

// logReader gives the records of a partition one by one.
type logReader struct {
	f    *fetcher
	stop func() bool
	ctx  context.Context
	end  int64
	buf  []logRecord
}

// open reads a partition from an offset up to its end.
func (t *comparedTopic) open(ctx context.Context, k *cluster, topic plan.Topic, partition int32, offset int64) (*logReader, error) {
	set := t.c.settings(topic.Cluster)
	set.fetchPartition = auditFetch
	r := &logReader{f: newFetcher(k, set, controlID, topic.KafkaName(), partition, offset), ctx: ctx}
	r.stop = context.AfterFunc(ctx, func() { r.f.end(true) })
	start, err := r.f.bound(sarama.OffsetOldest)
	if err == nil {
		r.f.offset = max(offset, start)
		var ok bool
		if r.end, ok = t.ends[topic.Name][partition]; !ok {
			r.end, err = r.f.bound(sarama.OffsetNewest)
		}
	}
	if err != nil {
		r.close()
		return nil, r.given(err)
	}
	return r, nil
}

func (r *logReader) given(err error) error {
	if r.ctx.Err() != nil && errors.Is(err, sarama.ErrClosedClient) {
		return context.Cause(r.ctx)
	}
	return err
}

func (r *logReader) close() {
	r.stop()
	r.f.end(true)
}

// next gives a record; false at the end.
func (r *logReader) next() (logRecord, bool, error) {
	for len(r.buf) == 0 {
		if r.f.offset >= r.end {
			return logRecord{}, false, nil
		}
		x, err := r.f.records()
		if err != nil {
			return logRecord{}, false, r.given(fmt.Errorf("at offset %d: %w", r.f.offset, err))
		}
		r.buf = x.records
		if len(x.records) == 0 && x.next < r.end && !r.f.client.pause() {
			return logRecord{}, false, r.given(sarama.ErrClosedClient)
		}
	}
	x := r.buf[0]
	if x.offset >= r.end {
		return logRecord{}, false, nil
	}
	r.buf = r.buf[1:]
	return x, true, nil
}

// partition compares one partition with the one of the same number.
func (t *comparedTopic) partition(ctx context.Context, p int32, x *comparedPartition) error {
	source, err := t.open(ctx, t.from, t.source, p, 0)
	if err != nil {
		return err
	}
	defer source.close()
	var target *logReader
	if int(p) < t.copied {
		if target, err = t.open(ctx, t.to, t.target, p, 0); err != nil {
			return err
		}
		defer target.close()
	}
	// As long as they are alike, record by record, nothing need be remembered.
	for {
		a, more, err := source.next()
		if err != nil {
			return err
		}
		var b logRecord
		copied := false
		if target != nil {
			if b, copied, err = target.next(); err != nil {
				return fmt.Errorf("copy: %w", err)
			}
		}
		if more && copied && t.prints.whole(a) == t.prints.whole(b) {
			t.found(p, a.offset, b.offset)
			continue
		}
		if copied {
			x.copyAt = b.offset
		}
		if more {
			x.sourceAt = a.offset
			source.buf = append([]logRecord{a}, source.buf...)
			return t.blocks(ctx, p, x, source, copied, b.offset)
		}
		for ; copied; x.copies++ { // the copy has more
			if _, copied, err = target.next(); err != nil {
				return fmt.Errorf("copy: %w", err)
			}
		}
		return nil
	}
}

// found notes a record whose copy is in the same partition.
func (t *comparedTopic) found(p int32, at, copied int64) {
	for _, aspect := range []string{"records", "order", "partitions", "offsets"} {
		t.out[aspect].Compared++
	}
	if at != copied {
		t.differs("offsets", "%s/%d, offset %d is at %d in the copy", t.source.Name, p, at, copied)
	}
}

// sought is a record of the source that is looked for in the copy.
type sought struct {
	offset      int64
	exact, like int64 // offsets in the copy; like: with the same value, another field differs; -1: none
	full, value int32 // the next with the same fingerprint, of the whole and of the value; -1: none
}

// blocks compares what stands behind the place where the logs stop being alike:
// some records of the source at a time, each time with the whole copy behind that
// place.
func (t *comparedTopic) blocks(ctx context.Context, p int32, x *comparedPartition, source *logReader, any bool, from int64) error {
	highest := int64(-1)
	for {
		var block []sought
		var fulls, values []uint64
		for len(block) < t.block {
			r, ok, err := source.next()
			if err != nil {
				return err
			}
			if !ok {
				break
			}
			block = append(block, sought{r.offset, -1, -1, -1, -1})
			fulls, values = append(fulls, t.prints.whole(r)), append(values, t.prints.value(r))
		}
		if len(block) == 0 {
			return nil
		}
		if any {
			// The first of each fingerprint that has no copy yet.
			full, value := make(map[uint64]int32, len(block)), make(map[uint64]int32, len(block))
			for i := len(block) - 1; i >= 0; i-- {
				if j, ok := full[fulls[i]]; ok {
					block[i].full = j
				}
				if j, ok := value[values[i]]; ok {
					block[i].value = j
				}
				full[fulls[i]], value[values[i]] = int32(i), int32(i)
			}
			if err := t.search(ctx, p, x, from, block, full, value); err != nil {
				return fmt.Errorf("copy: %w", err)
			}
		}
		for i, s := range block {
			at := s.exact
			if at < 0 {
				at = s.like
			}
			if at < 0 {
				t.out["records"].Compared++
				t.out["offsets"].Compared++
				t.out["records"].Different++
				t.differs("offsets", "%s/%d, offset %d is not in the copy", t.source.Name, p, s.offset)
				x.absent.set(x.records + i)
				t.missing++
				continue
			}
			t.found(p, s.offset, at)
			if s.exact < 0 {
				t.out["records"].Different++
				if t.field == "" {
					words, err := t.words(ctx, p, s.offset, at)
					if err != nil {
						return err
					}
					t.field = words
				}
			}
			if at < highest {
				t.differs("order", "%s/%d, offset %d is at %d in the copy, before one that it follows, at %d", t.source.Name, p, s.offset, at, highest)
			}
			highest = max(highest, at)
		}
		x.records += len(block)
	}
}

// search goes through the copy for the records of a block.
func (t *comparedTopic) search(ctx context.Context, p int32, x *comparedPartition, from int64, block []sought, full, value map[uint64]int32) error {
	r, err := t.open(ctx, t.to, t.target, p, from)
	if err != nil {
		return err
	}
	defer r.close()
	// alike are copies that only have the value of a record, by the record.
	alike := map[int32]int{}
	n := 0
	for ; ; n++ {
		c, ok, err := r.next()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if x.taken.has(n) {
			continue
		}
		whole := t.prints.whole(c)
		if i, ok := full[whole]; ok {
			if i < 0 {
				x.repeated.set(n)
				continue
			}
			block[i].exact = c.offset
			full[whole] = block[i].full
			x.taken.set(n)
			continue
		}
		k := t.prints.value(c)
		i, ok := value[k]
		for ok && i >= 0 && block[i].exact >= 0 {
			i = block[i].value
		}
		if !ok {
			continue
		}
		value[k] = i
		if i >= 0 && block[i].like < 0 {
			block[i].like = c.offset
			alike[i] = n
			value[k] = block[i].value
		}
	}
	for i, n := range alike {
		if block[i].exact < 0 {
			x.taken.set(n)
		} else {
			block[i].like = -1
		}
	}
	x.copies = n
	return nil
}

// words says in which field a record and its copy differ.
func (t *comparedTopic) words(ctx context.Context, p int32, at, copied int64) (string, error) {
	a, ok, err := t.first(ctx, t.from, t.source, p, at)
	if err != nil || !ok {
		return "", fmt.Errorf("offset %d: %w", at, errors.Join(err, errGone(ok)))
	}
	b, ok, err := t.first(ctx, t.to, t.target, p, copied)
	if err != nil || !ok {
		return "", fmt.Errorf("copy, offset %d: %w", copied, errors.Join(err, errGone(ok)))
	}
	where := fmt.Sprintf("%s/%d, offset %d", t.source.Name, p, at)
	switch {
	case a.timestamp != b.timestamp:
		layout := "2006-01-02 15:04:05.000"
		return fmt.Sprintf("%s: timestamp %s, in the copy %s", where, time.UnixMilli(a.timestamp).UTC().Format(layout), time.UnixMilli(b.timestamp).UTC().Format(layout)), nil
	case !bytes.Equal(a.key, b.key) || (a.key == nil) != (b.key == nil):
		return fmt.Sprintf("%s: key %s, in the copy %s", where, short(a.key), short(b.key)), nil
	}
	return fmt.Sprintf("%s: %d headers, in the copy %d, or others", where, len(a.headers), len(b.headers)), nil
}

func errGone(there bool) error {
	if there {
		return nil
	}
	return errors.New("the record is no longer there")
}

// strays looks in the other partitions of the copy for the records that are not in
// their own.
func (t *comparedTopic) strays(ctx context.Context) error {
	candidates := false
	for _, x := range t.parts {
		candidates = candidates || x.copies > 0
	}
	if t.missing == 0 || !candidates {
		return t.firstLost(ctx, nil)
	}
	elsewhere := make([]bits, len(t.parts)) // of the source, by partition
	stray := map[uint64]int32{}
	look := func() error {
		defer clear(stray)
		return t.eachAbsent(ctx, func(p int32, n int, r logRecord) bool {
			if q, ok := stray[t.prints.whole(r)]; ok && q != p && !elsewhere[p].has(n) {
				elsewhere[p].set(n)
				t.out["records"].Different--
				t.out["partitions"].Compared++
				t.differs("partitions", "%s/%d, offset %d is in partition %d of the copy", t.source.Name, p, r.offset, q)
			}
			return true
		})
	}
	for q, x := range t.parts {
		if x.copies == 0 {
			continue
		}
		r, err := t.open(ctx, t.to, t.target, int32(q), x.copyAt)
		if err != nil {
			return err
		}
		for n := 0; ; n++ {
			c, ok, err := r.next()
			if err != nil {
				r.close()
				return err
			}
			if !ok {
				break
			}
			if x.taken.has(n) || x.repeated.has(n) {
				continue
			}
			if stray[t.prints.whole(c)] = int32(q); len(stray) >= t.stray {
				if err := look(); err != nil {
					r.close()
					return err
				}
			}
		}
		r.close()
	}
	if len(stray) > 0 {
		if err := look(); err != nil {
			return err
		}
	}
	return t.firstLost(ctx, elsewhere)
}

// firstLost finds the first record that is nowhere in the copy.
func (t *comparedTopic) firstLost(ctx context.Context, elsewhere []bits) error {
	if t.missing == 0 {
		return nil
	}
	return t.eachAbsent(ctx, func(p int32, n int, r logRecord) bool {
		if elsewhere != nil && elsewhere[p].has(n) {
			return true
		}
		t.lost, t.lostIn = &r, p
		return false
	})
}

// eachAbsent reads the records again that are not in their partition of the copy,
// until f has had enough. They have their number in their partition.
func (t *comparedTopic) eachAbsent(ctx context.Context, f func(p int32, n int, r logRecord) bool) error {
	for p, x := range t.parts {
		if len(x.absent) == 0 {
			continue
		}
		r, err := t.open(ctx, t.from, t.source, int32(p), x.sourceAt)
		if err != nil {
			return err
		}
		for n := 0; n < x.records; n++ {
			c, ok, err := r.next()
			if err != nil {
				r.close()
				return err
			}
			if !ok {
				break
			}
			if x.absent.has(n) && !f(int32(p), n, c) {
				r.close()
				return nil
			}
		}
		r.close()
	}
	return nil
}

// described says what a record is for people.
func described(r logRecord) string {
	if r.key == nil {
		return fmt.Sprintf("no key, %d bytes", len(r.value))
	}
	return fmt.Sprintf("key %s, %d bytes", short(r.key), len(r.value))
}

// short quotes the beginning of bytes.
func short(b []byte) string {
	if b == nil {
		return "none"
	}
	if len(b) > 24 {
		return fmt.Sprintf("%q…", b[:24])
	}
	return fmt.Sprintf("%q", b)
}

// fingerprints tells records apart. Of ten million records two that differ have the
// same one once in hundred thousand comparisons. It is for one goroutine.
type fingerprints struct {
	seed maphash.Seed
	buf  []byte
}

func newPrints() fingerprints { return fingerprints{seed: maphash.MakeSeed()} }

// whole is that of key, value, headers and timestamp.
func (f *fingerprints) whole(r logRecord) uint64 {
	f.buf = binary.BigEndian.AppendUint64(f.buf[:0], uint64(r.timestamp))
	f.field(r.key)
	f.field(r.value)
	for _, x := range r.headers {
		f.field(x.Key)
		f.field(x.Value)
	}
	return maphash.Bytes(f.seed, f.buf)
}

// value is that of the value alone.
func (f *fingerprints) value(r logRecord) uint64 {
	f.buf = f.buf[:0]
	f.field(r.value)
	return maphash.Bytes(f.seed, f.buf)
}

func (f *fingerprints) field(b []byte) {
	size := uint64(len(b)) + 1
	if b == nil {
		size = 0 // null is not empty
	}
	f.buf = binary.BigEndian.AppendUint64(f.buf, size)
	f.buf = append(f.buf, b...)
}
