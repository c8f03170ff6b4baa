// This file defines a fake engine and fake clients: enough of a Kafka for the
// run to be tried in a testing/synctest bubble.

package runtime

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

// fake is an engine with one world whose brokers do what they are told, each
// signal after a delay of its own. Partitions are led by their first replica
// that runs, and every record is replicated at once.
type fake struct {
	refuse    []Refusal
	upErr     error
	createErr error
	loadErr   error
	closeErr  error
	upDelay   time.Duration
	deaf      bool          // Up does not heed its context
	loadDelay time.Duration // until a client is ready
	slowAudit time.Duration
	delay     map[Signal]time.Duration
	unproved  map[Signal]bool
	panicOn   Signal
	noPower   bool                     // neither Processes nor Network
	shape     func(paths []Path) error // when set, what Shape answers
	stuck     bool                     // consumers deliver nothing
	noLeader  bool                     // no partition has a leader
	redirect  error                    // when set, what Redirect answers
	// redirectDelay is until a member is ready elsewhere.
	redirectDelay time.Duration
	mute          bool // nobody hears what consumers get
	committed     map[string]map[int32]int64
	groupErr      error
	power         func(*fakeWorld) World // when set, the world with other powers
	mirrored      time.Duration          // how long a mirror takes to copy a record; 0: 100 ms
	grantErr      error

	mu      sync.Mutex
	p       *plan.Plan
	observe func(Change)
	state   map[NodeKey]string
	calls   []string
	shapes  [][]Path
	logs    map[string]int64 // by topic: records in partition 0
	acks    map[string][]record.Identity
	running map[string]*fakeMember // by client-member
	specs   []ProducerSpec
	shares  []string
	closed  int
	clock   Clock
	done    []plan.Action
	opts    UpOptions
	members []string        // consumer specs as "name-n at topics, as user"
	copies  map[string]bool // mirrored topics that are there
	deleted map[string]bool
	seqs    map[string]uint64 // by client-member: the next
	asked   []string          // groups described, as "cluster group"
}

type fakeWorld struct{ *fake }

// powerless is a world without powers.
type powerless struct{ w *fakeWorld }

func (p powerless) Bootstrap(c string, from Place) ([]string, error) { return p.w.Bootstrap(c, from) }
func (p powerless) Inspect(ctx context.Context, c string) (State, error) {
	return p.w.Inspect(ctx, c)
}
func (p powerless) Close(ctx context.Context) error { return p.w.Close(ctx) }

func newFake() *fake {
	return &fake{
		delay: make(map[Signal]time.Duration), unproved: make(map[Signal]bool),
		state: make(map[NodeKey]string), logs: make(map[string]int64),
		acks: make(map[string][]record.Identity), running: make(map[string]*fakeMember),
		copies: make(map[string]bool), deleted: make(map[string]bool), seqs: make(map[string]uint64),
	}
}

func (f *fake) call(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := time.Duration(0)
	if f.clock != nil {
		at = f.clock.Now()
	}
	f.calls = append(f.calls, fmt.Sprintf("%s ", at)+fmt.Sprintf(format, args...))
}

// called gives the calls without their times.
func (f *fake) called() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, c := range f.calls {
		for i := range c {
			if c[i] == ' ' {
				out = append(out, c[i+1:])
				break
			}
		}
	}
	return out
}

func (f *fake) closings() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.closed
}

func (f *fake) Name() string                { return "fake" }
func (f *fake) Refuse(*plan.Plan) []Refusal { return f.refuse }
func (f *fake) ReportsElections() bool      { return true }
func (f *fake) connect() Connect            { return f.clients }
func (f *fake) options(t *testing.T) Options {
	return Options{Engine: f, Connect: f.connect(), Folder: t.TempDir() + "/run"}
}

func (f *fake) Up(ctx context.Context, p *plan.Plan, o UpOptions) (World, error) {
	f.call("up")
	if f.deaf {
		time.Sleep(f.upDelay)
	} else if !sleep(ctx, f.upDelay) {
		return nil, context.Cause(ctx)
	}
	if f.upErr != nil {
		return nil, f.upErr
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.p, f.observe, f.opts = p, o.Observe, o
	for _, c := range p.Clusters {
		for _, n := range c.Nodes {
			f.state[NodeKey{c.Name, n.ID}] = processRunning
		}
	}
	o.Observe(Change{At: time.Now(), Cluster: "kafka", Kind: ChangeController, Node: 1, Text: "kafka-1 is the controller"})
	w := &fakeWorld{f}
	if f.noPower {
		return powerless{w}, nil
	}
	if f.power != nil {
		return f.power(w), nil
	}
	return w, nil
}

func (w *fakeWorld) Bootstrap(cluster string, from Place) ([]string, error) {
	return []string{fmt.Sprintf("%s.%s.%d:9092", cluster, from.Client+from.Site, from.Member)}, nil
}

func (w *fakeWorld) Close(context.Context) error {
	w.call("world closed")
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed++
	return w.closeErr
}

func (w *fakeWorld) Inspect(ctx context.Context, cluster string) (State, error) {
	if err := ctx.Err(); err != nil {
		return State{}, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var s State
	for _, c := range w.p.Clusters {
		if c.Name != cluster {
			continue
		}
		for _, n := range c.Nodes {
			st := w.state[NodeKey{cluster, n.ID}]
			s.Nodes = append(s.Nodes, NodeState{ID: n.ID, Process: st, Alive: st == processRunning})
			if st == processRunning && len(s.Controllers) == 0 {
				s.Controllers = []int32{n.ID}
			}
		}
	}
	for _, t := range w.p.Topics {
		if t.Cluster != cluster || w.deleted[t.Name] || t.Origin == plan.Mirrored && !w.copies[t.Name] {
			continue
		}
		for part := range t.Partitions {
			p := PartitionState{Topic: t.KafkaName(), Partition: int32(part), Leader: -1}
			for i := range t.Replicas {
				id := int32((part+i)%len(s.Nodes) + 1)
				p.Replicas = append(p.Replicas, id)
				if w.state[NodeKey{cluster, id}] == processRunning {
					p.ISR = append(p.ISR, id)
					if p.Leader < 0 && !w.noLeader {
						p.Leader = id
					}
				}
			}
			if part == 0 {
				p.End, p.HighWater = w.logs[t.Name], w.logs[t.Name]
			}
			s.Partitions = append(s.Partitions, p)
		}
	}
	return s, nil
}

func (w *fakeWorld) Signal(ctx context.Context, n NodeKey, s Signal) (Proof, error) {
	w.call("%s %d", s, n.ID)
	if s == w.panicOn {
		panic("the engine is broken")
	}
	if !sleep(ctx, w.delay[s]) {
		return Proof{Text: "not seen in time"}, nil
	}
	if w.unproved[s] {
		return Proof{Text: "it is still there"}, nil
	}
	w.mu.Lock()
	next, refused := step(w.state[n], s)
	if refused == nil {
		w.state[n] = next
	}
	w.mu.Unlock()
	if refused != nil {
		return Proof{}, refused
	}
	return Proof{OK: true, At: time.Now(), Text: string(s) + " seen"}, nil
}

func (w *fakeWorld) Shape(ctx context.Context, paths []Path) (Proof, error) {
	w.call("shape %d", len(paths))
	w.mu.Lock()
	w.shapes = append(w.shapes, slices.Clone(paths))
	shape := w.shape
	w.mu.Unlock()
	if shape != nil {
		if err := shape(paths); err != nil {
			return Proof{}, err
		}
	}
	return Proof{OK: true, At: time.Now(), Text: fmt.Sprintf("%d paths probed", len(paths))}, nil
}

func (f *fake) clients(w World, e Env, p *plan.Plan, _ *record.Writer) (Clients, error) {
	f.mu.Lock()
	f.clock = e.Clock
	f.mu.Unlock()
	load := Load(fakeLoad{f})
	if f.mute {
		load = muteLoad{fakeLoad{f}}
	}
	return Clients{Load: load, Admin: fakeAdmin{f}, Audit: fakeAudit{f}, Close: func() error {
		f.call("clients closed")
		return nil
	}}, nil
}

type fakeLoad struct{ *fake }

// fakeMember is a producer or a consumer. A producer puts a record into
// partition 0 every 100 ms of scenario time from Begin on; the consumer reads
// it within 100 ms.
type fakeMember struct {
	f        *fake
	name     string
	producer *ProducerSpec
	consumer *ConsumerSpec
	seq      uint64
	topics   []plan.Topic // guarded by f.mu
	next     map[string]int64
	quit     chan struct{}
	ended    chan struct{}
	begin    sync.Once
}

func (l fakeLoad) Producer(ctx context.Context, s ProducerSpec) (Producer, error) {
	l.call("start %s-%d", s.Producer.Name, s.Member)
	if l.loadErr != nil {
		return nil, l.loadErr
	}
	if !sleep(ctx, l.loadDelay) {
		return nil, context.Cause(ctx)
	}
	m := &fakeMember{f: l.fake, name: fmt.Sprintf("%s-%d", s.Producer.Name, s.Member), producer: &s, quit: make(chan struct{}), ended: make(chan struct{})}
	l.mu.Lock()
	l.specs = append(l.specs, s)
	m.topics, m.seq = []plan.Topic{s.Topic}, l.seqs[m.name]
	l.running[m.name] = m
	l.mu.Unlock()
	return m, nil
}

func (l fakeLoad) Consumer(ctx context.Context, s ConsumerSpec) (Member, error) {
	l.call("start %s-%d", s.Consumer.Name, s.Member)
	if l.loadErr != nil {
		return nil, l.loadErr
	}
	m := &fakeMember{f: l.fake, name: fmt.Sprintf("%s-%d", s.Consumer.Name, s.Member), consumer: &s, next: make(map[string]int64), quit: make(chan struct{}), ended: make(chan struct{})}
	var topics []string
	for _, t := range s.Topics {
		topics = append(topics, t.Name)
	}
	l.mu.Lock()
	m.topics = s.Topics
	l.running[m.name] = m
	l.members = append(l.members, fmt.Sprintf("%s at %s: %v as %q", m.name, s.Bootstrap[0], topics, s.Login.User))
	l.mu.Unlock()
	go m.consume()
	return m, nil
}

func (m *fakeMember) Begin(at time.Duration, share float64) {
	m.f.mu.Lock()
	m.f.shares = append(m.f.shares, fmt.Sprintf("%s begins %s at %g", m.name, at, share))
	m.f.mu.Unlock()
	m.begin.Do(func() { go m.produce(at) })
}

func (m *fakeMember) SetRate(share float64) {
	m.f.mu.Lock()
	m.f.shares = append(m.f.shares, fmt.Sprintf("%s goes at %g", m.name, share))
	m.f.mu.Unlock()
}

func (m *fakeMember) wall(d time.Duration) time.Duration {
	speed := 1.0
	if m.producer != nil {
		speed = m.producer.Speed
	} else {
		speed = m.consumer.Speed
	}
	return time.Duration(float64(d) / speed)
}

func (m *fakeMember) pause(d time.Duration) bool {
	select {
	case <-m.quit:
		return false
	case <-time.After(m.wall(d)):
		return true
	}
}

func (m *fakeMember) produce(at time.Duration) {
	defer close(m.ended)
	log := m.producer.Log
	log.Due(m.seq, at, 10, m.producer.Topic.Partitions)
	if !m.pause(at - m.producer.Clock.Now()) {
		return
	}
	for {
		now := m.producer.Clock.Now()
		m.f.mu.Lock()
		topic := m.topics[0].Name
		offset := m.f.logs[topic]
		m.f.logs[topic]++
		id := record.Identity{Run: m.producer.RunID, Producer: m.producer.Index, Member: m.producer.Member, Seq: m.seq}
		m.f.acks[topic] = append(m.f.acks[topic], id)
		m.f.mu.Unlock()
		log = log.On(topic)
		log.Accepted(m.seq, 1, now)
		log.Acked(m.seq, 0, offset, now)
		m.seq++
		m.f.mu.Lock()
		m.f.seqs[m.name] = m.seq // a restarted member goes on counting
		m.f.mu.Unlock()
		if !m.pause(100 * time.Millisecond) {
			log.End(m.seq, m.producer.Clock.Now())
			return
		}
	}
}

func (m *fakeMember) consume() {
	defer close(m.ended)
	for m.pause(100 * time.Millisecond) {
		if m.f.stuck || m.consumer.Member != 1 {
			continue
		}
		m.f.mu.Lock()
		topics := m.topics
		m.f.mu.Unlock()
		for _, topic := range topics {
			t := topic.Name
			m.f.mu.Lock()
			ids := m.f.acks[t][m.next[t]:]
			m.f.mu.Unlock()
			for _, id := range ids {
				m.consumer.Log.Delivered(t, 0, m.next[t], id, m.consumer.Clock.Now())
				m.next[t]++
			}
		}
	}
}

func (m *fakeMember) end(how string) {
	m.f.call("%s %s", how, m.name)
	m.f.mu.Lock()
	delete(m.f.running, m.name)
	m.f.mu.Unlock()
	close(m.quit)
	if m.producer != nil {
		m.begin.Do(func() { close(m.ended) })
	}
	<-m.ended
}

func (m *fakeMember) Redirect(ctx context.Context, to Destination) error {
	var topics []string
	for _, t := range to.Topics {
		topics = append(topics, t.Name)
	}
	m.f.call("redirect %s to %s: %v as %q, finish %v", m.name, to.Bootstrap[0], topics, to.Login.User, to.Finish)
	if m.f.redirect != nil {
		return m.f.redirect
	}
	if !sleep(ctx, m.f.redirectDelay) {
		return context.Cause(ctx)
	}
	m.f.mu.Lock()
	defer m.f.mu.Unlock()
	m.topics = to.Topics
	return nil
}

func (m *fakeMember) Stop(context.Context) error { m.end("stop"); return nil }
func (m *fakeMember) Crash()                     { m.end("crash") }

type fakeAdmin struct{ *fake }

func (a fakeAdmin) Create(ctx context.Context, cluster string, topics []plan.Topic) error {
	a.call("create %d", len(topics))
	return a.createErr
}

func (a fakeAdmin) Do(ctx context.Context, cluster string, x plan.Action) (Proof, error) {
	a.call("%s", x.Verb)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.done = append(a.done, x)
	if x.Verb == plan.Delete {
		a.deleted[x.Targets[0].Name] = true
	}
	p := Proof{OK: true, At: time.Now(), Text: "read back"}
	if x.Verb == plan.Send {
		p.Wrote = &Written{Topic: x.Targets[0].Name, Offset: 7}
	}
	if x.Verb == plan.DeleteRecords {
		p.Deleted = []Written{{Topic: x.Targets[0].Name, Partition: 1, Offset: 5}}
	}
	return p, nil
}

func (a fakeAdmin) Coordinator(context.Context, string, string) (int32, error) { return 3, nil }

func (a fakeAdmin) Configs(ctx context.Context, cluster string, t plan.Ref, names []string) (map[string]*string, error) {
	out := make(map[string]*string)
	for _, n := range names {
		out[n] = nil
	}
	return out, nil
}

func (a fakeAdmin) Restore(ctx context.Context, cluster string, t plan.Ref, values map[string]*string) (Proof, error) {
	a.call("restore %s", t.Name)
	return Proof{OK: true, At: time.Now(), Text: "put back"}, nil
}

func (a fakeAdmin) Grant(ctx context.Context, cluster, user string, rights []plan.ACL) (Proof, error) {
	a.call("grant %d to %s on %s", len(rights), user, cluster)
	return Proof{OK: true, At: time.Now(), Text: "read back"}, a.grantErr
}

// fakeMirror copies partition 0 of its topics.
type fakeMirror struct {
	f     *fake
	name  string
	quit  chan struct{}
	ended chan struct{}
}

func (a fakeAdmin) Mirror(ctx context.Context, s MirrorSpec) (Member, error) {
	a.call("mirror %s from %s to %s", s.Mirror.Name, s.From[0], s.To[0])
	m := &fakeMirror{a.fake, s.Mirror.Name, make(chan struct{}), make(chan struct{})}
	every := a.mirrored
	if every == 0 {
		every = 100 * time.Millisecond
	}
	go func() {
		defer close(m.ended)
		for {
			select {
			case <-m.quit:
				return
			case <-time.After(every):
			}
			a.mu.Lock()
			for i, t := range s.Topics {
				to := s.Copies[i].Name
				a.copies[to] = true
				if n := a.logs[to]; n < a.logs[t.Name] {
					a.acks[to] = append(a.acks[to], a.acks[t.Name][n])
					a.logs[to]++
				}
			}
			a.mu.Unlock()
		}
	}()
	return m, nil
}

func (m *fakeMirror) end(how string) {
	m.f.call("%s mirror %s", how, m.name)
	close(m.quit)
	<-m.ended
}
func (m *fakeMirror) Stop(context.Context) error { m.end("stop"); return nil }
func (m *fakeMirror) Crash()                     { m.end("crash") }

func (a fakeAdmin) Compare(_ context.Context, s MirrorSpec, ends map[string]map[int32]int64, groups []string) ([]Comparison, error) {
	a.call("compare %s up to %d and %d, groups %v", s.Mirror.Name, ends[s.Topics[0].Name][0], ends[s.Copies[0].Name][0], groups)
	return []Comparison{
		{Aspect: "records", Compared: 9, Different: 2, First: "orders/0 at 3: another value"},
		{Aspect: "groups", Compared: 1},
	}, nil
}

type fakeAudit struct{ *fake }

func (a fakeAudit) Audit(ctx context.Context, cluster, topic string, end map[int32]int64, log func(int32, int64, int64) *record.AuditLog) error {
	a.call("audit %s", topic)
	if !sleep(ctx, a.slowAudit) {
		return context.Cause(ctx)
	}
	a.mu.Lock()
	ids := slices.Clone(a.acks[topic])
	a.mu.Unlock()
	for part, hw := range end {
		l := log(part, 0, hw)
		if part == 0 {
			for i, id := range ids {
				l.Record(int64(i), id)
			}
		}
		l.Close(nil)
	}
	return ctx.Err()
}

func (a fakeAudit) Group(_ context.Context, cluster, group string) (Group, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, cluster+" "+group)
	g := Group{State: "Stable", Members: 1, Generation: 1}
	if a.running["billing-1"] == nil {
		g.Committed = a.committed // it commits when it leaves
	}
	return g, a.groupErr
}

// muteLoad has clients that say nothing.
type muteLoad struct{ fakeLoad }

func (muteLoad) Silent(client string) bool { return client == "billing" }

var (
	_ Engine    = (*fake)(nil)
	_ Observant = (*fake)(nil)
	_ World     = (*fakeWorld)(nil)
	_ Processes = (*fakeWorld)(nil)
	_ Network   = (*fakeWorld)(nil)
	_ Load      = fakeLoad{}
	_ Producer  = (*fakeMember)(nil)
	_ Admin     = fakeAdmin{}
	_ Configs   = fakeAdmin{}
	_ Restorer  = fakeAdmin{}
	_ Auditor   = fakeAudit{}

	_ Redirecter = (*fakeMember)(nil)
	_ Grantor    = fakeAdmin{}
	_ Mirrorer   = fakeAdmin{}
	_ Comparer   = fakeAdmin{}
)
