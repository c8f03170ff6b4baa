// This file defines how a member reads and processes one claim.

package kafka

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"starfall/runtime/record"
)

// ConsumeClaim implements sarama.ConsumerGroupHandler: it reads one partition
// until it is taken away or the session ends.
func (s *seat) ConsumeClaim(sess sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	c := s.c
	s.note(sess)
	name := s.names[claim.Topic()]
	f := newFetcher(s.cluster, s.set, memberID(c.spec.Consumer.Name, c.spec.Member), claim.Topic(), claim.Partition(), claim.InitialOffset())
	if c.spec.Consumer.Isolation == "read_committed" {
		f.isolation = sarama.ReadCommitted
		f.client.conf.Consumer.IsolationLevel = sarama.ReadCommitted // where "latest" is
	}
	f.moved = func(to int64) {
		s.offsets.forget(claim.Topic(), claim.Partition()) // the position was moved
		c.spec.Log.Position(name, claim.Partition(), to, c.spec.Clock.Now())
	}
	over := make(chan struct{}) // the claim is
	released := make(chan struct{})
	go func() {
		defer close(over)
		for {
			select {
			case _, ok := <-claim.Messages(): // closed when the claim is taken away
				if !ok {
					return
				}
			case <-sess.Context().Done():
				return
			case <-released:
				return
			}
		}
	}()
	chunks := make(chan chunk, 1)
	s.claim(claim.Topic(), claim.Partition())
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(chunks)
		s.fetch(f, over, chunks)
	})
	k := &claimed{c: c, s: s, sess: sess, topic: claim.Topic(), name: name, partition: claim.Partition(), over: over}
	for open := true; open; {
		select {
		case x, ok := <-chunks:
			open = ok && k.process(x)
		case <-over:
			open = false
		}
	}
	f.end(true)
	close(released)
	<-over
	reading.Wait()
	c.mu.Lock()
	torn := s.torn
	c.mu.Unlock()
	if !torn && c.spec.Consumer.Commit != commitNone {
		k.handBack()
	}
	s.offsets.forget(k.topic, k.partition)
	s.drop(k.topic, k.partition)
	return nil
}

// fetch reads a claim into chunks until it is over.
func (s *seat) fetch(f *fetcher, over <-chan struct{}, chunks chan<- chunk) {
	c := s.c
	which := int64(sarama.OffsetOldest)
	if c.spec.Consumer.Start == "latest" {
		which = sarama.OffsetNewest
	}
	start := f.offset
	for {
		if start < 0 { // nothing committed, or reset (auto.offset.reset)
			n, err := f.bound(which)
			if no := refusalIn(err); no != nil {
				s.refuse(no)
				if f.retry() != nil {
					return
				}
				continue
			}
			if err != nil {
				return
			}
			f.offset, f.epoch = n, -1
			s.offsets.forget(f.topic, f.partition)
		}
		c.spec.Log.Position(s.names[f.topic], f.partition, f.offset, c.spec.Clock.Now())
		start = f.offset
		s.begin(f.topic, f.partition, start)
		for {
			x, err := f.next()
			if errors.Is(err, errOutOfRange) {
				c.complain(fmt.Sprintf("%s/%d: offset %d", f.topic, f.partition, f.offset), err)
				start = -1
				break
			}
			if errors.Is(err, sarama.ErrClosedClient) {
				return
			}
			if err != nil {
				if no := refusalIn(err); no != nil {
					s.refuse(no)
				}
				c.complain(fmt.Sprintf("%s/%d", f.topic, f.partition), err)
				if f.retry() != nil {
					return
				}
				continue
			}
			if len(x.records) == 0 && x.next == start {
				continue
			}
			start = x.next
			select {
			case chunks <- x:
			case <-over:
				return
			}
		}
	}
}

// claimed is one claim while it is processed.
type claimed struct {
	c         *consumer
	s         *seat
	sess      sarama.ConsumerGroupSession
	topic     string // as its cluster calls it
	name      string // as the plan does
	partition int32
	over      <-chan struct{}
}

// process handles a chunk poll by poll; false when the claim is over.
func (k *claimed) process(x chunk) bool {
	c := k.c
	poll := max(c.set.pollRecords, 1)
	stop := k.over
	if c.spec.Consumer.Commit == commitBefore {
		// What is committed is processed, though the claim may be over meanwhile:
		// a Java consumer learns that when it polls again.
		stop = k.s.gone
	}
	for rest := x.records; len(rest) > 0; {
		n := min(poll, len(rest))
		last := rest[n-1].offset + 1
		if c.spec.Consumer.Commit == commitBefore {
			k.s.offsets.mark(k.topic, k.partition, last)
			if err := k.s.offsets.commit(k.over, k.sess, k.topic, k.partition); err != nil {
				c.complain("commit", err)
				return false
			}
		}
		for _, r := range rest[:n] {
			if r.aborted {
				continue
			}
			if !k.deliver(r, stop) {
				return false
			}
			if c.spec.Consumer.Commit == commitAfter {
				k.s.offsets.mark(k.topic, k.partition, r.offset+1)
			}
		}
		if c.spec.Consumer.Commit == commitAuto {
			k.s.offsets.mark(k.topic, k.partition, last)
		}
		k.s.reach(k.topic, k.partition, last)
		rest = rest[n:]
	}
	if tail := x.records; len(tail) == 0 || tail[len(tail)-1].aborted || tail[len(tail)-1].offset+1 < x.next {
		// What is no record to this member (aborted ones, markers) is read all the same.
		c.spec.Log.Position(k.name, k.partition, x.next, c.spec.Clock.Now())
		if c.spec.Consumer.Commit != commitNone {
			k.s.offsets.mark(k.topic, k.partition, x.next)
		}
		k.s.reach(k.topic, k.partition, x.next)
	}
	return true
}

// deliver does the work of one record, unless dedup recognises it; false when
// stop comes before that. A record is remembered once it is done: one that
// was not comes again.
func (k *claimed) deliver(r fetched, stop <-chan struct{}) bool {
	c := k.c
	id, ok := record.Decode(r.value)
	ok = ok && id.Run == c.spec.RunID
	if ok && c.memory != nil && c.memory.known(k.name, k.partition, id) {
		select {
		case <-stop:
			return false
		default:
		}
		c.spec.Log.Dropped(k.name, k.partition, r.offset, id, c.spec.Clock.Now())
		return true
	}
	if !c.work(stop) {
		return false
	}
	now := c.spec.Clock.Now()
	if !ok {
		c.spec.Log.Foreign(k.name, k.partition, r.offset, now)
		return true
	}
	if c.memory != nil {
		c.memory.add(k.name, k.partition, id)
	}
	c.spec.Log.Delivered(k.name, k.partition, r.offset, id, now)
	return true
}

// handBack commits what was processed of a claim that is over, for at most 5 s
// of scenario time: longer would hold up the group.
func (k *claimed) handBack() {
	limit := make(chan struct{})
	t := time.AfterFunc(k.c.set.wall(5*time.Second), func() { close(limit) })
	defer t.Stop()
	done := make(chan error, 1)
	k.s.cluster.spawn(func() { done <- k.s.offsets.commit(limit, k.sess, k.topic, k.partition) })
	select {
	case err := <-done:
		if err != nil {
			k.c.complain("commit", err)
		}
	case <-limit:
		k.c.complain("commit", errors.New("no answer from the coordinator"))
	case <-k.s.cluster.closed:
	}
}
