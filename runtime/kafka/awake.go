// This file defines how the control side passes over brokers that are frozen: they
// take connections and requests and never answer.

package kafka

import (
	"context"
	"slices"
	"time"

	"github.com/IBM/sarama"
)

// awakeGrace is how much longer than the first the other brokers may take, in wall
// time.
const awakeGrace = 20 * time.Millisecond

// awake asks all brokers side by side for their versions, and gives those that
// answer soon, the first one first; none when no broker answers.
func awake(ctx context.Context, addrs []string) []string {
	ctx, cancel := context.WithTimeout(ctx, peerDial)
	defer cancel()
	answers := make(chan string, len(addrs))
	for _, a := range addrs {
		go func() {
			p := &peer{addr: a}
			stop := context.AfterFunc(ctx, p.close)
			err := p.dial(ctx)
			stop()
			p.close()
			if err != nil {
				a = ""
			}
			answers <- a
		}()
	}
	var out []string
	began := time.Now()
	var late <-chan time.Time
	for range addrs {
		select {
		case a := <-answers:
			if a == "" {
				continue
			}
			out = append(out, a)
			if late == nil {
				late = time.After(time.Since(began) + awakeGrace)
			}
		case <-late:
			return out
		case <-ctx.Done():
			return out
		}
	}
	return out
}

// awakeClient is sarama's client with brokers that were awake before all others.
type awakeClient struct {
	sarama.Client
	quick []string // addresses
}

func (c awakeClient) Brokers() []*sarama.Broker {
	brokers := c.Client.Brokers()
	slices.SortStableFunc(brokers, func(a, b *sarama.Broker) int { return c.rank(a) - c.rank(b) })
	return brokers
}

func (c awakeClient) rank(b *sarama.Broker) int {
	if i := slices.Index(c.quick, b.Addr()); i >= 0 {
		return i
	}
	return len(c.quick)
}

// Controller is the broker that admin requests go to. In KRaft any broker passes
// them on, and Metadata names one by chance; sarama would ask again, perhaps the one
// that is frozen. A controller on ZooKeeper that is frozen is none that could help:
// whoever else is asked says so, and it is tried again.
func (c awakeClient) Controller() (*sarama.Broker, error) {
	b, err := c.Client.Controller()
	if err != nil || slices.Contains(c.quick, b.Addr()) {
		return b, err
	}
	for _, other := range c.Brokers() {
		if slices.Contains(c.quick, other.Addr()) {
			_ = other.Open(c.Config())
			return other, nil
		}
	}
	return b, nil
}

var _ sarama.Client = awakeClient{}
