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
	to, err := abroad(l.p, c, mirror)
	if err != nil {
		free()
		return Proof{}, fmt.Errorf("%s: %w", name, err)
	}
	return l.redirect(ctx, c, free, to, false)
}

// failBack sends a client home. A consumer first reads what stands where it is.
func (l *load) failBack(ctx context.Context, name string) (Proof, error) {
	c, free, err := l.take(ctx, name)
	if err != nil {
		return Proof{}, err
	}
	to, err := home(l.p, c.topics()...)
	if err != nil {
		free()
		return Proof{}, fmt.Errorf("%s: %w", name, err)
	}
	return l.redirect(ctx, c, free, to, c.consumer != nil)
}

// redirect sends all members of a client somewhere. The caller has taken it;
// it is freed once they are on their way, since one that does not get there can
// still be crashed, stopped or sent elsewhere. Members that start later go there
// by themselves.
func (l *load) redirect(ctx context.Context, c *client, free func(), to whereabouts, finish bool) (Proof, error) {
	steps, errs, err := l.send(ctx, c, to, finish)
	free()
	if err != nil {
		return Proof{}, err
	}
	if err := together(ctx, steps); err != nil {
		return Proof{}, err
	}
	if err := errors.Join(*errs...); err != nil {
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

// send gives the steps that send each running member somewhere, and where their
// errors will be.
func (l *load) send(ctx context.Context, c *client, to whereabouts, finish bool) (steps []func(context.Context) error, errs *[]error, err error) {
	bootstraps := make([][]string, len(c.members))
	for i, m := range c.members {
		if bootstraps[i], err = l.world.Bootstrap(to.cluster, m.place); err != nil {
			return nil, nil, fmt.Errorf("%s-%d: bootstrap: %w", c.name, m.number, err)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped && c.producer != nil {
		return nil, nil, errors.New("the producers have been stopped")
	}
	if c.now.same(to) {
		return nil, nil, fmt.Errorf("%s: it is at %s already", c.name, to.cluster)
	}
	c.now = to
	var mu sync.Mutex
	errs = new([]error)
	for i, m := range c.members {
		run := m.run
		if run == nil {
			continue
		}
		there := Destination{Bootstrap: bootstraps[i], Login: l.login(c, to.cluster), Topics: to.topics, Finish: finish}
		steps = append(steps, func(context.Context) error {
			err := errors.New("it cannot go on at another cluster")
			if x, ok := run.(Redirecter); ok {
				// One that fails does not hurry the others: ctx is the caller's.
				err = x.Redirect(ctx, there)
			}
			l.mu.Lock()
			left := m.run != run // it was crashed or stopped on its way
			l.mu.Unlock()
			if err != nil && !left {
				mu.Lock()
				defer mu.Unlock()
				*errs = append(*errs, fmt.Errorf("%s-%d: %w", c.name, m.number, err))
			}
			return nil
		})
	}
	return steps, errs, nil
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
