package kafka

// This file tests rights: what they let a user do, what reads back, and what
// Kafka answers where they are missing.

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/IBM/sarama"

	"starfall/interp/plan"
	"starfall/runtime"
	"starfall/runtime/embedded"
	"starfall/runtime/record"
)

// guarded is start for a plan whose clusters know who their clients are. Ann is a
// user of kafka; boss is the operator everywhere.
func guarded(t *testing.T, p *plan.Plan, auth string) *bed {
	t.Helper()
	operators := map[string]runtime.Login{}
	for i := range p.Clusters {
		p.Clusters[i].Auth = auth
		operators[p.Clusters[i].Name] = runtime.Login{Mechanism: strings.ToUpper(auth), User: "boss", Password: "boss's own"}
	}
	p.Users = append(p.Users, plan.User{Name: "ann", Cluster: "kafka", Password: "secret"})
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	w, err := embedded.Engine{}.Up(ctx, p, runtime.UpOptions{Speed: 10, Operators: operators})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close(context.Background()) })
	b := &bed{t: t, ctx: ctx, plan: p, world: w, clock: testClock{speed: 10}, log: record.NewMemory(p, record.Info{ID: runID, Speed: 10})}
	b.control = &Control{Plan: p, RunID: runID, Speed: 10, Operators: operators, Bootstrap: func(cluster string) ([]string, error) {
		return w.Bootstrap(cluster, runtime.Place{})
	}}
	for _, c := range p.Clusters {
		var topics []plan.Topic
		for _, x := range p.Topics {
			if x.Cluster == c.Name {
				topics = append(topics, x)
			}
		}
		if err := b.control.Create(ctx, c.Name, topics); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// writeAs writes a record to orders/0 as a user of kafka.
func (b *bed) writeAs(l runtime.Login) error {
	b.t.Helper()
	set := defaults(10)
	set.login = l
	d := set.dialer()
	defer d.close(true)
	conf := set.sarama("x", d)
	conf.Producer.Return.Successes, conf.Producer.Retry.Max, conf.Metadata.Retry.Max = true, 0, 0
	p, err := sarama.NewSyncProducer(b.bootstrap("x", 1), conf)
	if err != nil {
		return err
	}
	defer p.Close()
	_, _, err = p.SendMessage(&sarama.ProducerMessage{Topic: "orders", Value: sarama.StringEncoder("x")})
	return err
}

func annRef() []plan.Ref { return []plan.Ref{{Kind: plan.RefUser, Name: "ann"}} }

func TestRights(t *testing.T) {
	for _, auth := range []string{"plain", "scram-sha-256", "scram-sha-512"} {
		t.Run(auth, func(t *testing.T) {
			b := guarded(t, scenario(), auth)
			ann := runtime.Login{Mechanism: strings.ToUpper(auth), User: "ann", Password: "secret"}
			step := func(name string, a plan.Action, proof string, allowed bool) {
				t.Helper()
				a.Targets = annRef()
				if p := b.do(a); !strings.Contains(p.Text, proof) {
					t.Errorf("%s: got proof %q, want %q in it", name, p.Text, proof)
				}
				err := b.writeAs(ann)
				if allowed && err != nil || !allowed && !errors.Is(err, sarama.ErrTopicAuthorizationFailed) {
					t.Errorf("%s: got %v, want allowed: %v", name, err, allowed)
				}
			}
			if err := b.writeAs(ann); !errors.Is(err, sarama.ErrTopicAuthorizationFailed) {
				t.Errorf("without rights: got %v, want TOPIC_AUTHORIZATION_FAILED", err)
			}
			write := &plan.ACL{Operation: "Write", Resource: "topic", Name: "ord", Prefix: true, Host: "*"}
			step("revoke what is not there", plan.Action{Verb: plan.Revoke, ACL: write}, "neither allowed nor denied", false)
			step("allow", plan.Action{Verb: plan.Allow, ACL: write}, "Write on topic ord* allowed by the rights of 3 brokers", true)
			step("allow again", plan.Action{Verb: plan.Allow, ACL: write}, "allowed", true)
			step("deny", plan.Action{Verb: plan.Deny, ACL: write}, "Write on topic ord* denied", false)
			step("revoke", plan.Action{Verb: plan.Revoke, ACL: write}, "is no longer allowed and is no longer denied", false)

			if p, err := b.control.Grant(b.ctx, "kafka", "ann", []plan.ACL{
				{Operation: "Write", Resource: "topic", Name: "orders"}, {Operation: "Describe", Resource: "topic", Name: "orders"},
				{Operation: "Read", Resource: "group", Name: "*"}, {Operation: "IdempotentWrite", Resource: "cluster", Name: "kafka-cluster"},
			}); err != nil || !p.OK {
				t.Fatalf("grant: got %+v, %v", p, err)
			}
			if err := b.writeAs(ann); err != nil {
				t.Errorf("with the rights of a producer: %v", err)
			}
			ann.Password = "guess"
			if err := b.writeAs(ann); err == nil {
				t.Error("with another password: got no error")
			}
		})
	}
}

func TestRightsErrors(t *testing.T) {
	b := start(t, scenario(), 10)
	for _, c := range []struct {
		acl  *plan.ACL
		want string
	}{
		{nil, "allow ann: it names no right"},
		{&plan.ACL{Operation: "Sing", Resource: "topic", Name: "x"}, `for parameter operation: got "Sing"`},
		{&plan.ACL{Operation: "Read", Resource: "shelf", Name: "x"}, `for parameter resource: got "shelf"`},
		{&plan.ACL{Operation: "Read", Resource: "topic", Name: "x"}, "No Authorizer is configured"},
	} {
		_, err := b.control.Do(b.ctx, "kafka", plan.Action{Verb: plan.Allow, Targets: annRef(), ACL: c.acl})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want %q", c.acl, err, c.want)
		}
	}
}

// Credentials that are made afterwards let a user in, and nobody else.
func TestEnroll(t *testing.T) {
	b := guarded(t, scenario(), "scram-sha-256")
	bob := runtime.Login{Mechanism: "SCRAM-SHA-256", User: "bob", Password: "b"}
	if _, err := b.control.Grant(b.ctx, "kafka", "bob", []plan.ACL{{Operation: "Write", Resource: "topic", Name: "orders"}}); err != nil {
		t.Fatal(err)
	}
	if err := b.writeAs(bob); err == nil {
		t.Error("before: got no error")
	}
	p, err := b.control.Enroll(b.ctx, "kafka", []runtime.Login{bob, {Mechanism: "PLAIN", User: "eve"}})
	if err != nil || !p.OK || p.Text != "1 users known to 3 brokers" {
		t.Fatalf("enroll: got %+v, %v", p, err)
	}
	if err := b.writeAs(bob); err != nil {
		t.Errorf("after: %v", err)
	}
}

// A mirror between clusters that know their clients copies as the operator, and
// takes rights over: reading, but not writing.
func TestMirrorRights(t *testing.T) {
	p := mirrorScenario()
	b := guarded(t, p, "plain")
	for _, right := range []plan.ACL{
		{Operation: "Write", Resource: "topic", Name: "orders"}, {Operation: "Read", Resource: "topic", Name: "orders"},
		{Operation: "Read", Resource: "topic", Name: "ord", Prefix: true}, {Operation: "Read", Resource: "topic", Name: "other"},
	} {
		b.do(plan.Action{Verb: plan.Allow, Targets: annRef(), ACL: &right})
	}
	b.do(plan.Action{Verb: plan.Deny, Targets: annRef(), ACL: &plan.ACL{Operation: "Write", Resource: "topic", Name: "orders"}})
	s := b.mirrorSpec()
	s.Operators = b.control.Operators
	m, err := b.control.Mirror(b.ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	b.put("kafka", "orders", 0, numbered(0, 10)...)
	b.until("the copy", func() bool { return b.end("west", "kafka.orders", 0) == 10 })
	b.stop(m)
	var got []string
	err = b.control.do(b.ctx, "west", func(_ sarama.Client, admin sarama.ClusterAdmin) error {
		list, err := admin.ListAcls(sarama.AclFilter{Version: 1, ResourceType: sarama.AclResourceAny, ResourcePatternTypeFilter: sarama.AclPatternAny,
			Operation: sarama.AclOperationAny, PermissionType: sarama.AclPermissionAny})
		got = nil
		for _, r := range list {
			for _, a := range r.Acls {
				got = append(got, strings.Join([]string{r.ResourceName, a.Principal, a.PermissionType.String(), a.Operation.String()}, " "))
			}
		}
		return err
	})
	slices.Sort(got)
	want := []string{"kafka.orders User:ann Allow Read", "kafka.orders User:ann Deny Write"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("rights at the target: got %q, %v, want %q", got, err, want)
	}
}

// The inspector of a cluster with authentication logs in as the operator; whoever
// says nothing gets no answer.
func TestInspectLogin(t *testing.T) {
	for _, auth := range []string{"plain", "scram-sha-256", "scram-sha-512"} {
		t.Run(auth, func(t *testing.T) {
			b := guarded(t, scenario(), auth)
			i := b.inspector()
			if _, err := i.Inspect(b.ctx, "kafka"); err == nil {
				t.Error("without a login: got no error")
			}
			i = b.inspector()
			i.Login = func(cluster string, controller bool) runtime.Login {
				if controller {
					t.Error("asked for a controller's login, and there is no controllers' listener")
				}
				return b.control.Operators[cluster]
			}
			b.agree(i, "with a login", nil)
			wrong := b.inspector()
			wrong.Login = func(cluster string, _ bool) runtime.Login {
				l := b.control.Operators[cluster]
				l.Password = "guess"
				return l
			}
			b.until("a refusal for the password", func() bool { // a busy machine may not answer in time
				_, err := wrong.Inspect(b.ctx, "kafka")
				if err == nil {
					t.Fatal("with another password: got no error")
				}
				return strings.Contains(err.Error(), "login of boss: ")
			})
		})
	}
}
