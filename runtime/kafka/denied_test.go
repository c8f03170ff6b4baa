package kafka

// This file tests members that are refused for want of rights, or because they
// are not who they say.

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"starfall/interp/plan"
	"starfall/runtime"
	"starfall/runtime/embedded"
	"starfall/runtime/record"
)

var operator = runtime.Login{Mechanism: sarama.SASLTypePlaintext, User: "admin", Password: "admin-secret"}

// withUser is scenario with a user ann, whom the cluster knows by a mechanism.
func withUser(auth string) *plan.Plan {
	p := scenario()
	p.Clusters[0].Auth = auth
	p.Users = []plan.User{{Name: "ann", Cluster: "kafka", Password: "secret"}}
	p.Producers[0].User, p.Consumers[0].User = "ann", "ann"
	return p
}

// answers are what members were told, each once.
type answers struct {
	mu   sync.Mutex
	told map[string]int // by client and text
}

func (a *answers) take(client string, member int, cluster, text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.told[memberID(client, member)+" at "+cluster+": "+text]++
}

// has tells whether a member was told something with these words.
func (a *answers) has(words ...string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for text := range a.told {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) }) {
			return true
		}
	}
	return false
}

type guardedBed struct {
	*bed
	answers answers
	login   runtime.Login
}

func startGuarded(t *testing.T, p *plan.Plan) *guardedBed {
	t.Helper()
	g := &guardedBed{answers: answers{told: map[string]int{}}}
	g.login = runtime.Login{Mechanism: strings.ToUpper(p.Clusters[0].Auth), User: "ann", Password: "secret"}
	op := operator
	op.Mechanism = g.login.Mechanism
	operators := map[string]runtime.Login{"kafka": op}
	g.bed = startWith(t, embedded.Engine{}, p, 10, operators)
	return g
}

// allow returns once every broker knows of the right.
func (g *guardedBed) allow(resource, name string, ops ...string) {
	g.t.Helper()
	var rights []plan.ACL
	for _, op := range ops {
		rights = append(rights, plan.ACL{Operation: op, Resource: resource, Name: name, Host: "*"})
	}
	if proof, err := g.control.Grant(g.ctx, "kafka", "ann", rights); err != nil || !proof.OK {
		g.t.Fatalf("allow: got %+v, %v", proof, err)
	}
}

func (g *guardedBed) envDenied() runtime.Env {
	e := g.env()
	e.Denied = g.answers.take
	return e
}

func (g *guardedBed) shop(login runtime.Login) runtime.Producer {
	g.t.Helper()
	x := g.plan.Producers[0]
	p, err := g.load.Producer(g.ctx, runtime.ProducerSpec{Env: g.envDenied(), Producer: x, Topic: g.plan.Topics[0], Member: 1, Members: 1,
		Bootstrap: g.bootstrap(x.Name, 1), Login: login, Log: g.log.Producer(x.Name, 1)})
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(p.Crash)
	return p
}

func (g *guardedBed) billing(login runtime.Login) runtime.Member {
	g.t.Helper()
	x := g.plan.Consumers[0]
	c, err := g.load.Consumer(g.ctx, runtime.ConsumerSpec{Env: g.envDenied(), Consumer: x, Topics: g.plan.Topics[:1], Member: 1,
		Bootstrap: g.bootstrap(x.Name, 1), Login: login, Log: g.log.Consumer(x.Name, 1)})
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(c.Crash)
	return c
}

// With their rights members do what they do without authentication, whatever the
// mechanism.
func TestLoggedIn(t *testing.T) {
	for _, auth := range []string{"plain", "scram-sha-256", "scram-sha-512"} {
		t.Run(auth, func(t *testing.T) {
			g := startGuarded(t, withUser(auth))
			g.allow("topic", "orders", "Write", "Read")
			g.allow("group", "billing", "Read")
			m, shop := g.billing(g.login), g.shop(g.login)
			shop.Begin(g.clock.Now(), pace)
			g.sleep(2 * time.Second)
			g.stop(shop)
			s := g.await(20*time.Second, "all delivered", func(s seen) bool { return len(s.delivered) == len(s.acked) })
			g.stop(m)
			if len(s.acked) != s.accepted || s.accepted < 300 {
				t.Errorf("acknowledged: got %d of %d, want all", len(s.acked), s.accepted)
			}
			g.eachOnce(s, g.starved(s, 0))
			if len(g.answers.told) > 0 {
				t.Errorf("refusals: got %v, want none", g.answers.told)
			}
		})
	}
}

// A producer without the right to write is ready; its records fail with Kafka's
// own error until it is given the right, and then it writes.
func TestDeniedProducer(t *testing.T) {
	for _, x := range []struct {
		name   string
		before []string // on the topic, from the start
		change func(*plan.Producer)
		code   string
	}{
		{"knows nothing of the topic", nil, func(*plan.Producer) {}, "error 29:"},
		{"may describe the topic", []string{"Describe"}, func(*plan.Producer) {}, "error 29:"},
		{"idempotent, knows nothing", nil, func(p *plan.Producer) { p.Idempotent = true }, "error 29:"},
		{"idempotent, may describe", []string{"Describe"}, func(p *plan.Producer) { p.Idempotent = true }, "error 31:"},
	} {
		t.Run(x.name, func(t *testing.T) {
			p := withUser("plain")
			x.change(&p.Producers[0])
			g := startGuarded(t, p)
			if x.before != nil {
				g.allow("topic", "orders", x.before...)
			}
			shop := g.shop(g.login)
			shop.Begin(g.clock.Now(), pace)
			g.sleep(4 * time.Second)
			middle := g.seen()
			g.allow("topic", "orders", "Write")
			g.acknowledged(1200)
			g.stop(shop)
			s := g.seen()
			denied := 0
			for _, why := range s.failed {
				if record.Denied(why) {
					denied++
				}
			}
			if denied != len(s.failed) || len(s.unknown) > 0 || denied < 400 || len(middle.acked) > 0 {
				t.Errorf("got %d failed, %d of them denied, and %d unknown, want all that failed denied, about 1200", len(s.failed), denied, len(s.unknown))
			}
			if len(s.acked) < 900 || len(s.acked)+denied != s.accepted {
				t.Errorf("acknowledged: got %d of %d beside %d denied, want those since the right was given", len(s.acked), s.accepted, denied)
			}
			if !g.answers.has("shop-1 at kafka:", x.code) {
				t.Errorf("refusals: got %v, want one with %q", g.answers.told, x.code)
			}
		})
	}
}

// A consumer without rights is ready, though it reads nothing; it reads
// everything once it may.
func TestDeniedConsumer(t *testing.T) {
	for _, x := range []struct {
		name  string
		first func(*guardedBed)
		code  string
	}{
		{"neither topic nor group", func(*guardedBed) {}, "error 29:"},
		{"not the group", func(g *guardedBed) { g.allow("topic", "orders", "Read") }, "error 30:"},
		{"not to read the topic", func(g *guardedBed) {
			g.allow("topic", "orders", "Describe")
			g.allow("group", "billing", "Read")
		}, "error 29:"},
	} {
		t.Run(x.name, func(t *testing.T) {
			g := startGuarded(t, withUser("plain"))
			x.first(g)
			m := g.billing(g.login)
			op := g.login
			op.User, op.Password = operator.User, operator.Password // a super user
			shop := g.shop(op)
			shop.Begin(g.clock.Now(), pace)
			g.sleep(4 * time.Second)
			if s := g.seen(); len(s.delivered) > 0 {
				t.Errorf("delivered without rights: got %d", len(s.delivered))
			}
			g.allow("topic", "orders", "Read")
			g.allow("group", "billing", "Read")
			g.sleep(2 * time.Second)
			g.stop(shop)
			g.await(20*time.Second, "all delivered", func(s seen) bool { return len(s.delivered) == len(s.acked) })
			g.stop(m)
			if !g.answers.has("billing-1 at kafka:", x.code) {
				t.Errorf("refusals: got %v, want one with %q", g.answers.told, x.code)
			}
		})
	}
}

// Who gives a wrong password is ready too, and its records fail.
func TestWrongPassword(t *testing.T) {
	for _, auth := range []string{"plain", "scram-sha-512"} {
		t.Run(auth, func(t *testing.T) {
			g := startGuarded(t, withUser(auth))
			wrong := g.login
			wrong.Password = "guess"
			m, shop := g.billing(wrong), g.shop(wrong)
			shop.Begin(g.clock.Now(), pace)
			g.sleep(3 * time.Second)
			g.stop(shop)
			g.stop(m)
			s := g.seen()
			denied := 0
			for _, why := range s.failed {
				if record.Denied(why) {
					denied++
				}
			}
			if s.accepted == 0 || denied != s.accepted {
				t.Errorf("denied: got %d of %d, want all", denied, s.accepted)
			}
			for _, who := range []string{"shop-1", "billing-1"} {
				if !g.answers.has(who, "error 58:") {
					t.Errorf("refusals: got %v, want error 58 for %s", g.answers.told, who)
				}
			}
		})
	}
}

// A transactional producer without a right to its transactional id is ready too;
// its records fail until it has the right.
func TestDeniedTransactions(t *testing.T) {
	p := withUser("plain")
	p.Producers[0].Transaction, p.Producers[0].Idempotent = 20, true
	g := startGuarded(t, p)
	g.allow("topic", "orders", "Write")
	shop := g.shop(g.login)
	shop.Begin(g.clock.Now(), pace)
	g.sleep(3 * time.Second)
	if s := g.seen(); len(s.acked) > 0 {
		t.Errorf("acknowledged without the right: got %d", len(s.acked))
	}
	g.allow("transactional_id", "shop-1", "Write", "Describe")
	g.acknowledged(400)
	g.stop(shop)
	s := g.seen()
	denied := 0
	for _, why := range s.failed {
		if record.Denied(why) {
			denied++
		}
	}
	if denied < 300 || denied != len(s.failed) || len(s.unknown) > 0 || len(s.acked)+denied != s.accepted {
		t.Errorf("of %d: got %d acknowledged, %d failed, %d of them denied, %d unknown, want all one or the other", s.accepted, len(s.acked), len(s.failed), denied, len(s.unknown))
	}
	if !g.answers.has("shop-1 at kafka:", "error 53:") {
		t.Errorf("refusals: got %v, want error 53", g.answers.told)
	}
}

// Rights that are taken away in the middle are missed at once, and members go on
// by themselves when they have them again.
func TestRightsTakenAway(t *testing.T) {
	p := withUser("scram-sha-256")
	p.Producers[0].Idempotent = true
	g := startGuarded(t, p)
	g.allow("topic", "orders", "Write", "Read")
	g.allow("group", "billing", "Read")
	m, shop := g.billing(g.login), g.shop(g.login)
	shop.Begin(g.clock.Now(), pace)
	g.acknowledged(300)
	change := func(verb plan.Verb, resource, name, op string) {
		t.Helper()
		proof, err := g.control.Do(g.ctx, "kafka", plan.Action{Verb: verb, Targets: []plan.Ref{{Kind: plan.RefUser, Name: "ann"}},
			ACL: &plan.ACL{Operation: op, Resource: resource, Name: name, Host: "*"}})
		if err != nil || !proof.OK {
			t.Fatalf("%s %s: got %+v, %v", verb, op, proof, err)
		}
	}
	change(plan.Revoke, "topic", "orders", "Write")
	change(plan.Revoke, "group", "billing", "Read")
	g.await(20*time.Second, "records denied", func(s seen) bool { return len(s.failed) > 100 })
	for from := g.clock.Now(); !g.answers.has("billing-1 at kafka:", "error 30:"); g.sleep(100 * time.Millisecond) {
		if g.clock.Now()-from > 30*time.Second+g.slack() {
			t.Fatalf("refusals: got %v, want error 30 for billing-1", g.answers.told)
		}
	}
	change(plan.Allow, "topic", "orders", "Write")
	change(plan.Allow, "group", "billing", "Read")
	g.acknowledged(300)
	g.stop(shop)
	s := g.await(30*time.Second, "all delivered", func(s seen) bool { return len(s.delivered) == len(s.acked) })
	g.stop(m)
	for k, why := range s.failed {
		if !record.Denied(why) {
			t.Errorf("record %v: failed with %q, want a refusal", k, why)
			break
		}
	}
	if len(s.acked)+len(s.failed)+len(s.unknown) != s.accepted {
		t.Errorf("fates: got %d, %d and %d of %d", len(s.acked), len(s.failed), len(s.unknown), s.accepted)
	}
}
