// This file defines the copying of one partition by a mirror.

package kafka

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/IBM/sarama"

	"starfall/runtime/record"
)

// copier copies one partition: one goroutine reads, another writes, and between
// them a few fetches may wait.
type copier struct {
	m         *mirror
	from, to  string // Kafka's names
	partition int32
	answered  atomic.Bool // the source's leader has
}

// copyPartition starts a copier, unless there is one.
func (m *mirror) copyPartition(from, to string, partition int32) {
	tp := record.TopicPartition{Topic: from, Partition: partition}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.copiers[tp] != nil || m.reading.Err() != nil {
		return
	}
	k := &copier{m: m, from: from, to: to, partition: partition}
	m.copiers[tp] = k
	queue := make(chan []logRecord, mirrorQueue)
	m.drained.Add(1)
	m.wait.Go(func() {
		defer close(queue)
		k.read(tp, queue)
	})
	m.wait.Go(func() {
		defer m.drained.Done()
		k.write(tp, queue)
	})
}

func (k *copier) read(tp record.TopicPartition, queue chan<- []logRecord) {
	m := k.m
	at, known := m.memory.begin(tp)
	f := newFetcher(m.source, m.read, m.id, k.from, k.partition, at)
	defer f.end(true)
	stop := context.AfterFunc(m.reading, func() { f.end(true) })
	defer stop()
	for !known && m.reading.Err() == nil {
		start, err := f.bound(sarama.OffsetOldest)
		if err == nil {
			f.offset, known = start, true
		} else if !f.client.pause() {
			return
		}
	}
	told := ""
	for m.reading.Err() == nil {
		x, err := f.records()
		switch {
		case errors.Is(err, sarama.ErrClosedClient):
			return
		case err != nil:
			// MirrorMaker says so and polls again.
			if s := reason(err); s != told {
				told = s
				m.warn("reading %s/%d: %s", k.from, k.partition, s)
			}
			if !f.client.pause() {
				return
			}
			continue
		}
		told = ""
		k.answered.Store(true)
		if len(x.records) == 0 {
			continue
		}
		select {
		case queue <- x.records:
		case <-m.reading.Done():
			return
		}
	}
}

func (k *copier) write(tp record.TopicPartition, queue <-chan []logRecord) {
	m := k.m
	d := m.write.dialer()
	c := newClient(m.target, m.write.sarama(m.id, d), d)
	defer c.end(true)
	stop := context.AfterFunc(m.ctx, func() { c.end(true) })
	defer stop()
	told := ""
	w := &batchWriter{client: c, set: m.write, topic: k.to, partition: k.partition, producer: -1, trouble: func(err error) {
		if s := reason(err); s != told && m.ctx.Err() == nil {
			told = s
			m.warn("writing %s/%d: %s; again", k.to, k.partition, s)
		}
	}}
	for records := range queue {
		for _, batch := range batchesOf(records, javaBatch) {
			err := w.writeAll(batch, func(part []logRecord, down int64) {
				told = ""
				m.memory.took(tp, part, down)
			})
			switch {
			case errors.Is(err, sarama.ErrClosedClient) || err != nil && m.ctx.Err() != nil:
				k.discard(queue)
				return
			case err != nil:
				m.fail(err)
				k.discard(queue)
				return
			}
		}
	}
}

// discard lets the reader come to its end.
func (k *copier) discard(queue <-chan []logRecord) {
	k.m.cancel()
	for range queue {
	}
}
