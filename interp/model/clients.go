// This file checks producers and consumers as they are declared.

package model

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"starfall/internal/kafkaconf"
	"starfall/interp/plan"
)

// intValue reads a whole number from a config; false when it is not there or is
// none, which evaluation reports.
func intValue(config map[string]string, name string) (int64, bool) {
	v, err := strconv.ParseInt(strings.TrimSpace(config[name]), 10, 64)
	return v, err == nil
}

// brokerInt is what a cluster says for a broker config, or Kafka's default.
func (s *clusterState) brokerInt(name string) (int64, bool) {
	if v, ok := intValue(s.c.Config, name); ok {
		return v, true
	}
	e, ok := kafkaconf.Lookup(kafkaconf.Broker, name)
	if !ok {
		return 0, false
	}
	v, err := strconv.ParseInt(e.Default, 10, 64)
	return v, err == nil
}

// clientDefault is Kafka's default of a client's config.
func clientDefault(scope kafkaconf.Scope, name string) (int64, bool) {
	e, ok := kafkaconf.Lookup(scope, name)
	if !ok {
		return 0, false
	}
	v, err := strconv.ParseInt(e.Default, 10, 64)
	return v, err == nil
}

// What comes with a record's value, in bytes.
const (
	// recordOverhead is what a client counts for a record beside key and value
	// (maximumRecordOverhead of sarama: five varints, attributes, header count).
	recordOverhead = 36
	// batchOverhead is the least that a batch of one record has beside it: the
	// header of 61 bytes of the record batch format 2, and the record's own 7.
	batchOverhead = 68
	// recordRoom is more than a record has beside its value, its key included.
	recordRoom = 100
)

func (c *checker) checkProducers() {
	for i := range c.p.Producers {
		x := &c.p.Producers[i]
		s := c.producers[x.Name]
		if len(s.topics) == 0 {
			unknown(c, x.Pos, "producer", "topic", x.Topic, c.topics)
			continue
		}
		// Kafka's own rule (KIP-98, enforced since KIP-679): an idempotent
		// producer refuses to start with other acks.
		switch {
		case x.Transaction > 0 && x.Acks != "all":
			c.errorf(x.Pos, `acks = "all"`, "producer: transaction needs acks all, got %s", x.Acks)
		case x.Idempotent && x.Acks != "all":
			c.errorf(x.Pos, `acks = "all"`, "producer: idempotent needs acks all, got %s", x.Acks)
		}
		c.checkTransaction(x, s.topics[0].cluster)
		c.checkPartitions(x, s)
		if need := int64(x.Size) + recordRoom; x.Buffer > 0 && x.Buffer < need {
			c.errorf(x.Pos, fmt.Sprintf(`buffer = "%dKB"`, (need+1023)>>10),
				"producer: for parameter buffer: got %d bytes, want at least %d, room for one record of %d bytes and what comes with it", x.Buffer, need, x.Size)
		}
		t := s.topics[0]
		limit, ok := intValue(t.t.Config, "max.message.bytes")
		if !ok && t.cluster != nil {
			limit, ok = t.cluster.brokerInt("message.max.bytes")
		}
		request, said := intValue(x.Config, "max.request.size")
		if !said {
			request, said = clientDefault(kafkaconf.Producer, "max.request.size")
		}
		switch {
		case ok && int64(x.Size)+batchOverhead > limit:
			c.errorf(x.Pos, fmt.Sprintf(`topic(…, config = {"max.message.bytes": %d})`, x.Size+recordRoom),
				"producer: for parameter size: got %d bytes, but %s takes no more than %d in a batch (max.message.bytes)", x.Size, x.Topic, limit)
		case said && int64(x.Size)+recordOverhead > request:
			c.errorf(x.Pos, fmt.Sprintf(`config = {"max.request.size": %d}`, x.Size+recordRoom),
				"producer: for parameter size: got %d bytes, but its client sends no more than %d in a request (max.request.size)", x.Size, request)
		}
	}
}

// checkPartitions checks how a producer chooses partitions.
func (c *checker) checkPartitions(x *plan.Producer, s *clientState) {
	n := s.partitions()
	if x.Partitioner == "available" {
		switch {
		case x.Keys > 0:
			c.errorf(x.Pos, `partitioner = "hash"`, "producer: for parameter partitioner: got \"available\" with keys: the records of a key would come into several partitions")
		case x.Acks == "0":
			c.errorf(x.Pos, `acks = 1 or "all"`, "producer: for parameter partitioner: got \"available\" with acks 0: no partition ever acknowledges")
		case n == 1 && !c.grows(s):
			c.warnf(x.Pos, "", "producer: for parameter partitioner: got \"available\", but %s has 1 partition, so there is no other", x.Topic)
		}
	}
	if x.Owns && x.Members > n {
		c.errorf(x.Pos, fmt.Sprintf("topic(…, partitions = %d)", x.Members), "producer: for parameter owns: got True, but of %s for %s some would have none", plural(x.Members, "member"), plural(n, "partition"))
	}
}

// checkDedup warns of a mark that good records fall below: it is right only where
// the numbers of what it stands for come in one order.
func (c *checker) checkDedup(x *plan.Consumer, s *clientState) {
	if x.Dedup == nil || x.Dedup.Kind != "high_water" {
		return
	}
	for _, t := range s.topics {
		var writers []*plan.Producer
		members := 0
		for i := range c.p.Producers {
			if p := &c.p.Producers[i]; p.Topic == t.t.Name {
				writers = append(writers, p)
				members += p.Members
			}
		}
		several := t.most > 1
		mixed := members > 1 && (len(writers) > 1 || !writers[0].Owns)
		why := ""
		switch x.Dedup.Per {
		case "partition":
			if mixed {
				why = fmt.Sprintf("%s count by themselves and write the same partitions of %s", plural(members, "producer member"), t.t.Name)
			}
		case "topic":
			if members > 1 {
				why = fmt.Sprintf("%s count by themselves and write %s", plural(members, "producer member"), t.t.Name)
			} else if several && members > 0 {
				why = fmt.Sprintf("the partitions of %s are not read in one order", t.t.Name)
			}
		case "producer":
			if slices.ContainsFunc(writers, func(p *plan.Producer) bool { return !p.Owns && several || p.Owns && t.most > p.Members }) {
				why = fmt.Sprintf("a producer member writes several partitions of %s, which are not read in one order", t.t.Name)
			}
		}
		if why != "" {
			c.warnf(x.Pos, "", "consumer: for parameter dedup: a high-water mark per %s drops good records: %s", x.Dedup.Per, why)
			return
		}
	}
}

// checkTransaction holds the length of a transaction against its timeout: the coordinator
// aborts what is open for longer, and the producer's buffer against its size.
func (c *checker) checkTransaction(x *plan.Producer, cluster *clusterState) {
	if x.Transaction == 0 {
		return
	}
	if need := int64(x.Transaction) * (int64(x.Size) + recordRoom); x.Buffer > 0 && x.Buffer < need {
		c.errorf(x.Pos, "a larger buffer, or fewer records in a transaction", "producer: for parameter transaction: got %d, which needs a buffer of at least %d bytes, not %d", x.Transaction, need, x.Buffer)
	}
	timeout, ok := intValue(x.Config, "transaction.timeout.ms")
	if !ok {
		timeout = 60_000
	}
	if cluster != nil {
		if most, ok := cluster.brokerInt("transaction.max.timeout.ms"); ok && timeout > most {
			c.errorf(x.Pos, "", "producer: for config transaction.timeout.ms: got %d, want at most %d, transaction.max.timeout.ms of %s", timeout, most, cluster.c.Name)
		}
	}
	if x.Rate > 0 {
		if took := float64(x.Transaction) * float64(max(x.Members, 1)) / x.Rate * 1000; took > float64(timeout)/2 {
			c.warnf(x.Pos, "fewer records in a transaction", "producer: a transaction of %d records takes %.0f s at this rate: it is committed earlier, when half of transaction.timeout.ms (%d) is over", x.Transaction, took/1000, timeout)
		}
	}
}

func (c *checker) checkConsumers() {
	written := make(map[string]bool)
	for i := range c.p.Producers {
		written[c.p.Producers[i].Topic] = true
	}
	for _, ev := range c.order {
		for i := range ev.e.Actions {
			switch a := &ev.e.Actions[i]; {
			case a.Verb == plan.Send && len(a.Targets) > 0:
				written[a.Targets[0].Name] = true
			case a.Verb == plan.Replay && a.To != nil:
				written[a.To.Name] = true
			}
		}
	}
	type key struct {
		cluster *clusterState
		group   string
	}
	groups := make(map[key]*plan.Consumer)
	for i := range c.p.Consumers {
		x := &c.p.Consumers[i]
		s := c.consumers[x.Name]
		if !c.checkSubscription(x, s, written) {
			continue
		}
		cluster := s.cluster()
		if cluster == nil {
			continue
		}
		if other := groups[key{cluster, x.Group}]; other != nil {
			c.warnf(x.Pos, "members = 2 makes one group of two; another group name gives each its own copy",
				"consumer: %s is in group %s too (%s): what one reads, the other does not get", other.Name, x.Group, other.Pos.Short())
		} else {
			groups[key{cluster, x.Group}] = x
		}
		c.checkSession(x, cluster)
		c.checkDedup(x, s)
		if n := s.partitions(); x.Members > n && !c.grows(s) {
			c.warnf(x.Pos, "", "consumer: for parameter members: got %d for %s: %s will be idle",
				x.Members, plural(n, "partition"), plural(x.Members-n, "member"))
		}
	}
}

func (c *checker) checkSubscription(x *plan.Consumer, s *clientState, written map[string]bool) bool {
	for i, name := range x.Topics {
		t := c.topics[name]
		if t == nil {
			unknown(c, x.Pos, "consumer", "topic", name, c.topics)
			return false
		}
		for _, before := range x.Topics[:i] {
			if before == name {
				c.errorf(x.Pos, "", "consumer: got topic %s twice", name)
				return false
			}
		}
		if t.cluster != s.topics[0].cluster {
			c.errorf(x.Pos, "declare one consumer for each cluster", "consumer: %s is on cluster %s and %s on %s, want topics of one cluster",
				x.Topics[0], s.topics[0].t.Cluster, name, t.t.Cluster)
			return false
		}
		if !written[name] {
			c.warnf(x.Pos, "", "consumer: no producer writes to %s", name)
		}
	}
	return len(s.topics) > 0
}

// checkSession holds the session timeout against what the group coordinator
// accepts; outside it answers INVALID_SESSION_TIMEOUT to every join.
func (c *checker) checkSession(x *plan.Consumer, s *clusterState) {
	if x.SessionTimeout <= 0 {
		return
	}
	ms := x.SessionTimeout.Std().Milliseconds()
	least, ok := s.brokerInt("group.min.session.timeout.ms")
	if ok && ms < least {
		c.errorf(x.Pos, `cluster(config = {"group.min.session.timeout.ms": `+strconv.FormatInt(ms, 10)+`})`,
			"consumer: for parameter session_timeout: got %s, want at least %d ms, group.min.session.timeout.ms of %s", x.SessionTimeout, least, s.c.Name)
	}
	most, ok := s.brokerInt("group.max.session.timeout.ms")
	if ok && ms > most {
		c.errorf(x.Pos, "", "consumer: for parameter session_timeout: got %s, want at most %d ms, group.max.session.timeout.ms of %s", x.SessionTimeout, most, s.c.Name)
	}
	beat, ok := intValue(x.Config, "heartbeat.interval.ms")
	switch {
	case ok && beat >= ms:
		c.errorf(x.Pos, "", "consumer: for config heartbeat.interval.ms: got %d, want less than the session timeout of %d ms", beat, ms)
	case ok && beat > ms/3:
		c.warnf(x.Pos, "", "consumer: for config heartbeat.interval.ms: got %d, but the load clients send one every third of the session timeout at least, so every %d ms", beat, ms/3)
	}
}

// grows reports whether one of a client's topics is resized at some time.
func (c *checker) grows(s *clientState) bool {
	for _, ev := range c.order {
		for i := range ev.e.Actions {
			a := &ev.e.Actions[i]
			if a.Verb != plan.Resize || len(a.Targets) == 0 {
				continue
			}
			for _, t := range s.topics {
				if t.t.Name == a.Targets[0].Name {
					return true
				}
			}
		}
	}
	return false
}
