// This file defines Inspector: the true state of a cluster, as far as it can be
// had from outside, by asking every broker and controller.

package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"

	"starfall/runtime"
)

// Inspector asks the nodes of clusters for their state. The zero value with
// Brokers set works. It is safe for concurrent use; callers at the same time
// share a round of questions. Connections are kept between calls.
//
// A round is three questions, each put to many nodes at once:
//
//	who      what                    tells
//	brokers  Metadata                living brokers; leader, epoch, replicas, ISR of each partition
//	quorum   DescribeQuorum          active controllers, and how far each node has the metadata log
//	leaders  ListOffsets (4), sizes  log start, last stable offset, high-water mark, log end; bytes
//
// In KRaft every broker's metadata is what it has of the metadata log, so views
// differ for some milliseconds, and that of a broker which is cut off from the
// controllers stays behind. The newest is that of the node furthest in the
// metadata log by the leader of the quorum's last epoch; where no quorum answers
// (there is no majority, or the cluster runs on ZooKeeper) it is the one with the
// greatest sum of leader epochs, which only ever grow.
//
// A broker that is dead, cut off or frozen costs one round at most peerPatience;
// after that it is asked but not waited for until it answers again.
//
// What cannot be seen from outside: the logs of a frozen or dead leader, whether a
// frozen controller takes itself for active (it is left out), and the offsets of a
// partition in the moment between the election of its leader and the leader's own
// learning of it (measured: some tens of milliseconds).
type Inspector struct {
	// Brokers gives the host:port of each broker of a cluster, best as it is
	// advertised to the inspector: by that a broker is told from another.
	Brokers func(cluster string) ([]string, error)
	// Controllers gives the host:port of each KRaft controller's own listener, of
	// combined nodes too; none for a cluster on ZooKeeper. They are asked
	// themselves then (KIP-919), so that one which is cut off shows that it takes
	// itself for active. nil: the brokers pass the question on; but after the active
	// controller froze, brokers of 3.9 wait for its answer for their request timeout
	// (measured: no controller known for over 20 s, against less than 7 s).
	Controllers func(cluster string) ([]string, error)
	// Login is as whom it asks brokers, or controllers on their own listeners, which
	// may know another mechanism. nil: nobody has to say who he is.
	Login func(cluster string, controller bool) runtime.Login

	mu       sync.Mutex
	closed   bool
	ctx      context.Context // ends with Close; set by the first Inspect
	cancel   context.CancelFunc
	wait     sync.WaitGroup
	clusters map[string]*inspected
}

// inspected is one cluster as its inspector knows it.
type inspected struct {
	name string

	// Guarded by the inspector's mutex.
	next  *inspection // wanted, not begun
	busy  bool
	peers map[string]*peer // by purpose and address

	// Of the goroutine of rounds only.
	zookeeper bool // no broker knows DescribeQuorum
}

// inspection is one round that callers wait for.
type inspection struct {
	done  chan struct{}
	state runtime.State
	err   error
}

// Inspect gives the state of a cluster, asked after the call. Nodes holds the
// brokers that are registered and not fenced, with nothing but Alive: what their
// processes do, and nodes that are not alive, is for the engine to add.
// Controllers holds the nodes that take themselves for the active controller, the
// one with the newest epoch first; node ids are Kafka's own. Internal topics are
// among the partitions. Offsets of a partition are -1 where its leader does not
// answer; End is that of its leader's log (ListOffsets by a replica id that is no
// consumer's), so End - HighWater is what is not yet replicated.
//
// The error says that no broker answers, or that ctx ended.
func (i *Inspector) Inspect(ctx context.Context, cluster string) (runtime.State, error) {
	i.mu.Lock()
	if i.closed {
		i.mu.Unlock()
		return runtime.State{}, errCut
	}
	if i.ctx == nil {
		i.ctx, i.cancel = context.WithCancel(context.Background())
		i.clusters = map[string]*inspected{}
	}
	c := i.clusters[cluster]
	if c == nil {
		c = &inspected{name: cluster, peers: map[string]*peer{}}
		i.clusters[cluster] = c
	}
	if c.next == nil {
		c.next = &inspection{done: make(chan struct{})}
	}
	r := c.next
	if !c.busy {
		c.busy = true
		i.wait.Go(func() { i.rounds(c) })
	}
	i.mu.Unlock()
	select {
	case <-r.done:
		// Each caller gets its own: what shares memory is never written again.
		s := r.state
		s.Nodes, s.Controllers, s.Partitions = slices.Clone(s.Nodes), slices.Clone(s.Controllers), slices.Clone(s.Partitions)
		return s, r.err
	case <-ctx.Done():
		return runtime.State{}, fmt.Errorf("cluster %s: %w", cluster, context.Cause(ctx))
	}
}

// Close ends all connections; what is under way ends with an error.
func (i *Inspector) Close() error {
	i.mu.Lock()
	i.closed = true
	if i.cancel != nil {
		i.cancel()
	}
	for _, c := range i.clusters {
		for _, p := range c.peers {
			p.close()
		}
	}
	i.mu.Unlock()
	i.wait.Wait()
	return nil
}

// rounds carries out inspections until nobody wants one.
func (i *Inspector) rounds(c *inspected) {
	for {
		i.mu.Lock()
		r := c.next
		c.next = nil
		if r == nil {
			c.busy = false
			i.mu.Unlock()
			return
		}
		i.mu.Unlock()
		r.state, r.err = i.inspect(c)
		if r.err != nil {
			r.err = fmt.Errorf("cluster %s: %w", c.name, r.err)
		}
		close(r.done)
	}
}

func (i *Inspector) spawn(f func()) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed {
		return false
	}
	i.wait.Go(f)
	return true
}

// peersOf gives the connections to addresses for one purpose. A question that may
// wait for another node has a connection of its own, as it holds up whatever
// comes behind it.
func (i *Inspector) peersOf(c *inspected, purpose string, addrs []string) []*peer {
	i.mu.Lock()
	defer i.mu.Unlock()
	out := make([]*peer, 0, len(addrs))
	for _, a := range addrs {
		p := c.peers[purpose+" "+a]
		if p == nil {
			p = &peer{addr: a, closed: i.closed}
			if i.Login != nil {
				p.login = i.Login(c.name, purpose == forQuorum && i.Controllers != nil)
			}
			c.peers[purpose+" "+a] = p
		}
		out = append(out, p)
	}
	return out
}

// inspect is one round. Where a leader has another epoch than the metadata said,
// an election came in between, and the round is repeated once.
func (i *Inspector) inspect(c *inspected) (runtime.State, error) {
	brokers, err := i.Brokers(c.name)
	if err != nil {
		return runtime.State{}, err
	}
	for attempt := 0; ; attempt++ {
		s, overtaken, err := i.round(c, brokers)
		if err != nil || !overtaken || attempt > 0 {
			return s, err
		}
	}
}

func (i *Inspector) round(c *inspected, brokers []string) (s runtime.State, overtaken bool, err error) {
	quorum := make(chan quorumState, 1)
	if !i.spawn(func() { quorum <- i.quorum(c, brokers) }) {
		return s, false, errCut
	}
	views, err := i.views(c, brokers)
	q := <-quorum
	if err != nil {
		return s, false, err
	}
	c.zookeeper = q.unknown
	base := newest(views, q)
	s.Controllers = q.active
	if c.zookeeper && base.meta.ControllerID >= 0 {
		s.Controllers = []int32{base.meta.ControllerID}
	}
	for _, b := range base.meta.Brokers {
		s.Nodes = append(s.Nodes, runtime.NodeState{ID: b.NodeID, Alive: true})
	}
	slices.SortFunc(s.Nodes, func(a, b runtime.NodeState) int { return cmp.Compare(a.ID, b.ID) })
	s.Partitions = partitions(views, base)
	overtaken = i.offsets(c, &s, base, views)
	return s, overtaken, nil
}

// view is the metadata of one broker.
type view struct {
	peer   *peer
	meta   *kmsg.MetadataResponse
	id     int32 // of the broker that has it; -1: not known
	epochs int64 // sum of its leader epochs
}

const (
	forBrokers = "broker"
	forQuorum  = "quorum"
)

// views asks every broker for its own metadata.
func (i *Inspector) views(c *inspected, brokers []string) ([]view, error) {
	answers := gather(i.ctx, i.spawn, i.peersOf(c, forBrokers, brokers), true, func(ctx context.Context, p *peer) (view, error) {
		req := kmsg.NewPtrMetadataRequest() // no topics: all
		req.Version = 12
		resp, err := p.ask(ctx, req)
		if err != nil {
			return view{}, err
		}
		v := view{peer: p, meta: resp[0].(*kmsg.MetadataResponse), id: -1}
		if len(v.meta.Brokers) == 0 {
			return v, fmt.Errorf("%s: no brokers in its metadata", p.addr) // it is still starting (KAFKA-7924)
		}
		for _, b := range v.meta.Brokers {
			if hostPort(b.Host, b.Port) == p.addr {
				v.id = b.NodeID
			}
		}
		for _, t := range v.meta.Topics {
			for _, x := range t.Partitions {
				v.epochs += int64(x.LeaderEpoch)
			}
		}
		return v, nil
	})
	var out []view
	var errs []error
	for _, a := range answers {
		if a.err != nil {
			errs = append(errs, a.err)
			continue
		}
		out = append(out, a.got)
	}
	if len(out) == 0 {
		if i.ctx.Err() != nil {
			return nil, errCut
		}
		return nil, errors.Join(append(errs, errNoAnswer)...)
	}
	return out, nil
}

// quorumState is what the quorum says of itself.
type quorumState struct {
	unknown bool            // no node knows the question: there is no quorum
	active  []int32         // who leads, the newest epoch first
	offsets map[int32]int64 // how far each node has the metadata log, by the newest leader
}

// quorum asks who leads the metadata quorum, which is who is the active controller.
// A controller that does not lead answers with an error; one that is cut off goes
// on leading its old epoch.
func (i *Inspector) quorum(c *inspected, brokers []string) quorumState {
	addrs := brokers
	if i.Controllers != nil {
		var err error
		if addrs, err = i.Controllers(c.name); err != nil {
			return quorumState{}
		}
		if len(addrs) == 0 {
			return quorumState{unknown: true}
		}
	}
	answers := gather(i.ctx, i.spawn, i.peersOf(c, forQuorum, addrs), false, func(ctx context.Context, p *peer) (*kmsg.DescribeQuorumResponseTopicPartition, error) {
		req := kmsg.NewPtrDescribeQuorumRequest()
		req.Version = 1
		t := kmsg.NewDescribeQuorumRequestTopic()
		t.Topic = "__cluster_metadata"
		t.Partitions = append(t.Partitions, kmsg.NewDescribeQuorumRequestTopicPartition())
		req.Topics = append(req.Topics, t)
		resp, err := p.ask(ctx, req)
		if err != nil {
			return nil, err
		}
		d := resp[0].(*kmsg.DescribeQuorumResponse)
		if d.ErrorCode != 0 || len(d.Topics) != 1 || len(d.Topics[0].Partitions) != 1 || d.Topics[0].Partitions[0].ErrorCode != 0 {
			return nil, nil // it does not lead; the connection is good
		}
		return &d.Topics[0].Partitions[0], nil
	})
	var out quorumState
	var leaders []*kmsg.DescribeQuorumResponseTopicPartition
	unknown := 0
	for _, a := range answers {
		switch {
		case errors.Is(a.err, errUnasked):
			unknown++
		case a.err == nil && a.got != nil:
			leaders = append(leaders, a.got)
		}
	}
	out.unknown = unknown > 0 && unknown == len(answers) || len(answers) == 0 && c.zookeeper
	slices.SortFunc(leaders, func(a, b *kmsg.DescribeQuorumResponseTopicPartition) int {
		return cmp.Compare(b.LeaderEpoch, a.LeaderEpoch)
	})
	for _, l := range leaders {
		if !slices.Contains(out.active, l.LeaderID) {
			out.active = append(out.active, l.LeaderID)
		}
	}
	if len(leaders) > 0 {
		out.offsets = map[int32]int64{}
		for _, replicas := range [][]kmsg.DescribeQuorumResponseTopicPartitionReplicaState{leaders[0].CurrentVoters, leaders[0].Observers} {
			for _, r := range replicas {
				out.offsets[r.ReplicaID] = r.LogEndOffset
			}
		}
	}
	return out
}

// newest is the view that is furthest in the metadata log.
func newest(views []view, q quorumState) view {
	return slices.MaxFunc(views, func(a, b view) int {
		at := func(v view) int64 {
			if o, ok := q.offsets[v.id]; ok {
				return o
			}
			return -1
		}
		return cmp.Or(cmp.Compare(at(a), at(b)), cmp.Compare(a.epochs, b.epochs), cmp.Compare(b.id, a.id))
	})
}

// partitions are those of the newest view; where another view has a partition in
// a higher leader epoch, as it has there.
func partitions(views []view, base view) []runtime.PartitionState {
	type key struct {
		topic     [16]byte
		partition int32
	}
	best := map[key]*kmsg.MetadataResponseTopicPartition{}
	for _, v := range append([]view{base}, views...) {
		for t := range v.meta.Topics {
			topic := &v.meta.Topics[t]
			for x := range topic.Partitions {
				p := &topic.Partitions[x]
				k := key{topic.TopicID, p.Partition}
				if old := best[k]; old == nil || p.LeaderEpoch > old.LeaderEpoch {
					best[k] = p
				}
			}
		}
	}
	var out []runtime.PartitionState
	for _, t := range base.meta.Topics {
		if t.Topic == nil {
			continue
		}
		for _, x := range t.Partitions {
			p := best[key{t.TopicID, x.Partition}]
			// Kafka leaves the leader out (-1) where it is fenced or gone, too.
			out = append(out, runtime.PartitionState{
				Topic: *t.Topic, Partition: p.Partition, Leader: p.Leader, Epoch: p.LeaderEpoch,
				Replicas: slices.Clone(p.Replicas), ISR: slices.Clone(p.ISR),
				Start: -1, HighWater: -1, Stable: -1, End: -1,
			})
		}
	}
	slices.SortFunc(out, func(a, b runtime.PartitionState) int {
		return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return out
}

// offsets asks each leader that has just answered for its logs, and tells whether
// one of them leads another epoch than the metadata said.
func (i *Inspector) offsets(c *inspected, s *runtime.State, base view, views []view) (overtaken bool) {
	addrs := map[int32]string{}
	for _, b := range base.meta.Brokers {
		addrs[b.NodeID] = hostPort(b.Host, b.Port)
	}
	answered := map[string]bool{}
	for _, v := range views {
		answered[v.peer.addr] = true
		if v.id >= 0 {
			addrs[v.id] = v.peer.addr
		}
	}
	led := map[string][]int{} // partitions by their leader's address
	for n, p := range s.Partitions {
		if a, ok := addrs[p.Leader]; ok && p.Leader >= 0 {
			led[a] = append(led[a], n)
		}
	}
	// A broker that is known by another name than Brokers gives is asked all the
	// same; one that is given and did not answer is not.
	known, _ := i.Brokers(c.name)
	var ask []string
	for _, a := range slices.Sorted(maps.Keys(led)) {
		if answered[a] || !slices.Contains(known, a) {
			ask = append(ask, a)
		}
	}
	asked := slices.Clone(s.Partitions) // what a slow answer may still read
	answers := gather(i.ctx, i.spawn, i.peersOf(c, forBrokers, ask), false, func(ctx context.Context, p *peer) ([]logState, error) {
		return logsOf(ctx, p, asked, led[p.addr])
	})
	for _, a := range answers {
		if a.err != nil {
			continue
		}
		for j, n := range led[a.peer.addr] {
			l := a.got[j]
			p := &s.Partitions[n]
			p.Start, p.Stable, p.HighWater, p.End, p.Size = l.start, l.stable, l.highWater, l.end, l.size
			overtaken = overtaken || l.overtaken
		}
	}
	return overtaken
}
