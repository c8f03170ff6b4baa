// This file defines Comparer: whether a mirror's copy is what its source is, in
// each respect, by reading both.

package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/IBM/sarama"

	"starfall/interp/plan"
	"starfall/runtime"
)

var _ runtime.Comparer = (*Control)(nil)

// comparing is one comparison of a mirror.
//
//	aspect      Compared counts                   Different counts
//	records     records of the source             those that are nowhere in the copy with all fields alike
//	order       records that are in the same      those whose first copy stands before the first copy
//	            partition of the copy             of one that stands before them in the source
//	partitions  partitions of either, and the     those that only one side has, and records
//	            records that are in the copy      that are in another partition
//	offsets     records of the source             those whose first copy is not at the same offset
//	config      names of topic configs            those whose values differ, set or by default
//	groups      positions of groups at the source those that are not there, or stand before another record
//
// A record that differs in another field than its value is taken for the copy of
// the source's record with that value, so that the difference can be named. Control
// records are no records; those of aborted transactions are, as a mirror copies
// them.
type comparing struct {
	c    *Control
	spec runtime.MirrorSpec
	ends map[string]map[int32]int64
	out  map[string]*runtime.Comparison

	prints fingerprints
}

// Compare reads both sides of a mirror. It holds two records of each partition and
// fetch at a time while they are alike, and then some hundred thousands of the
// source's by their fingerprints.
func (c *Control) Compare(ctx context.Context, s runtime.MirrorSpec, ends map[string]map[int32]int64, groups []string) ([]runtime.Comparison, error) {
	x := &comparing{c: c, spec: s, ends: ends, out: map[string]*runtime.Comparison{}, prints: newPrints()}
	for _, a := range plan.Aspects() {
		x.out[a] = &runtime.Comparison{Aspect: a}
	}
	for i := range s.Topics {
		if err := x.topic(ctx, s.Topics[i], s.Copies[i]); err != nil {
			return nil, fmt.Errorf("mirror %s: %s against %s: %w", s.Mirror.Name, s.Copies[i].Name, s.Topics[i].Name, err)
		}
	}
	for _, g := range groups {
		if err := x.group(ctx, g); err != nil {
			return nil, fmt.Errorf("mirror %s: group %s: %w", s.Mirror.Name, g, err)
		}
	}
	var list []runtime.Comparison
	for _, a := range plan.Aspects() {
		list = append(list, *x.out[a])
	}
	return list, nil
}

// differs counts a difference, and keeps the words of the first.
func (x *comparing) differs(aspect, format string, args ...any) {
	o := x.out[aspect]
	if o.Different++; o.First == "" {
		o.First = fmt.Sprintf(format, args...)
	}
}

// count is how many partitions a topic has; 0: there is none of that name.
func (x *comparing) count(ctx context.Context, cluster, topic string) (int, error) {
	n := 0
	err := x.c.do(ctx, cluster, func(_ sarama.Client, admin sarama.ClusterAdmin) error {
		t, err := describe(admin, topic)
		if errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
			return nil
		}
		if err != nil {
			return err
		}
		n = len(t.Partitions)
		return nil
	})
	return n, err
}

func (x *comparing) topic(ctx context.Context, source, target plan.Topic) error {
	have, err := x.count(ctx, source.Cluster, source.KafkaName())
	if err != nil {
		return err
	}
	copied, err := x.count(ctx, target.Cluster, target.KafkaName())
	if err != nil {
		return err
	}
	x.out["partitions"].Compared += int64(max(have, copied))
	if have != copied {
		x.differs("partitions", "%s has %d partitions, %s has %d", source.Name, have, target.Name, copied)
		x.out["partitions"].Different += int64(max(have-copied, copied-have)) - 1
	}
	if have == 0 {
		return nil
	}
	t := &comparedTopic{comparing: x, source: source, target: target, copied: copied}
	if t.from, err = x.c.connect(ctx, source.Cluster, source.KafkaName()); err != nil {
		return err
	}
	defer t.from.close(true)
	if copied > 0 {
		if t.to, err = x.c.connect(ctx, target.Cluster, target.KafkaName()); err != nil {
			return err
		}
		defer t.to.close(true)
	}
	if err := t.compare(ctx, have); err != nil {
		return err
	}
	if copied == 0 {
		return nil
	}
	return x.configs(ctx, source, target)
}

// configs compares the values that hold on both sides.
func (x *comparing) configs(ctx context.Context, source, target plan.Topic) error {
	var sides [2]map[string]string
	for i, t := range []plan.Topic{source, target} {
		err := x.c.do(ctx, t.Cluster, func(client sarama.Client, _ sarama.ClusterAdmin) error {
			entries, err := topicConfigs(client, t.KafkaName())
			if err != nil {
				return err
			}
			sides[i] = map[string]string{}
			for _, e := range entries {
				if !e.Sensitive {
					sides[i][e.Name] = e.Value
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	names := maps.Clone(sides[0])
	maps.Copy(names, sides[1])
	for _, n := range slices.Sorted(maps.Keys(names)) {
		x.out["config"].Compared++
		have, ok := sides[0][n]
		copied, too := sides[1][n]
		switch {
		case !ok:
			x.differs("config", "%s of %s: it has none, the copy has %s", n, source.Name, copied)
		case !too:
			x.differs("config", "%s of %s: %s, the copy has none", n, source.Name, have)
		case have != copied:
			x.differs("config", "%s of %s: %s, in the copy %s", n, source.Name, have, copied)
		}
	}
	return nil
}

// group compares where a group stands on both sides.
func (x *comparing) group(ctx context.Context, group string) error {
	here, err := x.c.Group(ctx, x.spec.Mirror.From, group)
	if err != nil {
		return err
	}
	there, err := x.c.Group(ctx, x.spec.Mirror.To, group)
	if err != nil {
		return err
	}
	for i, source := range x.spec.Topics {
		at, copied := here.Committed[source.Name], there.Committed[x.spec.Copies[i].Name]
		if len(at) == 0 {
			continue
		}
		t := &comparedTopic{comparing: x, source: source, target: x.spec.Copies[i]}
		if t.from, err = x.c.connect(ctx, source.Cluster, source.KafkaName()); err != nil {
			return err
		}
		err := t.positions(ctx, group, at, copied)
		t.from.close(true)
		if err != nil {
			return err
		}
	}
	return nil
}

// positions compares a group's positions of one topic.
func (t *comparedTopic) positions(ctx context.Context, group string, at, copied map[int32]int64) error {
	if len(copied) > 0 {
		var err error
		if t.to, err = t.c.connect(ctx, t.target.Cluster, t.target.KafkaName()); err != nil {
			return err
		}
		defer t.to.close(true)
	}
	for _, p := range sortedIDs(at) {
		t.out["groups"].Compared++
		down, ok := copied[p]
		if !ok {
			t.differs("groups", "%s on %s/%d: at %d, in the copy it has no position", group, t.source.Name, p, at[p])
			continue
		}
		a, before, err := t.first(ctx, t.from, t.source, p, at[p])
		if err != nil {
			return err
		}
		b, copiedBefore, err := t.first(ctx, t.to, t.target, p, down)
		if err != nil {
			return err
		}
		say := func(at int64, record bool) string {
			if !record {
				return fmt.Sprintf("at %d, behind the last record", at)
			}
			return fmt.Sprintf("at %d, before a record", at)
		}
		switch {
		case before != copiedBefore:
			t.differs("groups", "%s on %s/%d: %s; in the copy %s", group, t.source.Name, p, say(at[p], before), say(down, copiedBefore))
		case before && t.prints.whole(a) != t.prints.whole(b):
			t.differs("groups", "%s on %s/%d: at %d, in the copy at %d, before another record", group, t.source.Name, p, at[p], down)
		}
	}
	return nil
}

// first gives the first record from an offset on.
func (t *comparedTopic) first(ctx context.Context, k *cluster, topic plan.Topic, partition int32, offset int64) (logRecord, bool, error) {
	r, err := t.open(ctx, k, topic, partition, offset)
	if err != nil {
		return logRecord{}, false, err
	}
	defer r.close()
	return r.next()
}
