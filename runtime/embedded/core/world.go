package core

// This file defines the World: the event queue, the clock, and the life and death of
// the nodes' processes.

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"starfall/runtime/embedded/codec"
	"starfall/runtime/embedded/internal/agenda"
	"starfall/runtime/embedded/internal/rules"
)

// World is one cluster: its nodes, their disks, and the network between them.
// It is not safe for concurrent use.
type World struct {
	opts  Options
	rng   *rand.Rand
	now   time.Duration
	queue agenda.Agenda[event]
	nodes []*node // by id
	byID  map[int32]*node
	paths func(from, to int32) Path
	conns map[connKey]*conn
	// connOrder keeps the connections in the order of their opening, because what is
	// done to all of them must not depend on map order.
	connOrder []*conn
	busy      map[[2]int32]time.Duration // when a path with limited bandwidth is free again
	voters    []int32
	brokers   []int32
	codec     codec.Codec
	spool     spool
	// formatted are the SCRAM credentials that every node finds when it starts.
	formatted map[scramKey]*scramCredential
}

// node is a machine with a process on it. What is under "disk" outlives the process.
//
//	state       Kill       Stop      PowerOff    Pause    Resume   Start     time
//	running     killed     stopping  poweredOff  paused   -        -         -
//	starting    killed     stopped   poweredOff  paused   -        -         running
//	stopping    killed     -         poweredOff  paused   -        -         stopped
//	paused      killed     -         poweredOff  -        running  -         -
//	stopped, killed, poweredOff: Start leads to starting
//
// A "-" is an error that names the state.
type node struct {
	w        *World
	id       int32
	isBroker bool
	isVoter  bool
	rack     string
	cfg      *nodeConfig

	state       Process
	beforePause Process
	// incarnation counts processes; timers and messages of an older one are dropped.
	incarnation uint32
	backlog     []func() // what arrived while paused

	disk disk

	raft     *raft
	ctl      *controller // while this node is the active controller
	broker   *broker
	stopDone []func()
}

// disk is what a node finds again after a restart.
type disk struct {
	raft raftDisk
	logs map[partitionKey]*partitionLog
}

// remove deletes a log, if it is there.
func (d *disk) remove(key partitionKey) {
	if l := d.logs[key]; l != nil {
		l.remove()
		delete(d.logs, key)
	}
}

// spoolFor is where the batches of a topic's logs may be put.
func (w *World) spoolFor(topic string) *spool {
	if internalTopic(topic) {
		return nil
	}
	return &w.spool
}

type event struct {
	node *node // nil: an event of the network, not of a process
	inc  uint32
	fn   func()
}

// New makes a cluster and starts its nodes at time 0. It reports configs that it
// cannot use.
func New(opts Options) (*World, error) {
	if opts.Brokers == 0 {
		opts.Brokers = 1
	}
	if opts.Brokers < 0 || opts.Controllers < 0 {
		return nil, fmt.Errorf("cluster: for parameter brokers: got %d brokers and %d controllers, want positive numbers", opts.Brokers, opts.Controllers)
	}
	if opts.ClusterID == "" {
		opts.ClusterID = "starfall-embedded-kafka"
	}
	if opts.Epoch.IsZero() {
		opts.Epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	switch {
	case opts.StartDelay == 0:
		opts.StartDelay = DefaultStartDelay
	case opts.StartDelay < 0:
		opts.StartDelay = 0
	}
	if opts.Address == nil {
		opts.Address = func(string, int32) (string, int32) { return "localhost", 9092 }
	}
	if opts.OnDown == nil {
		opts.OnDown = func(int32, bool) {}
	}
	if opts.OnUp == nil {
		opts.OnUp = func(int32) {}
	}
	if opts.CloseConn == nil {
		opts.CloseConn = func(int32, ConnID) {}
	}
	if opts.OnEvent == nil {
		opts.OnEvent = func(Event) {}
	}
	w := &World{
		opts:  opts,
		rng:   rand.New(rand.NewPCG(opts.Seed, 0x5747_6166_616c_6c21)),
		byID:  map[int32]*node{},
		conns: map[connKey]*conn{},
		busy:  map[[2]int32]time.Duration{},
		paths: func(int32, int32) Path { return Path{} },
	}
	w.spool.store, w.spool.budget = opts.Store, opts.Memory
	if w.spool.budget == 0 {
		w.spool.budget = DefaultMemory
	}
	if s := opts.Security; s != nil {
		var err error
		if w.formatted, err = w.formatSCRAM(s.SCRAM); err != nil {
			return nil, err
		}
	}
	add := func(id int32, isBroker, isVoter bool) error {
		cfg, err := newNodeConfig(opts.Config, opts.PerBroker[id])
		if err != nil {
			return fmt.Errorf("node %d: %w", id, err)
		}
		n := &node{w: w, id: id, isBroker: isBroker, isVoter: isVoter, rack: opts.Racks[id], cfg: cfg, state: Stopped}
		n.disk.logs = map[partitionKey]*partitionLog{}
		w.nodes = append(w.nodes, n)
		w.byID[id] = n
		if isVoter {
			w.voters = append(w.voters, id)
		}
		if isBroker {
			w.brokers = append(w.brokers, id)
		}
		return nil
	}
	for i := 1; i <= opts.Brokers; i++ {
		if err := add(int32(i), true, opts.Controllers == 0); err != nil {
			return nil, err
		}
	}
	for i := 1; i <= opts.Controllers; i++ {
		if err := add(ControllerID(i), false, true); err != nil {
			return nil, err
		}
	}
	for _, n := range w.nodes {
		n.boot()
	}
	return w, nil
}

// Now is the time up to which the World has been advanced.
func (w *World) Now() time.Duration { return w.now }

// Advance processes every event that is due up to now, each at its own time.
func (w *World) Advance(now time.Duration) {
	for w.Step(now) {
	}
}

// Step processes the earliest event if it is due by limit, and reports whether there was
// one. Otherwise it lets time pass up to limit.
func (w *World) Step(limit time.Duration) bool {
	next, ok := w.queue.Next()
	if !ok || next > limit {
		w.now = max(w.now, limit)
		return false
	}
	at, e := w.queue.Take()
	w.now = max(w.now, at)
	switch {
	case e.node == nil:
		e.fn()
	case e.node.incarnation == e.inc:
		e.node.run(e.fn)
	}
	return true
}

// Next is the time of the earliest event, and false when there is none.
func (w *World) Next() (time.Duration, bool) { return w.queue.Next() }

// at schedules an event of the network.
func (w *World) at(t time.Duration, fn func()) {
	w.queue.Put(max(t, w.now), event{fn: fn})
}

func (w *World) emit(e Event) {
	e.At = w.now
	w.opts.OnEvent(e)
}

// random is a duration in [0, d).
func (w *World) random(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(w.rng.Int64N(int64(d)))
}

// wallMillis is the wall time that timestamps carry, in milliseconds.
func (w *World) wallMillis(now time.Duration) int64 {
	return w.opts.Epoch.Add(now).UnixMilli()
}

// after schedules fn for this process: it is dropped when the process has ended by
// then, and late when the process is paused.
func (n *node) after(d time.Duration, fn func()) {
	n.w.queue.Put(n.w.now+max(d, 0), event{node: n, inc: n.incarnation, fn: fn})
}

// timer is a scheduled call that can be taken back; what it holds is free then, although
// its place in the queue stays until its time.
type timer struct{ fn func() }

func (t *timer) stop() {
	if t != nil {
		t.fn = nil
	}
}

// timer is after for what mostly does not come to pass, such as timeouts.
func (n *node) timer(d time.Duration, fn func()) *timer {
	t := &timer{fn}
	n.after(d, func() {
		if fn := t.fn; fn != nil {
			t.fn = nil
			fn()
		}
	})
	return t
}

// run executes fn, or keeps it until the process resumes.
func (n *node) run(fn func()) {
	switch {
	case n.state == Paused:
		inc := n.incarnation
		n.backlog = append(n.backlog, func() {
			if n.incarnation == inc {
				fn()
			}
		})
	case n.alive():
		fn()
	}
}

// alive: the process exists and is neither down nor still starting.
func (n *node) alive() bool { return n.state == Running || n.state == Stopping }

// listens: a connection attempt is taken by the host's kernel.
func (n *node) listens() bool {
	return n.alive() || n.state == Paused && n.beforePause != Starting
}

// accepts: a connection for this purpose is taken. A broker opens its own listener only
// when it is ready, the controller's at once.
func (n *node) accepts(ch channel) bool {
	return n.listens() && (ch != chanFetch && ch != chanTxn || n.broker != nil && n.broker.lifecycle.caughtUp)
}

func (n *node) setState(s Process) {
	n.state = s
	n.w.emit(Event{Kind: EventProcess, Node: n.id, Text: s.String()})
}

// boot brings a process up: it reads its disk and takes part.
func (n *node) boot() {
	n.setState(Running)
	n.raft = newRaft(n)
	if n.isBroker {
		n.broker = newBroker(n)
	}
	n.raft.start()
	if n.broker != nil {
		n.broker.start()
	} else {
		n.w.opts.OnUp(n.id)
	}
}

// down ends the process; what it had in memory is gone.
func (n *node) down(s Process) {
	n.incarnation++
	n.backlog = nil
	n.raft, n.ctl, n.broker = nil, nil, nil
	n.setState(s)
	for _, done := range n.stopDone {
		n.w.at(n.w.now, done)
	}
	n.stopDone = nil
}

func (w *World) node(id int32) (*node, error) {
	n, ok := w.byID[id]
	if !ok {
		return nil, fmt.Errorf("node %d: there is no such node", id)
	}
	return n, nil
}

func (n *node) exists() bool {
	return n.state != Stopped && n.state != Killed && n.state != PoweredOff
}

// Kill ends a process at once (SIGKILL). What it had written stays; peers and clients
// see resets.
func (w *World) Kill(id int32) error {
	n, err := w.node(id)
	if err != nil {
		return err
	}
	if !n.exists() {
		return fmt.Errorf("node %d: cannot kill: it is %s", id, n.state)
	}
	n.down(Killed)
	if w.opts.Without.Lacks(rules.KillKeeps) {
		n.losePower()
	}
	w.resetConns(n)
	w.opts.OnDown(id, true)
	return nil
}

// PowerOff makes the host vanish: no resets, packets into the void, and what was not
// flushed to disk is lost.
func (w *World) PowerOff(id int32) error {
	n, err := w.node(id)
	if err != nil {
		return err
	}
	if !n.exists() {
		return fmt.Errorf("node %d: cannot power off: it is %s", id, n.state)
	}
	n.down(PoweredOff)
	n.losePower()
	return nil
}

// losePower takes from the logs what was not flushed.
func (n *node) losePower() {
	for _, key := range sortedKeys(n.disk.logs) {
		n.disk.logs[key].loseUnflushed(n.w.now)
		n.touched(key)
	}
}

// Pause freezes a process (SIGSTOP); its sockets stay.
func (w *World) Pause(id int32) error {
	n, err := w.node(id)
	if err != nil {
		return err
	}
	if !n.exists() || n.state == Paused {
		return fmt.Errorf("node %d: cannot pause: it is %s", id, n.state)
	}
	n.beforePause = n.state
	n.setState(Paused)
	return nil
}

// Resume lets a paused process go on, with everything that arrived meanwhile.
func (w *World) Resume(id int32) error {
	n, err := w.node(id)
	if err != nil {
		return err
	}
	if n.state != Paused {
		return fmt.Errorf("node %d: cannot resume: it is %s", id, n.state)
	}
	n.setState(n.beforePause)
	backlog := n.backlog
	n.backlog = nil
	if n.state == Starting {
		// The only thing that can have come due is the boot itself.
		for _, fn := range backlog {
			fn()
		}
		return nil
	}
	for _, fn := range backlog {
		n.run(fn)
	}
	return nil
}

// Stop ends a process in order (SIGTERM): a broker hands over its leaderships first.
// done, when not nil, is called when the process has ended, for whatever reason.
func (w *World) Stop(id int32, done func()) error {
	n, err := w.node(id)
	if err != nil {
		return err
	}
	if n.state != Running && n.state != Starting {
		return fmt.Errorf("node %d: cannot stop: it is %s", id, n.state)
	}
	if done != nil {
		n.stopDone = append(n.stopDone, done)
	}
	if n.state == Starting {
		n.down(Stopped)
		return nil
	}
	n.setState(Stopping)
	finish := func() {
		n.raft.resign(true)
		n.after(processExit, func() {
			n.down(Stopped)
			w.resetConns(n)
			w.opts.OnDown(id, false)
		})
	}
	if n.broker == nil {
		finish()
		return nil
	}
	n.broker.lifecycle.shutdown(finish)
	return nil
}

// processExit is the time between the end of a controlled shutdown and the end of the
// process: log managers, socket servers.
const processExit = 150 * time.Millisecond

// Start starts the process of a node that is down.
func (w *World) Start(id int32) error {
	n, err := w.node(id)
	if err != nil {
		return err
	}
	if n.exists() {
		return fmt.Errorf("node %d: cannot start: it is %s", id, n.state)
	}
	if n.state == PoweredOff {
		// The host is back: old connections meet a kernel that does not know them.
		w.resetConns(n)
	}
	n.incarnation++
	n.setState(Starting)
	inc := n.incarnation
	w.at(w.now+w.opts.StartDelay, func() {
		boot := func() {
			if n.incarnation == inc {
				n.boot()
			}
		}
		if n.incarnation == inc && n.state == Paused {
			n.backlog = append(n.backlog, boot)
			return
		}
		boot()
	})
	return nil
}

// SetPaths replaces the state of the whole network between nodes.
func (w *World) SetPaths(paths func(from, to int32) Path) {
	if paths == nil {
		paths = func(int32, int32) Path { return Path{} }
	}
	w.paths = paths
	clear(w.busy)
}

// Request takes a client's request as it arrives at a broker. When the broker is not
// running nothing answers it. See the notes on reply in api.go.
func (w *World) Request(id int32, from ClientConn, req kmsg.Request, reply func(kmsg.Response)) {
	n, ok := w.byID[id]
	if !ok || !n.listens() || !n.isBroker {
		return
	}
	n.run(func() {
		n.broker.whenReady(func() { n.broker.handleClient(from, req, reply) })
	})
}

// Disconnected tells that a client's connection is gone: its parked requests are dropped.
func (w *World) Disconnected(id int32, conn ConnID) {
	n, ok := w.byID[id]
	if !ok || !n.listens() || !n.isBroker {
		return
	}
	n.run(func() { n.broker.clientGone(conn) })
}

// sortedKeys lists a map's partitions in order: by topic, then partition.
func sortedKeys[V any](m map[partitionKey]V) []partitionKey {
	keys := make([]partitionKey, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, partitionKey.compare)
	return keys
}
