// This file defines the load of a run: which members run, what share of the
// rate each has, and how they are started, stopped and crashed.

package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

// load runs the members of every producer and consumer. What changes one
// client happens one after the other; different clients do not wait for each
// other.
type load struct {
	p       *plan.Plan
	env     Env
	world   World
	starter Load
	logs    logs
	refresh func(ctx context.Context) (Proof, error) // lets the network know of new members

	clients   []*client
	strangers []string // clients that are known by their site alone

	mu      sync.Mutex // guards members' fields and begun
	begun   bool
	stopped bool // no producer starts any more
	gone    bool // everything was crashed: what comes up now is crashed at once
}

// logs gives each member its part of the recording.
type logs interface {
	Producer(name string, member int) *record.ProducerLog
	Consumer(name string, member int) *record.ConsumerLog
}

// client is one producer or one group.
type client struct {
	name     string
	producer *plan.Producer // or
	consumer *plan.Consumer
	index    int           // in the plan, among its kind
	now      whereabouts   // where members start and go on
	busy     chan struct{} // holds a token while its members change
	rate     float64       // of all members together; 0: as fast as it goes
	members  []*member     // by number, those that have ended included
}

// member is one member, over all its lives.
type member struct {
	number  int // 1…
	place   Place
	run     Member // nil while it does not run
	crashed bool   // ended without goodbye, and not restarted
}

func newLoad(p *plan.Plan, env Env, w World, starter Load, logs logs) *load {
	l := &load{p: p, env: env, world: w, starter: starter, logs: logs}
	for i := range p.Producers {
		x := &p.Producers[i]
		rate := x.Rate
		if x.MaxRate {
			rate = 0
		}
		c := &client{name: x.Name, producer: x, index: i, busy: make(chan struct{}, 1), rate: rate}
		c.now, _ = home(p, c.topics()...) // place says what is wrong
		l.clients = append(l.clients, c)
	}
	for i := range p.Consumers {
		x := &p.Consumers[i]
		c := &client{name: x.Name, consumer: x, index: i, busy: make(chan struct{}, 1)}
		c.now, _ = home(p, c.topics()...)
		l.clients = append(l.clients, c)
	}
	return l
}

func (c *client) site() string {
	if c.producer != nil {
		return c.producer.Site
	}
	return c.consumer.Site
}

func (c *client) planned() int {
	if c.producer != nil {
		return c.producer.Members
	}
	return c.consumer.Members
}

// topics are those that the plan names, all of one cluster.
func (c *client) topics() []string {
	if c.producer != nil {
		return []string{c.producer.Topic}
	}
	return c.consumer.Topics
}

// observer tells whether the client only sees what a mirror copies: it stands
// on the control side, which no fault touches.
func (c *client) observer() bool { return c.consumer != nil && c.consumer.Observes != "" }

func (l *load) find(name string) *client {
	for _, c := range l.clients {
		if c.name == name {
			return c
		}
	}
	return nil
}

// ends gives the endpoints of all members that exist.
func (l *load) ends() []end {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []end
	seen := make(map[Place]bool) // strangers of one site share a place
	for _, c := range l.clients {
		if c.observer() {
			continue
		}
		for _, m := range c.members {
			if !seen[m.place] {
				seen[m.place] = true
				out = append(out, end{Endpoint: Endpoint{Place: m.place}, site: m.place.Site})
			}
		}
	}
	return out
}

// placesOf gives the places of a client's members.
func (l *load) placesOf(name string) []Place {
	c := l.find(name)
	if c == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []Place
	for _, m := range c.members {
		out = append(out, m.place)
	}
	return out
}

// start brings every client up to its planned members, all at once, since the
// members of a group become ready only together.
func (l *load) start(ctx context.Context) error {
	var starts []func(context.Context) error
	for _, c := range l.clients {
		for n := 1; n <= c.planned(); n++ {
			starts = append(starts, func(ctx context.Context) error { return l.run(ctx, c, n) })
		}
	}
	return together(ctx, starts)
}

// places makes the planned members known to the world, so that the network can
// be shaped before they start.
func (l *load) places() error {
	for _, c := range l.clients {
		if err := l.place(c, c.planned()); err != nil {
			return err
		}
	}
	return nil
}

// place makes places up to member n of a client, known to the world.
func (l *load) place(c *client, n int) error {
	if _, err := home(l.p, c.topics()...); err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	l.grow(c, n)
	for i, m := range c.members {
		if _, err := l.world.Bootstrap(c.now.cluster, m.place); err != nil {
			return fmt.Errorf("%s-%d: bootstrap: %w", c.name, i+1, err)
		}
	}
	return nil
}

// grow makes room up to member n.
func (l *load) grow(c *client, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(c.members) < n {
		x := &member{number: len(c.members) + 1}
		switch {
		case c.observer():
		case slices.Contains(l.strangers, c.name):
			x.place = Place{Site: c.site()}
		default:
			x.place = Place{Client: c.name, Member: x.number, Site: c.site()}
		}
		c.members = append(c.members, x)
	}
}

// run starts member n of a client, whose place must exist.
func (l *load) run(ctx context.Context, c *client, n int) error {
	m := c.members[n-1]
	l.mu.Lock()
	at := c.now
	l.mu.Unlock()
	bootstrap, err := l.world.Bootstrap(at.cluster, m.place)
	if err != nil {
		return fmt.Errorf("%s-%d: bootstrap: %w", c.name, n, err)
	}
	var started Member
	if c.producer != nil {
		log := l.logs.Producer(c.name, n)
		if at.topics[0].Name != c.producer.Topic {
			log = log.On(at.topics[0].Name)
		}
		started, err = l.starter.Producer(ctx, ProducerSpec{
			Env: l.env, Producer: *c.producer, Index: c.index, Topic: at.topics[0], Member: n,
			Members: c.planned(), Bootstrap: bootstrap, Login: l.login(c, at.cluster),
			Until: l.p.Scenario.RunFor.Std(), Log: log,
		})
	} else {
		started, err = l.starter.Consumer(ctx, ConsumerSpec{
			Env: l.env, Consumer: *c.consumer, Index: c.index, Topics: at.topics, Member: n,
			Bootstrap: bootstrap, Login: l.login(c, at.cluster), Log: l.logs.Consumer(c.name, n),
		})
	}
	if err != nil {
		return fmt.Errorf("%s-%d: %w", c.name, n, err)
	}
	l.mu.Lock()
	gone := l.gone
	if !gone {
		m.run, m.crashed = started, false
	}
	l.mu.Unlock()
	if gone {
		started.Crash()
		return fmt.Errorf("%s-%d: the run is being taken down", c.name, n)
	}
	return nil
}

// begin starts the schedules at t = 0. The members of a producer share its
// rate; their first records, and those of different producers, are spread over
// one interval so that they do not burst together.
func (l *load) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begun = true
	for _, c := range l.clients {
		if c.producer == nil {
			continue
		}
		n := c.alive()
		share := c.share(n)
		for i, m := range c.members {
			if p, ok := m.run.(Producer); ok {
				p.Begin(phase(i, n, c.index, len(l.p.Producers), share), share)
			}
		}
	}
}

// phase gives when member i of n sends its first record, for producer k of
// all: the interval between two records of a member, divided among them.
func phase(i, n, k, all int, share float64) time.Duration {
	if share <= 0 || n == 0 || all == 0 {
		return 0
	}
	part := (float64(i) + float64(k)/float64(all)) / float64(n)
	return time.Duration(part / share * float64(time.Second))
}

// alive counts the members that share the rate: crashed ones keep their share,
// because nobody takes it over.
func (c *client) alive() int {
	n := 0
	for _, m := range c.members {
		if m.run != nil || m.crashed {
			n++
		}
	}
	return n
}

func (c *client) share(members int) float64 {
	if members == 0 {
		return 0
	}
	return c.rate / float64(members)
}

// scale starts or stops members until there are n, and shares the rate anew
// at once.
func (l *load) scale(ctx context.Context, name string, n int) (Proof, error) {
	c, free, err := l.take(ctx, name)
	if err != nil {
		return Proof{}, err
	}
	defer free()
	if err := l.place(c, n); err != nil {
		return Proof{}, err
	}
	if proof, err := l.refresh(ctx); err != nil || !proof.OK {
		return proof, err
	}
	var steps []func(context.Context) error
	var started []int
	l.mu.Lock()
	if l.stopped && c.producer != nil {
		l.mu.Unlock()
		return Proof{}, errors.New("the producers have been stopped")
	}
	for i, m := range c.members {
		switch {
		case i >= n && m.run != nil:
			run := m.run
			m.run = nil
			steps = append(steps, func(context.Context) error { return run.Stop(ctx) })
		case i >= n:
			m.crashed = false
		case m.run == nil && !m.crashed:
			started = append(started, i+1)
			steps = append(steps, func(ctx context.Context) error { return l.run(ctx, c, i+1) })
		}
	}
	l.reshare(c, n)
	l.mu.Unlock()
	if err := together(ctx, steps); err != nil {
		return Proof{}, err
	}
	l.beginNew(c, n, started)
	return Proof{OK: true, At: time.Now(), Text: fmt.Sprintf("%d members, %d of them new", n, len(started))}, nil
}

// reshare tells the running members of a producer their share among n.
func (l *load) reshare(c *client, n int) {
	// The caller holds l.mu.
	if !l.begun || c.producer == nil {
		return
	}
	for i, m := range c.members {
		if p, ok := m.run.(Producer); ok && i < n {
			p.SetRate(c.share(n))
		}
	}
}

// beginNew starts the schedules of members that were just started.
func (l *load) beginNew(c *client, n int, numbers []int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.begun || l.stopped || c.producer == nil {
		return
	}
	for _, number := range numbers {
		if p, ok := c.members[number-1].run.(Producer); ok {
			p.Begin(l.env.Clock.Now(), c.share(n))
		}
	}
}

// setRate changes the rate of all members of a producer together.
func (l *load) setRate(ctx context.Context, name string, rate float64) (Proof, error) {
	c, free, err := l.take(ctx, name)
	if err != nil {
		return Proof{}, err
	}
	defer free()
	if c.producer == nil {
		return Proof{}, errors.New("a consumer has no rate")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return Proof{}, errors.New("the producers have been stopped")
	}
	c.rate = rate
	n := c.alive()
	l.reshare(c, len(c.members))
	return Proof{OK: true, At: time.Now(), Text: fmt.Sprintf("%g records/s for each of %d members", c.share(n), n)}, nil
}

// crash ends a member without goodbye.
func (l *load) crash(ctx context.Context, name string, n int) (Proof, error) {
	c, free, err := l.take(ctx, name)
	if err != nil {
		return Proof{}, err
	}
	defer free()
	l.mu.Lock()
	var run Member
	if n >= 1 && n <= len(c.members) {
		m := c.members[n-1]
		if run = m.run; run != nil {
			m.run, m.crashed = nil, true
		}
	}
	l.mu.Unlock()
	if run == nil {
		return Proof{}, fmt.Errorf("%s-%d: it does not run", name, n)
	}
	run.Crash()
	return Proof{OK: true, At: time.Now(), Text: "connections reset, nothing committed"}, nil
}

// restart starts a crashed member again.
func (l *load) restart(ctx context.Context, name string, n int) (Proof, error) {
	c, free, err := l.take(ctx, name)
	if err != nil {
		return Proof{}, err
	}
	defer free()
	l.mu.Lock()
	ok := n <= len(c.members) && c.members[n-1].crashed
	stopped := l.stopped && c.producer != nil
	l.mu.Unlock()
	if !ok {
		return Proof{OK: true, At: time.Now(), Text: "no longer a member"}, nil
	}
	if stopped {
		return Proof{OK: true, At: time.Now(), Text: "not started again: the producers have been stopped"}, nil
	}
	if err := l.run(ctx, c, n); err != nil {
		return Proof{}, err
	}
	l.mu.Lock()
	members := c.alive()
	l.mu.Unlock()
	l.beginNew(c, members, []int{n})
	return Proof{OK: true, At: time.Now(), Text: "ready again"}, nil
}

// take waits for what else changes a client.
func (l *load) take(ctx context.Context, name string) (*client, func(), error) {
	c := l.find(name)
	if c == nil {
		return nil, nil, fmt.Errorf("%s: there is no such client", name)
	}
	if l.starter == nil {
		return nil, nil, fmt.Errorf("%s: the clients of the plan do not run here", name)
	}
	select {
	case c.busy <- struct{}{}:
		return c, func() { <-c.busy }, nil
	case <-ctx.Done():
		return nil, nil, fmt.Errorf("%s: another change was still under way: %w", name, context.Cause(ctx))
	}
}

// stop ends all producers, or all consumers, in order. After it no producer
// starts any more.
func (l *load) stop(ctx context.Context, producers bool) error {
	var stops []func(context.Context) error
	l.mu.Lock()
	l.stopped = l.stopped || producers
	for _, c := range l.clients {
		if (c.producer != nil) != producers {
			continue
		}
		for _, m := range c.members {
			if m.run == nil {
				continue
			}
			run := m.run
			m.run = nil
			// One that fails does not hurry the others: ctx is the caller's.
			stops = append(stops, func(context.Context) error {
				if err := run.Stop(ctx); err != nil {
					return fmt.Errorf("%s-%d: stop: %w", c.name, m.number, err)
				}
				return nil
			})
		}
	}
	l.mu.Unlock()
	return together(ctx, stops)
}

// crashAll ends every member that still runs, at once.
func (l *load) crashAll() {
	l.mu.Lock()
	l.stopped, l.gone = true, true
	var runs []Member
	for _, c := range l.clients {
		for _, m := range c.members {
			if m.run != nil {
				runs = append(runs, m.run)
				m.run = nil
			}
		}
	}
	l.mu.Unlock()
	for _, r := range runs {
		r.Crash()
	}
}

// hush ends the schedules of all producers at once: nothing is due any more.
func (l *load) hush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = true
	for _, c := range l.clients {
		for _, m := range c.members {
			if p, ok := m.run.(Producer); ok && c.producer != nil {
				p.SetRate(0)
			}
		}
	}
}

// members gives the members of a client that run now.
func (l *load) members(name string) []plan.Ref {
	c := l.find(name)
	if c == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []plan.Ref
	for _, m := range c.members {
		if m.run != nil {
			out = append(out, plan.Ref{Kind: plan.RefMember, Name: name, Index: m.number})
		}
	}
	return out
}
