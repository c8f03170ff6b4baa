// Package kafka is the side of a run that speaks to Kafka, with IBM/sarama: load
// clients, admin, and the audit of logs.
//
// What it promises of the load: records are due on a schedule whatever the
// cluster does, each partition has a client of its own so that the trouble of
// one never holds up another, and every record ends acknowledged, failed or
// unknown as judging.md defines them. What sarama does by itself that Kafka has
// no part in is kept out: its metadata, circuit breaker and fixed waits are
// replaced (see cluster, client, lane, fetcher). What remains of it:
//
//   - one batch of a partition is in flight at a time, where Java has up to five;
//   - a batch that fails is sent again after retry.backoff.ms, which does not
//     grow (KIP-580);
//   - a member with transactions has one client for all its partitions, as a
//     transaction is one producer's;
//   - a record that sarama has when its partition's connection carries a produce
//     request counts as perhaps written, though it may not be in that request.
//
// This file defines Load, which starts the clients.
package kafka

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"starfall/internal/kafkaconf"
	"starfall/runtime"
)

// Load starts load clients. The zero value works; one Load serves one run, as
// it remembers where a producer member that has ended goes on when it is
// started again.
type Load struct {
	// From gives the local address from which all connections of a member are
	// made, where that matters: the network may treat members differently by
	// it. nil, or the zero address: whichever the system takes.
	From func(client string, member int) netip.Addr

	// Reaches tells whether a packet of a member comes through to an address
	// (runtime.Reacher). nil: dials show it themselves.
	Reaches func(client string, member int, addr string) bool

	mu   sync.Mutex
	left map[memberKey]*leftover
}

var _ runtime.Load = (*Load)(nil)

type memberKey struct {
	name   string
	member int
}

// leftover is what a producer member leaves for its next incarnation: the first
// sequence number that it never took, and the records that it took and that
// were not acknowledged when it crashed.
type leftover struct {
	next    uint64
	topic   string  // of the plan, to which the entries' partitions belong
	parts   int     // how many it had
	entries []entry // in the order in which they were due
}

func (l *Load) leave(k memberKey, x *leftover) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left == nil {
		l.left = map[memberKey]*leftover{}
	}
	l.left[k] = x
}

func (l *Load) resume(k memberKey) *leftover {
	l.mu.Lock()
	defer l.mu.Unlock()
	x := l.left[k]
	delete(l.left, k)
	if x == nil {
		x = &leftover{}
	}
	return x
}

func (l *Load) settings(e runtime.Env, client string, member int, login runtime.Login) settings {
	s := defaults(e.Speed)
	s.login = login
	if l.From != nil {
		s.local = l.From(client, member)
	}
	if l.Reaches != nil {
		s.reaches = func(addr string) bool { return l.Reaches(client, member, addr) }
	}
	return s
}

// Producer starts a member of a producer. It returns once the partitions are
// known and each has its client, or with an error when ctx ends before.
func (l *Load) Producer(ctx context.Context, s runtime.ProducerSpec) (runtime.Producer, error) {
	set := l.settings(s.Env, s.Producer.Name, s.Member, s.Login)
	if err := set.apply(kafkaconf.Producer, s.Producer.Config); err != nil {
		return nil, fmt.Errorf("producer %s: %w", s.Producer.Name, err)
	}
	p, err := newProducer(ctx, l, set, s)
	if err != nil {
		return nil, fmt.Errorf("producer %s: %w", memberID(s.Producer.Name, s.Member), err)
	}
	return p, nil
}

// Consumer starts a member of a group. It returns once the group has given the
// member its share, or has refused it, or with an error when ctx ends before. An
// observer is ready at once.
func (l *Load) Consumer(ctx context.Context, s runtime.ConsumerSpec) (runtime.Member, error) {
	set := l.settings(s.Env, s.Consumer.Name, s.Member, s.Login)
	if err := set.apply(kafkaconf.Consumer, s.Consumer.Config); err != nil {
		return nil, fmt.Errorf("consumer %s: %w", s.Consumer.Name, err)
	}
	if s.Consumer.Observes != "" {
		set.local, set.reaches = netip.Addr{}, nil // the control side
		o, err := newObserver(ctx, set, s)
		if err != nil {
			return nil, fmt.Errorf("observer %s: %w", s.Consumer.Name, err)
		}
		return o, nil
	}
	c, err := newConsumer(ctx, set, s)
	if err != nil {
		return nil, fmt.Errorf("consumer %s: %w", memberID(s.Consumer.Name, s.Member), err)
	}
	return c, nil
}

// patience bounds the wait for goroutines of sarama that should end at once, as
// their connections are closed. A run must not hang on one that does not.
const patience = 5 * time.Second

// within waits for f to return; false when it takes too long.
func within(d time.Duration, f func()) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
		return false
	}
}
