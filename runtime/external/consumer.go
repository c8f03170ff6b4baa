// This file defines a consumer that somebody wrote: what its process says it
// has processed becomes deliveries.

package external

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"starfall/interp/plan"
	"starfall/runtime"
	"starfall/runtime/record"
)

// readyLimit is how long a client may take to say that it is ready, wall time;
// then the run goes on without its word.
const readyLimit = 20 * time.Second

// consumer is one member.
type consumer struct {
	spec runtime.ConsumerSpec
	load *Load
	proc *process

	ready chan struct{} // closed by the first ready, or got

	mu      sync.Mutex
	isReady bool
	stopped bool
	topics  map[string]string // Kafka's names to the plan's
	first   string            // the plan's name of the topic of lines that name none
	got     int
	bad     int
	lies    int
}

var (
	_ runtime.Member     = (*consumer)(nil)
	_ runtime.Redirecter = (*consumer)(nil)
)

func newConsumer(ctx context.Context, l *Load, line string, s runtime.ConsumerSpec) (*consumer, error) {
	c := &consumer{spec: s, load: l, ready: make(chan struct{})}
	c.reads(s.Topics)
	more := map[string]string{
		"KAFKA_BOOTSTRAP": strings.Join(s.Bootstrap, ","),
		"TOPIC":           kafkaNames(s.Topics),
		"GROUP":           s.Consumer.Group,
		"MEMBER":          strconv.Itoa(s.Member),
		"START":           s.Consumer.Start,
		"ISOLATION":       s.Consumer.Isolation,
		"SESSION_MS":      strconv.FormatInt(s.Consumer.SessionTimeout.Std().Milliseconds(), 10),
	}
	if more["ISOLATION"] == "" {
		more["ISOLATION"] = "read_uncommitted"
	}
	login(more, s.Login)
	proc, err := start(c.name(), line, l.o.Dir, l.o.Folder, environment(l.o.Environ, more), c.hear)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.proc = proc
	c.mu.Unlock()
	go c.mourn()
	if err := c.await(ctx, readyLimit); err != nil {
		proc.kill()
		return nil, err
	}
	return c, nil
}

func kafkaNames(topics []plan.Topic) string {
	var names []string
	for _, t := range topics {
		names = append(names, t.KafkaName())
	}
	return strings.Join(names, ",")
}

// reads notes the topics that it reads.
func (c *consumer) reads(topics []plan.Topic) {
	c.topics = map[string]string{}
	for i, t := range topics {
		if i == 0 {
			c.first = t.Name
		}
		c.topics[t.KafkaName()] = t.Name
	}
}

// await waits until the client says that it is ready. One that never says it
// is told of and taken as it is.
func (c *consumer) await(ctx context.Context, limit time.Duration) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-c.ready:
		return nil
	case <-c.proc.gone:
		how, _ := c.proc.ended()
		return fmt.Errorf("it ended before it was ready: %s", how)
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		c.tell(fmt.Sprintf("did not say that it is ready within %s: the run goes on without its word", limit), "")
		return nil
	}
}

func (c *consumer) name() string { return fmt.Sprintf("%s-%d", c.spec.Consumer.Name, c.spec.Member) }

func (c *consumer) tell(what, err string) {
	tell(c.spec.Env, c.spec.Consumer.Name, c.spec.Member, what, err)
}

func (c *consumer) mourn() {
	<-c.proc.gone
	if how, unasked := c.proc.ended(); unasked {
		c.tell("ended by itself", how)
	}
}

var (
	errAcked = errors.New(`got an answer of a producer, want "ready" or "got"`)
	errWhere = errors.New(`got "got" without "partition" and "offset"`)
)

// hear takes a line of the client.
func (c *consumer) hear(line []byte, err error) bool {
	var a answer
	if err == nil {
		a, err = parse(line)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if (err == nil && a.Ready || a.Got != nil) && !c.isReady {
		c.isReady = true
		close(c.ready)
	}
	switch {
	case err != nil:
		return c.nonsense(err)
	case a.Got == nil && !a.Ready:
		return c.nonsense(errAcked)
	case a.Got == nil:
		return true
	case a.Partition == nil || a.Offset == nil || *a.Partition < 0 || *a.Offset < 0:
		return c.nonsense(errWhere)
	}
	topic := c.first
	if a.Topic != "" {
		name, ok := c.topics[a.Topic]
		if !ok {
			return c.nonsense(fmt.Errorf("got topic %.100q, want one of those that it reads", a.Topic))
		}
		topic = name
	}
	if c.got++; c.got == 1 {
		c.load.says(c.spec.Consumer.Name)
	}
	now := c.spec.Clock.Now()
	text, ok := record.TextIDOf(*a.Got)
	if !ok {
		c.spec.Log.Foreign(topic, *a.Partition, *a.Offset, now)
		return true
	}
	id, ok := record.ParseTextID(text, c.load.o.Key)
	if !ok || id.Run != c.spec.RunID {
		if c.lies++; c.lies <= 3 {
			lie(c.spec.Env, c.spec.Consumer.Name, c.spec.Member, fmt.Sprintf("says it got a record that nobody sent: %.80q", *a.Got))
		}
		return true
	}
	c.spec.Log.Delivered(topic, *a.Partition, *a.Offset, id, now)
	return true
}

// nonsense notes a line that cannot be taken. The caller holds mu.
func (c *consumer) nonsense(err error) (goOn bool) {
	c.bad++
	return nonsense(c.bad, c.proc, c.tell, err)
}

// Redirect implements runtime.Redirecter.
func (c *consumer) Redirect(ctx context.Context, to runtime.Destination) error {
	c.mu.Lock()
	c.reads(to.Topics)
	c.ready, c.isReady = make(chan struct{}), false
	proc := c.proc
	c.mu.Unlock()
	if err := move(ctx, proc, order{Bootstrap: strings.Join(to.Bootstrap, ","), Topic: kafkaNames(to.Topics)}); err != nil {
		return err
	}
	return c.await(ctx, readyLimit)
}

// Stop implements runtime.Member.
func (c *consumer) Stop(ctx context.Context) error {
	if !c.halt() {
		return nil
	}
	err := leave(ctx, c.proc)
	c.mu.Lock()
	silent := c.got == 0
	c.mu.Unlock()
	if silent {
		c.tell("never said what it got: deliveries, their order, delays and duplicates cannot be judged", "")
	}
	c.spec.Log.Left(c.spec.Clock.Now())
	return err
}

// Crash implements runtime.Member.
func (c *consumer) Crash() {
	if c.halt() {
		c.proc.kill()
	}
}

func (c *consumer) halt() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return false
	}
	c.stopped = true
	return true
}
