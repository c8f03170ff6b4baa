// This file defines what a client member knows of its cluster: brokers,
// partitions and leaders, and how that knowledge is refreshed.

package kafka

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// cluster is a member's metadata. It replaces the metadata of sarama's own
// client, which makes partitions wait for each other: there a refresh goes on
// until every partition of the topic has a leader, three refreshes in vain open
// a circuit breaker for ten seconds of wall time, and one broker that does not
// answer holds up all. Here a refresh is one question, asked of another broker
// when the first does not answer soon; whoever needs a leader that is not there
// asks again after retry.backoff.ms, for himself only.
//
// As in the Java client an answer with an older leader epoch does not replace a
// newer one (KIP-320), and everybody learns of new partitions by any refresh,
// at the latest after metadata.max.age.ms.
type cluster struct {
	set    settings
	conf   *sarama.Config
	dial   *dialer
	topics []string
	seeds  []string
	// heard is called after each answer, outside of locks, with the refusal that
	// it was, or nil. nil: nobody asks.
	heard func(refusal error)

	closed chan struct{}
	once   sync.Once
	wait   sync.WaitGroup

	mu      sync.Mutex
	brokers map[int32]string
	parts   map[string]*topicState
	links   map[string]*link
	next    *round // wanted, not begun
	busy    bool   // a round is on its way
	turn    int
	denied  map[string]error // by topic, "" for the login: the last answer, when it was a refusal
}

// topicState is a topic as far as known. ids guards against epochs of a topic
// that was deleted and made again.
type topicState struct {
	id    sarama.Uuid
	parts []partitionState
}

// partitionState is one partition; leader is -1 for none.
type partitionState struct {
	leader, epoch int32
}

// round is one refresh that callers wait for.
type round struct {
	done chan struct{}
	err  error
}

// link is the connection to one broker on which metadata is asked.
type link struct {
	addr    string
	broker  *sarama.Broker
	waiting bool // for an answer
}

// errNoAnswer is a refresh that no broker has answered yet.
var errNoAnswer = errors.New("no broker answers")

// newCluster starts nothing but the periodic refresh; the first one is the
// caller's.
func newCluster(set settings, clientID string, seeds, topics []string, heard func(refusal error)) *cluster {
	d := set.dialer()
	c := &cluster{
		set: set, conf: set.sarama(clientID, d), dial: d, topics: topics, seeds: seeds, heard: heard,
		closed:  make(chan struct{}),
		brokers: map[int32]string{}, parts: map[string]*topicState{}, links: map[string]*link{}, denied: map[string]error{},
	}
	c.wait.Go(c.age)
	return c
}

// close ends the cluster; with reset its connections are torn.
func (c *cluster) close(reset bool) {
	c.once.Do(func() {
		c.mu.Lock()
		close(c.closed)
		c.mu.Unlock()
		c.dial.close(reset)
	})
	c.wait.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.links {
		go l.broker.Close()
	}
	clear(c.links)
}

func (c *cluster) isClosed() bool {
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}

// spawn runs f in a goroutine that close waits for; false when it is too late.
func (c *cluster) spawn(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isClosed() {
		return false
	}
	c.wait.Go(f)
	return true
}

// age refreshes each metadata.max.age.ms.
func (c *cluster) age() {
	t := time.NewTicker(c.set.wall(c.set.metadataAge))
	defer t.Stop()
	for {
		select {
		case <-t.C:
			c.refresh()
		case <-c.closed:
			return
		}
	}
}

// refresh asks for metadata and returns when an answer to a question asked
// after the call has been taken in. Callers at the same time share a question.
func (c *cluster) refresh() error {
	c.mu.Lock()
	if c.isClosed() {
		c.mu.Unlock()
		return sarama.ErrClosedClient
	}
	if c.next == nil {
		c.next = &round{done: make(chan struct{})}
	}
	r := c.next
	if !c.busy {
		c.busy = true
		c.wait.Go(c.rounds)
	}
	c.mu.Unlock()
	select {
	case <-r.done:
		return r.err
	case <-c.closed:
		return sarama.ErrClosedClient
	}
}

// rounds carries out refreshes until nobody wants one.
func (c *cluster) rounds() {
	for {
		c.mu.Lock()
		r := c.next
		c.next = nil
		if r == nil {
			c.busy = false
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
		r.err = c.ask()
		close(r.done)
	}
}

// hedge is how long a broker may take for an answer before another is asked
// too: what is usual on a healthy path, with room, in wall time.
func (c *cluster) hedge() time.Duration {
	return max(c.set.wall(250*time.Millisecond), 20*time.Millisecond)
}

// ask puts the question to one broker after the other, beginning with another
// one each time, until one answers. Brokers that still owe an answer to an
// earlier question are left out; when theirs comes it is taken in as well.
func (c *cluster) ask() error {
	links := c.candidates()
	if len(links) == 0 {
		return errNoAnswer
	}
	answers := make(chan error, len(links))
	pending, next := 0, 0
	launch := func() {
		l := links[next]
		next++
		pending++
		if !c.spawn(func() { answers <- c.question(l) }) {
			answers <- sarama.ErrClosedClient
		}
	}
	launch()
	timer := time.NewTimer(c.hedge())
	defer timer.Stop()
	var errs []error
	for {
		select {
		case err := <-answers:
			pending--
			if err == nil {
				return nil
			}
			errs = append(errs, err)
			if next < len(links) {
				launch()
				timer.Reset(c.hedge())
			} else if pending == 0 {
				return errors.Join(errs...)
			}
		case <-timer.C:
			if next == len(links) {
				return errors.Join(append(errs, errNoAnswer)...)
			}
			launch()
			timer.Reset(c.hedge())
		case <-c.closed:
			return sarama.ErrClosedClient
		}
	}
}

// candidates marks and returns the links to ask: the brokers of the last
// answer, then the seeds.
func (c *cluster) candidates() []*link {
	c.mu.Lock()
	defer c.mu.Unlock()
	var addrs []string
	seen := map[string]bool{}
	add := func(a string) {
		if !seen[a] {
			seen[a] = true
			addrs = append(addrs, a)
		}
	}
	for _, id := range sortedIDs(c.brokers) {
		add(c.brokers[id])
	}
	c.turn++
	if n := len(addrs); n > 0 {
		k := c.turn % n
		addrs = append(append([]string(nil), addrs[k:]...), addrs[:k]...)
	}
	for i := range c.seeds {
		add(c.seeds[(i+c.turn)%len(c.seeds)])
	}
	var links []*link
	for _, a := range addrs {
		l := c.links[a]
		if l == nil {
			l = &link{addr: a, broker: sarama.NewBroker(a)}
			c.links[a] = l
		}
		if !l.waiting {
			links = append(links, l)
		}
	}
	return links
}

// question asks one broker and takes its answer in.
func (c *cluster) question(l *link) error {
	c.mu.Lock()
	if l.waiting {
		c.mu.Unlock()
		return errNoAnswer
	}
	l.waiting = true
	c.mu.Unlock()

	_ = l.broker.Open(c.conf) // already open is fine; a failed dial shows in the request
	req := sarama.NewMetadataRequest(protocol, c.topics)
	resp, err := l.broker.GetMetadata(req)
	if err != nil {
		_ = l.broker.Close()
	}

	c.mu.Lock()
	l.waiting = false
	if err == nil {
		delete(c.denied, "")
		err = c.take(resp)
	} else if no := refusalIn(err); no != nil {
		c.denied[""] = no
	}
	no := refusalIn(err)
	c.mu.Unlock()
	if c.heard != nil && (resp != nil || no != nil) {
		c.heard(no)
	}
	if err != nil {
		return fmt.Errorf("metadata from %s: %w", l.addr, err)
	}
	return nil
}

// take merges an answer. The caller holds the lock.
func (c *cluster) take(resp *sarama.MetadataResponse) error {
	if len(resp.Brokers) == 0 {
		return errors.New("no brokers in the answer") // a broker that is still starting (KAFKA-7924)
	}
	brokers := make(map[int32]string, len(resp.Brokers))
	for _, b := range resp.Brokers {
		brokers[b.ID()] = b.Addr()
	}
	c.brokers = brokers
	var errs []error
	for _, t := range resp.Topics {
		if t.Err != sarama.ErrNoError && t.Err != sarama.ErrLeaderNotAvailable {
			errs = append(errs, fmt.Errorf("topic %s: error %d: %w", t.Name, int16(t.Err), t.Err))
			if no := refusalIn(t.Err); no != nil {
				c.denied[t.Name] = no
			}
			continue
		}
		delete(c.denied, t.Name)
		old := c.parts[t.Name]
		same := old != nil && old.id == t.Uuid
		now := &topicState{id: t.Uuid}
		for _, p := range t.Partitions {
			for int32(len(now.parts)) <= p.ID {
				now.parts = append(now.parts, partitionState{leader: -1, epoch: -1})
			}
			s := partitionState{leader: p.Leader, epoch: p.LeaderEpoch}
			if p.Err == sarama.ErrLeaderNotAvailable {
				s.leader = -1
			}
			if same && int(p.ID) < len(old.parts) && s.epoch >= 0 && s.epoch < old.parts[p.ID].epoch {
				s = old.parts[p.ID]
			}
			now.parts[p.ID] = s
		}
		if same && len(now.parts) < len(old.parts) {
			// a broker that lags behind: partitions are never taken away
			now.parts = append(now.parts, old.parts[len(now.parts):]...)
		}
		c.parts[t.Name] = now
	}
	return errors.Join(errs...)
}

// denial is the refusal that stands between the client and a topic, as far as
// metadata goes; nil for none.
func (c *cluster) denial(topic string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.denied[""]; err != nil {
		return err
	}
	return c.denied[topic]
}

// partitions tells how many partitions of a topic are known; 0: none.
func (c *cluster) partitions(topic string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.parts[topic]; t != nil {
		return len(t.parts)
	}
	return 0
}

// leader tells who leads a partition and where he listens, as far as known.
func (c *cluster) leader(topic string, partition int32) (id, epoch int32, addr string, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.parts[topic]
	if t == nil || partition < 0 || int(partition) >= len(t.parts) {
		return -1, -1, "", false
	}
	p := t.parts[partition]
	addr, ok = c.brokers[p.leader]
	return p.leader, p.epoch, addr, ok && p.leader >= 0
}

// addresses are those of the known brokers, beginning with another one each
// time; the seeds when none is known.
func (c *cluster) addresses() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []string
	for _, id := range sortedIDs(c.brokers) {
		out = append(out, c.brokers[id])
	}
	if len(out) == 0 {
		out = append(out, c.seeds...)
	}
	c.turn++
	if n := len(out); n > 0 {
		k := c.turn % n
		out = append(append([]string(nil), out[k:]...), out[:k]...)
	}
	return out
}

// pause waits a backoff; false when the cluster is closed meanwhile.
func (c *cluster) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.closed:
		return false
	}
}
