package embedded

// This file tests a plan's users with sarama over TCP.

import (
	"errors"
	"strings"
	"testing"

	"github.com/IBM/sarama"

	"starfall/interp/plan"
	"starfall/runtime"
)

// TestUsersOfAPlan: everybody logs in, the control side as the operator, who may do
// everything; a user may do nothing until he is given a right.
func TestUsersOfAPlan(t *testing.T) {
	for _, auth := range []string{"plain", "scram-sha-256"} {
		t.Run(auth, func(t *testing.T) {
			p := kafkaPlan(1, 0, nil)
			p.Clusters[0].Auth = auth
			p.Users = []plan.User{
				{Name: "ann", Cluster: "kafka", Password: "secret"},
				{Name: "eve", Cluster: "elsewhere", Password: "secret"},
			}
			operator := runtime.Login{Mechanism: strings.ToUpper(auth), User: "starfall", Password: "0f1e"}
			b := startIn(t, Engine{}, p, runtime.UpOptions{Speed: 10, Operators: map[string]runtime.Login{"kafka": operator}})
			connect := func(from runtime.Place, user, password string) (sarama.ClusterAdmin, error) {
				config := b.config()
				config.Metadata.Retry.Max, config.Admin.Retry.Max = 1, 1
				config.Net.SASL.Enable, config.Net.SASL.Version = user != "", 1
				config.Net.SASL.User, config.Net.SASL.Password = user, password
				config.Net.SASL.Mechanism = sarama.SASLMechanism(strings.ToUpper(auth))
				config.Net.SASL.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &scramClient{} }
				return sarama.NewClusterAdmin(b.bootstrap(from), config)
			}
			control, shop := runtime.Place{}, runtime.Place{Client: "shop", Member: 1}
			for _, tt := range []struct {
				name           string
				from           runtime.Place
				user, password string
				makes          error // of making a topic; nil: it is made
				connects       bool
			}{
				{"the operator", control, "starfall", "0f1e", nil, true},
				{"the operator from a client's place", shop, "starfall", "0f1e", nil, true},
				{"nobody, on the control side", control, "", "", nil, false},
				{"a user", shop, "ann", "secret", sarama.ErrTopicAuthorizationFailed, true},
				{"a user with a wrong password", shop, "ann", "guess", nil, false},
				{"a user of another cluster", shop, "eve", "secret", nil, false},
			} {
				admin, err := connect(tt.from, tt.user, tt.password)
				if (err == nil) != tt.connects {
					t.Errorf("%s: got error %v, want it to connect: %v", tt.name, err, tt.connects)
				}
				if err != nil {
					continue
				}
				err = admin.CreateTopic("t-"+tt.user+tt.from.Client, &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, false)
				if !errors.Is(err, tt.makes) {
					t.Errorf("%s: make a topic: got error %v, want %v", tt.name, err, tt.makes)
				}
				if err := admin.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestDisconnect: a place's connections are reset, on every cluster; others stay.
func TestDisconnect(t *testing.T) {
	p := kafkaPlan(1, 0, nil)
	other := p.Clusters[0]
	other.Name = "west"
	p.Clusters = append(p.Clusters, other)
	b := start(t, p, 10)
	ask := func(x *sarama.Broker) error {
		_, err := x.GetMetadata(&sarama.MetadataRequest{Version: 5})
		return err
	}
	open := func(cluster string, from runtime.Place) *sarama.Broker {
		t.Helper()
		addrs, err := b.world.Bootstrap(cluster, from)
		if err != nil {
			t.Fatal(err)
		}
		x := sarama.NewBroker(addrs[0])
		if err := x.Open(b.config()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { x.Close() })
		if err := ask(x); err != nil {
			t.Fatal(err)
		}
		return x
	}
	shop, billing := runtime.Place{Client: "shop", Member: 1}, runtime.Place{Client: "billing", Member: 1}
	east, west, stays := open("kafka", shop), open("west", shop), open("kafka", billing)
	b.world.Disconnect(shop)
	for _, x := range []*sarama.Broker{east, west} {
		if err := ask(x); err == nil {
			t.Error("got an answer on a connection that was reset")
		}
	}
	if err := ask(stays); err != nil {
		t.Errorf("another place: got error %v, want its connection to stand", err)
	}
}
