// This file defines the admin verbs: making topics, resize, configure, elect,
// move and send, each proved by reading back what the brokers then show. Rights
// are in acl.go, deleting in delete.go, positions of groups in groupoffsets.go,
// and replay in replay.go.

package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/IBM/sarama"

	"starfall/interp/plan"
	"starfall/runtime"
)

var (
	_ runtime.Admin    = (*Control)(nil)
	_ runtime.Configs  = (*Control)(nil)
	_ runtime.Restorer = (*Control)(nil)
	_ runtime.Grantor  = (*Control)(nil)
	_ runtime.Enroller = (*Control)(nil)
)

// Create makes topics and returns once every broker's own metadata shows each
// leader and a full in-sync set: without that the first seconds of load meet
// stale metadata. Those of origin mirrored it leaves to their mirror.
func (c *Control) Create(ctx context.Context, cluster string, topics []plan.Topic) error {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	topics = slices.DeleteFunc(slices.Clone(topics), func(t plan.Topic) bool { return t.Origin == plan.Mirrored })
	if len(topics) == 0 {
		return nil
	}
	names := make([]string, len(topics))
	for i, t := range topics {
		names[i] = t.KafkaName()
	}
	made, asked := 0, -1
	return c.do(ctx, cluster, func(client sarama.Client, admin sarama.ClusterAdmin) error {
		for ; made < len(topics); made++ {
			t := topics[made]
			detail, err := topicDetail(t, client)
			if err == nil {
				again := asked == made
				asked = made
				err = admin.CreateTopic(t.KafkaName(), detail, false)
				if again && errors.Is(err, sarama.ErrTopicAlreadyExists) {
					err = nil // an earlier attempt did it, though its answer did not come
				}
			}
			if err != nil {
				return fmt.Errorf("topic %s: %w", t.Name, err)
			}
		}
		_, err := watch(ctx, client, names, func(seen map[string]*sarama.TopicMetadata) error {
			for _, t := range topics {
				if err := shown(seen, t.KafkaName(), t.Partitions, true); err != nil {
					return err
				}
			}
			return nil
		}, func() { nudge(client, admin) })
		return err
	})
}

func topicDetail(t plan.Topic, client sarama.Client) (*sarama.TopicDetail, error) {
	d := &sarama.TopicDetail{
		NumPartitions: int32(t.Partitions), ReplicationFactor: int16(t.Replicas),
		ConfigEntries: map[string]*string{},
	}
	if t.MinInsync > 0 {
		v := strconv.Itoa(t.MinInsync)
		d.ConfigEntries["min.insync.replicas"] = &v
	}
	for name, v := range t.Config {
		d.ConfigEntries[name] = &v
	}
	if len(t.Placement) == 0 {
		return d, nil
	}
	// Kafka wants every partition placed or none: those that are not said go
	// round the brokers.
	var ids []int32
	for _, b := range client.Brokers() {
		ids = append(ids, b.ID())
	}
	slices.Sort(ids)
	if len(ids) < t.Replicas {
		return nil, passing{fmt.Errorf("%d brokers for %d replicas", len(ids), t.Replicas)}
	}
	d.NumPartitions, d.ReplicationFactor = -1, -1
	d.ReplicaAssignment = map[int32][]int32{}
	for p := range t.Partitions {
		replicas, said := t.Placement[p]
		for i := 0; !said && i < t.Replicas; i++ {
			replicas = append(replicas, ids[(p+i)%len(ids)])
		}
		d.ReplicaAssignment[int32(p)] = replicas
	}
	return d, nil
}

// Do carries out an admin verb.
func (c *Control) Do(ctx context.Context, cluster string, a plan.Action) (runtime.Proof, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	if len(a.Targets) == 0 {
		return runtime.Proof{}, fmt.Errorf("%s: it names no target", a.Verb)
	}
	var proofs []string
	var deleted []runtime.Written
	var last runtime.Proof
	for _, t := range a.Targets {
		var p runtime.Proof
		var err error
		switch a.Verb {
		case plan.Resize:
			p, err = c.resize(ctx, cluster, c.kafkaName(t.Name), a.Partitions)
		case plan.Configure:
			values := make(map[string]*string, len(a.Config))
			for name, v := range a.Config {
				values[name] = &v
			}
			p, err = c.Restore(ctx, cluster, t, values)
		case plan.Elect:
			p, err = c.elect(ctx, cluster, c.kafkaName(t.Name), a.Elect, a.Partition)
		case plan.Move:
			p, err = c.move(ctx, cluster, t, a)
		case plan.Send:
			p, err = c.send(ctx, cluster, t.Name, a.Text, a.Key)
		case plan.Replay:
			p, err = c.replay(ctx, cluster, t.Name, a)
		case plan.ResetOffsets:
			p, err = c.resetOffsets(ctx, cluster, t.Name, a.Offsets)
		case plan.Allow, plan.Deny:
			p, err = c.grant(ctx, cluster, t.Name, a)
		case plan.Revoke:
			p, err = c.revoke(ctx, cluster, t.Name, a)
		case plan.DeleteRecords:
			p, err = c.deleteRecords(ctx, cluster, t.Name, a.Offsets)
		case plan.Delete:
			p, err = c.deleteTopic(ctx, cluster, t.Name)
		default:
			err = errors.New("not an admin verb")
		}
		if err != nil {
			return runtime.Proof{}, fmt.Errorf("%s %s: %w", a.Verb, t.Name, err)
		}
		last = p
		proofs = append(proofs, p.Text)
		deleted = append(deleted, p.Deleted...)
	}
	last.Text, last.Deleted = strings.Join(proofs, "; "), deleted
	return last, nil
}

func (c *Control) resize(ctx context.Context, cluster, topic string, partitions int) (runtime.Proof, error) {
	err := c.do(ctx, cluster, func(_ sarama.Client, admin sarama.ClusterAdmin) error {
		t, err := describe(admin, topic)
		if err != nil {
			return err
		}
		if len(t.Partitions) == partitions {
			return nil
		}
		return admin.CreatePartitions(topic, int32(partitions), nil, false)
	})
	if err != nil {
		return runtime.Proof{}, err
	}
	n, err := c.everywhere(ctx, cluster, []string{topic}, func(seen map[string]*sarama.TopicMetadata) error {
		return shown(seen, topic, partitions, false)
	})
	return proved("%d partitions with leaders in the metadata of %d brokers", partitions, n), err
}

func describe(admin sarama.ClusterAdmin, topic string) (*sarama.TopicMetadata, error) {
	ts, err := admin.DescribeTopics([]string{topic})
	if err != nil {
		return nil, err
	}
	if len(ts) != 1 {
		return nil, passing{sarama.ErrIncompleteResponse}
	}
	if ts[0].Err != sarama.ErrNoError {
		return nil, ts[0].Err
	}
	return ts[0], nil
}

// Configs reads what is set on a target itself; nil for what is not, so that a
// default or a value of a wider scope holds.
func (c *Control) Configs(ctx context.Context, cluster string, target plan.Ref, names []string) (map[string]*string, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	kind, name, err := c.resource(target)
	if err != nil {
		return nil, err
	}
	var out map[string]*string
	err = c.do(ctx, cluster, func(client sarama.Client, _ sarama.ClusterAdmin) error {
		brokers, err := holders(client, kind, name)
		if err != nil {
			return err
		}
		out, err = configs(client, brokers[0], kind, name, names)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("configs of %s: %w", target.Name, err)
	}
	return out, nil
}

// holders are the brokers that can tell the configs of a resource: any of them,
// but for a broker's own that broker only.
func holders(client sarama.Client, kind sarama.ConfigResourceType, name string) ([]*sarama.Broker, error) {
	brokers := client.Brokers()
	if kind == sarama.BrokerResource && name != "" {
		brokers = slices.DeleteFunc(brokers, func(b *sarama.Broker) bool { return strconv.Itoa(int(b.ID())) != name })
	}
	if len(brokers) == 0 {
		return nil, passing{errors.New("the broker is not registered")}
	}
	return brokers, nil
}

// configs asks one broker what is set on a resource itself.
func configs(client sarama.Client, b *sarama.Broker, kind sarama.ConfigResourceType, name string, names []string) (map[string]*string, error) {
	own := sarama.SourceTopic
	switch {
	case kind == sarama.BrokerResource && name == "":
		own = sarama.SourceDynamicDefaultBroker
	case kind == sarama.BrokerResource:
		own = sarama.SourceDynamicBroker
	}
	_ = b.Open(client.Config())
	resp, err := b.DescribeConfigs(&sarama.DescribeConfigsRequest{
		Version: 2, Resources: []*sarama.ConfigResource{{Type: kind, Name: name, ConfigNames: names}},
	})
	if err != nil {
		return nil, passing{fmt.Errorf("broker %d: %w", b.ID(), err)}
	}
	out := make(map[string]*string, len(names))
	for _, n := range names {
		out[n] = nil
	}
	for _, r := range resp.Resources {
		if r.ErrorCode != 0 {
			return nil, fmt.Errorf("%w: %s", sarama.KError(r.ErrorCode), r.ErrorMsg)
		}
		for _, e := range r.Configs {
			if _, asked := out[e.Name]; asked && e.Source == own {
				v := e.Value
				out[e.Name] = &v
			}
		}
	}
	return out, nil
}

// Restore sets values, unsets those that are nil, and returns when every broker
// that can tell shows it.
func (c *Control) Restore(ctx context.Context, cluster string, target plan.Ref, values map[string]*string) (runtime.Proof, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	kind, name, err := c.resource(target)
	if err != nil {
		return runtime.Proof{}, err
	}
	entries := map[string]sarama.IncrementalAlterConfigsEntry{}
	for n, v := range values {
		e := sarama.IncrementalAlterConfigsEntry{Operation: sarama.IncrementalAlterConfigsOperationSet, Value: v}
		if v == nil {
			e.Operation = sarama.IncrementalAlterConfigsOperationDelete
		}
		entries[n] = e
	}
	err = c.do(ctx, cluster, func(_ sarama.Client, admin sarama.ClusterAdmin) error {
		return admin.IncrementalAlterConfig(kind, name, entries, false)
	})
	if err != nil {
		return runtime.Proof{}, err
	}
	names := slices.Sorted(maps.Keys(values))
	var shows []string
	for _, n := range names {
		shows = append(shows, n+"="+text(values[n]))
	}
	n := 0
	err = c.do(ctx, cluster, func(client sarama.Client, _ sarama.ClusterAdmin) error {
		brokers, err := holders(client, kind, name)
		if err != nil {
			return err
		}
		for _, b := range brokers {
			got, err := configs(client, b, kind, name, names)
			if err != nil {
				return err
			}
			for _, x := range names {
				if have, want := text(got[x]), text(values[x]); have != want {
					return passing{fmt.Errorf("%s reads back as %s from broker %d, not as %s", x, have, b.ID(), want)}
				}
			}
		}
		n = len(brokers)
		return nil
	})
	return proved("%s by the configs of %d brokers", strings.Join(shows, ", "), n), err
}

func text(v *string) string {
	if v == nil {
		return "(not set)"
	}
	return *v
}

func (c *Control) elect(ctx context.Context, cluster, topic, kind string, partition int) (runtime.Proof, error) {
	election := sarama.PreferredElection
	if kind == "unclean" {
		election = sarama.UncleanElection
	}
	var proof runtime.Proof
	err := c.do(ctx, cluster, func(_ sarama.Client, admin sarama.ClusterAdmin) error {
		t, err := describe(admin, topic)
		if err != nil {
			return err
		}
		var parts []int32
		for _, p := range t.Partitions {
			if partition < 0 || int(p.ID) == partition {
				parts = append(parts, p.ID)
			}
		}
		results, err := admin.ElectLeaders(election, map[string][]int32{topic: parts})
		if err != nil {
			return err
		}
		for _, p := range parts {
			r := results[topic][p]
			if r == nil || r.ErrorCode == sarama.ErrNoError || r.ErrorCode == sarama.ErrElectionNotNeeded {
				continue
			}
			return fmt.Errorf("%s/%d: %w", topic, p, r.ErrorCode)
		}
		return nil
	})
	if err != nil {
		return proof, err
	}
	n, err := c.everywhere(ctx, cluster, []string{topic}, func(seen map[string]*sarama.TopicMetadata) error {
		t := seen[topic]
		if t == nil {
			return fmt.Errorf("topic %s is not there", topic)
		}
		for _, p := range t.Partitions {
			if partition >= 0 && int(p.ID) != partition {
				continue
			}
			if p.Leader < 0 || kind != "unclean" && p.Leader != p.Replicas[0] {
				return fmt.Errorf("%s/%d is led by %d", topic, p.ID, p.Leader)
			}
		}
		return nil
	})
	if err != nil {
		return proof, err
	}
	if kind == "unclean" {
		return proved("every partition has a leader by the metadata of %d brokers", n), nil
	}
	return proved("preferred replicas lead by the metadata of %d brokers", n), nil
}

// throttles are the configs of a throttled move (KIP-73), of brokers and of the
// topic.
var throttles = struct{ broker, topic []string }{
	[]string{"follower.replication.throttled.rate", "leader.replication.throttled.rate"},
	[]string{"follower.replication.throttled.replicas", "leader.replication.throttled.replicas"},
}

// move reassigns partitions and waits until the new replicas hold them.
func (c *Control) move(ctx context.Context, cluster string, this plan.Ref, a plan.Action) (proof runtime.Proof, err error) {
	topic := c.kafkaName(this.Name)
	if a.Bandwidth > 0 {
		rate, all := strconv.FormatInt(int64(a.Bandwidth), 10), "*"
		brokers := plan.Ref{Kind: plan.RefCluster, Name: cluster}
		for _, x := range []struct {
			target plan.Ref
			names  []string
			value  *string
		}{{brokers, throttles.broker, &rate}, {this, throttles.topic, &all}} {
			before, err := c.Configs(ctx, cluster, x.target, x.names)
			if err != nil {
				return proof, fmt.Errorf("throttle: %w", err)
			}
			values := map[string]*string{}
			for _, n := range x.names {
				values[n] = x.value
			}
			if p, err := c.Restore(ctx, cluster, x.target, values); err != nil || !p.OK {
				return proof, errors.Join(fmt.Errorf("throttle: %s", p.Text), err)
			}
			defer func() {
				back, cancel := c.bounded(context.WithoutCancel(ctx))
				defer cancel()
				if _, e := c.Restore(back, cluster, x.target, before); e != nil {
					err = errors.Join(err, fmt.Errorf("throttle is left on: %w", e))
				}
			}()
		}
	}
	var wanted [][]int32
	moved := 0
	err = c.do(ctx, cluster, func(client sarama.Client, admin sarama.ClusterAdmin) error {
		t, err := describe(admin, topic)
		if err != nil {
			return err
		}
		var ids []int32
		for _, b := range client.Brokers() {
			ids = append(ids, b.ID())
		}
		slices.Sort(ids)
		if wanted == nil {
			if wanted, moved, err = reassignment(t, ids, a); err != nil {
				return err
			}
		}
		if moved == 0 {
			return nil
		}
		return admin.AlterPartitionReassignments(topic, wanted)
	})
	if err != nil {
		return proof, err
	}
	n, err := c.everywhere(ctx, cluster, []string{topic}, func(seen map[string]*sarama.TopicMetadata) error {
		if err := shown(seen, topic, len(wanted), false); err != nil {
			return err
		}
		for _, p := range seen[topic].Partitions {
			if int(p.ID) < len(wanted) && !slices.Equal(p.Replicas, wanted[p.ID]) {
				return fmt.Errorf("%s/%d is on %v, not on %v yet", topic, p.ID, p.Replicas, wanted[p.ID])
			}
		}
		return nil
	})
	return proved("%d partitions on their new replicas by the metadata of %d brokers", moved, n), err
}

// reassignment gives the replicas of each partition after a move, and how many
// partitions it changes. Leaving a broker takes the broker that holds fewest of
// the topic's replicas, of these the lowest id.
func reassignment(t *sarama.TopicMetadata, brokers []int32, a plan.Action) ([][]int32, int, error) {
	out := make([][]int32, len(t.Partitions))
	held := map[int32]int{}
	for _, p := range t.Partitions {
		if int(p.ID) >= len(out) {
			return nil, 0, passing{sarama.ErrIncompleteResponse}
		}
		out[p.ID] = slices.Clone(p.Replicas)
		for _, r := range p.Replicas {
			held[r]++
		}
	}
	moved := 0
	for p := range out {
		replicas := out[p]
		switch {
		case len(a.Placement[p]) > 0:
			out[p] = slices.Clone(a.Placement[p])
		case a.Off != nil:
			i := slices.Index(replicas, int32(a.Off.Index))
			if i < 0 {
				continue
			}
			best := int32(-1)
			for _, b := range brokers {
				if b == int32(a.Off.Index) || slices.Contains(replicas, b) {
					continue
				}
				if best < 0 || held[b] < held[best] {
					best = b
				}
			}
			if best < 0 {
				return nil, 0, fmt.Errorf("partition %d: no other broker can take the replica of broker %d: %w", p, a.Off.Index, sarama.ErrInvalidReplicaAssignment)
			}
			held[best]++
			out[p] = slices.Clone(replicas)
			out[p][i] = best
		}
		if !slices.Equal(out[p], replicas) {
			moved++
		}
	}
	return out, moved, nil
}

// send writes one record by hand, once: an attempt whose answer does not come is
// an error, as a second one might write it twice. As long as no broker was handed
// the record it is tried again: a dead leader's address refuses connections until
// there is another leader.
func (c *Control) send(ctx context.Context, cluster, topic, value, key string) (runtime.Proof, error) {
	var proof runtime.Proof
	err := c.do(ctx, cluster, func(client sarama.Client, _ sarama.ClusterAdmin) error {
		p, err := sarama.NewSyncProducerFromClient(client)
		if err != nil {
			return passing{err}
		}
		defer p.Close()
		m := &sarama.ProducerMessage{Topic: c.kafkaName(topic), Value: sarama.StringEncoder(value)}
		if key != "" {
			m.Key = sarama.StringEncoder(key)
		}
		partition, offset, err := p.SendMessage(m)
		if err != nil {
			if d, ok := client.Config().Net.Proxy.Dialer.(*dialer); ok && d.produced.Load() == 0 {
				return passing{err}
			}
			var k sarama.KError
			if !errors.As(err, &k) || judgeError(err) != definite && k != sarama.ErrNotLeaderForPartition &&
				k != sarama.ErrLeaderNotAvailable && k != sarama.ErrNotEnoughReplicas && k != sarama.ErrUnknownTopicOrPartition {
				return final{fmt.Errorf("nobody knows whether it was written: %w", err)}
			}
			return err
		}
		proof = proved("%s/%d at offset %d", topic, partition, offset)
		proof.Wrote = &runtime.Written{Topic: topic, Partition: partition, Offset: offset}
		return nil
	})
	return proof, err
}
