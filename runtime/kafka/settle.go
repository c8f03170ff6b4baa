// This file defines how the control side waits until brokers' own metadata shows a
// change, and how it shortens that wait.

package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// How brokers are looked at until they show a change, in wall time: often, over
// connections that are kept, for as long as the set of brokers is likely to stay
// what it was.
const (
	seenEvery  = 15 * time.Millisecond
	lookFor    = time.Second
	nudgeEvery = 100 * time.Millisecond
)

// watch asks every broker that a client knows for its own metadata, again and
// again, until each shows what ok wants, and gives their number. The error is a
// passing one, also when they take long: the client is to learn of brokers anew.
// nudge is called, now and then, while some show it and others do not.
func watch(ctx context.Context, client sarama.Client, topics []string, ok func(map[string]*sarama.TopicMetadata) error, nudge func()) (int, error) {
	var brokers []*sarama.Broker
	asked := map[int32]bool{}
	for _, known := range client.Brokers() {
		b := sarama.NewBroker(known.Addr())
		if err := b.Open(client.Config()); err != nil {
			return 0, passing{fmt.Errorf("broker %d: %w", known.ID(), err)}
		}
		defer b.Close()
		brokers = append(brokers, b)
		asked[known.ID()] = true
	}
	if len(brokers) == 0 {
		return 0, passing{errors.New("no broker is registered")}
	}
	var nudged time.Time
	for until := time.Now().Add(lookFor); ; {
		answers, err := lookAll(brokers, topics)
		if err != nil {
			return 0, err
		}
		missing, showing := error(nil), 0
		for _, a := range answers {
			if err := ok(byName(a.Topics)); err != nil {
				missing = passing{fmt.Errorf("by the metadata of broker %d: %w", a.id, err)}
			} else {
				showing++
			}
			for _, b := range a.Brokers {
				if !asked[b.ID()] {
					return 0, passing{fmt.Errorf("broker %d has come", b.ID())}
				}
			}
		}
		switch {
		case missing == nil:
			return len(brokers), nil
		case ctx.Err() != nil || time.Now().After(until):
			return 0, missing
		}
		if showing > 0 && time.Since(nudged) >= nudgeEvery {
			nudge()
			nudged = time.Now()
			continue
		}
		if !pause(ctx, seenEvery) {
			return 0, missing
		}
	}
}

// pause waits; false when ctx ends.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// glance is the metadata of one broker.
type glance struct {
	*sarama.MetadataResponse
	id int32
}

// lookAll asks brokers side by side.
func lookAll(brokers []*sarama.Broker, topics []string) ([]glance, error) {
	out := make([]glance, len(brokers))
	errs := make([]error, len(brokers))
	var wait sync.WaitGroup
	for i, b := range brokers {
		wait.Go(func() {
			resp, err := b.GetMetadata(sarama.NewMetadataRequest(protocol, topics))
			if err != nil {
				errs[i] = fmt.Errorf("%s: %w", b.Addr(), err)
				return
			}
			out[i] = glance{resp, -1}
			for _, x := range resp.Brokers {
				if x.Addr() == b.Addr() {
					out[i].id = x.ID()
				}
			}
		})
	}
	wait.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, passing{err}
	}
	return out, nil
}

func byName(topics []*sarama.TopicMetadata) map[string]*sarama.TopicMetadata {
	out := make(map[string]*sarama.TopicMetadata, len(topics))
	for _, t := range topics {
		out[t.Name] = t
	}
	return out
}

// nudge has the brokers of a KRaft cluster learn at once what is committed. The
// active controller of Kafka 3.9 tells the others how far the metadata log is
// committed with the next record only, which comes half a second later at most
// (metadata.max.idle.interval.ms; KafkaRaftClient.tryCompleteFetchRequest). So a
// record is made that changes nothing: a broker's dynamic setting that is not set is
// unset, which a controller logs all the same (KAFKA-14136). With a zero before its
// number the controller knows the broker, and no broker takes the setting for its
// own, so that none reads its configuration anew (DynamicConfigPublisher). Whether
// it works is of no importance: then the half second passes.
func nudge(client sarama.Client, admin sarama.ClusterAdmin) {
	const unset = "log.cleaner.backoff.ms"
	for _, b := range client.Brokers() {
		err := admin.IncrementalAlterConfig(sarama.BrokerResource, fmt.Sprintf("0%d", b.ID()), map[string]sarama.IncrementalAlterConfigsEntry{
			unset: {Operation: sarama.IncrementalAlterConfigsOperationDelete},
		}, false)
		if err == nil {
			return
		}
	}
}
