// This file defines an observer: a consumer without a group, which reads all of
// its topics on the control side (plan.Consumer.Observes).

package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"starfall/interp/plan"
	"starfall/runtime"
	"starfall/runtime/record"
)

// lookAgain is how often an observer looks for topics and partitions that are
// new, scenario time.
const lookAgain = 500 * time.Millisecond

// observer reads each partition from its start, by itself: one whose broker is
// away holds up no other, and none is ever given up.
type observer struct {
	spec    runtime.ConsumerSpec
	set     settings
	topics  []plan.Topic
	cluster *cluster
	ended   sync.Once
	wait    sync.WaitGroup

	mu       sync.Mutex
	over     bool
	fetchers []*fetcher
	known    map[record.TopicPartition]bool
}

var _ runtime.Member = (*observer)(nil)

// newObserver starts one. It is ready at once: its topics may not be there yet.
func newObserver(ctx context.Context, set settings, s runtime.ConsumerSpec) (*observer, error) {
	topics := topicsOf(s)
	if len(topics) == 0 || len(s.Bootstrap) == 0 {
		return nil, errors.New("no topics, or no bootstrap address")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if set.login == (runtime.Login{}) {
		set.login = s.Env.Operators[topics[0].Cluster]
	}
	o := &observer{spec: s, set: set, topics: topics, known: map[record.TopicPartition]bool{}}
	var names []string
	for _, t := range topics {
		names = append(names, t.KafkaName())
	}
	o.cluster = newCluster(set, memberID(s.Consumer.Name, s.Member), s.Bootstrap, names, nil)
	o.wait.Go(o.look)
	return o, nil
}

// look opens a fetcher for each partition that turns up.
func (o *observer) look() {
	for {
		_ = o.cluster.refresh() // what is not there, is looked for again
		for _, t := range o.topics {
			for p := range int32(o.cluster.partitions(t.KafkaName())) {
				o.open(t, p)
			}
		}
		if !o.cluster.pause(o.set.wall(lookAgain)) {
			return
		}
	}
}

func (o *observer) open(t plan.Topic, partition int32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	tp := record.TopicPartition{Topic: t.Name, Partition: partition}
	if o.over || o.known[tp] {
		return
	}
	o.known[tp] = true
	f := newFetcher(o.cluster, o.set, memberID(o.spec.Consumer.Name, o.spec.Member), t.KafkaName(), partition, 0)
	f.moved = func(to int64) { o.spec.Log.Position(t.Name, partition, to, o.spec.Clock.Now()) }
	o.fetchers = append(o.fetchers, f)
	o.wait.Go(func() { o.read(f, t.Name) })
}

// read reads a partition until the observer ends.
func (o *observer) read(f *fetcher, topic string) {
	log, said := o.spec.Log, ""
	for begin := true; ; {
		if begin {
			n, err := f.bound(sarama.OffsetOldest)
			if err != nil {
				if f.retry() != nil {
					return
				}
				continue
			}
			f.offset, f.epoch, begin = n, -1, false
			log.Position(topic, f.partition, n, o.spec.Clock.Now())
		}
		x, err := f.next()
		switch {
		case errors.Is(err, sarama.ErrClosedClient):
			return
		case err != nil:
			begin = errors.Is(err, errOutOfRange)
			if text := reason(err); text != said {
				said = text
				o.spec.Env.Log(fmt.Sprintf("%s: %s/%d: %s", o.spec.Consumer.Name, topic, f.partition, text))
			}
			if f.retry() != nil {
				return
			}
			continue
		}
		now := o.spec.Clock.Now()
		for _, r := range x.records {
			if id, ok := record.Decode(r.value); ok && id.Run == o.spec.RunID {
				log.Delivered(topic, f.partition, r.offset, id, now)
			} else {
				log.Foreign(topic, f.partition, r.offset, now)
			}
		}
	}
}

// Stop ends it; there is nothing to commit and nobody to tell.
func (o *observer) Stop(context.Context) error {
	o.end(false)
	return nil
}

// Crash ends it.
func (o *observer) Crash() { o.end(true) }

func (o *observer) end(reset bool) {
	o.ended.Do(func() {
		o.mu.Lock()
		o.over = true
		fetchers := o.fetchers
		o.mu.Unlock()
		for _, f := range fetchers {
			f.end(reset)
		}
		o.cluster.close(reset)
		o.wait.Wait()
	})
}
