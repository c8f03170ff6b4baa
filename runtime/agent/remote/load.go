// This file defines the members of a session, outside.

package remote

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"starfall/runtime"
)

// member is a member that runs inside. It has a stream for all its life.
type member struct {
	s    *Session
	x    *exchange
	name string

	mu    sync.Mutex
	ended bool
}

var (
	_ runtime.Producer   = (*producer)(nil)
	_ runtime.Redirecter = (*member)(nil)
)

// producer is a member with a schedule.
type producer struct{ *member }

// Producer starts a member of a producer; its Log and Env are not used.
func (s *Session) Producer(ctx context.Context, spec runtime.ProducerSpec) (runtime.Producer, error) {
	m, err := s.member(ctx, spec.Producer.Name, spec.Member, opProducer, producerArgs{
		Producer: spec.Producer, Index: spec.Index, Topic: spec.Topic, Member: spec.Member, Members: spec.Members,
		Bootstrap: spec.Bootstrap, Login: spec.Login, Until: spec.Until, Local: s.local(spec.Producer.Name, spec.Member),
	})
	if err != nil {
		return nil, err
	}
	return producer{m}, nil
}

// Consumer starts a member of a group; its Log and Env are not used.
func (s *Session) Consumer(ctx context.Context, spec runtime.ConsumerSpec) (runtime.Member, error) {
	m, err := s.member(ctx, spec.Consumer.Name, spec.Member, opConsumer, consumerArgs{
		Consumer: spec.Consumer, Index: spec.Index, Topics: spec.Topics, Member: spec.Member,
		Bootstrap: spec.Bootstrap, Login: spec.Login, Local: s.local(spec.Consumer.Name, spec.Member),
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

func (s *Session) local(client string, member int) netip.Addr {
	if s.o.From == nil {
		return netip.Addr{}
	}
	return s.o.From(client, member)
}

func (s *Session) member(ctx context.Context, client string, n int, op string, args any) (*member, error) {
	if s.o.Record == nil {
		return nil, fmt.Errorf("%s: %w", s.o.Name, errNoRecord)
	}
	x, err := s.exchange(ctx)
	if err != nil {
		return nil, err
	}
	m := &member{s: s, x: x, name: fmt.Sprintf("%s-%d", client, n)}
	if err := x.ask(ctx, stuck, op, args, nil); err != nil {
		x.close() // should it run after all, that crashes it
		if errors.Is(err, errSilent) {
			err = s.fail(fmt.Errorf("%s: %w", m.name, err))
		}
		return nil, err
	}
	return m, nil
}

// end marks the member as ended; false when it was before.
func (m *member) end() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	was := m.ended
	m.ended = true
	return !was
}

// Stop ends the member in order.
func (m *member) Stop(ctx context.Context) error {
	if !m.end() {
		return nil
	}
	defer m.x.close()
	err := m.x.ask(ctx, stuck, opStop, nil, nil)
	if errors.Is(err, errSilent) {
		return m.s.fail(fmt.Errorf("%s: %w", m.name, err))
	}
	return err
}

// Redirect lets the member go on elsewhere. It may be stopped or crashed
// meanwhile.
func (m *member) Redirect(ctx context.Context, to runtime.Destination) error {
	err := m.x.ask(ctx, stuck, opRedirect, to, nil)
	if errors.Is(err, errSilent) {
		return m.s.fail(fmt.Errorf("%s: %w", m.name, err))
	}
	return err
}

// Crash ends the member without goodbye. When that cannot be told inside, the
// session has failed, and the member with it.
func (m *member) Crash() {
	if !m.end() {
		return
	}
	defer m.x.close()
	m.must(stuck, opCrash, nil)
}

// must asks for what cannot fail: when it does the session has.
func (m *member) must(limit time.Duration, op string, args any) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := m.x.ask(ctx, answerLimit, op, args, nil); err != nil {
		m.s.fail(fmt.Errorf("%s: %s: %w", m.name, op, err))
	}
}

// Begin starts the schedule. It does not wait for the other side, so that many
// members begin together; what follows is done after it.
func (p producer) Begin(at time.Duration, share float64) {
	ctx, cancel := context.WithTimeout(p.s.ctx, answerLimit)
	zero, err := p.s.inner(ctx)
	cancel()
	if err != nil {
		p.s.fail(fmt.Errorf("%s: %s: the clock does not run: %w", p.name, opBegin, err))
		return
	}
	_, answer, err := p.x.send(context.Background(), opBegin, beginArgs{At: at, Share: share, Zero: zero})
	if err != nil {
		return // the session has failed
	}
	go func() {
		select {
		case r := <-answer:
			if r.Error != nil {
				p.s.fail(fmt.Errorf("%s: %s: %w", p.name, opBegin, r.Error.err()))
			}
		case <-p.s.ctx.Done():
		}
	}()
}

// SetRate changes the member's share; it has done so when SetRate returns.
func (p producer) SetRate(share float64) {
	p.mu.Lock()
	ended := p.ended
	p.mu.Unlock()
	if !ended {
		p.must(stuck, opRate, share)
	}
}
