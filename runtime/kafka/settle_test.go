package kafka

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
)

// TestWatch: while some brokers show a change and others do not, they are nudged;
// while none shows it, they are not, and the error says what is missing.
func TestWatch(t *testing.T) {
	b := start(t, scenario(), 10)
	with := func(ctx context.Context, f func(sarama.Client) error) error {
		return b.control.attempt(ctx, b.control.settings("kafka"), "kafka", func(c sarama.Client, _ sarama.ClusterAdmin) error { return f(c) })
	}
	nudges, asked := 0, 0
	err := with(b.ctx, func(c sarama.Client) error {
		n, err := watch(b.ctx, c, []string{"orders"}, func(seen map[string]*sarama.TopicMetadata) error {
			if seen["orders"] == nil {
				t.Errorf("got %v, want the metadata of orders", seen)
			}
			asked++
			if asked%3 == 0 && nudges == 0 {
				return errors.New("not yet")
			}
			return nil
		}, func() { nudges++ })
		if n != 3 {
			t.Errorf("brokers: got %d, want 3", n)
		}
		return err
	})
	if err != nil || nudges != 1 || asked != 6 {
		t.Errorf("got %d nudges, %d answers, %v, want 1, 6, nil", nudges, asked, err)
	}

	ctx, cancel := context.WithTimeout(b.ctx, 3*seenEvery)
	defer cancel()
	began := time.Now()
	err = with(b.ctx, func(c sarama.Client) error {
		_, err := watch(ctx, c, []string{"orders"}, func(map[string]*sarama.TopicMetadata) error { return errors.New("not yet") }, func() { t.Error("nudged") })
		return err
	})
	var pass passing
	if !errors.As(err, &pass) || !strings.Contains(err.Error(), "by the metadata of broker ") || !strings.HasSuffix(err.Error(), "not yet") {
		t.Errorf("got %v after %v, want that it is not yet there, in passing", err, time.Since(began))
	}
}
