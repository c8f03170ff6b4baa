//go:build linux

package agent

// This file tests a power failure on a real broker.

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"starfall/runtime"
)

// kafkaConfig is a broker that is its own controller.
const kafkaConfig = `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:9093
listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093
controller.listener.names=CONTROLLER
log.dirs=/data
offsets.topic.replication.factor=1
`

// dialer makes sarama's connections inside.
type dialer struct{ agent *Agent }

func (d dialer) Dial(network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return d.agent.Dial(ctx, netip.Addr{}, address)
}

// startKafka starts the broker and gives a client of it.
func startKafka(t *testing.T, a *Agent) sarama.Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	_, err := a.Start(ctx, Process{Name: "kafka", Log: "/scratch/kafka.log", Args: []string{"java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", "/opt/kafka/libs/*", "kafka.Kafka", "/scratch/server.properties"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Await(ctx, "kafka", 9092); err != nil {
		t.Fatal(err)
	}
	c := sarama.NewConfig()
	c.Version = sarama.V3_6_0_0
	c.Net.Proxy.Enable, c.Net.Proxy.Dialer = true, dialer{a}
	c.Producer.Return.Successes = true
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Partitioner = sarama.NewManualPartitioner
	c.Metadata.Retry.Max = 100
	client, err := sarama.NewClient([]string{"127.0.0.1:9092"}, c)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// produce sends n records to a topic, each acknowledged.
func produce(t *testing.T, client sarama.Client, topic string, n int) {
	t.Helper()
	p, err := sarama.NewSyncProducerFromClient(client)
	if err != nil {
		t.Fatal(err)
	}
	var ms []*sarama.ProducerMessage
	for i := range n {
		ms = append(ms, &sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(fmt.Sprint(i))})
	}
	if err := p.SendMessages(ms); err != nil {
		t.Fatal(err)
	}
}

// newest is the end of a topic's log once the broker tells it.
func newest(t *testing.T, client sarama.Client, topic string) int64 {
	t.Helper()
	end := int64(-1)
	soon(t, topic+" has a leader", func() bool {
		var err error
		if end, err = client.GetOffset(topic, 0, sarama.OffsetNewest); err != nil {
			client.RefreshMetadata(topic)
		}
		return err == nil
	})
	return end
}

func TestKafkaLosesPower(t *testing.T) {
	a, _, _ := contained(t)
	defer a.Close()
	err := a.Write(t.Context(), File{Path: "/scratch/server.properties", Content: []byte(kafkaConfig)},
		File{Path: "/data/meta.properties", Content: []byte("version=1\ncluster.id=AAAAAAAAAAAAAAAAAAAAAA\nnode.id=1\ndirectory.id=BBBBBBBBBBBBBBBBBBBBBA\n")})
	if err != nil {
		t.Fatal(err)
	}
	client := startKafka(t, a)
	admin, err := sarama.NewClusterAdminFromClient(client)
	if err != nil {
		t.Fatal(err)
	}
	one, small := "1", "16384"
	for topic, config := range map[string]map[string]*string{"plain": nil, "flushed": {"flush.messages": &one}, "rolled": {"segment.bytes": &small}, "stopped": nil} {
		if err := admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1, ConfigEntries: config}, false); err != nil {
			t.Fatal(err)
		}
		if topic == "stopped" {
			newest(t, client, topic)
			produce(t, client, topic, 100)
		}
	}
	// A shutdown in order flushes.
	client.Close()
	if _, err := a.Signal(t.Context(), "kafka", runtime.SignalStop); err != nil {
		t.Fatal(err)
	}
	loss := Loss{Default: Flushing{Age: time.Hour}, Topics: map[string]Flushing{"flushed": {Messages: 1}}}
	if lost, err := a.Discard(t.Context(), "/data", loss); err != nil || len(lost) != 0 {
		t.Fatalf("after a shutdown in order: got %v and %v, want nothing lost", lost, err)
	}

	client = startKafka(t, a)
	for _, topic := range []string{"plain", "flushed", "rolled", "stopped"} {
		newest(t, client, topic)
		for range 10 {
			produce(t, client, topic, 300)
		}
	}
	client.Close()
	if _, err := a.Signal(t.Context(), "kafka", runtime.SignalKill); err != nil {
		t.Fatal(err)
	}
	lost, err := a.Discard(t.Context(), "/data", loss)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int64{"flushed": 3000, "plain": 0, "stopped": 100, "rolled": 3000}
	for _, d := range lost {
		topic := d.Partition[:len(d.Partition)-2]
		if topic == "rolled" {
			if d.From <= 0 || d.From >= 3000 {
				t.Errorf("got %+v, want the active segment lost and those before it kept", d)
			}
		} else if d.From != want[topic] {
			t.Errorf("got %+v, want it lost from %d", d, want[topic])
		}
		want[topic] = d.From
	}
	if len(lost) != 3 {
		t.Errorf("got %v, want losses of plain, rolled and stopped", lost)
	}

	// The broker recovers, agrees on what is left, and goes on from there.
	client = startKafka(t, a)
	defer client.Close()
	for topic, end := range want {
		if got := newest(t, client, topic); got != end {
			t.Errorf("%s: the broker has records up to %d, want %d", topic, got, end)
		}
		produce(t, client, topic, 10)
		if got := newest(t, client, topic); got != end+10 {
			t.Errorf("%s: after 10 more, up to %d, want %d", topic, got, end+10)
		}
	}
	s, err := a.Status(t.Context(), "kafka")
	if err != nil || s.RSS < 50<<20 || s.CPU < 0.1 {
		t.Errorf("got %+v and %v, want the memory and processor time of a broker", s, err)
	}
}
