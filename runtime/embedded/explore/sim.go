package explore

// This file defines the simulation: one World and its clients under one virtual clock.

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"starfall/runtime/embedded/core"
	"starfall/runtime/embedded/group"
	"starfall/runtime/embedded/internal/agenda"
)

const (
	topicName    = "t"
	offsetsTopic = "__consumer_offsets"
	txnTopic     = "__transaction_state"
	groupName    = "g"
)

// sim is one schedule as it runs.
type sim struct {
	s     Schedule
	w     *core.World
	rng   *rand.Rand
	own   agenda.Agenda[func()] // of the clients
	steps int
	trace func(string)

	nodes []*host
	net   network
	check *checker
	conns core.ConnID

	armed []Action // those that wait for their trigger

	producers []*producer
	readers   []*reader
	members   []*member
	txnIDs    []*txnID
}

// host is what the clients and the schedule know of a node.
type host struct {
	id     int32
	broker bool
	state  core.Process
	opened bool // its port is open
	calls  []*pending
}

// pending is a client's request that is not answered yet.
type pending struct {
	done bool
	cb   func(kmsg.Response)
}

// newSim makes a cluster whose timeouts are short, so that half a minute shows what
// takes minutes at Kafka's defaults.
func newSim(s Schedule, o Options) (*sim, error) {
	m := &sim{s: s, trace: o.Trace, rng: rand.New(rand.NewPCG(s.Seed, 0x636c69656e7473))}
	m.check = newChecker(m)
	config := map[string]string{
		"broker.session.timeout.ms":        "3000",
		"broker.heartbeat.interval.ms":     "500",
		"replica.lag.time.max.ms":          "4000",
		"offsets.topic.num.partitions":     "1",
		"offsets.commit.timeout.ms":        "2000",
		"group.min.session.timeout.ms":     "1000",
		"group.initial.rebalance.delay.ms": "0",

		"transaction.state.log.num.partitions":                        "1",
		"transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
	}
	for i := range s.Brokers {
		m.nodes = append(m.nodes, &host{id: int32(i + 1), broker: true})
	}
	for i := range s.Controllers {
		m.nodes = append(m.nodes, &host{id: core.ControllerID(i + 1)})
	}
	w, err := core.New(core.Options{
		Brokers: s.Brokers, Controllers: s.Controllers, Seed: s.Seed, Epoch: epoch(), Config: config, Without: o.Without,
		Groups:      func(env core.GroupEnv) core.GroupCoordinator { return group.New(env) },
		OnEvent:     m.event,
		OnUp:        func(id int32) { m.host(id).opened = true },
		OnReplica:   m.check.touch,
		OnCommitted: m.check.committed,
		CloseConn:   func(int32, core.ConnID) {},
	})
	if err != nil {
		return nil, fmt.Errorf("explore: %w", err)
	}
	m.w = w
	m.check.w = w
	return m, nil
}

// epoch is the wall time at which a schedule begins; clients' timestamps go by it.
func epoch() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

// wall is the clients' wall time in milliseconds: a record without one would be old enough
// for retention to delete it.
func (m *sim) wall() int64 { return epoch().Add(m.now()).UnixMilli() }

func (m *sim) host(id int32) *host {
	if int(id) <= m.s.Brokers {
		return m.nodes[id-1]
	}
	return m.nodes[m.s.Brokers+int(id-core.ControllerID(1))]
}

func (m *sim) index(id int32) int {
	if int(id) <= m.s.Brokers {
		return int(id) - 1
	}
	return m.s.Brokers + int(id-core.ControllerID(1))
}

func (m *sim) known(id int32) bool {
	return id >= 1 && int(id) <= m.s.Brokers || id >= core.ControllerID(1) && id <= core.ControllerID(m.s.Controllers)
}

// event notes when a process ends: its clients' connections are reset, unless the
// host is off, where they wait in vain.
func (m *sim) event(e core.Event) {
	if m.trace != nil {
		m.trace(fmt.Sprintf("%v %s: node %d %s-%d epoch %d in sync %v from %d to %d %s", e.At, e.Kind, e.Node, e.Topic, e.Partition, e.Epoch, e.ISR, e.From, e.To, e.Text))
	}
	switch e.Kind {
	case core.EventISR:
		m.trigger(OnISR)
	case core.EventLeader:
		m.trigger(OnLeader)
	case core.EventFenced:
		m.trigger(OnFence)
	case core.EventUnfenced:
		m.trigger(OnJoin)
	case core.EventActiveController:
		m.check.controller(e.Node, e.Epoch)
	}
	if e.Kind != core.EventProcess {
		return
	}
	h := m.host(e.Node)
	for p := core.Running; p <= core.PoweredOff; p++ {
		if p.String() == e.Text {
			h.state = p
		}
	}
	switch h.state {
	case core.Starting, core.Running:
		m.check.started(e.Node)
	case core.Killed, core.Stopped, core.PoweredOff:
		h.opened = false
		m.check.ended(e.Node)
		calls := h.calls
		h.calls = nil
		if h.state == core.PoweredOff {
			return
		}
		for _, p := range calls {
			m.settle(p, nil)
		}
	}
}

// trigger carries out the actions that wait for this, when the step is over.
func (m *sim) trigger(t Trigger) {
	rest := m.armed[:0]
	for _, a := range m.armed {
		if a.On != t {
			rest = append(rest, a)
			continue
		}
		m.after(0, func() { m.act(a) })
	}
	m.armed = rest
}

func (m *sim) now() time.Duration { return m.w.Now() }

// after calls fn when d has passed.
func (m *sim) after(d time.Duration, fn func()) {
	if m.w == nil {
		return // a node comes up while the World is being made
	}
	m.own.Put(m.now()+d, fn)
}

// settle gives an answer, or nil for none, to who waits for it: at this instant, but
// when the step that gave it is over.
func (m *sim) settle(p *pending, resp kmsg.Response) {
	if p.done {
		return
	}
	p.done = true
	m.after(0, func() { p.cb(resp) })
}

// ask sends a request to a broker. cb gets the answer, or nil when the broker refuses
// the connection, resets it, or is silent for longer than timeout.
func (m *sim) ask(broker int32, req kmsg.Request, timeout time.Duration, cb func(kmsg.Response)) {
	h := m.host(broker)
	p := &pending{cb: cb}
	switch {
	case h.state == core.PoweredOff:
		m.after(timeout, func() { m.settle(p, nil) })
		return
	case !h.opened:
		m.after(20*ms, func() { m.settle(p, nil) })
		return
	}
	h.calls = append(h.calls, p)
	m.conns++
	conn := m.conns
	m.after(timeout, func() {
		if !p.done {
			m.settle(p, nil)
			m.w.Disconnected(broker, conn)
		}
	})
	m.w.Request(broker, core.ClientConn{ID: conn, ClientID: "explore", ClientHost: "/127.0.0.1"}, req, func(r kmsg.Response) {
		h.drop(p)
		m.settle(p, r)
	})
}

func (h *host) drop(p *pending) {
	for i, q := range h.calls {
		if q == p {
			h.calls[i] = h.calls[len(h.calls)-1]
			h.calls = h.calls[:len(h.calls)-1]
			return
		}
	}
}

// mostSteps is the number of events after which something goes round in circles. A
// schedule has some thousands.
const mostSteps = 200_000

// run lets time pass until the given time, step by step, and checks after each. It
// ends early when something is broken.
func (m *sim) run(until time.Duration) {
	m.check.verify() // what was done to the World from outside
	for m.check.broken == nil {
		limit := until
		own, ok := m.own.Next()
		if ok {
			limit = min(limit, own)
		}
		if m.w.Step(limit) {
			if m.steps++; m.steps > mostSteps {
				m.check.breaks(RuleStorm, "%d events", m.steps)
			}
			m.check.verify()
			continue
		}
		if !ok || own > until {
			return
		}
		_, fn := m.own.Take()
		fn()
		m.check.verify()
	}
}

// network is the state of the network, from node to node by index.
type network struct {
	paths [16][16]core.Path
}

func (m *sim) applyNetwork() {
	net := m.net // as it is now
	m.w.SetPaths(func(from, to int32) core.Path { return net.paths[m.index(from)][m.index(to)] })
}

// act carries out an action. Errors say that it does not apply, which is no mistake here.
func (m *sim) act(a Action) {
	if m.trace != nil {
		m.trace(fmt.Sprintf("%v action: %s", m.now(), a))
	}
	switch a.Verb {
	case Kill:
		_ = m.w.Kill(a.Node)
	case PowerOff:
		_ = m.w.PowerOff(a.Node)
	case Stop:
		_ = m.w.Stop(a.Node, nil)
	case Start:
		_ = m.w.Start(a.Node)
	case Pause:
		_ = m.w.Pause(a.Node)
	case Resume:
		_ = m.w.Resume(a.Node)
	case Split, Mute:
		var inside [16]bool
		for _, id := range a.Nodes {
			if m.known(id) {
				inside[m.index(id)] = true
			}
		}
		for i := range m.nodes {
			for j := range m.nodes {
				if inside[i] && !inside[j] || inside[j] && !inside[i] && a.Verb == Split {
					m.net.paths[i][j].Cut = true
				}
			}
		}
		m.applyNetwork()
	case Slow:
		if m.known(a.Node) && m.known(a.To) {
			p := &m.net.paths[m.index(a.Node)][m.index(a.To)]
			p.Latency, p.Jitter = a.Delay, a.Delay/2
			m.applyNetwork()
		}
	case Lose:
		for i := range m.nodes {
			for j := range m.nodes {
				m.net.paths[i][j].Loss = 0.1
			}
		}
		m.applyNetwork()
	case Heal:
		m.net = network{}
		m.applyNetwork()
	case Lead:
		m.lead(a.Node, a.Partition)
	case Freeze:
		if i := int(a.Node) - 1; i >= 0 && i < len(m.members) {
			m.members[i].frozenUntil = m.now() + a.Delay
		}
	case Crash, Rival:
		i := int(a.Node) - 1
		switch {
		case i < 0 || i >= len(m.txnIDs):
		case a.Verb == Crash:
			m.txnIDs[i].crash(a.Delay)
		default:
			m.txnIDs[i].come()
		}
	}
}

// lead makes a broker the first replica of a partition, and then its leader if it can be.
func (m *sim) lead(broker, partition int32) {
	via := int32(1 + m.rng.IntN(m.s.Brokers))
	for _, p := range m.w.Partitions(0) {
		if p.Topic != topicName || p.Partition != partition {
			continue
		}
		order := []int32{broker}
		for _, id := range p.Replicas {
			if id != broker {
				order = append(order, id)
			}
		}
		if len(order) != len(p.Replicas) {
			return // a broker that has no replica: moves are none of this verb's business
		}
		m.ask(via, reorder(partition, order), 5*sec, func(r kmsg.Response) {
			if r != nil {
				m.ask(via, electPreferred(partition), 5*sec, nothing)
			}
		})
	}
}
