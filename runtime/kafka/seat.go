// This file defines a seat: a consumer member's place in its group on one
// cluster. Sarama's consumer group joins, syncs, sends heartbeats and balances.

package kafka

import (
	"context"
	"errors"
	"math"
	"sort"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"starfall/interp/plan"
	"starfall/runtime"
	"starfall/runtime/record"
)

// seat is a member's place in its group. Each claim is read by a fetcher of its
// own, so that a partition without a leader holds up no other.
//
//	state    is in the group          left by
//	taken    once Setup was called    start → running
//	running  joins, again and again   stand → over, tear → over
//	over     no more                  –
//
// A member that is refused for want of rights is ready, though it has no share:
// it goes on asking.
type seat struct {
	c       *consumer
	set     settings          // with the login
	at      string            // the cluster, as the plan calls it
	names   map[string]string // what the plan calls a topic, by what its cluster does
	topics  []string          // as the cluster calls them
	cluster *cluster
	client  *groupClient
	group   sarama.ConsumerGroup
	offsets offsets
	run     context.Context
	cancel  context.CancelFunc
	ready   chan struct{} // closed at the first assignment, or refusal
	once    sync.Once
	done    chan struct{} // closed when the last session has ended
	gone    chan struct{} // closed by tear

	// Guarded by the consumer's mu.
	torn       bool
	left       bool // the member is elsewhere: what the group does is no news
	joined     bool
	session    sarama.ConsumerGroupSession // the latest
	generation int32
	owned      []record.TopicPartition         // as the plan calls them
	reached    map[record.TopicPartition]int64 // of each claim, as the cluster calls it, what was processed; -1: nothing yet
	lastErr    error
}

// groupClient is a client for sarama's ConsumerGroup. Sarama insists on making a
// partition consumer for each claim; this one gives it a leader that is never
// connected, so that it gives up at once and keeps still, and offsets that
// never need asking.
type groupClient struct{ *client }

func (groupClient) LeaderAndEpoch(string, int32) (*sarama.Broker, int32, error) {
	return sarama.NewBroker("claims are read by fetchers"), -1, nil
}

func (groupClient) GetOffset(_ string, _ int32, at int64) (int64, error) {
	if at == sarama.OffsetNewest {
		return math.MaxInt64, nil
	}
	return 0, nil
}

// sit makes a seat; it does nothing before start.
func (c *consumer) sit(bootstrap []string, login runtime.Login, topics []plan.Topic) (*seat, error) {
	s := &seat{c: c, set: c.set, at: topics[0].Cluster, names: map[string]string{},
		ready: make(chan struct{}), done: make(chan struct{}), gone: make(chan struct{}), reached: map[record.TopicPartition]int64{}}
	s.set.login = login
	sparse := map[string]bool{}
	for _, t := range topics {
		name := t.KafkaName()
		s.topics = append(s.topics, name)
		s.names[name] = t.Name
		sparse[name] = t.Origin == plan.Mirrored
	}
	id := memberID(c.spec.Consumer.Name, c.spec.Member)
	d := s.set.dialer()
	conf, err := s.set.consumerConfig(id, c.spec, d)
	if err != nil {
		return nil, err
	}
	s.cluster = newCluster(s.set, id, bootstrap, s.topics, func(no error) {
		if no != nil {
			s.refuse(no)
		}
	})
	s.client = &groupClient{newClient(s.cluster, conf, d)}
	s.client.sparse, s.client.refused = sparse, s.refuse
	s.offsets = offsets{group: c.spec.Consumer.Group, instance: conf.Consumer.Group.InstanceId, client: s.client.client}
	s.group, err = sarama.NewConsumerGroupFromClient(c.spec.Consumer.Group, s.client)
	if err != nil {
		s.cluster.close(true)
		return nil, err
	}
	s.run, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// start lets it join.
func (s *seat) start() {
	go s.stay()
	s.cluster.spawn(s.seek)
}

// refuse takes note of a refusal.
func (s *seat) refuse(no error) {
	s.c.refuse(s, no)
	s.once.Do(func() { close(s.ready) })
}

// seek asks for metadata each retry.backoff.ms while topics are missing, as the
// Java client does (it takes UNKNOWN_TOPIC_OR_PARTITION for stale metadata).
func (s *seat) seek() {
	for {
		missing := false
		for _, t := range s.topics {
			missing = missing || s.cluster.partitions(t) == 0
		}
		if missing {
			_ = s.cluster.refresh()
		}
		if !s.cluster.pause(s.set.wall(max(s.set.backoff, 100*time.Millisecond))) {
			return
		}
	}
}

// stay keeps the member in the group.
func (s *seat) stay() {
	defer close(s.done)
	for s.run.Err() == nil {
		err := s.group.Consume(s.run, s.topics, s)
		if errors.Is(err, sarama.ErrClosedConsumerGroup) || errors.Is(err, sarama.ErrClosedClient) {
			return
		}
		if err != nil && s.run.Err() == nil {
			if no := refusalIn(err); no != nil {
				s.refuse(no)
			}
			s.c.mu.Lock()
			s.lastErr = err
			s.c.mu.Unlock()
			s.c.complain("group", err)
			if !s.cluster.pause(s.set.wall(s.set.backoff)) {
				return
			}
		}
	}
}

// Setup implements sarama.ConsumerGroupHandler: a session begins.
func (s *seat) Setup(sess sarama.ConsumerGroupSession) error {
	s.note(sess)
	s.c.mu.Lock()
	s.session = sess
	s.c.mu.Unlock()
	s.once.Do(func() { close(s.ready) })
	go s.attend(sess)
	return nil
}

// Cleanup implements sarama.ConsumerGroupHandler.
func (s *seat) Cleanup(sarama.ConsumerGroupSession) error { return nil }

// note records what the member owns, when that is news.
func (s *seat) note(sess sarama.ConsumerGroupSession) {
	var owned []record.TopicPartition
	for topic, partitions := range sess.Claims() {
		for _, p := range partitions {
			owned = append(owned, record.TopicPartition{Topic: s.names[topic], Partition: p})
		}
	}
	sort.Slice(owned, func(i, j int) bool {
		a, b := owned[i], owned[j]
		return a.Topic < b.Topic || a.Topic == b.Topic && a.Partition < b.Partition
	})
	generation := sess.GenerationID()
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	same := s.joined && generation == s.generation && len(owned) == len(s.owned)
	for i := 0; same && i < len(owned); i++ {
		same = owned[i] == s.owned[i]
	}
	if same || s.left {
		return
	}
	s.joined, s.generation, s.owned = true, generation, owned
	s.c.spec.Log.Assigned(generation, owned, s.c.spec.Clock.Now())
}

// claim notes a claim of which nothing is read yet.
func (s *seat) claim(topic string, partition int32) { s.move(topic, partition, -1, -1) }

// begin notes where a claim begins to be read.
func (s *seat) begin(topic string, partition int32, at int64) { s.move(topic, partition, at, -1) }

// reach notes how far a claim was processed.
func (s *seat) reach(topic string, partition int32, next int64) {
	s.move(topic, partition, next, math.MaxInt64)
}

// move sets how far a claim is, unless it is beyond past already.
func (s *seat) move(topic string, partition int32, next, past int64) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	tp := record.TopicPartition{Topic: topic, Partition: partition}
	if was, ok := s.reached[tp]; !ok || was <= past {
		s.reached[tp] = next
	}
}

// drop forgets a claim.
func (s *seat) drop(topic string, partition int32) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	delete(s.reached, record.TopicPartition{Topic: topic, Partition: partition})
}

// attend commits each commit_every and sees new generations of a cooperative
// session, which sarama does not tell, while a session lasts.
func (s *seat) attend(sess sarama.ConsumerGroupSession) {
	every := time.Duration(s.c.spec.Consumer.CommitEvery)
	if every <= 0 {
		every = time.Second
	}
	commits := time.NewTicker(s.set.wall(every))
	defer commits.Stop()
	looks := time.NewTicker(s.set.wall(s.set.heartbeat))
	defer looks.Stop()
	done := sess.Context().Done()
	for {
		select {
		case <-looks.C:
			s.note(sess)
		case <-commits.C:
			if s.c.spec.Consumer.Commit == commitAfter || s.c.spec.Consumer.Commit == commitAuto {
				if err := s.offsets.commitAll(done, sess); err != nil {
					if no := refusalIn(err); no != nil {
						s.refuse(no)
					}
					s.c.complain("commit", err)
				}
			}
		case <-done:
			return
		}
	}
}

// errNotLeft says that a group was not told of the end of a member.
var errNotLeft = errors.New("the group was not left")

// stand leaves the group in order: what was processed is committed, and the
// coordinator is told if it can be reached; an error says that it was not. When
// ctx ends first, connections are torn and the error is errNotLeft.
func (s *seat) stand(ctx context.Context) error {
	s.cancel()
	left := make(chan error, 1)
	go func() {
		<-s.done
		left <- s.group.Close()
	}()
	select {
	case err := <-left:
		s.client.end(false)
		s.cluster.close(false)
		return err
	case <-ctx.Done():
		s.tear()
		within(patience, func() { <-left })
		return errNotLeft
	}
}

// tear resets all connections and refuses new ones.
func (s *seat) tear() {
	s.c.mu.Lock()
	if !s.torn {
		s.torn = true
		close(s.gone)
	}
	s.c.mu.Unlock()
	s.client.end(true)
	s.cluster.close(true)
}
