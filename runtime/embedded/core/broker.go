package core

// This file defines a broker's process: its registration and heartbeats, how it
// reaches the controller, and what it does when metadata reaches it.

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"starfall/runtime/embedded/internal/rules"
)

const (
	// startingHeartbeat is how soon a broker that is starting reports again.
	startingHeartbeat = 10 * time.Millisecond
	// metadataApply is how long a broker takes to act on new metadata as a follower: it
	// stops and starts fetcher threads. Brokers that learn of a new leader within this time
	// of each other do not meet one that does not know yet, which would cost
	// replica.fetch.backoff.ms; after a controlled shutdown no such pause was measured.
	metadataApply = 10 * time.Millisecond
	// controllerRetry is the pause before a request goes to the controller again.
	controllerRetry = 50 * time.Millisecond
	// resendBackoff is the first pause after a failed registration or heartbeat; it doubles.
	resendBackoff = 100 * time.Millisecond
	// checkpointInterval is replica.high.watermark.checkpoint.interval.ms.
	checkpointInterval = 5 * time.Second
)

// broker is the volatile state of a broker's process.
type broker struct {
	n         *node
	replicas  map[partitionKey]*replica
	byTopic   map[string][]*replica // the same by topic and partition
	fetchers  map[int32]*fetcher    // by leader
	sessions  map[int32]*followerSession
	lifecycle lifecycle
	isr       isrManager
	groups    GroupCoordinator
	timers    GroupTimers
	groupWake time.Duration // time of the earliest Tick that is scheduled, 0 for none
	txns      *txnCoordinator

	// early is what arrived before the broker had caught up with its registration.
	early []func()

	fetches                    map[*clientFetch]bool // parked
	clientSessions             fetchSessions
	logins                     map[ConnID]*login
	leaderQuota, followerQuota quota
	nextPID                    int64
	lastPID                    int64
	pidWaiter                  []func(code int16)
	creating                   map[string]bool // topics whose automatic creation is under way
	settings                   map[string]*topicSettings
}

func newBroker(n *node) *broker {
	b := &broker{
		n:        n,
		replicas: map[partitionKey]*replica{},
		byTopic:  map[string][]*replica{},
		fetchers: map[int32]*fetcher{},
		sessions: map[int32]*followerSession{},
		fetches:  map[*clientFetch]bool{},
		creating: map[string]bool{},
		settings: map[string]*topicSettings{},
		logins:   map[ConnID]*login{},
	}
	b.lifecycle = lifecycle{b: b, epoch: -1, incarnation: n.incarnation + 1}
	b.clientSessions = fetchSessions{b: b, byID: map[int32]*fetchSession{}}
	b.leaderQuota, b.followerQuota = newQuota(n.cfg), newQuota(n.cfg)
	b.isr = isrManager{b: b, unsent: map[partitionKey]*replica{}}
	b.txns = newTxnCoordinator(b)
	if n.w.opts.Groups != nil {
		b.groups = n.w.opts.Groups(b.groupEnv())
		b.timers, _ = b.groups.(GroupTimers)
	}
	return b
}

func (b *broker) groupEnv() GroupEnv {
	n := b.n
	return GroupEnv{
		Broker:    n.id,
		Storage:   groupStorage{b},
		Partition: b.groupPartition,
		Config: func(name string) string {
			v, _, _ := b.image().brokerConfig(n.cfg, n.id, name)
			return v
		},
		TopicExists: func(topic string, partition int32) bool {
			return b.image().partition(partitionKey{topic, partition}) != nil
		},
		TopicName: func(id [16]byte) (string, bool) {
			name, ok := b.image().names[id]
			return name, ok
		},
		TopicID: func(name string) ([16]byte, bool) {
			if t := b.image().topics[name]; t != nil {
				return t.id, true
			}
			return topicID{}, false
		},
		WallMillis: n.w.wallMillis,
		Without:    n.w.opts.Without,
		Rand:       rand.New(rand.NewPCG(n.w.rng.Uint64(), n.w.rng.Uint64())),
	}
}

func (b *broker) without(rule rules.Set) bool { return b.n.w.opts.Without.Lacks(rule) }

func (b *broker) image() *image { return b.n.raft.image }

func (b *broker) start() {
	b.lifecycle.register()
	b.shrinkLoop()
	b.checkpointLoop()
	b.retentionLoop(b.n.cfg.ms("log.initial.task.delay.ms"))
	b.flushLoop(b.n.cfg.long("log.initial.task.delay.ms"))
	b.expireProducersLoop()
	if strings.EqualFold(b.n.cfg.get("log.cleaner.enable"), "true") {
		b.cleanLoop()
	}
	b.groupTimers()
	b.txns.start()
}

// groupTimers arms the coordinator's next tick. It is called after everything that can
// have changed it.
func (b *broker) groupTimers() {
	if b.timers == nil {
		return
	}
	at, ok := b.timers.Next()
	if !ok || b.groupWake != 0 && b.groupWake <= at {
		return
	}
	wake := max(at, b.n.w.now)
	b.groupWake = wake
	b.n.after(wake-b.n.w.now, func() {
		if b.groupWake != wake {
			return
		}
		b.groupWake = 0
		b.timers.Tick(b.n.w.now)
		b.groupTimers()
	})
}

func (b *broker) checkpointLoop() {
	b.n.after(checkpointInterval, func() {
		for _, r := range b.replicas {
			r.log.checkpoint = r.hw
		}
		b.checkpointLoop()
	})
}

// handleCall takes a message of another node.
func (n *node) handleCall(from int32, req any, respond func(any, int)) {
	switch m := req.(type) {
	case *raftVote, *raftBegin, *raftEnd, *raftFetch:
		n.raft.handle(req, respond)
	case *replicaFetch:
		n.broker.handleReplicaFetch(m, respond)
	case *epochQuery:
		n.broker.handleEpochQuery(m, respond)
	case *txnMarkers:
		n.broker.handleMarkers(m, respond)
	case *txnQuestion:
		respond(&txnAnswer{n.broker.txns.verify(m)}, 60)
	default:
		if n.ctl == nil {
			respond(&notController{}, 50)
			return
		}
		n.ctl.handle(req, respond)
	}
}

// toController sends a request to the active controller, again and again until one
// answers or retry is over (0: never). done gets nil when it is over. Kafka keeps a
// connection to the controller it knows and drops it only on a reset, an answer "not
// the controller" or a request timeout: a controller that is cut off keeps the
// request for that long.
func (b *broker) toController(ch channel, req any, size int, retry time.Duration, done func(resp any)) {
	deadline := b.n.w.now + retry
	timeout := b.n.cfg.controllerTimeout
	if retry > 0 {
		timeout = min(timeout, retry)
	}
	var try func()
	again := func() {
		if retry > 0 && b.n.w.now >= deadline {
			done(nil)
			return
		}
		b.n.after(controllerRetry, try)
	}
	try = func() {
		target := b.n.raft.leaderID
		if target < 0 {
			again()
			return
		}
		b.n.call(target, ch, req, size, timeout, func(resp any, err error) {
			if _, not := resp.(*notController); err != nil || not {
				again()
				return
			}
			done(resp)
		})
	}
	try()
}

// lifecycle is Kafka's BrokerLifecycleManager.
//
//	state      heartbeat says   next                  heartbeat after
//	(new)      -                starting              at once, when registered
//	starting   want fence       recovery, caught up   10 ms
//	recovery   -                running, not fenced   at once, then the interval
//	running    -                running               broker.heartbeat.interval.ms
//	stopping   want shutdown    ended, when told so   at once
type lifecycle struct {
	b           *broker
	incarnation uint32
	epoch       int64
	caughtUp    bool
	stopping    bool
	finish      func()
	failures    int
	serial      uint64
}

func (l *lifecycle) next(d time.Duration, fn func()) {
	l.serial++
	serial := l.serial
	l.b.n.after(d, func() {
		if l.serial == serial {
			fn()
		}
	})
}

func (l *lifecycle) failed(fn func()) {
	d := min(resendBackoff<<min(l.failures, 10), l.b.n.cfg.sessionTimeout/2)
	l.failures++
	l.next(d, fn)
}

func (l *lifecycle) register() {
	n := l.b.n
	l.b.toController(chanHeartbeat, &registerBroker{n.id, l.incarnation, n.rack}, 300, n.cfg.sessionTimeout, func(resp any) {
		if l.stopping {
			return
		}
		a, ok := resp.(*registerAnswer)
		if !ok || a.code != 0 {
			l.failed(l.register)
			return
		}
		l.failures = 0
		l.epoch = a.epoch
		l.beat()
	})
}

func (l *lifecycle) beat() {
	n := l.b.n
	l.serial++
	serial := l.serial
	hb := &brokerHeartbeat{n.id, l.epoch, l.b.image().offset, !l.caughtUp, l.stopping}
	l.b.toController(chanHeartbeat, hb, 100, n.cfg.sessionTimeout, func(resp any) {
		if l.serial != serial {
			return
		}
		a, ok := resp.(*heartbeatAnswer)
		if !ok || a.code != 0 {
			l.failed(l.beat)
			return
		}
		l.failures = 0
		switch {
		case l.stopping && a.shouldShutDn:
			l.end()
		case l.stopping:
			l.beat()
		case !l.caughtUp && a.caughtUp:
			l.caughtUp = true
			l.b.ready()
			l.beat()
		case !l.caughtUp:
			l.next(startingHeartbeat, l.beat)
		default:
			l.next(n.cfg.heartbeatInterval, l.beat)
		}
	})
}

// shutdown begins a controlled shutdown; finish is called once the controller agrees.
// Without a controller Kafka waits for as long as it takes, up to five minutes.
func (l *lifecycle) shutdown(finish func()) {
	l.stopping = true
	l.finish = finish
	l.b.n.after(controlledShutdownLimit, l.end)
	if l.epoch < 0 {
		l.end()
		return
	}
	l.beat()
}

// controlledShutdownLimit is how long BrokerServer.shutdown waits for the controller.
const controlledShutdownLimit = 5 * time.Minute

func (l *lifecycle) end() {
	if l.finish == nil {
		return
	}
	finish := l.finish
	l.finish = nil
	l.serial++
	for _, r := range l.b.replicas {
		r.log.checkpoint = r.hw
		r.log.flushed = r.log.next
	}
	finish()
}

// whenReady runs fn once the broker takes part. Kafka opens a broker's listeners, and acts
// on metadata, only when it has caught up with the record of its own registration; until
// then its port refuses. So a broker that restarts before its old session is over does not
// lead again what it led before. A request that a shell passes on all the same waits.
func (b *broker) whenReady(fn func()) {
	if b.lifecycle.caughtUp {
		fn()
		return
	}
	b.early = append(b.early, fn)
}

// ready makes the broker what the metadata says, all at once.
func (b *broker) ready() {
	d := newDelta()
	b.image().each(func(p *PartitionState) {
		d.partitions[partitionKey{p.Topic, p.Partition}] = true
	})
	for _, key := range sortedKeys(b.n.disk.logs) {
		p := b.image().partition(key)
		if p == nil || p.TopicID != b.n.disk.logs[key].topicID || !slices.Contains(p.Replicas, b.n.id) {
			b.n.disk.remove(key) // what was deleted or moved away meanwhile
		}
	}
	b.metadataChanged(d)
	b.n.w.opts.OnUp(b.n.id)
	early := b.early
	b.early = nil
	for _, fn := range early {
		fn()
	}
}

// metadataChanged is called when committed records have reached this broker.
func (b *broker) metadataChanged(d *delta) {
	if len(d.configs) > 0 {
		clear(b.settings)
	}
	if !b.lifecycle.caughtUp {
		return
	}
	for _, key := range sortedKeys(d.removed) {
		b.dropReplica(key, true)
		b.n.disk.remove(key)
	}
	for _, key := range sortedKeys(d.partitions) {
		b.applyPartition(b.image().partition(key))
		delete(b.creating, key.topic)
	}
	if len(d.configs) > 0 {
		for _, key := range sortedKeys(b.replicas) {
			r := b.replicas[key]
			r.settings = b.topicSettings(key.topic)
			r.isrChanged()
		}
	}
	if d.brokers {
		// A broker that is fenced, or may join again, changes whom a leader waits for.
		for _, key := range sortedKeys(b.replicas) {
			if r := b.replicas[key]; r.leading {
				r.advance()
			}
		}
	}
	b.groupTimers()
}

func (b *broker) topicSettings(topic string) *topicSettings {
	s := b.settings[topic]
	if s == nil {
		v := b.image().topicSettings(b.n.cfg, b.n.id, topic)
		s = &v
		b.settings[topic] = s
	}
	return s
}

// applyPartition makes this broker what the metadata says of one partition.
func (b *broker) applyPartition(p *PartitionState) {
	key := partitionKey{p.Topic, p.Partition}
	r := b.replicas[key]
	if !slices.Contains(p.Replicas, b.n.id) {
		if r != nil {
			b.dropReplica(key, false)
			b.n.disk.remove(key)
		}
		return
	}
	if r == nil {
		log := b.n.disk.logs[key]
		if log == nil || log.topicID != p.TopicID {
			b.n.disk.remove(key)
			log = newPartitionLog(p.TopicID, b.n.w.spoolFor(key.topic))
			b.n.disk.logs[key] = log
		}
		r = &replica{b: b, key: key, log: log, hw: max(min(log.checkpoint, log.next), log.start), epoch: -1, settings: b.topicSettings(key.topic)}
		b.setReplica(key, r)
		if x := log.txns; x != nil && x.pruned > r.hw {
			// The process before knew a higher mark than it had written down.
			log.rebuildProducers()
		}
	}
	if p.Leader == b.n.id {
		r.becomeLeader(p)
	} else {
		r.becomeFollower(p)
	}
}

// dropReplica ends a replica's part in everything; who waits on it is answered.
func (b *broker) dropReplica(key partitionKey, deleted bool) {
	r := b.replicas[key]
	if r == nil {
		return
	}
	code := codeNotLeaderOrFollower
	if deleted {
		code = codeUnknownTopicOrPartition
	}
	r.stopLeading(code)
	r.stopFetching()
	r.state = nil
	delete(b.replicas, key)
	list := b.byTopic[key.topic]
	list[key.partition] = nil
	for len(list) > 0 && list[len(list)-1] == nil {
		list = list[:len(list)-1]
	}
	if b.byTopic[key.topic] = list; len(list) == 0 {
		delete(b.byTopic, key.topic)
	}
}

// setReplica enters a replica in the broker's books.
func (b *broker) setReplica(key partitionKey, r *replica) {
	b.replicas[key] = r
	list := b.byTopic[key.topic]
	for int(key.partition) >= len(list) {
		list = append(list, nil)
	}
	list[key.partition] = r
	b.byTopic[key.topic] = list
}

// replicaOf is the same as a look into replicas, for who has found the topic's list already.
func replicaOf(list []*replica, partition int32) *replica {
	if partition < 0 || int(partition) >= len(list) {
		return nil
	}
	return list[partition]
}

// clientGone drops what a client's connection had parked.
func (b *broker) clientGone(id ConnID) {
	delete(b.logins, id)
	for f := range maps.Keys(b.fetches) {
		if f.from.ID == id {
			f.drop()
		}
	}
}
