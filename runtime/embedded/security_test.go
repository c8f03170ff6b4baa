package embedded

// This file tests logging in, rights and administration with sarama over TCP.

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/IBM/sarama"

	"starfall/runtime"
	"starfall/runtime/embedded/core"
)

// guardedEngine is an engine where clients log in and the control side is a super user.
func guardedEngine() Engine {
	return Engine{Security: func(string) *core.Security {
		return &core.Security{
			Mechanisms: func(listener string) []string {
				if listener == ListenerOf(runtime.Place{}) {
					return nil
				}
				return []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}
			},
			Passwords:  map[string]string{"ann": "secret"},
			SCRAM:      []core.SCRAMUser{{Name: "ann", Password: "secret", Mechanism: "SCRAM-SHA-256"}},
			Authorizer: true, SuperUsers: []string{"User:ANONYMOUS"},
		}
	}}
}

// scramClient is the client's side of SCRAM-SHA-256, in the shape that sarama wants.
type scramClient struct {
	user, password string
	step           int
	bare, auth     string
	salted         []byte
}

func (c *scramClient) Begin(user, password, _ string) error {
	c.user, c.password, c.step = user, password, 0
	return nil
}

func (c *scramClient) Done() bool { return c.step == 3 }

func (c *scramClient) Step(challenge string) (string, error) {
	sum := func(key []byte, text string) []byte {
		m := hmac.New(sha256.New, key)
		m.Write([]byte(text))
		return m.Sum(nil)
	}
	c.step++
	switch c.step {
	case 1:
		c.bare = "n=" + c.user + ",r=fyko+d2lbbFgONRv9qkxdawL"
		return "n,," + c.bare, nil
	case 2:
		var salt64 string
		var iterations int
		fields := strings.Split(challenge, ",")
		salt64 = strings.TrimPrefix(fields[1], "s=")
		fmt.Sscanf(fields[2], "i=%d", &iterations)
		salt, err := base64.StdEncoding.DecodeString(salt64)
		if err != nil {
			return "", err
		}
		if c.salted, err = pbkdf2.Key(sha256.New, c.password, salt, iterations, 32); err != nil {
			return "", err
		}
		final := "c=biws," + fields[0]
		c.auth = c.bare + "," + challenge + "," + final
		key := sum(c.salted, "Client Key")
		stored := sha256.Sum256(key)
		for i, b := range sum(stored[:], c.auth) {
			key[i] ^= b
		}
		return final + ",p=" + base64.StdEncoding.EncodeToString(key), nil
	}
	want := base64.StdEncoding.EncodeToString(sum(sum(c.salted, "Server Key"), c.auth))
	if challenge != "v="+want {
		return "", fmt.Errorf("got server signature %q, want %q", challenge, want)
	}
	return "", nil
}

func TestLoggingIn(t *testing.T) {
	b := startEngine(t, guardedEngine(), kafkaPlan(1, 0, nil), 10)
	tests := []struct {
		name     string
		change   func(*sarama.Config)
		wantsErr string
	}{
		{"PLAIN", func(c *sarama.Config) { c.Net.SASL.Mechanism, c.Net.SASL.Version = sarama.SASLTypePlaintext, 1 }, ""},
		{"PLAIN with tokens that have no header", func(c *sarama.Config) {
			c.Net.SASL.Mechanism, c.Net.SASL.Version = sarama.SASLTypePlaintext, 0
			c.ApiVersionsRequest = false
		}, ""},
		{"SCRAM", func(c *sarama.Config) {
			c.Net.SASL.Mechanism, c.Net.SASL.Version = sarama.SASLTypeSCRAMSHA256, 1
			c.Net.SASL.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &scramClient{} }
		}, ""},
		{"SCRAM with tokens that have no header", func(c *sarama.Config) {
			c.Net.SASL.Mechanism, c.Net.SASL.Version = sarama.SASLTypeSCRAMSHA256, 0
			c.ApiVersionsRequest = false
			c.Net.SASL.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &scramClient{} }
		}, ""},
		{"wrong password", func(c *sarama.Config) {
			c.Net.SASL.Mechanism, c.Net.SASL.Version, c.Net.SASL.Password = sarama.SASLTypePlaintext, 1, "guess"
		}, "Invalid username or password"},
		{"wrong password, tokens without header", func(c *sarama.Config) {
			c.Net.SASL.Mechanism, c.Net.SASL.Version, c.Net.SASL.Password = sarama.SASLTypePlaintext, 0, "guess"
			c.ApiVersionsRequest = false
		}, "EOF"},
		{"no login", func(c *sarama.Config) { c.Net.SASL.Enable = false }, "EOF"},
		{"unknown mechanism", func(c *sarama.Config) {
			c.Net.SASL.Mechanism, c.Net.SASL.TokenProvider = sarama.SASLTypeOAuth, noTokens{}
			c.Net.SASL.Version = 1
		}, "SASL mechanism"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			config := b.config()
			config.Net.SASL.Enable, config.Net.SASL.User, config.Net.SASL.Password = true, "ann", "secret"
			tt.change(config)
			broker := sarama.NewBroker(b.bootstrap(runtime.Place{Client: "shop", Member: 1})[0])
			err := broker.Open(config)
			if err == nil {
				_, err = broker.Connected()
			}
			if err == nil {
				_, err = broker.GetMetadata(&sarama.MetadataRequest{Version: 5})
			}
			defer broker.Close()
			switch {
			case tt.wantsErr == "" && err != nil:
				t.Errorf("got error %v", err)
			case tt.wantsErr != "" && (err == nil || !strings.Contains(err.Error(), tt.wantsErr)):
				t.Errorf("got error %v, want one with %q", err, tt.wantsErr)
			}
		})
	}
}

type noTokens struct{}

func (noTokens) Token() (*sarama.AccessToken, error) { return &sarama.AccessToken{Token: "x"}, nil }

func TestRightsOverTCP(t *testing.T) {
	b := startEngine(t, guardedEngine(), kafkaPlan(3, 0, nil), 10)
	b.topic("t", 1, 3, nil)
	admin := b.admin()
	config := b.config()
	config.Net.SASL.Enable, config.Net.SASL.User, config.Net.SASL.Password = true, "ann", "secret"
	config.Net.SASL.Mechanism, config.Net.SASL.Version = sarama.SASLTypePlaintext, 1
	config.Metadata.Retry.Max, config.Producer.Retry.Max = 3, 3
	connect := func() (sarama.SyncProducer, error) {
		return sarama.NewSyncProducer(b.bootstrap(runtime.Place{Client: "shop", Member: 1}), config)
	}
	p, err := connect()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	record := &sarama.ProducerMessage{Topic: "t", Value: sarama.StringEncoder("x")}
	if _, _, err := p.SendMessage(record); !errors.Is(err, sarama.ErrTopicAuthorizationFailed) {
		t.Errorf("without a right: got error %v, want %v", err, sarama.ErrTopicAuthorizationFailed)
	}
	resource := sarama.Resource{ResourceType: sarama.AclResourceTopic, ResourceName: "t", ResourcePatternType: sarama.AclPatternLiteral}
	entry := sarama.Acl{Principal: "User:ann", Host: "*", Operation: sarama.AclOperationWrite, PermissionType: sarama.AclPermissionAllow}
	create := func(a sarama.Acl) {
		t.Helper()
		if err := admin.CreateACLs([]*sarama.ResourceAcls{{Resource: resource, Acls: []*sarama.Acl{&a}}}); err != nil {
			t.Fatal(err)
		}
	}
	create(entry)
	send := func(want error) {
		t.Helper()
		for {
			_, _, err := p.SendMessage(record)
			if errors.Is(err, want) || want == nil && err == nil {
				return
			}
			if b.ctx.Err() != nil {
				t.Fatalf("got error %v, want %v", err, want)
			}
		}
	}
	send(nil)
	filter := sarama.AclFilter{Version: 1, ResourceType: sarama.AclResourceTopic, ResourcePatternTypeFilter: sarama.AclPatternAny, Operation: sarama.AclOperationAny, PermissionType: sarama.AclPermissionAny}
	list, err := admin.ListAcls(filter)
	if err != nil || len(list) != 1 || len(list[0].Acls) != 1 || *list[0].Acls[0] != entry {
		t.Errorf("got entries %v and error %v, want the one that was made", list, err)
	}
	entry.PermissionType = sarama.AclPermissionDeny
	create(entry)
	send(sarama.ErrTopicAuthorizationFailed)
	gone, err := admin.DeleteACL(filter, false)
	if err != nil || len(gone) != 2 {
		t.Errorf("delete: got %d entries and error %v, want 2", len(gone), err)
	}
}

func TestAdministrationOverTCP(t *testing.T) {
	b := start(t, kafkaPlan(3, 0, nil), 10)
	b.topic("t", 2, 3, nil)
	admin := b.admin()
	b.produce(b.client(runtime.Place{}), "t", 2, 0, 100)
	dirs, err := admin.DescribeLogDirs([]int32{1, 2, 3})
	if err != nil || len(dirs) != 3 {
		t.Fatalf("log dirs: got %d and error %v", len(dirs), err)
	}
	for id, d := range dirs {
		if len(d) != 1 || d[0].Path != "/tmp/kafka-logs" || len(d[0].Topics) != 1 || len(d[0].Topics[0].Partitions) != 2 || d[0].Topics[0].Partitions[0].Size == 0 {
			t.Errorf("log dirs of %d: got %+v, want both partitions with a size", id, d)
		}
	}
	results, err := admin.UpsertUserScramCredentials([]sarama.AlterUserScramCredentialsUpsert{{Name: "eve", Mechanism: sarama.SCRAM_MECHANISM_SHA_512, Iterations: 4096, Salt: []byte("salt"), Password: []byte("pw")}})
	if err != nil || len(results) != 1 || results[0].ErrorCode != sarama.ErrNoError {
		t.Errorf("scram: got %v and error %v", results, err)
	}
	b.until("the credential everywhere", func(runtime.State) bool {
		users, err := admin.DescribeUserScramCredentials(nil)
		return err == nil && len(users) == 1 && users[0].User == "eve"
	})
	quotas, err := admin.DescribeClientQuotas(nil, false)
	if err != nil || len(quotas) != 0 {
		t.Errorf("quotas: got %v and error %v, want none", quotas, err)
	}
	if err := admin.DeleteRecords("t", map[int32]int64{0: 20}); err != nil {
		t.Errorf("delete records: %v", err)
	}
	start, err := b.client(runtime.Place{}).GetOffset("t", 0, sarama.OffsetOldest)
	if err != nil || start != 20 {
		t.Errorf("got the log begin at %d and error %v, want 20", start, err)
	}
	// A reassignment cannot end while its new replica is dead.
	b.topic("m", 1, 2, nil)
	before := b.partition("m", 0).Replicas
	var other int32
	for id := range int32(4) {
		if id > 0 && !slices.Contains(before, id) {
			other = id
		}
	}
	b.signal(other, runtime.SignalKill)
	b.until("the dead broker fenced", func(s runtime.State) bool {
		return slices.ContainsFunc(s.Nodes, func(n runtime.NodeState) bool { return n.ID == other && !n.Alive })
	})
	for {
		// Metadata may still name the dead broker as the controller to ask.
		fresh := b.admin()
		err := fresh.AlterPartitionReassignments("m", [][]int32{{before[0], other}})
		var status map[string]map[int32]*sarama.PartitionReplicaReassignmentsStatus
		if err == nil {
			status, err = fresh.ListPartitionReassignments("m", []int32{0})
		}
		if err == nil && status["m"][0] != nil && slices.Equal(status["m"][0].AddingReplicas, []int32{other}) {
			break
		}
		if b.ctx.Err() != nil {
			t.Fatalf("reassignments: got %v and error %v, want broker %d to be added", status, err, other)
		}
	}
}
