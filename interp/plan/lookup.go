// This file defines how the things of a plan are found by name.

package plan

import (
	"fmt"
	"strconv"
)

func find[T any](s []T, match func(*T) bool) *T {
	for i := range s {
		if match(&s[i]) {
			return &s[i]
		}
	}
	return nil
}

// Cluster gives the cluster of that name, or nil.
func (p *Plan) Cluster(name string) *Cluster {
	return find(p.Clusters, func(c *Cluster) bool { return c.Name == name })
}

// Topic gives the topic of that name, or nil.
func (p *Plan) Topic(name string) *Topic {
	return find(p.Topics, func(t *Topic) bool { return t.Name == name })
}

// Producer gives the producer of that name, or nil.
func (p *Plan) Producer(name string) *Producer {
	return find(p.Producers, func(x *Producer) bool { return x.Name == name })
}

// Consumer gives the consumer of that name, or nil.
func (p *Plan) Consumer(name string) *Consumer {
	return find(p.Consumers, func(x *Consumer) bool { return x.Name == name })
}

// Mirror gives the mirror of that name, or nil.
func (p *Plan) Mirror(name string) *Mirror {
	return find(p.Mirrors, func(x *Mirror) bool { return x.Name == name })
}

// User gives the user of that name on a cluster, or nil.
func (p *Plan) User(cluster, name string) *User {
	return find(p.Users, func(x *User) bool { return x.Cluster == cluster && x.Name == name })
}

// KafkaTopic gives the topic that a cluster knows by that name, or nil.
func (p *Plan) KafkaTopic(cluster, name string) *Topic {
	return find(p.Topics, func(t *Topic) bool { return t.Cluster == cluster && t.KafkaName() == name })
}

// Copy gives the topic into which a mirror copies topic, or nil.
func (p *Plan) Copy(mirror, topic string) *Topic {
	return find(p.Topics, func(t *Topic) bool { return t.Origin == Mirrored && t.Mirror == mirror && t.Of == topic })
}

// FailOverTopic gives the topic that producers of topic write once they have
// failed over to a mirror: under identity naming the copy itself; nil when the
// mirror does not hold the topic.
func (p *Plan) FailOverTopic(mirror, topic string) *Topic {
	t := find(p.Topics, func(t *Topic) bool { return t.Origin == FailedTo && t.Mirror == mirror && t.Of == topic })
	if t == nil {
		if m := p.Mirror(mirror); m != nil && m.Rename == RenameIdentity {
			return p.Copy(mirror, topic)
		}
	}
	return t
}

// KafkaName is what the topic's cluster calls it.
func (t *Topic) KafkaName() string {
	if t.Kafka != "" {
		return t.Kafka
	}
	return t.Name
}

// Alarm gives the alarm of that name, or nil.
func (p *Plan) Alarm(name string) *Alarm {
	return find(p.Alarms, func(x *Alarm) bool { return x.Name == name })
}

// Event gives the event of that name, or nil.
func (p *Plan) Event(name string) *Event {
	return find(p.Events, func(x *Event) bool { return x.Name == name })
}

// Node gives the node of that id, or nil.
func (c *Cluster) Node(id int32) *Node {
	return find(c.Nodes, func(n *Node) bool { return n.ID == id })
}

// Brokers gives the nodes that are brokers.
func (c *Cluster) Brokers() []Node {
	var out []Node
	for _, n := range c.Nodes {
		if n.Role == RoleBroker || n.Role == RoleCombined {
			out = append(out, n)
		}
	}
	return out
}

// Label is how tables and journals name a node: kafka-2, kafka-controller-1,
// kafka-zookeeper-1.
func (c *Cluster) Label(id int32) string {
	switch {
	case id >= FirstZooKeeperID:
		return fmt.Sprintf("%s-zookeeper-%d", c.Name, id-FirstZooKeeperID+1)
	case id >= FirstControllerID:
		return fmt.Sprintf("%s-controller-%d", c.Name, id-FirstControllerID+1)
	}
	return c.Name + "-" + strconv.Itoa(int(id))
}
