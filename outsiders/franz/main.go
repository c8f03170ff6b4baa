// This file is what franz-go is seen to do. Driven by outsiders/run.

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

var seeds = kgo.SeedBrokers(strings.Split(os.Getenv("BOOTSTRAP"), ",")...)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 110*time.Second)
	defer cancel()
	version := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == "github.com/twmb/franz-go" {
				version = m.Version
			}
		}
	}
	fmt.Println("version franz-go", version)
	for _, phase := range []struct {
		name string
		run  func(context.Context) (string, error)
	}{
		{"survive", survive},
		{"produce", produce},
		{"group", group},
		{"transact", transact},
		{"describe", describe},
		{"alter", alter},
	} {
		text, err := phase.run(ctx)
		if err != nil {
			fmt.Printf("FAILED %s: %v\n", phase.name, err)
			os.Exit(1)
		}
		fmt.Printf("ok %s: %s\n", phase.name, text)
	}
}

func client(opts ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{seeds}, opts...)...)
}

// same says how got differs from want, which hold values in any order.
func same(got, want []string) error {
	got, want = slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
	if slices.Equal(got, want) {
		return nil
	}
	return fmt.Errorf("got %d records (%d distinct), want %d", len(got), len(slices.Compact(slices.Clone(got))), len(want))
}

// read returns what a client reads of its topics until count records came, and
// in the second after that.
func read(ctx context.Context, cl *kgo.Client, count int) ([]string, error) {
	var got []string
	end := time.Now().Add(45 * time.Second)
	for {
		wait, cancel := context.WithTimeout(ctx, time.Second)
		fetches := cl.PollFetches(wait)
		cancel()
		for _, e := range fetches.Errors() {
			if !errors.Is(e.Err, context.DeadlineExceeded) {
				return nil, e.Err
			}
		}
		fetches.EachRecord(func(r *kgo.Record) { got = append(got, string(r.Value)) })
		switch {
		case fetches.NumRecords() == 0 && len(got) >= count:
			return got, nil
		case time.Now().After(end):
			return nil, fmt.Errorf("read %d of %d records after 45 s", len(got), count)
		}
	}
}

func leader(ctx context.Context, adm *kadm.Client) (int32, error) {
	topics, err := adm.ListTopics(ctx, "survive")
	if err != nil {
		return 0, err
	}
	p, ok := topics["survive"].Partitions[0]
	if !ok {
		return 0, errors.New("no partition 0")
	}
	return p.Leader, nil
}

func survive(ctx context.Context) (string, error) {
	cl, err := client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(5*time.Millisecond))
	if err != nil {
		return "", err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	before, err := leader(ctx, adm)
	if err != nil {
		return "", err
	}
	var mu sync.Mutex
	var refused error
	var want []string
	after, end := before, time.Now().Add(75*time.Second)
	for more := 0; more < 20; {
		if time.Now().After(end) {
			return "", fmt.Errorf("leader was %d and is %d after 75 s", before, after)
		}
		want = append(want, fmt.Sprintf("survive-%d", len(want)+1))
		record := &kgo.Record{Topic: "survive", Value: []byte(want[len(want)-1])}
		cl.Produce(ctx, record, func(_ *kgo.Record, err error) {
			mu.Lock()
			defer mu.Unlock()
			refused = errors.Join(refused, err)
		})
		if after != before && after > 0 {
			more++
		} else if len(want)%10 == 0 {
			if now, err := leader(ctx, adm); err == nil {
				after = now
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err := cl.Flush(ctx); err != nil {
		return "", err
	}
	if refused != nil {
		return "", refused
	}
	reader, err := client(kgo.ConsumeTopics("survive"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return "", err
	}
	defer reader.Close()
	got, err := read(ctx, reader, len(want))
	if err != nil {
		return "", err
	}
	if !slices.Equal(got, want) {
		return "", errors.Join(errors.New("not what was sent, in order"), same(got, want))
	}
	return fmt.Sprintf("%d records once each, in order, leader %d to %d", len(want), before, after), nil
}

// orders is what produce writes.
func orders() []string {
	var values []string
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		for i := range 200 {
			values = append(values, fmt.Sprintf("%s-%d", codec, i))
		}
	}
	return values
}

func produce(ctx context.Context) (string, error) {
	values := orders()
	for i, codec := range []kgo.CompressionCodec{
		kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression(),
	} {
		cl, err := client(kgo.DefaultProduceTopic("orders"), kgo.ProducerBatchCompression(codec))
		if err != nil {
			return "", err
		}
		var records []*kgo.Record
		for _, v := range values[i*200 : (i+1)*200] {
			records = append(records, kgo.StringRecord(v))
		}
		err = cl.ProduceSync(ctx, records...).FirstErr()
		cl.Close()
		if err != nil {
			return "", err
		}
	}
	return "1000 records, idempotent, acks=all, five compressions", nil
}

func group(ctx context.Context) (string, error) {
	for _, want := range [][]string{orders(), nil} {
		cl, err := client(kgo.ConsumerGroup("franz-readers"), kgo.ConsumeTopics("orders"),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit())
		if err != nil {
			return "", err
		}
		got, err := read(ctx, cl, len(want))
		if err == nil {
			err = same(got, want)
		}
		if err == nil && len(got) > 0 {
			err = cl.CommitUncommittedOffsets(ctx)
		}
		cl.Close()
		if err != nil {
			return "", err
		}
	}
	cl, err := client()
	if err != nil {
		return "", err
	}
	defer cl.Close()
	lags, err := kadm.NewClient(cl).Lag(ctx, "franz-readers")
	if err != nil {
		return "", err
	}
	described := lags["franz-readers"]
	if lag := described.Lag.Total(); lag != 0 || described.Error() != nil {
		return "", fmt.Errorf("lag: got %d (%v), want 0", lag, described.Error())
	}
	return "1000 records once, none again after the commit; described, lag 0", nil
}

func transact(ctx context.Context) (string, error) {
	tx := []kgo.Opt{kgo.TransactionalID("franz-tx"), kgo.DefaultProduceTopic("ledger")}
	cl, err := client(tx...)
	if err != nil {
		return "", err
	}
	defer cl.Close()
	var want, all []string
	for _, kind := range []string{"kept", "dropped", "after"} {
		if err := cl.BeginTransaction(); err != nil {
			return "", err
		}
		var records []*kgo.Record
		commit := kgo.TransactionEndTry(kind != "dropped")
		for i := range 50 {
			v := fmt.Sprintf("%s-%d", kind, i)
			records = append(records, kgo.StringRecord(v))
			all = append(all, v)
			if commit == kgo.TryCommit {
				want = append(want, v)
			}
		}
		if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
			return "", err
		}
		if err := cl.EndTransaction(ctx, commit); err != nil {
			return "", err
		}
	}
	for _, c := range []struct {
		level kgo.IsolationLevel
		want  []string
	}{{kgo.ReadCommitted(), want}, {kgo.ReadUncommitted(), all}} {
		reader, err := client(kgo.ConsumeTopics("ledger"), kgo.FetchIsolationLevel(c.level))
		if err != nil {
			return "", err
		}
		got, err := read(ctx, reader, len(c.want))
		reader.Close()
		if err == nil {
			err = same(got, c.want)
		}
		if err != nil {
			return "", err
		}
	}
	// Another producer with the same id fences this one.
	second, err := client(tx...)
	if err != nil {
		return "", err
	}
	defer second.Close()
	if _, _, err := second.ProducerID(ctx); err != nil {
		return "", err
	}
	if err := cl.BeginTransaction(); err != nil {
		return "", err
	}
	err = cl.ProduceSync(ctx, kgo.StringRecord("fenced")).FirstErr()
	if !errors.Is(err, kerr.InvalidProducerEpoch) && !errors.Is(err, kerr.ProducerFenced) {
		return "", fmt.Errorf("a fenced producer: got %v, want that it is fenced", err)
	}
	return "100 committed records read, 50 aborted ones hidden, the older producer fenced", nil
}

func describe(ctx context.Context) (string, error) {
	cl, err := client()
	if err != nil {
		return "", err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	configs, err := adm.DescribeTopicConfigs(ctx, "orders")
	if err != nil {
		return "", err
	}
	entries, err := configs.On("orders", nil)
	if err != nil {
		return "", err
	}
	if entries.Err != nil {
		return "", entries.Err
	}
	for _, c := range entries.Configs {
		if c.Key == "min.insync.replicas" && c.MaybeValue() != "2" {
			return "", fmt.Errorf("min.insync.replicas: got %s, want 2", c.MaybeValue())
		}
	}
	if _, err := adm.DescribeAllLogDirs(ctx, nil); err != nil {
		return "", fmt.Errorf("log dirs: %w", err)
	}
	txns, err := adm.DescribeTransactions(ctx, "franz-tx")
	if err != nil {
		return "", fmt.Errorf("transactions: %w", err)
	}
	return fmt.Sprintf("%d configs of a topic, log dirs, transaction %s", len(entries.Configs), txns["franz-tx"].State), nil
}

func alter(ctx context.Context) (string, error) {
	cl, err := client()
	if err != nil {
		return "", err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	made, err := adm.CreateTopic(ctx, 2, 3, nil, "made")
	if err = errors.Join(err, made.Err); err != nil {
		return "", err
	}
	value := "120000"
	altered, err := adm.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: &value}}, "made")
	if err == nil {
		_, err = altered.On("made", func(r *kadm.AlterConfigsResponse) error { return r.Err })
	}
	if err != nil {
		return "", err
	}
	grown, err := adm.UpdatePartitions(ctx, 4, "made")
	if err = errors.Join(err, grown.Error()); err != nil {
		return "", err
	}
	end := time.Now().Add(20 * time.Second)
	for {
		topics, err := adm.ListTopics(ctx, "made")
		if err != nil {
			return "", err
		}
		configs, err := adm.DescribeTopicConfigs(ctx, "made")
		if err != nil {
			return "", err
		}
		got := ""
		for _, c := range configs[0].Configs {
			if c.Key == "retention.ms" {
				got = c.MaybeValue()
			}
		}
		if len(topics["made"].Partitions) == 4 && got == value {
			break
		}
		if time.Now().After(end) {
			return "", fmt.Errorf("got %d partitions and retention.ms %s, want 4 and %s", len(topics["made"].Partitions), got, value)
		}
		time.Sleep(200 * time.Millisecond)
	}
	deleted, err := adm.DeleteTopics(ctx, "made")
	if err = errors.Join(err, deleted.Error()); err != nil {
		return "", err
	}
	return "topic created, config altered, partitions added, topic deleted", nil
}
