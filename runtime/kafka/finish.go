// This file defines how a member reads what stands in its topics before it goes
// on at another cluster (fail_back).

package kafka

import (
	"context"
	"time"

	"github.com/IBM/sarama"

	"starfall/runtime/record"
)

// finishShare is the part of the time that a Redirect has, which finishing may
// take; the rest is for becoming ready elsewhere.
const finishShare = 0.75

// finish waits until the group has read and committed its topics as far as they
// go now, or until its share of ctx's time is over. Nobody leaves before all
// have finished: the share of one who leaves falls to the others, and they have
// to be there to have it.
//
//	commit          finished when
//	all but none    this member has processed its claims to the ends, and the group has committed all partitions to them
//	none            the first alone
func (c *consumer) finish(ctx context.Context, s *seat) {
	if deadline, ok := ctx.Deadline(); ok {
		now := time.Now()
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, now.Add(time.Duration(finishShare*float64(deadline.Sub(now)))))
		defer cancel()
	}
	done := make(chan bool, 1)
	go func() { // a coordinator that does not answer holds it up, until the seat is torn
		ends, ok := s.ends(ctx)
		for ok && !s.finished(ctx, ends) {
			select {
			case <-ctx.Done():
				ok = false
			case <-c.quit:
				ok = false
			case <-time.After(s.set.wall(100 * time.Millisecond)):
			}
		}
		done <- ok
	}()
	ok := false
	select {
	case ok = <-done:
	case <-ctx.Done():
	case <-c.quit:
	}
	if !ok {
		c.spec.Env.Log(memberID(c.spec.Consumer.Name, c.spec.Member) + ": left before everything was read")
	}
}

// ends asks how far each partition goes; those that are empty are left out.
// false when ctx ended before all have answered.
func (s *seat) ends(ctx context.Context) (map[record.TopicPartition]int64, bool) {
	type answer struct {
		tp         record.TopicPartition
		start, end int64
		err        error
	}
	answers := make(chan answer)
	asked := 0
	for _, t := range s.topics {
		for p := range int32(s.cluster.partitions(t)) {
			asked++
			go func() { // ends with the seat's client
				a := answer{tp: record.TopicPartition{Topic: t, Partition: p}}
				if a.end, a.err = s.client.client.GetOffset(t, p, sarama.OffsetNewest); a.err == nil {
					a.start, a.err = s.client.client.GetOffset(t, p, sarama.OffsetOldest)
				}
				select {
				case answers <- a:
				case <-ctx.Done():
				case <-s.client.closed:
				}
			}()
		}
	}
	out := map[record.TopicPartition]int64{}
	for range asked {
		select {
		case a := <-answers:
			if a.err != nil {
				return nil, false
			}
			if a.end > a.start {
				out[a.tp] = a.end
			}
		case <-ctx.Done():
			return nil, false
		case <-s.c.quit:
			return nil, false
		}
	}
	return out, true
}

// finished tells whether the ends are reached.
func (s *seat) finished(ctx context.Context, ends map[record.TopicPartition]int64) bool {
	s.c.mu.Lock()
	sess := s.session
	behind := sess == nil || sess.Context().Err() != nil
	for tp, next := range s.reached {
		end, ok := ends[tp]
		behind = behind || ok && next < end
	}
	s.c.mu.Unlock()
	if behind {
		return false
	}
	commit := s.c.spec.Consumer.Commit
	if commit == commitNone {
		return true
	}
	if commit != commitBefore {
		if err := s.offsets.commitAll(ctx.Done(), sess); err != nil {
			return false
		}
	}
	committed, err := s.offsets.committed()
	if err != nil {
		return false
	}
	for tp, end := range ends {
		if committed[tp] < end {
			return false
		}
	}
	return true
}
