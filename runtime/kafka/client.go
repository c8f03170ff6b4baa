// This file defines the sarama.Client on which producers and consumer groups
// run: cluster's metadata and connections of its own.

package kafka

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// client is what sarama's AsyncProducer and ConsumerGroup (1.61.1) see as their
// client. They call Config, Closed, Close, Partitions, WritablePartitions,
// Leader, LeaderAndEpoch, PartitionNotReadable, GetOffset, RefreshMetadata,
// LeastLoadedBroker, Coordinator, RefreshCoordinator, their counterparts for
// transactions, and Topics; the embedded interface is nil, the rest is for admin
// clients.
//
// Each client has connections of its own, so that what waits on one partition's
// connection (a request to a broker that does not answer) is no other
// partition's wait. A coordinator has one too, as in Java: on a shared one
// heartbeats would queue behind long fetches.
type client struct {
	sarama.Client
	cluster *cluster
	conf    *sarama.Config
	dial    *dialer
	// only, when set, is the one partition that Partitions shows.
	only *int32
	// trouble is called whenever sarama asks for fresh metadata, which it does
	// each time it sends something again. nil: nobody asks.
	trouble func()
	// refused is told each refusal that the client meets by itself. nil: nobody
	// asks.
	refused func(error)
	// sparse are topics that need not be there yet (a mirror makes them): until
	// then they have no partitions.
	sparse map[string]bool

	closed chan struct{}
	once   sync.Once

	mu      sync.Mutex
	brokers map[string]*sarama.Broker // by address
	group   coordinator
	txn     coordinator
}

// coordinator is the connection to a group's or a transactional id's coordinator. All but
// lookup and kind is guarded by the client's mutex.
type coordinator struct {
	kind   sarama.CoordinatorType
	broker *sarama.Broker
	tried  bool       // broker has been handed out
	lookup sync.Mutex // one at a time
}

var _ sarama.Client = (*client)(nil)

func newClient(c *cluster, conf *sarama.Config, d *dialer) *client {
	return &client{cluster: c, conf: conf, dial: d, closed: make(chan struct{}), brokers: map[string]*sarama.Broker{},
		group: coordinator{kind: sarama.CoordinatorGroup}, txn: coordinator{kind: sarama.CoordinatorTransaction}}
}

// end closes the client's connections and lets everything that waits in it
// return sarama.ErrClosedClient. Sarama's own Close is not this: it calls it
// when its producer or group has ended in order.
func (c *client) end(reset bool) {
	c.once.Do(func() { close(c.closed) })
	c.dial.close(reset)
	c.mu.Lock()
	brokers := slices.Collect(maps.Values(c.brokers))
	for _, x := range []*coordinator{&c.group, &c.txn} {
		if x.broker != nil {
			brokers = append(brokers, x.broker)
		}
	}
	clear(c.brokers)
	c.mu.Unlock()
	release(brokers)
}

// release ends the goroutines of brokers whose connections are closed already.
// It does not wait: a broker that is still dialling is locked until it gives up.
func release(brokers []*sarama.Broker) {
	for _, b := range brokers {
		go b.Close()
	}
}

func (c *client) Config() *sarama.Config { return c.conf }
func (c *client) Close() error           { return nil }

func (c *client) Closed() bool {
	select {
	case <-c.closed:
		return true
	case <-c.cluster.closed:
		return true
	default:
		return false
	}
}

func (c *client) Topics() ([]string, error) { return slices.Clone(c.cluster.topics), nil }

func (c *client) Partitions(topic string) ([]int32, error) {
	if c.Closed() {
		return nil, sarama.ErrClosedClient
	}
	if c.only != nil {
		return []int32{*c.only}, nil
	}
	n := c.cluster.partitions(topic)
	if n == 0 && !c.sparse[topic] {
		return nil, sarama.ErrUnknownTopicOrPartition
	}
	out := make([]int32, n)
	for i := range out {
		out[i] = int32(i)
	}
	return out, nil
}

func (c *client) WritablePartitions(topic string) ([]int32, error) { return c.Partitions(topic) }

// RefreshMetadata asks until a broker has answered. That an answer knows no
// leader for a partition is no error: Leader is where that is waited for. A
// refusal is one.
func (c *client) RefreshMetadata(topics ...string) error {
	if c.trouble != nil {
		c.trouble()
	}
	for {
		if c.Closed() {
			return sarama.ErrClosedClient
		}
		err := c.cluster.refresh()
		if err == nil {
			return nil
		}
		for _, t := range append([]string{""}, topics...) {
			if no := c.cluster.denial(t); no != nil {
				return no
			}
		}
		if errors.Is(err, sarama.ErrUnknownTopicOrPartition) && !slices.ContainsFunc(topics, func(t string) bool {
			return !c.sparse[t] && c.cluster.partitions(t) == 0
		}) {
			return nil
		}
		if !c.pause() {
			return sarama.ErrClosedClient
		}
	}
}

// Leader waits until the partition has one, unless the client is refused.
func (c *client) Leader(topic string, partition int32) (*sarama.Broker, error) {
	b, _, err := c.LeaderAndEpoch(topic, partition)
	return b, err
}

func (c *client) LeaderAndEpoch(topic string, partition int32) (*sarama.Broker, int32, error) {
	for {
		if c.Closed() {
			return nil, -1, sarama.ErrClosedClient
		}
		if _, epoch, addr, ok := c.cluster.leader(topic, partition); ok {
			return c.broker(addr), epoch, nil
		}
		if c.trouble != nil {
			c.trouble()
		}
		_ = c.cluster.refresh()
		if _, _, _, ok := c.cluster.leader(topic, partition); ok {
			continue
		}
		if no := c.cluster.denial(topic); no != nil {
			return nil, -1, no
		}
		if !c.pause() {
			return nil, -1, sarama.ErrClosedClient
		}
	}
}

// PartitionNotReadable is always false: sarama would look again only after 5 s
// of wall time, while the fetcher waits for the leader by itself.
func (c *client) PartitionNotReadable(string, int32) bool { return false }

// pause waits retry.backoff.ms.
func (c *client) pause() bool {
	if !c.cluster.pause(c.conf.Metadata.Retry.Backoff) {
		return false
	}
	return !c.Closed()
}

// broker gives the client's connection to an address, dialling when there is
// none. Dialling goes on in the background; a failure shows in the request.
func (c *client) broker(addr string) *sarama.Broker {
	c.mu.Lock()
	b := c.brokers[addr]
	if b == nil {
		b = sarama.NewBroker(addr)
		c.brokers[addr] = b
	}
	c.mu.Unlock()
	_ = b.Open(c.conf)
	return b
}

// LeastLoadedBroker gives any broker, another one each time. Sarama asks it for
// producer ids, and does not close the connection when that fails.
func (c *client) LeastLoadedBroker() *sarama.Broker {
	if c.Closed() {
		return nil
	}
	addrs := c.cluster.addresses()
	if len(addrs) == 0 {
		return nil
	}
	key := "any " + addrs[0]
	c.mu.Lock()
	old := c.brokers[key]
	b := sarama.NewBroker(addrs[0])
	c.brokers[key] = b
	c.mu.Unlock()
	if old != nil {
		_ = old.Close()
	}
	_ = b.Open(c.conf)
	return b
}

// GetOffset asks the leader once, and once more after a refresh.
func (c *client) GetOffset(topic string, partition int32, at int64) (int64, error) {
	for attempt := 0; ; attempt++ {
		b, err := c.Leader(topic, partition)
		if err != nil {
			return -1, err
		}
		req := sarama.NewOffsetRequest(protocol)
		req.IsolationLevel = c.conf.Consumer.IsolationLevel
		req.AddBlock(topic, partition, at, 1)
		resp, err := b.GetAvailableOffsets(req)
		if err != nil {
			_ = b.Close()
		} else if block := resp.GetBlock(topic, partition); block == nil {
			err = sarama.ErrIncompleteResponse
		} else if block.Err != sarama.ErrNoError {
			err = block.Err
		} else {
			return block.Offset, nil
		}
		if attempt > 0 {
			return -1, err
		}
		if !c.pause() {
			return -1, sarama.ErrClosedClient
		}
		if err := c.RefreshMetadata(topic); err != nil {
			return -1, err
		}
	}
}

// Coordinator gives the group's coordinator, looking for it when its connection
// has failed. Sarama's own client would wait 2 s of wall time when
// __consumer_offsets has no leader; here it is retry.backoff.ms.
func (c *client) Coordinator(group string) (*sarama.Broker, error) {
	return c.coordinatorOf(&c.group, group)
}

// RefreshCoordinator asks each broker in turn who coordinates the group. On
// failure it returns after retry.backoff.ms.
func (c *client) RefreshCoordinator(group string) error { return c.find(&c.group, group) }

// TransactionCoordinator is Coordinator for a transactional id.
func (c *client) TransactionCoordinator(id string) (*sarama.Broker, error) {
	return c.coordinatorOf(&c.txn, id)
}

// RefreshTransactionCoordinator is RefreshCoordinator for a transactional id.
func (c *client) RefreshTransactionCoordinator(id string) error { return c.find(&c.txn, id) }

func (c *client) coordinatorOf(x *coordinator, key string) (*sarama.Broker, error) {
	c.mu.Lock()
	b, tried := x.broker, x.tried
	c.mu.Unlock()
	if b != nil {
		// sarama closes the connection when a request on it failed
		if ok, _ := b.Connected(); ok || !tried {
			c.mu.Lock()
			x.tried = true
			c.mu.Unlock()
			return b, nil
		}
		if !c.pause() {
			return nil, sarama.ErrClosedClient
		}
	}
	if err := c.find(x, key); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	x.tried = true
	return x.broker, nil
}

func (c *client) find(x *coordinator, key string) error {
	x.lookup.Lock()
	defer x.lookup.Unlock()
	if c.Closed() {
		return sarama.ErrClosedClient
	}
	addr, err := findCoordinator(c.cluster, x.kind, key)
	if err != nil {
		if no := refusalIn(err); no != nil && c.refused != nil {
			c.refused(no)
		}
		if c.Closed() || !c.pause() {
			return sarama.ErrClosedClient
		}
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if x.broker != nil && x.broker.Addr() == addr {
		if err := x.broker.Open(c.conf); errors.Is(err, sarama.ErrAlreadyConnected) {
			return nil
		}
		x.tried = false
		return nil
	}
	if x.broker != nil {
		old := x.broker
		go old.Close() // may wait for a request on it
	}
	x.broker = sarama.NewBroker(addr)
	x.tried = false
	return x.broker.Open(c.conf)
}

// findCoordinator asks brokers of the cluster for the coordinator of a group or a
// transactional id, one after the other. A broker that does not answer within the hedge does not hold
// up the question to the next.
func findCoordinator(c *cluster, kind sarama.CoordinatorType, key string) (string, error) {
	type answer struct {
		addr string
		err  error
	}
	addrs := c.addresses()
	answers := make(chan answer, len(addrs))
	timer := time.NewTimer(c.hedge())
	defer timer.Stop()
	var errs []error
	for next := 0; ; {
		if next < len(addrs) {
			a := addrs[next]
			next++
			if !c.spawn(func() {
				addr, err := askCoordinator(c, a, kind, key)
				answers <- answer{addr, err}
			}) {
				return "", sarama.ErrClosedClient
			}
			timer.Reset(c.hedge())
		}
		select {
		case r := <-answers:
			if r.err == nil {
				return r.addr, nil
			}
			errs = append(errs, r.err)
			if len(errs) == len(addrs) {
				return "", errors.Join(errs...)
			}
		case <-timer.C:
			if next == len(addrs) {
				return "", errors.Join(append(errs, errNoAnswer)...)
			}
		case <-c.closed:
			return "", sarama.ErrClosedClient
		}
	}
}

func askCoordinator(c *cluster, addr string, kind sarama.CoordinatorType, key string) (string, error) {
	b := sarama.NewBroker(addr)
	if err := b.Open(c.conf); err != nil {
		return "", err
	}
	defer b.Close()
	resp, err := b.FindCoordinator(&sarama.FindCoordinatorRequest{
		Version: 3, CoordinatorKey: key, CoordinatorType: kind,
	})
	switch {
	case err != nil:
		return "", err
	case resp.Err != sarama.ErrNoError:
		return "", resp.Err
	}
	return resp.Coordinator.Addr(), nil
}

func sortedIDs[V any](m map[int32]V) []int32 { return slices.Sorted(maps.Keys(m)) }
