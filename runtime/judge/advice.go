// This file defines advice: what is known about why Kafka broke a claim.

package judge

import (
	"slices"
	"strings"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

// broken is what a piece of advice is chosen by.
type broken struct {
	j        *judging
	term     *plan.Term
	where    *Where
	producer *plan.Producer // the subject, or the first one of the subject's topic
	consumer *plan.Consumer
	topic    *plan.Topic
	cluster  *plan.Cluster
	down     string // the broker that was taken away last before the place
}

// config is the value of a topic's or, failing that, its cluster's setting.
func (b broken) config(topic, broker, otherwise string) string {
	if b.topic != nil {
		if v, ok := b.topic.Config[topic]; ok {
			return v
		}
	}
	if b.cluster != nil {
		if v, ok := b.cluster.Config[broker]; ok {
			return v
		}
	}
	return otherwise
}

func (b broken) is(kind plan.RefKind, measures ...string) bool {
	return b.term.Subject.Kind == kind && slices.Contains(measures, b.term.Measure)
}

func (b broken) acks(levels ...string) bool {
	return b.producer != nil && slices.Contains(levels, b.producer.Acks)
}

func (b broken) lost() bool {
	return b.is(plan.RefTopic, "lost") || b.is(plan.RefConsumer, "lost", "missing")
}

func (b broken) slow() bool {
	return b.is(plan.RefProducer, "rate", "stall", "latency", "sending") || b.is(plan.RefConsumer, "rate", "stall", "delay")
}

// advised is one row: when it applies, what it says, and the word that
// `starfall doc` explains further.
type advised struct {
	when func(b broken) bool
	say  func(b broken) string
	doc  string
}

func text(s string) func(broken) string { return func(broken) string { return s } }

// advices is in order of precedence: the first row that applies is given.
// Facts are those of the measured page of the project unless a row names a KIP.
func advices() []advised {
	return []advised{
		{func(b broken) bool {
			return b.term.Measure == "denied" && (b.producer != nil || b.consumer != nil)
		}, text("a cluster with users denies what no right allows, and a denial beats every right (StandardAuthorizer)"), "allow"},
		{func(b broken) bool { return b.is(plan.RefMirror, "identical") && b.term.Aspect == "offsets" },
			text("a copy has offsets of its own: the mirror writes records anew, and what was deleted, aborted or copied twice shifts them"), "mirror"},
		{func(b broken) bool {
			return b.is(plan.RefConsumer, "missing", "undelivered", "dropped") && b.consumer != nil && b.consumer.Dedup != nil && b.consumer.Dedup.Kind == "high_water" && b.dropped()
		}, func(b broken) string {
			return "dedup drops what is not beyond its mark: high_water(per = \"" + b.consumer.Dedup.Per + "\") is right only where records that share a mark come in one order"
		}, "high_water"},
		{func(b broken) bool {
			return b.is(plan.RefConsumer, "duplicates") && b.consumer != nil && b.consumer.Dedup != nil
		},
			text("dedup remembers in the memory of a member: it does not know what another member had, nor after a crash what it had itself"), "duplicates"},
		{func(b broken) bool {
			return b.is(plan.RefConsumer, "duplicates") && b.consumer != nil && b.failedOver(b.consumer.Name)
		},
			text("the group goes on at the target from translated offsets, which are those of the last sync: what it had since comes again"), "fail_over"},
		{func(b broken) bool {
			return b.is(plan.RefConsumer, "out_of_order") && b.consumer != nil && b.failedOver(b.consumer.Name)
		}, text("after a fail-over the group reads the copy and the new topic side by side: nothing orders the one before the other"), "fail_over"},
		{func(b broken) bool {
			return b.slow() && b.acks("all") && b.down != "" && b.topic != nil && b.topic.Replicas > 1 && b.topic.MinInsync >= b.topic.Replicas
		}, text("min.insync.replicas equals the number of replicas: with one broker away every write is refused (NOT_ENOUGH_REPLICAS)"), "min_insync"},
		{func(b broken) bool { return b.slow() && b.acks("all") && b.down != "" }, func(b broken) string {
			return "acks=all waits for " + b.down + " until the controller fences it: broker.session.timeout.ms is " +
				b.config("", "broker.session.timeout.ms", "9000")
		}, "stall"},
		{func(b broken) bool { return b.slow() && b.down != "" }, func(b broken) string {
			return "partitions led by " + b.down + " have no other leader until the controller fences it: broker.session.timeout.ms is " +
				b.config("", "broker.session.timeout.ms", "9000")
		}, "stall"},
		{func(b broken) bool {
			return b.lost() && b.config("unclean.leader.election.enable", "unclean.leader.election.enable", "false") == "true"
		}, text("unclean.leader.election.enable=true lets a replica lead that was not in sync: what it lacks is gone"), "unclean_elections"},
		{func(b broken) bool { return b.lost() && b.acks("1") && b.down != "" },
			text("acks=1 is the leader's word alone: what no follower had copied goes with it"), "acks"},
		{func(b broken) bool {
			return b.lost() && b.acks("all") && b.down != "" && b.topic != nil && b.topic.MinInsync <= 1
		},
			text("min.insync.replicas=1: with acks=all a leader that is alone in the in-sync set acknowledges by itself"), "min_insync"},
		{func(b broken) bool { return b.lost() && b.failedOver("") },
			text("a mirror copies after the acknowledgement: what it has not copied when clients fail over stays behind"), "fail_over"},
		{func(b broken) bool {
			return b.is(plan.RefConsumer, "missing", "undelivered") && b.consumer != nil && b.consumer.Start == "latest"
		}, text("start = \"latest\": what was written before the group's first assignment is never read"), "consumer"},
		{func(b broken) bool {
			return b.is(plan.RefConsumer, "missing", "undelivered") && b.consumer != nil && (b.consumer.Commit == "before" || b.consumer.Commit == "auto")
		}, func(b broken) string {
			return "commit = \"" + b.consumer.Commit + "\" may commit a record before its work is done: a crash between the two skips it"
		}, "consumer"},
		{func(b broken) bool {
			return b.is(plan.RefConsumer, "duplicates") && b.producer != nil && !b.producer.Idempotent && b.twiceInLog()
		}, text("the log itself holds records twice: without idempotence a retry whose first attempt was written is written again (KIP-98)"), "idempotent"},
		{func(b broken) bool { return b.is(plan.RefConsumer, "duplicates") && b.consumer != nil }, func(b broken) string {
			return "what was processed after the last commit comes again when a partition changes hands: commit_every is " + b.consumer.CommitEvery.String()
		}, "duplicates"},
		{func(b broken) bool {
			return b.is(plan.RefTopic, "duplicates") && b.producer != nil && !b.producer.Idempotent
		},
			text("without idempotence a retry whose first attempt was written is written again (KIP-98)"), "idempotent"},
		{func(b broken) bool {
			return b.term.Measure == "out_of_order" && b.term.By == "key" && b.producer != nil && b.producer.Partitioner != "hash"
		}, text("only the hash partitioner keeps the records of a key in one partition"), "partitioner"},
		{func(b broken) bool { return b.term.Measure == "out_of_order" && b.term.By == "key" && b.resized() },
			text("with another number of partitions a key hashes to another partition: its new records overtake the old"), "resize"},
		{func(b broken) bool {
			return b.term.Measure == "out_of_order" && b.producer != nil && !b.producer.Idempotent
		},
			text("without idempotence a batch that is retried lands behind the batches that were in flight with it"), "idempotent"},
		{func(b broken) bool {
			return b.is(plan.RefCluster, "under_replicated") && b.term.Bound != nil && b.down != ""
		},
			func(b broken) string {
				return b.down + " has to copy what it missed before it is in sync again"
			}, "under_replicated"},
		{func(b broken) bool { return b.is(plan.RefConsumer, "idle_members", "assignment") },
			text("a partition has one reader in a group: members beyond the number of partitions stay idle"), "assignment"},
	}
}

// dropped tells whether the consumer's dedup dropped anything.
func (b broken) dropped() bool {
	x := b.j.consumer(b.consumer.Name)
	return x != nil && x.dropping
}

// failedOver tells whether a client, or with no name any, is told to fail over.
func (b broken) failedOver(name string) bool {
	is := false
	failOvers(b.j.plan, func(client plan.Ref, _ string) { is = is || name == "" || client.Name == name })
	return is
}

func (b broken) resized() bool {
	for _, e := range b.j.plan.Events {
		for _, a := range e.Actions {
			if a.Verb == plan.Resize {
				return true
			}
		}
	}
	return false
}

func (b broken) twiceInLog() bool {
	for i, t := range b.j.topics {
		if b.topic != nil && t.plan.Name == b.topic.Name && i < len(b.j.topics) {
			var n, distinct uint64
			for _, m := range t.marks {
				n += uint64(m.HighWater - m.LogStart)
			}
			for _, list := range t.audited {
				for _, s := range list {
					if s != nil {
						distinct += s.count()
					}
				}
			}
			return n > distinct
		}
	}
	return false
}

// advice gives what is known about a broken claim, and the word to look up.
func (j *judging) advice(r ruling) (say, doc string) {
	b := broken{j: j, term: r.term, where: r.where}
	p := j.plan
	topic := r.term.Subject.Name
	switch r.term.Subject.Kind {
	case plan.RefProducer:
		if b.producer = p.Producer(r.term.Subject.Name); b.producer != nil {
			topic = b.producer.Topic
		}
	case plan.RefConsumer:
		if b.consumer = p.Consumer(r.term.Subject.Name); b.consumer != nil && len(b.consumer.Topics) > 0 {
			topic = b.consumer.Topics[0]
		}
	}
	if b.topic = p.Topic(topic); b.topic != nil {
		b.cluster = p.Cluster(b.topic.Cluster)
	}
	if r.term.Subject.Kind == plan.RefCluster {
		b.cluster = p.Cluster(r.term.Subject.Name)
	}
	if b.producer == nil {
		for i := range p.Producers {
			if p.Producers[i].Topic == topic {
				b.producer = &p.Producers[i]
				break
			}
		}
	}
	b.down = j.downBefore(r.where)
	for _, row := range advices() {
		if row.when(b) {
			return row.say(b), row.doc
		}
	}
	return "", ""
}

// downBefore names what was taken away last before a place.
func (j *judging) downBefore(w *Where) string {
	down := ""
	for _, e := range j.events {
		if w != nil && w.At != nil && e.At > w.At.Std()+j.info.Wall(tick) {
			break
		}
		ev := j.plan.Event(e.Name)
		if e.Kind != record.KindEffect || ev == nil || e.Action >= len(ev.Actions) || len(e.Targets) == 0 {
			continue
		}
		switch ev.Actions[e.Action].Verb {
		case plan.Kill, plan.PowerOff, plan.Pause, plan.Netsplit:
			down = strings.Join(e.Targets, ", ")
		}
	}
	return down
}
