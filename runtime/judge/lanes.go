// This file defines lanes: what samples, and the elections of the journal, say
// of each partition and each broker from moment to moment.

package judge

import (
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

// lanes collects the lanes of a Picture.
//
//	what is seen                      effect on its lane
//	the same as before                the span goes on up to the sample
//	something else                    the span ends there, another begins
//	an election of the journal        the same, at the moment of the election
//	no sample for longer than blind   the span ends with the last sample; nothing is known until the next
type lanes struct {
	elections  []record.Event // not yet passed
	blind      time.Duration
	partitions []PartitionLane
	brokers    []BrokerLane
	byName     map[record.TopicPartition]int
	byID       map[record.TopicPartition]int // cluster and broker id
	plan       *plan.Plan
}

func newLanes(c *collector, rec *record.Recording) *lanes {
	l := &lanes{blind: c.info.Wall(2 * time.Second), plan: rec.Plan,
		byName: map[record.TopicPartition]int{}, byID: map[record.TopicPartition]int{}}
	if c.info.Elections {
		for _, e := range rec.Events {
			if e.Kind == record.KindElection {
				l.elections = append(l.elections, e)
			}
		}
	}
	for i := range rec.Plan.Clusters {
		cl := &rec.Plan.Clusters[i]
		for _, n := range cl.Brokers() {
			l.broker(cl, n.ID)
		}
	}
	for i := range rec.Plan.Topics {
		t := &rec.Plan.Topics[i]
		for k := range t.Partitions {
			l.partition(t, int32(k))
		}
	}
	return l
}

func (l *lanes) broker(cl *plan.Cluster, id int32) *BrokerLane {
	k := record.TopicPartition{Topic: cl.Name, Partition: id}
	i, ok := l.byID[k]
	if !ok {
		i = len(l.brokers)
		l.byID[k] = i
		l.brokers = append(l.brokers, BrokerLane{Cluster: cl.Name, Label: cl.Label(id), ID: id})
	}
	return &l.brokers[i]
}

func (l *lanes) partition(t *plan.Topic, partition int32) *PartitionLane {
	k := record.TopicPartition{Topic: t.Name, Partition: partition}
	i, ok := l.byName[k]
	if !ok {
		i = len(l.partitions)
		l.byName[k] = i
		l.partitions = append(l.partitions, PartitionLane{Cluster: t.Cluster, Topic: t.Name, Partition: partition, Replicas: t.Replicas, MinInsync: t.MinInsync})
	}
	return &l.partitions[i]
}

// sample takes one look at a cluster.
func (l *lanes) sample(s *record.Sample) {
	l.elected(s.At)
	cl := l.plan.Cluster(s.Cluster)
	if cl == nil {
		return
	}
	for i := range s.Brokers {
		b := &s.Brokers[i]
		lane := l.broker(cl, b.ID)
		if n := len(lane.Spans); n > 0 && s.At-lane.Spans[n-1].To <= l.blind {
			lane.Spans[n-1].To = s.At
			if lane.Spans[n-1].Alive == b.Alive {
				continue
			}
		}
		lane.Spans = append(lane.Spans, AliveSpan{s.At, s.At, b.Alive})
	}
	for i := range s.Partitions {
		p := &s.Partitions[i]
		t := l.plan.Topic(p.Topic)
		if t == nil || t.Cluster != s.Cluster {
			continue
		}
		lane := l.partition(t, p.Partition)
		if len(p.Replicas) > 0 {
			lane.Replicas = len(p.Replicas)
		}
		if p.MinInsync > 0 {
			lane.MinInsync = p.MinInsync
		}
		lane.see(s.At, l.blind, p.Leader, len(p.ISR))
	}
}

// see notes who leads at a moment.
func (lane *PartitionLane) see(at, blind time.Duration, leader int32, inSync int) {
	if n := len(lane.Spans); n > 0 && at-lane.Spans[n-1].To <= blind {
		last := &lane.Spans[n-1]
		last.To = max(at, last.To)
		if last.Leader == leader && last.InSync == inSync {
			return
		}
	}
	lane.Spans = append(lane.Spans, LeaderSpan{at, at, leader, inSync})
}

// elected passes the elections up to a moment.
func (l *lanes) elected(until time.Duration) {
	for len(l.elections) > 0 && l.elections[0].At <= until {
		e := l.elections[0]
		l.elections = l.elections[1:]
		if t := l.plan.Topic(e.Topic); t != nil {
			lane := l.partition(t, e.Partition)
			if n := len(lane.Spans); n > 0 {
				lane.see(e.At, l.blind, e.To, lane.Spans[n-1].InSync)
			}
		}
	}
}

// finish gives the lanes from 0 to end. Partitions of which nothing was seen
// are left out.
func (l *lanes) finish(end time.Duration) ([]PartitionLane, []BrokerLane) {
	l.elected(end)
	var partitions []PartitionLane
	for _, p := range l.partitions {
		var spans []LeaderSpan
		for i, s := range p.Spans {
			s.To = reach(s.To, i == len(p.Spans)-1, end, l.blind)
			if s.From, s.To = max(s.From, 0), min(s.To, end); s.To > s.From {
				spans = append(spans, s)
			}
		}
		if p.Spans = spans; len(spans) > 0 {
			partitions = append(partitions, p)
		}
	}
	var brokers []BrokerLane
	for _, b := range l.brokers {
		var spans []AliveSpan
		for i, s := range b.Spans {
			s.To = reach(s.To, i == len(b.Spans)-1, end, l.blind)
			if s.From, s.To = max(s.From, 0), min(s.To, end); s.To > s.From {
				spans = append(spans, s)
			}
		}
		b.Spans = spans
		brokers = append(brokers, b)
	}
	return partitions, brokers
}

// reach is where a span ends: the last one goes on to the end when that is near.
func reach(to time.Duration, last bool, end, blind time.Duration) time.Duration {
	if last && end-to <= blind {
		return max(end, to)
	}
	return to
}
