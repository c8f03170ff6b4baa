package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"
)

// produceFranz sends the records with franz-go and waits for all acknowledgements.
func produceFranz(ctx context.Context, addrs []string, o options) error {
	opts := []kgo.Opt{
		kgo.SeedBrokers(addrs...), kgo.DefaultProduceTopic("t"), kgo.ProducerLinger(o.linger),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.MaxBufferedRecords(200_000),
		kgo.RecordPartitioner(kgo.RoundRobinPartitioner()),
	}
	switch o.acks {
	case "0":
		opts = append(opts, kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite())
	case "1":
		opts = append(opts, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
	case "all":
		opts = append(opts, kgo.RequiredAcks(kgo.AllISRAcks()))
	default:
		return fmt.Errorf("for flag acks: got %s, want 0, 1 or all", o.acks)
	}
	return each(o, func(records int) error {
		client, err := kgo.NewClient(opts...)
		if err != nil {
			return err
		}
		defer client.Close()
		value := make([]byte, o.size)
		var failed atomic.Pointer[error]
		for range records {
			client.Produce(ctx, &kgo.Record{Value: value}, func(_ *kgo.Record, err error) {
				if err != nil {
					failed.Store(&err)
				}
			})
		}
		if err := client.Flush(ctx); err != nil {
			return err
		}
		if err := failed.Load(); err != nil {
			return *err
		}
		return nil
	})
}

// produceSarama does the same with sarama.
func produceSarama(addrs []string, o options) error {
	c := sarama.NewConfig()
	c.Version = sarama.V3_9_0_0
	c.Producer.Return.Successes = true
	c.Producer.Flush.Frequency = o.linger
	c.Producer.Partitioner = sarama.NewRoundRobinPartitioner
	switch o.acks {
	case "0":
		c.Producer.RequiredAcks = sarama.NoResponse
	case "1":
		c.Producer.RequiredAcks = sarama.WaitForLocal
	case "all":
		c.Producer.RequiredAcks = sarama.WaitForAll
	default:
		return fmt.Errorf("for flag acks: got %s, want 0, 1 or all", o.acks)
	}
	return each(o, func(records int) error {
		p, err := sarama.NewAsyncProducer(addrs, c)
		if err != nil {
			return err
		}
		value := sarama.ByteEncoder(make([]byte, o.size))
		go func() {
			for range records {
				p.Input() <- &sarama.ProducerMessage{Topic: "t", Value: value}
			}
		}()
		for range records {
			select {
			case <-p.Successes():
			case err := <-p.Errors():
				p.AsyncClose()
				return err
			}
		}
		return p.Close()
	})
}

// each runs the clients at once, each with its share of the records.
func each(o options, run func(records int) error) error {
	errs := make([]error, o.producers)
	var wg sync.WaitGroup
	for i := range o.producers {
		wg.Go(func() { errs[i] = run(o.records / o.producers) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
