// This file defines how a mirror makes and keeps its copies: partitions, configs
// and rights.

package kafka

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/IBM/sarama"

	"starfall/interp/plan"
	"starfall/runtime"
)

// notMirrored are the topic configs that MirrorMaker leaves out
// (DefaultConfigPropertyFilter, Kafka 3.9): the copy has its cluster's own.
var notMirrored = []string{
	"follower.replication.throttled.replicas", "leader.replication.throttled.replicas",
	"message.timestamp.difference.max.ms", "message.timestamp.type",
	"min.insync.replicas", "unclean.leader.election.enable",
}

// mirrored tells whether a mirror keeps a config of the source.
func mirrored(e *sarama.ConfigEntry) bool {
	return !e.ReadOnly && !e.Sensitive && e.Source != sarama.SourceStaticBroker && !slices.Contains(notMirrored, e.Name)
}

// refreshTopics looks for new partitions, and for copies that are gone.
func (m *mirror) refreshTopics() {
	settings := m.read.wall(mirrorConfigs)
	since := m.read.wall(0)
	for m.pause(m.read.wall(mirrorRefresh)) {
		if err := m.refresh(); err != nil && m.ctx.Err() == nil {
			m.warnOnce(err)
		}
		if since += m.read.wall(mirrorRefresh); since >= settings {
			since = 0
			m.syncSettings()
		}
	}
}

// warnOnce leaves out what was said before.
func (m *mirror) warnOnce(err error) {
	m.mu.Lock()
	told := m.told == err.Error()
	m.told = err.Error()
	m.mu.Unlock()
	if !told {
		m.warn("%v", err)
	}
}

// refresh makes copies and partitions that are missing, and starts copiers.
func (m *mirror) refresh() error {
	if err := m.source.refresh(); err != nil {
		return fmt.Errorf("source: %w", err)
	}
	refreshed := m.target.refresh() // an error while copies are missing
	for i, t := range m.spec.Topics {
		from, to := t.KafkaName(), m.spec.Copies[i].KafkaName()
		n := m.source.partitions(from)
		have := m.target.partitions(to)
		if n == 0 {
			continue // deleted; its copy stays
		}
		if refreshed != nil && errors.Is(refreshed, sarama.ErrUnknownTopicOrPartition) || have < n {
			if err := m.makeCopy(t, m.spec.Copies[i], n); err != nil {
				return fmt.Errorf("topic %s: %w", m.spec.Copies[i].Name, err)
			}
			if err := m.target.refresh(); err != nil {
				return fmt.Errorf("target: %w", err)
			}
			have = m.target.partitions(to)
		} else if refreshed != nil {
			return fmt.Errorf("target: %w", refreshed)
		}
		for p := range int32(min(n, have)) {
			m.copyPartition(from, to, p)
		}
	}
	return nil
}

// makeCopy makes a topic like its source, or gives it as many partitions.
func (m *mirror) makeCopy(source, target plan.Topic, partitions int) error {
	var entries []*sarama.ConfigEntry
	err := m.try(m.spec.Mirror.From, func(client sarama.Client, _ sarama.ClusterAdmin) error {
		var err error
		entries, err = topicConfigs(client, source.KafkaName())
		return err
	})
	if err != nil {
		return err
	}
	name := target.KafkaName()
	return m.try(m.spec.Mirror.To, func(client sarama.Client, admin sarama.ClusterAdmin) error {
		t, err := describe(admin, name)
		if err == nil {
			if len(t.Partitions) >= partitions {
				return nil
			}
			return admin.CreatePartitions(name, int32(partitions), nil, false)
		}
		if !errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
			return err
		}
		d := &sarama.TopicDetail{NumPartitions: int32(partitions), ReplicationFactor: int16(target.Replicas), ConfigEntries: map[string]*string{}}
		for _, e := range entries {
			if e.Source != sarama.SourceDefault && mirrored(e) {
				v := e.Value
				d.ConfigEntries[e.Name] = &v
			}
		}
		err = admin.CreateTopic(name, d, false)
		if errors.Is(err, sarama.ErrTopicAlreadyExists) {
			return nil
		}
		return err
	})
}

// try makes one attempt, as whoever calls it comes again.
func (m *mirror) try(cluster string, f func(sarama.Client, sarama.ClusterAdmin) error) error {
	return m.side.attempt(m.ctx, m.side.settings(cluster), cluster, f)
}

// topicConfigs gives all configs of a topic, by default or not.
func topicConfigs(client sarama.Client, topic string) ([]*sarama.ConfigEntry, error) {
	brokers := client.Brokers()
	if len(brokers) == 0 {
		return nil, passing{errors.New("no broker is registered")}
	}
	b := brokers[0]
	_ = b.Open(client.Config())
	resp, err := b.DescribeConfigs(&sarama.DescribeConfigsRequest{Version: 2, Resources: []*sarama.ConfigResource{{Type: sarama.TopicResource, Name: topic}}})
	if err != nil {
		return nil, passing{fmt.Errorf("broker %d: %w", b.ID(), err)}
	}
	for _, r := range resp.Resources {
		if r.ErrorCode != 0 {
			return nil, fmt.Errorf("%w: %s", sarama.KError(r.ErrorCode), r.ErrorMsg)
		}
		if r.Name == topic {
			return r.Configs, nil
		}
	}
	return nil, passing{sarama.ErrIncompleteResponse}
}

// syncSettings brings configs and rights of the copies up to date.
func (m *mirror) syncSettings() {
	for i, t := range m.spec.Topics {
		if err := m.syncConfigs(t.KafkaName(), m.spec.Copies[i].KafkaName()); err != nil && m.ctx.Err() == nil {
			m.warn("configs of %s: %v", m.spec.Copies[i].Name, err)
		}
	}
	if err := m.syncRights(); err != nil && m.ctx.Err() == nil {
		m.warn("rights: %v", err)
	}
}

// syncConfigs sets what is set at the source, and unsets what is a default there:
// defaults are those of the target.
func (m *mirror) syncConfigs(from, to string) error {
	var entries []*sarama.ConfigEntry
	err := m.try(m.spec.Mirror.From, func(client sarama.Client, _ sarama.ClusterAdmin) error {
		var err error
		entries, err = topicConfigs(client, from)
		return err
	})
	if err != nil {
		return err
	}
	changes := map[string]sarama.IncrementalAlterConfigsEntry{}
	for _, e := range entries {
		if !mirrored(e) {
			continue
		}
		if e.Source == sarama.SourceDefault {
			changes[e.Name] = sarama.IncrementalAlterConfigsEntry{Operation: sarama.IncrementalAlterConfigsOperationDelete}
			continue
		}
		v := e.Value
		changes[e.Name] = sarama.IncrementalAlterConfigsEntry{Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &v}
	}
	return m.try(m.spec.Mirror.To, func(_ sarama.Client, admin sarama.ClusterAdmin) error {
		return admin.IncrementalAlterConfig(sarama.TopicResource, to, changes, false)
	})
}

// syncRights gives the copies the rights of their sources: entries for these
// topics by name, without those that allow to write; that all is allowed becomes
// that reading is.
func (m *mirror) syncRights() error {
	if m.spec.Operators[m.spec.Mirror.From] == (runtime.Login{}) {
		return nil // nobody logs in, so nothing is granted
	}
	var found []*sarama.ResourceAcls
	err := m.try(m.spec.Mirror.From, func(client sarama.Client, admin sarama.ClusterAdmin) error {
		b, err := admin.Controller()
		if err != nil {
			return passing{err}
		}
		resp, err := b.DescribeAcls(&sarama.DescribeAclsRequest{Version: 1, AclFilter: sarama.AclFilter{
			Version: 1, ResourceType: sarama.AclResourceTopic, ResourcePatternTypeFilter: sarama.AclPatternAny,
			Operation: sarama.AclOperationAny, PermissionType: sarama.AclPermissionAny,
		}})
		if err != nil {
			return passing{err}
		}
		if resp.Err != sarama.ErrNoError {
			return told(resp.Err, resp.ErrMsg)
		}
		found = resp.ResourceAcls
		return nil
	})
	if err != nil {
		return err
	}
	req := &sarama.CreateAclsRequest{Version: 1}
	for _, r := range found {
		i := slices.IndexFunc(m.spec.Topics, func(t plan.Topic) bool { return t.KafkaName() == r.ResourceName })
		if i < 0 || r.ResourcePatternType != sarama.AclPatternLiteral {
			continue
		}
		for _, a := range r.Acls {
			x := *a
			if x.PermissionType == sarama.AclPermissionAllow {
				switch x.Operation {
				case sarama.AclOperationWrite:
					continue
				case sarama.AclOperationAll:
					x.Operation = sarama.AclOperationRead
				}
			}
			req.AclCreations = append(req.AclCreations, &sarama.AclCreation{Acl: x, Resource: sarama.Resource{
				ResourceType: sarama.AclResourceTopic, ResourceName: m.spec.Copies[i].KafkaName(), ResourcePatternType: sarama.AclPatternLiteral}})
		}
	}
	if len(req.AclCreations) == 0 {
		return nil
	}
	return m.try(m.spec.Mirror.To, func(_ sarama.Client, admin sarama.ClusterAdmin) error {
		b, err := admin.Controller()
		if err != nil {
			return passing{err}
		}
		resp, err := b.CreateAcls(req)
		if resp == nil {
			return passing{err}
		}
		var errs []string
		for _, r := range resp.AclCreationResponses {
			if r.Err != sarama.ErrNoError {
				errs = append(errs, told(r.Err, r.ErrMsg).Error())
			}
		}
		if len(errs) > 0 {
			return errors.New(strings.Join(slices.Compact(errs), "; "))
		}
		return nil
	})
}
