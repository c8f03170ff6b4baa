// This file defines Control: how admin and audit reach the clusters of a run.

package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"starfall/interp/plan"
	"starfall/runtime"
	"starfall/runtime/record"
)

// controlID is how admin and audit call themselves to brokers.
const controlID = "starfall"

// Control does what Kafka's own tools do and reads logs, from the control side.
// It keeps no connections between calls, as brokers may die in between.
type Control struct {
	Plan  *plan.Plan
	RunID uint64  // to tell this run's records from others
	Speed float64 // 0 means 1
	// Clock tells scenario time, for the verbs that speak of it: replay, and
	// reset_offsets to so long ago.
	Clock runtime.Clock
	// Bootstrap gives the brokers of a cluster as dialled from the control side.
	Bootstrap func(cluster string) ([]string, error)
	// Operators are the super users of clusters with authentication, by cluster.
	Operators map[string]runtime.Login

	// Reaches tells whether a packet of a mirror comes through to an address
	// (runtime.Reacher). nil: dials show it themselves.
	Reaches func(client string, member int, addr string) bool

	mu      sync.Mutex
	mirrors map[string]*mirrorMemory

	// from, when set, gives the settings of a side that is not the control side:
	// a mirror does some of the same from where it stands.
	from func(cluster string) settings
}

// Connect makes the clients of a run, for runtime.Options.
func Connect(w runtime.World, e runtime.Env, p *plan.Plan, _ *record.Writer) (runtime.Clients, error) {
	c := &Control{Plan: p, RunID: e.RunID, Speed: e.Speed, Clock: e.Clock, Operators: e.Operators,
		Bootstrap: func(cluster string) ([]string, error) { return w.Bootstrap(cluster, runtime.Place{}) }}
	load := &Load{}
	if r, ok := w.(runtime.Reacher); ok {
		load.Reaches = func(client string, member int, addr string) bool {
			return r.Reaches(runtime.Place{Client: client, Member: member}, addr)
		}
		c.Reaches = load.Reaches
	}
	return runtime.Clients{Load: load, Admin: c, Audit: c}, nil
}

var _ runtime.Connect = Connect

// settings are those of the control side: timeouts are short, as it is never
// cut off and a broker that does not answer is to be passed over.
func (c *Control) settings(cluster string) settings {
	if c.from != nil {
		return c.from(cluster)
	}
	s := defaults(c.Speed)
	s.requestTimeout = 10 * time.Second
	s.connectTimeout = 3 * time.Second
	s.login = c.Operators[cluster]
	return s
}

// kafkaName is what its cluster calls a topic of the plan.
func (c *Control) kafkaName(topic string) string {
	if c.Plan != nil {
		if t := c.Plan.Topic(topic); t != nil {
			return t.KafkaName()
		}
	}
	return topic
}

// planName is what the plan calls a topic of a cluster; one that the plan does
// not have keeps its name.
func (c *Control) planName(cluster, kafka string) string {
	if c.Plan != nil {
		if t := c.Plan.KafkaTopic(cluster, kafka); t != nil {
			return t.Name
		}
	}
	return kafka
}

// connect learns about topics of a cluster, by its names; without topics, about
// all.
func (c *Control) connect(ctx context.Context, cluster string, topics ...string) (*cluster, error) {
	seeds, err := c.Bootstrap(cluster)
	if err != nil {
		return nil, err
	}
	set := c.settings(cluster)
	k := newCluster(set, controlID, seeds, topics, nil)
	for {
		err := k.refresh()
		if err == nil {
			return k, nil
		}
		select {
		case <-ctx.Done():
			k.close(true)
			return nil, fmt.Errorf("cluster %s: %w", cluster, errors.Join(ctx.Err(), err))
		case <-time.After(set.wall(set.backoff)):
		}
	}
}

// passing is an error that another attempt may not meet.
type passing struct{ error }

func (p passing) Unwrap() error { return p.error }

// final is an error after which there must be no other attempt.
type final struct{ error }

func (f final) Unwrap() error { return f.error }

// do runs f with a client and an admin until it succeeds, its error is not one
// of connections or elections, or ctx ends. f may be run several times, so it
// looks first whether there is anything left to do.
func (c *Control) do(ctx context.Context, cluster string, f func(sarama.Client, sarama.ClusterAdmin) error) error {
	set := c.settings(cluster)
	for {
		err := c.attempt(ctx, set, cluster, f)
		var pass passing
		var last final
		var k sarama.KError
		switch {
		case errors.As(err, &last):
			return last.error
		case err == nil || ctx.Err() != nil:
		case errors.As(err, &pass):
		case errors.As(err, &k) && !passes(k):
			return err
		}
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-time.After(set.wall(set.backoff)):
		}
	}
}

// passes tells whether an answer to an admin request is worth another try.
func passes(k sarama.KError) bool {
	switch k {
	case sarama.ErrNotController, sarama.ErrRequestTimedOut, sarama.ErrLeaderNotAvailable, sarama.ErrBrokerNotAvailable,
		sarama.ErrConsumerCoordinatorNotAvailable, sarama.ErrNotCoordinatorForConsumer, sarama.ErrOffsetsLoadInProgress,
		sarama.ErrNetworkException, sarama.ErrUnknownTopicOrPartition, sarama.ErrNotLeaderForPartition,
		sarama.ErrNotEnoughReplicas, sarama.ErrNotEnoughReplicasAfterAppend, sarama.ErrThrottlingQuotaExceeded:
		return true
	}
	return false
}

// attempt makes a client of sarama's own, which is good enough for one request
// at a time, and tears its connections when ctx ends.
func (c *Control) attempt(ctx context.Context, set settings, cluster string, f func(sarama.Client, sarama.ClusterAdmin) error) error {
	seeds, err := c.Bootstrap(cluster)
	if err != nil {
		return err
	}
	var quick []string
	if c.from == nil {
		if quick = awake(ctx, seeds); len(quick) > 0 {
			seeds = quick
		}
	}
	d := set.dialer()
	defer d.close(true)
	stop := context.AfterFunc(ctx, func() { d.close(true) })
	defer stop()
	conf := set.sarama(controlID, d)
	conf.Metadata.Full = true
	conf.Metadata.Retry.Max = 1
	conf.Metadata.RefreshFrequency = 0
	conf.Admin.Timeout = set.wall(set.requestTimeout)
	conf.Admin.Retry.Backoff = set.wall(set.backoff)
	conf.Producer.RequiredAcks = sarama.WaitForAll
	conf.Producer.Return.Successes = true
	conf.Producer.Retry.Max = 0 // an attempt in doubt is not repeated: see send
	conf.Producer.Timeout = set.wall(set.requestTimeout)
	made, err := sarama.NewClient(seeds, conf)
	if err != nil {
		return passing{err}
	}
	defer made.Close()
	client := awakeClient{made, quick}
	admin, err := sarama.NewClusterAdminFromClient(client)
	if err != nil {
		return passing{err}
	}
	return f(client, admin)
}

// bounded gives ctx a limit when it has none: no call waits longer than two
// minutes of scenario time, and ten seconds of wall time are always granted.
func (c *Control) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, max(c.settings("").wall(2*time.Minute), 10*time.Second))
}

// everywhere waits until every broker that is registered shows, in its own
// metadata, what ok wants; what it last missed is the error when ctx ends. ok
// gets the answer's topics by name.
func (c *Control) everywhere(ctx context.Context, cluster string, topics []string, ok func(map[string]*sarama.TopicMetadata) error) (int, error) {
	n := 0
	err := c.do(ctx, cluster, func(client sarama.Client, _ sarama.ClusterAdmin) (err error) {
		n, err = watch(ctx, client, topics, ok, func() {})
		return err
	})
	return n, err
}

// shown checks one topic in a broker's metadata: that many partitions, each with
// a leader; with full also all replicas in sync.
func shown(seen map[string]*sarama.TopicMetadata, topic string, partitions int, full bool) error {
	t := seen[topic]
	if t == nil || t.Err == sarama.ErrUnknownTopicOrPartition {
		return fmt.Errorf("topic %s is not there", topic)
	}
	if len(t.Partitions) < partitions {
		return fmt.Errorf("topic %s has %d partitions of %d", topic, len(t.Partitions), partitions)
	}
	for _, p := range t.Partitions {
		switch {
		case p.Leader < 0 || p.Err == sarama.ErrLeaderNotAvailable:
			return fmt.Errorf("%s/%d has no leader", topic, p.ID)
		case full && len(p.Isr) < len(p.Replicas):
			return fmt.Errorf("%s/%d has %d of %d replicas in sync", topic, p.ID, len(p.Isr), len(p.Replicas))
		}
	}
	return nil
}

func proved(format string, args ...any) runtime.Proof {
	return runtime.Proof{OK: true, At: time.Now(), Text: fmt.Sprintf(format, args...)}
}

// Coordinator tells which broker coordinates a group.
func (c *Control) Coordinator(ctx context.Context, cluster, group string) (int32, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	id := int32(-1)
	err := c.do(ctx, cluster, func(client sarama.Client, _ sarama.ClusterAdmin) error {
		for _, b := range client.Brokers() {
			_ = b.Open(client.Config())
			resp, err := b.FindCoordinator(&sarama.FindCoordinatorRequest{
				Version: 3, CoordinatorKey: group, CoordinatorType: sarama.CoordinatorGroup,
			})
			if err == nil && resp.Err == sarama.ErrNoError {
				id = resp.Coordinator.ID()
				return nil
			}
		}
		return passing{fmt.Errorf("group %s has no coordinator", group)}
	})
	return id, err
}

// Group describes a group by its coordinator; topics of the plan have its names,
// others Kafka's. Kafka does not tell generations,
// so Generation is -1.
func (c *Control) Group(ctx context.Context, cluster, group string) (runtime.Group, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	var out runtime.Group
	err := c.do(ctx, cluster, func(client sarama.Client, _ sarama.ClusterAdmin) error {
		var b *sarama.Broker
		for _, x := range client.Brokers() {
			_ = x.Open(client.Config())
			resp, err := x.FindCoordinator(&sarama.FindCoordinatorRequest{
				Version: 3, CoordinatorKey: group, CoordinatorType: sarama.CoordinatorGroup,
			})
			if err == nil && resp.Err == sarama.ErrNoError {
				b = resp.Coordinator
				break
			}
		}
		if b == nil {
			return passing{fmt.Errorf("group %s has no coordinator", group)}
		}
		_ = b.Open(client.Config())
		defer b.Close()
		described, err := b.DescribeGroups(&sarama.DescribeGroupsRequest{Version: 5, Groups: []string{group}})
		if err != nil {
			return passing{err}
		}
		if len(described.Groups) != 1 {
			return passing{sarama.ErrIncompleteResponse}
		}
		g := described.Groups[0]
		if g.Err != sarama.ErrNoError && g.Err != sarama.ErrGroupIDNotFound {
			return g.Err
		}
		fetched, err := b.FetchOffset(sarama.NewOffsetFetchRequest(protocol, group, nil))
		if err != nil {
			return passing{err}
		}
		blocks, code := fetched.Blocks, fetched.Err
		for _, x := range fetched.Groups {
			if x.GroupId == group {
				blocks, code = x.Blocks, x.Err
			}
		}
		if code != sarama.ErrNoError && code != sarama.ErrGroupIDNotFound {
			return code
		}
		out = runtime.Group{State: g.State, Members: len(g.Members), Generation: -1, Committed: map[string]map[int32]int64{}}
		for topic, parts := range blocks {
			for p, block := range parts {
				if block.Err != sarama.ErrNoError {
					return block.Err
				}
				if block.Offset < 0 {
					continue
				}
				name := c.planName(cluster, topic)
				if out.Committed[name] == nil {
					out.Committed[name] = map[int32]int64{}
				}
				out.Committed[name][p] = block.Offset
			}
		}
		return nil
	})
	if err != nil {
		return runtime.Group{}, fmt.Errorf("group %s: %w", group, err)
	}
	return out, nil
}

func (c *Control) resource(target plan.Ref) (sarama.ConfigResourceType, string, error) {
	switch target.Kind {
	case plan.RefTopic:
		return sarama.TopicResource, c.kafkaName(target.Name), nil
	case plan.RefCluster:
		return sarama.BrokerResource, "", nil // the default of all brokers (KIP-226)
	case plan.RefBroker:
		return sarama.BrokerResource, strconv.Itoa(target.Index), nil
	}
	return 0, "", fmt.Errorf("configure: for parameter target: got %s, want a topic, a cluster or a broker", target.Kind)
}
