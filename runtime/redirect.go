// This file defines where clients are: at home, as the plan declares them, or
// at a mirror's cluster, where they have failed over to.

package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"starfall/interp/plan"
)

// whereabouts are a cluster and the topics there that a client works with: a
// producer's one, or all that a consumer reads.
type whereabouts struct {
	cluster string
	topics  []plan.Topic
}

func (w whereabouts) same(v whereabouts) bool {
	return w.cluster == v.cluster && slices.Equal(w.names(), v.names())
}

// names gives the topics' names in the plan.
func (w whereabouts) names() []string {
	out := make([]string, len(w.topics))
	for i, t := range w.topics {
		out[i] = t.Name
	}
	return out
}

// home is where the plan has a client.
func home(p *plan.Plan, topics ...string) (whereabouts, error) {
	var out whereabouts
	for _, name := range topics {
		t := p.Topic(name)
		if t == nil {
			return whereabouts{}, fmt.Errorf("topic %s is not in the plan", name)
		}
		out.cluster = t.Cluster
		out.topics = append(out.topics, *t)
	}
	if len(out.topics) == 0 {
		return whereabouts{}, errors.New("it has no topic")
	}
	return out, nil
}

// abroad is where a client is once it has failed over to a mirror.
func abroad(p *plan.Plan, c *client, mirror string) (whereabouts, error) {
	m := p.Mirror(mirror)
	if m == nil {
		return whereabouts{}, fmt.Errorf("there is no mirror %s", mirror)
	}
	out := whereabouts{cluster: m.To}
	for _, name := range c.topics() {
		to, copied := p.FailOverTopic(mirror, name), p.Copy(mirror, name)
		if copied == nil || to == nil {
			return whereabouts{}, fmt.Errorf("mirror %s does not hold topic %s", mirror, name)
		}
		out.topics = append(out.topics, *to)
		if c.consumer != nil && copied.Name != to.Name {
			out.topics = append(out.topics, *copied)
		}
	}
	return out, nil
}

// failOver sends a client to a mirror's cluster.
func (l *load) failOver(ctx context.Context, name, mirror string) (Proof, error) {
	c, free, err := l.take(ctx, name)
	if err != nil {
		return Proof{}, err
	}
	defer free()
	to, err := abroad(l.p, c, mirror)
	if err != nil {
		return Proof{}, fmt.Errorf("%s: %w", name, err)
	}
	return l.redirect(ctx, c, to, false)
}

// failBack sends a client home. A consumer first reads what stands where it is.
func (l *load) failBack(ctx context.Context, name string) (Proof, error) {
	c, free, err := l.take(ctx, name)
	if err != nil {
		return Proof{}, err
	}
	defer free()
	to, err := home(l.p, c.topics()...)
	if err != nil {
		return Proof{}, fmt.Errorf("%s: %w", name, err)
	}
	return l.redirect(ctx, c, to, c.consumer != nil)
}

// redirect sends all members of a client somewhere; the caller has taken it.
// Members that start later go there by themselves.
func (l *load) redirect(ctx context.Context, c *client, to whereabouts, finish bool) (Proof, error) {
	l.mu.Lock()
	if l.stopped && c.producer != nil {
		l.mu.Unlock()
		return Proof{}, errors.New("the producers have been stopped")
	}
	if c.now.same(to) {
		l.mu.Unlock()
		return Proof{}, fmt.Errorf("%s: it is at %s already", c.name, to.cluster)
	}
	c.now = to
	l.mu.Unlock()
	if err := l.place(c, len(c.members)); err != nil {
		return Proof{}, err
	}
	var steps []func(context.Context) error
	var mu sync.Mutex
	var errs []error
	l.mu.Lock()
	for i, m := range c.members {
		run := m.run
		if run == nil {
			continue
		}
		steps = append(steps, func(context.Context) error {
			// One that fails does not hurry the others: ctx is the caller's.
			if err := l.redirectMember(ctx, c, i+1, run, finish); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, fmt.Errorf("%s-%d: %w", c.name, i+1, err))
			}
			return nil
		})
	}
	l.mu.Unlock()
	if err := together(ctx, steps); err != nil {
		return Proof{}, err
	}
	if err := errors.Join(errs...); err != nil {
		return Proof{}, err
	}
	kafka := make([]string, len(to.topics))
	for i := range to.topics {
		kafka[i] = to.topics[i].KafkaName()
	}
	does := "writing"
	if c.consumer != nil {
		does = "reading"
	}
	text := fmt.Sprintf("ready at %s, %s %s", to.cluster, does, strings.Join(kafka, ", "))
	if len(steps) == 0 {
		text = fmt.Sprintf("no member runs; those that start go to %s", to.cluster)
	}
	return Proof{OK: true, At: time.Now(), Text: text}, nil
}

func (l *load) redirectMember(ctx context.Context, c *client, n int, run Member, finish bool) error {
	x, ok := run.(Redirecter)
	if !ok {
		return errors.New("it cannot go on at another cluster")
	}
	bootstrap, err := l.world.Bootstrap(c.now.cluster, c.members[n-1].place)
	if err != nil {
		return fmt.Errorf("bootstrap: %w", err)
	}
	return x.Redirect(ctx, Destination{
		Bootstrap: bootstrap, Login: l.login(c, c.now.cluster), Topics: c.now.topics, Finish: finish,
	})
}

// login is who a client says it is at a cluster.
func (l *load) login(c *client, cluster string) Login {
	name := ""
	switch {
	case c.observer():
		return l.env.Operators[cluster]
	case c.producer != nil:
		name = c.producer.User
	default:
		name = c.consumer.User
	}
	k, u := l.p.Cluster(cluster), l.p.User(cluster, name)
	if k == nil || k.Auth == "" || u == nil {
		return Login{}
	}
	return Login{Mechanism: mechanism(k), User: u.Name, Password: u.Password}
}

// mechanism is Kafka's name of how one logs in at a cluster.
func mechanism(c *plan.Cluster) string { return strings.ToUpper(c.Auth) }

// at tells where a client is now.
func (l *load) at(name string) whereabouts {
	c := l.find(name)
	if c == nil {
		return whereabouts{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return c.now
}
