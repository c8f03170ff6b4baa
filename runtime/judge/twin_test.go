package judge

import (
	"slices"
	"strings"
	"testing"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

// twin is a run of two clusters: east is mirrored to west, and at 10 s the
// producer and the group fail over, which is proved at 10.5 s. 100 records a
// second over 2 partitions, acknowledged 5 ms after they are due, copied 20 ms
// later, delivered 2 ms after they are there; from 10 s to 10.5 s the producer
// gets no acknowledgement and the group nothing.
type twin struct {
	plan   *plan.Plan
	change func(r *fate)  // of each record
	events []record.Event // more
	sample func(*record.Sample)
	more   func(*record.Writer)
	then   []moment         // in order of time with the rest
	gone   []string         // topics that are not audited
	start  map[string]int64 // log starts
	stays  bool             // nobody fails over
}

type moment struct {
	at time.Duration
	do func(*record.Writer)
}

// fate is what becomes of one record. Times below 0: never.
type fate struct {
	seq       uint64
	part      int32
	due       time.Duration
	topic     string // where it is acknowledged
	ack       time.Duration
	again     string        // acknowledged there too, a second later
	copied    time.Duration // into the copy
	copies    int
	delivered []arrival
	lost      bool // not in the log where it was acknowledged
	offset    map[string]int64
}

// arrival is a delivery to the group, or what dedup dropped.
type arrival struct {
	topic   string
	at      time.Duration
	dropped bool
}

const (
	source = "orders"
	copied = "west/east.orders"
	beyond = "west/orders"
)

func twinPlan() *plan.Plan {
	west := &plan.Ref{Kind: plan.RefMirror, Name: "copy"}
	clients := []plan.Ref{{Kind: plan.RefProducer, Name: "shop"}, {Kind: plan.RefConsumer, Name: "billing"}}
	return &plan.Plan{
		Format: plan.Format, Name: "twin", Title: "Two clusters",
		Scenario: plan.Scenario{RunFor: plan.Duration(20 * sec), Warmup: plan.Duration(2 * sec), Seed: 1},
		Clusters: []plan.Cluster{{Name: "east", Nodes: []plan.Node{{ID: 1}, {ID: 2}}}, {Name: "west", Nodes: []plan.Node{{ID: 1}}}},
		Topics: []plan.Topic{
			{Name: source, Cluster: "east", Partitions: 2, Replicas: 2, MinInsync: 1},
			{Name: "audit", Cluster: "east", Partitions: 2, Replicas: 2, MinInsync: 1},
			{Name: copied, Kafka: "east.orders", Origin: plan.Mirrored, Of: source, Mirror: "copy", Cluster: "west", Partitions: 2, Replicas: 1, MinInsync: 1},
			{Name: beyond, Kafka: "orders", Origin: plan.FailedTo, Of: source, Mirror: "copy", Cluster: "west", Partitions: 2, Replicas: 1, MinInsync: 1},
		},
		Producers: []plan.Producer{{Name: "shop", Topic: source, Rate: 100, Members: 1, Acks: "all", Size: 100, Keys: 4, Partitioner: "round_robin"}},
		Consumers: []plan.Consumer{
			{Name: "billing", Topics: []string{source}, Group: "billing", Members: 1, Start: "earliest"},
			{Name: "reader", Topics: []string{"audit"}, Group: "reader", Members: 1, Start: "earliest"},
			{Name: "copy", Topics: []string{copied}, Members: 1, Start: "earliest", Commit: "none", Observes: "copy"},
		},
		Mirrors: []plan.Mirror{{Name: "copy", Topics: []string{source}, From: "east", To: "west", Rename: plan.RenameDefault}},
		Events: []plan.Event{{Name: "away", Actions: []plan.Action{{Verb: plan.FailOver, Targets: clients, To: west}}},
			{Name: "again", Actions: []plan.Action{{Verb: plan.Replay, Targets: []plan.Ref{{Kind: plan.RefTopic, Name: source}}, To: &plan.Ref{Kind: plan.RefTopic, Name: "audit"}}}}},
	}
}

func newTwin() *twin { return &twin{plan: twinPlan(), start: map[string]int64{}} }

// fates is every record of the run, as it goes without a change.
func (x *twin) fates() []*fate {
	var out []*fate
	for seq := range uint64(2000) {
		due := time.Duration(seq) * 10 * ms
		r := &fate{seq: seq, part: int32(seq % 2), due: due, topic: source, ack: due + 5*ms, copied: due + 25*ms, copies: 1, offset: map[string]int64{}}
		switch {
		case x.stays:
			r.delivered = []arrival{{topic: source, at: r.ack + 2*ms}}
		case due < 9990*ms:
			r.delivered = []arrival{{topic: source, at: r.ack + 2*ms}}
		case due < 10*sec: // acknowledged before the fail-over, delivered after
			r.delivered = []arrival{{topic: copied, at: 10510 * ms}}
		default:
			r.topic, r.copied = beyond, -1
			r.ack = max(due+5*ms, 10500*ms)
			r.delivered = []arrival{{topic: beyond, at: max(r.ack+2*ms, 10512*ms)}}
		}
		if x.change != nil {
			x.change(r)
		}
		out = append(out, r)
	}
	return out
}

func (x *twin) write(w *record.Writer) {
	w.Event(record.Event{Kind: record.KindPhase, Phase: record.PhaseRun})
	if !x.stays {
		w.Event(record.Event{At: 10 * sec, Kind: record.KindFired, Name: "away", What: "fail_over(shop, billing, to = copy)"})
		w.Event(record.Event{At: 10500 * ms, Kind: record.KindEffect, Name: "away", What: "fail_over(shop, billing, to = copy)", Proof: "shop and billing are at west"})
	}
	w.Event(record.Event{At: 19 * sec, Kind: record.KindFired, Name: "again"})
	for _, e := range x.events {
		w.Event(e)
	}
	shop, billing, mirror := w.Producer("shop", 1), w.Consumer("billing", 1), w.Consumer("copy", 1)
	both := func(topics ...string) (out []record.TopicPartition) {
		for _, t := range topics {
			out = append(out, record.TopicPartition{Topic: t}, record.TopicPartition{Topic: t, Partition: 1})
		}
		return out
	}
	fates := x.fates()
	type step struct {
		at   time.Duration
		rank int
		do   func()
	}
	var steps []step
	add := func(at time.Duration, rank int, do func()) { steps = append(steps, step{at, rank, do}) }
	add(-500*ms, 0, func() { billing.Assigned(7, both(source), -500*ms) })
	if !x.stays {
		add(10400*ms, 0, func() { billing.Assigned(1, both(copied, beyond), 10400*ms) })
		for k := range int32(2) {
			add(10400*ms, 1, func() { billing.Position(copied, k, 499, 10400*ms) })
		}
	}
	ends := map[string]*[2]int64{source: {}, copied: {}, beyond: {}}
	logs := map[string]*[2][]uint64{source: {}, copied: {}, beyond: {}}
	for _, r := range fates {
		id := record.Identity{Run: 7, Member: 1, Seq: r.seq}
		add(r.due, 0, func() { shop.Accepted(r.seq, 1, r.due) })
		append1 := func(topic string, stands bool) int64 {
			offset := ends[topic][r.part]
			ends[topic][r.part]++
			if stands {
				for int64(len(logs[topic][r.part])) < offset {
					logs[topic][r.part] = append(logs[topic][r.part], none64)
				}
				logs[topic][r.part] = append(logs[topic][r.part], r.seq)
			}
			return offset
		}
		if r.ack >= 0 {
			add(r.ack, 1, func() {
				r.offset[r.topic] = append1(r.topic, !r.lost)
				shop.On(r.topic).Acked(r.seq, r.part, r.offset[r.topic], r.ack)
			})
			if r.topic == copied { // under identity naming: the observer sees it too
				add(r.ack, 2, func() { mirror.Delivered(copied, r.part, r.offset[copied], id, r.ack) })
			}
		}
		if r.again != "" {
			add(r.ack+sec, 1, func() {
				shop.On(r.again).Acked(r.seq, r.part, append1(r.again, true), r.ack+sec)
			})
		}
		if r.copied >= 0 {
			for i := range r.copies {
				at := r.copied + time.Duration(i)*sec
				add(at, 2, func() {
					offset := append1(copied, true)
					if i == 0 {
						r.offset[copied] = offset
					}
					mirror.Delivered(copied, r.part, offset, id, at)
				})
			}
		}
		for _, d := range r.delivered {
			add(d.at, 3, func() {
				if d.dropped {
					billing.Dropped(d.topic, r.part, r.offset[d.topic], id, d.at)
				} else {
					billing.Delivered(d.topic, r.part, r.offset[d.topic], id, d.at)
				}
			})
		}
	}
	for at := 200 * ms; at <= 21*sec; at += 200 * ms {
		add(at, 4, func() {
			east := record.Sample{At: at, Cluster: "east", ActiveControllers: 1, Controller: 1}
			west := record.Sample{At: at, Cluster: "west", ActiveControllers: 1, Controller: 1}
			for k := range int32(2) {
				of := func(topic string) record.PartitionState {
					end := ends[topic][k]
					return record.PartitionState{Topic: topic, Partition: k, Leader: 1, Epoch: 1, ISR: []int32{1}, Replicas: []int32{1}, MinInsync: 1,
						LogEnd: end, HighWater: end}
				}
				east.Partitions = append(east.Partitions, of(source))
				west.Partitions = append(west.Partitions, of(copied), of(beyond))
			}
			for _, s := range []record.Sample{east, west} {
				if x.sample != nil {
					x.sample(&s)
				}
				w.Sample(s)
			}
		})
	}
	for _, m := range x.then {
		add(m.at, 5, func() { m.do(w) })
	}
	shop.Due(0, 0, 100, 2)
	slices.SortStableFunc(steps, func(a, b step) int {
		if a.at != b.at {
			return int(a.at - b.at)
		}
		return a.rank - b.rank
	})
	for i, s := range steps {
		s.do()
		if i%3000 == 2999 {
			w.Flush()
		}
	}
	shop.End(2000, 20*sec)
	if x.more != nil {
		x.more(w)
	}
	for _, topic := range []string{source, copied, beyond, "audit"} {
		if slices.Contains(x.gone, topic) {
			continue
		}
		for k := range int32(2) {
			if topic == "audit" {
				if !slices.ContainsFunc(x.events, func(e record.Event) bool { return e.What == "audit is written" }) {
					w.Audit(topic, k, 0, 0).Close(nil)
				}
				continue
			}
			a := w.Audit(topic, k, x.start[topic], ends[topic][k])
			for offset, seq := range logs[topic][k] {
				if seq != none64 && int64(offset) >= x.start[topic] {
					a.Record(int64(offset), record.Identity{Run: 7, Member: 1, Seq: seq})
				}
			}
			a.Close(nil)
		}
	}
	w.Event(record.Event{At: 20 * sec, Kind: record.KindPhase, Phase: record.PhaseHeal})
	w.Event(record.Event{At: 22 * sec, Kind: record.KindClosed})
}

const none64 = ^uint64(0)

func (x *twin) judge(t *testing.T, claims ...plan.Claim) *Verdict {
	t.Helper()
	w := record.NewMemory(x.plan, record.Info{ID: 7, Engine: "embedded", Seed: 1})
	x.write(w)
	if err := w.Err(); err != nil {
		t.Fatal(err)
	}
	p := *x.plan
	p.Claims = claims
	v, err := Judge(&p, w.Recording())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func mirror(measure string) say { return of(plan.RefMirror, "copy", measure) }
func reader(measure string) say { return of(plan.RefConsumer, "reader", measure) }

func (s say) aspect(x string) say { s.Aspect = x; return s }

// just lets a change happen to some records.
func just(f func(r *fate), seqs ...uint64) func(*twin) {
	return func(x *twin) {
		x.change = func(r *fate) {
			if slices.Contains(seqs, r.seq) {
				f(r)
			}
		}
	}
}

func compared(aspect string, n, different int64, first string) record.Event {
	return record.Event{At: 21 * sec, Kind: record.KindCompared, Name: "copy", Aspect: aspect, Compared: n, Different: different, Error: first}
}

type twinCase struct {
	name   string
	claim  say
	change func(*twin)
	want   Outcome
	says   string // measured, or its beginning
}

// replays lets the records of partition 0 up to seq stand, and be delivered, in
// the topic audit.
func replays(seqs ...uint64) func(*twin) {
	return func(x *twin) {
		x.events = append(x.events, record.Event{At: 19 * sec, Kind: record.KindEffect, Name: "again", What: "audit is written"})
		x.more = func(w *record.Writer) {
			r := w.Consumer("reader", 1)
			r.Assigned(1, []record.TopicPartition{{Topic: "audit"}}, 0)
			a := w.Audit("audit", 0, 0, int64(len(seqs)))
			for i, seq := range seqs {
				id := record.Identity{Run: 7, Member: 1, Seq: seq}
				r.Delivered("audit", 0, int64(i), id, 19500*ms)
				a.Record(int64(i), id)
			}
			a.Close(nil)
			w.Audit("audit", 1, 0, 0).Close(nil)
		}
	}
}

func twinCases() []twinCase {
	asIs := func(*twin) {}
	never := func(r *fate) { r.delivered = nil }
	notCopied := func(r *fate) { r.copied = -1 }
	return []twinCase{
		// mirror
		{"delay", mirror("delay").neverAbove(0.03), asIs, Held, "highest 25"},
		{"delay by partition", mirror("delay").by("partition").neverAbove(0.03), asIs, Held, "highest 25 ms on orders/0"},
		{"delay", mirror("delay").atMost(2), just(func(r *fate) { r.copied = r.due + 3*sec }, 700), Broken, "3 s record 700 of member 1"},
		{"delay, a record copied again", mirror("delay").atMost(0.03), just(func(r *fate) { r.copies = 2 }, 700), Held, ""},
		{"delay, only what came from the source", mirror("delay").during(11*sec, 15*sec).atMost(1), asIs, NoData, "no record was copied in the window"},
		{"missing", mirror("missing").none(), asIs, Held, "0 of 1 000"},
		{"missing", mirror("missing").none(), just(notCopied, 700, 702), Broken, "2 of 1 000"},
		{"missing by partition", mirror("missing").by("partition").none(), just(notCopied, 701), Broken, "1 on orders/1"},
		{"missing, in a window", mirror("missing").during(8*sec, 9*sec).none(), just(notCopied, 700), Held, "0"},
		{"missing, acknowledged late by the source too", mirror("missing").none(), just(func(r *fate) { r.again = source }, 1500), Broken, "1 of"},
		{"missing, without audit", mirror("missing").none(), func(x *twin) { x.gone = []string{copied} }, NoData, "west/east.orders/0 was not audited"},
		{"missing, deleted at the source before it was copied", mirror("missing").none(), func(x *twin) {
			just(notCopied, 0, 2)(x)
			x.events = []record.Event{{At: 5 * sec, Kind: record.KindDeleted, Topic: source, Offset: 2}}
		}, Held, "0 of 1 000, 2 more were deleted"},
		{"missing, deleted in the copy", mirror("missing").none(), func(x *twin) {
			x.start[copied] = 4
			x.events = []record.Event{{At: 15 * sec, Kind: record.KindDeleted, Topic: copied, Offset: 4}, {At: 15 * sec, Kind: record.KindDeleted, Topic: copied, Partition: 1, Offset: 4}}
		}, Held, "0 of 1 000, 8 more were deleted"},
		{"identical", mirror("identical").aspect("records").equals(1), func(x *twin) {
			x.events = []record.Event{compared("records", 9000, 0, ""), compared("offsets", 9000, 12, "orders/1 at 7: 9 in the copy")}
		}, Held, "identical, 9 000 compared"},
		{"identical", mirror("identical").aspect("offsets").equals(1), func(x *twin) {
			x.events = []record.Event{compared("records", 9000, 0, ""), compared("offsets", 9000, 12, "orders/1 at 7: 9 in the copy")}
		}, Broken, "differs: orders/1 at 7: 9 in the copy (12 of 9 000)"},
		{"identical, wanted not to be", mirror("identical").aspect("offsets").equals(0), func(x *twin) {
			x.events = []record.Event{compared("offsets", 9000, 12, "")}
		}, Held, "differs in 12 of 9 000"},
		{"identical, not compared", mirror("identical").aspect("config").equals(1), func(x *twin) {
			x.events = []record.Event{compared("records", 9000, 0, "")}
		}, NoData, "copy was not compared with its source"},
		{"identical, nothing there", mirror("identical").aspect("groups").equals(1), func(x *twin) {
			x.events = []record.Event{compared("groups", 0, 0, "")}
		}, NoData, "there was nothing to compare"},
		{"identical, failed", mirror("identical").aspect("groups").equals(0), func(x *twin) {
			x.events = []record.Event{compared("groups", 0, 0, "connection refused")}
		}, NoData, "not compared: connection refused"},

		// lost: in no log of the family
		{"lost", orders("lost").none(), asIs, Held, "0 of 2 000"},
		{"lost, the source only", orders("lost").none(), just(func(r *fate) { r.lost = true }, 700), Held, ""},
		{"lost, source and copy", orders("lost").none(), just(func(r *fate) { r.lost, r.copied = true, -1 }, 700), Broken, "1 of 2 000"},
		{"lost, at the target", orders("lost").none(), just(func(r *fate) { r.lost = true }, 1500), Broken, "1 of 2 000"},
		{"lost, of the group", billing("lost").none(), just(func(r *fate) { r.lost = true }, 1500), Broken, "1 of 2 000"},
		{"lost, nobody fails over", orders("lost").none(), func(x *twin) {
			x.stays = true
			x.plan.Events = x.plan.Events[1:]
			just(func(r *fate) { r.lost = true }, 700)(x)
		}, Broken, "1 of 2 000"},
		{"lost, deleted as asked", orders("lost").none(), func(x *twin) {
			x.gone = []string{source}
			just(notCopied, 700)(x)
			x.events = []record.Event{{At: 15 * sec, Kind: record.KindDeleted, Topic: source, Partition: -1}}
		}, Held, "0 of 2 000, 1 more were deleted"},
		{"lost, a log of the family unread", orders("lost").none(), func(x *twin) { x.gone = []string{beyond} }, NoData, "west/orders/0 was not audited"},

		// missing and its parts
		{"missing", billing("missing").none(), asIs, Held, "0 of 2 000"},
		{"missing, skipped at the target", billing("undelivered").none(), just(never, 1500), Broken, "1 of 2 000"},
		{"missing, past the position at the target", billing("pending").none(), just(never, 1998, 1999), Broken, "2 of 2 000"},
		{"missing, past the position at the target", billing("undelivered").none(), just(never, 1998, 1999), Held, ""},
		{"missing, skipped in the copy", billing("undelivered").none(), just(never, 700), Broken, "1 of 2 000"},
		{"missing, left at the source and skipped in the copy", billing("undelivered").none(), func(x *twin) {
			just(never, 999)(x)
			x.then = []moment{{11 * sec, func(w *record.Writer) { w.Consumer("billing", 1).Position(copied, 1, 500, 11*sec) }}}
		}, Broken, "1 of 2 000"},
		{"missing, past the position in the copy", billing("pending").none(), just(never, 999), Broken, "1 of 2 000"},
		{"missing, not copied", billing("pending").none(), just(func(r *fate) { r.delivered, r.copied = nil, -1 }, 999), Broken, "1 of 2 000"},
		{"missing, deleted as asked", billing("missing").none(), func(x *twin) {
			x.gone = []string{beyond}
			just(func(r *fate) { r.delivered, r.lost = nil, true }, 1500)(x)
			x.events = []record.Event{{At: 17 * sec, Kind: record.KindDeleted, Topic: beyond, Partition: -1}}
		}, Held, "0 of 2 000, 1 more were deleted"},
		{"missing, dropped", billing("missing").none(), just(func(r *fate) { r.delivered[0].dropped = true }, 1500), Broken, "1 of 2 000"},

		// deliveries
		{"duplicates", billing("duplicates").none(), asIs, Held, ""},
		{"duplicates, again from the copy", billing("duplicates").none(), just(func(r *fate) {
			r.delivered = append(r.delivered, arrival{topic: copied, at: 10510 * ms})
		}, 700), Broken, "1 of"},
		{"duplicates, dropped", billing("duplicates").none(), just(func(r *fate) {
			r.delivered = append(r.delivered, arrival{topic: copied, at: 10510 * ms, dropped: true})
		}, 700), Held, ""},
		{"dropped", billing("dropped").none(), just(func(r *fate) {
			r.delivered = append(r.delivered, arrival{topic: copied, at: 10510 * ms, dropped: true})
		}, 700), Broken, "1 of"},
		{"out of order", billing("out_of_order").none(), asIs, Held, ""},
		{"out of order, the copy after the target", billing("out_of_order").none(), just(func(r *fate) { r.delivered[0].at = 11 * sec }, 999), Broken, "1 of"},
		{"out of order, in the same moment", billing("out_of_order").none(), just(func(r *fate) { r.delivered[0].at = 10512 * ms }, 999), Held, ""},
		{"out of order by key", billing("out_of_order").by("key").none(), just(func(r *fate) { r.delivered[0].at = 11 * sec }, 999), Broken, "1 of"},
		{"rate", billing("rate").during(11*sec, 20*sec).neverBelow(100), asIs, Held, ""},
		{"rate by partition", billing("rate").by("partition").during(11*sec, 20*sec).neverBelow(50), asIs, Held, ""},
		{"producer's rate by partition", shop("rate").by("partition").during(11*sec, 20*sec).neverBelow(50), asIs, Held, "lowest 50/s on orders/0"},
		{"rate, acknowledged twice", shop("rate").during(12*sec, 13*sec).atMost(100), func(x *twin) {
			x.change = func(r *fate) {
				if r.seq >= 1100 && r.seq < 1150 {
					r.again = source
				}
			}
		}, Held, "100/s"},

		// stalls
		{"producer's stall over the switch", shop("stall").atMost(0.6), asIs, Held, "500 ms on orders/0"},
		{"producer's stall over the switch", shop("stall").atMost(0.4), asIs, Broken, "500 ms on orders/0"},
		{"producer's stall at the target", shop("stall").atMost(1), func(x *twin) {
			x.change = func(r *fate) {
				if r.part == 1 && between(r.due, 14*sec, 16*sec) {
					r.ack, r.delivered[0].at = 16*sec, 16010*ms
				}
			}
		}, Broken, "1.99 s on orders/1, from 0:14"},
		{"group's stall over the switch", billing("stall").atMost(0.6), asIs, Held, "515 ms on orders/"},
		{"group's stall at the target", billing("stall").atMost(1), func(x *twin) {
			x.change = func(r *fate) {
				if r.part == 1 && between(r.due, 14*sec, 16*sec) {
					r.delivered[0].at = 16010 * ms
				}
			}
		}, Broken, "2.00 s on orders/1, from 0:14"},
		{"group's stall, what stayed at the source", billing("stall").after("away").atMost(1), func(x *twin) {
			// The source takes more, which nobody reads any more.
			just(func(r *fate) { r.again = source }, 1500)(x)
		}, Held, "0 ms"},
		{"group's stall in the copy", billing("stall").after("away").atMost(1), just(func(r *fate) { r.delivered[0].at = 20 * sec }, 998), Held, ""},

		// gauges
		{"lag", billing("lag").during(12*sec, 19*sec).atMost(2), asIs, Held, ""},
		{"lag at the target", billing("lag").during(12*sec, 19*sec).atMost(20), func(x *twin) {
			x.change = func(r *fate) {
				if r.topic == beyond && r.due > 13*sec {
					r.delivered = nil
				}
			}
		}, Broken, "580 at"},
		{"members", billing("members").during(11*sec, 19*sec).equals(1), asIs, Held, ""},
		{"members, a last generation at the source", billing("members").during(11*sec, 19*sec).equals(1), func(x *twin) {
			x.then = []moment{{10200 * ms, func(w *record.Writer) {
				w.Consumer("billing", 1).Assigned(8, []record.TopicPartition{{Topic: source}}, 10200*ms)
			}}}
		}, Held, ""},
		{"assignment", billing("assignment").during(11*sec, 19*sec).equals(4), asIs, Held, ""},
		{"rebalances", billing("rebalances").none(), asIs, Held, "0"},
		{"offline, copies too", of(plan.RefCluster, "west", "offline").none(), asIs, Held, ""},
		{"offline, copies too", of(plan.RefCluster, "west", "offline").none(), func(x *twin) {
			x.sample = func(s *record.Sample) {
				if s.Cluster == "west" {
					s.Partitions[0].Leader = -1
				}
			}
		}, Broken, "1 at 0:02"},
		{"under-replicated, copies too", of(plan.RefCluster, "west", "under_replicated").none(), func(x *twin) {
			x.sample = func(s *record.Sample) {
				if s.Cluster == "west" {
					s.Partitions[1].ISR = nil
				}
			}
		}, Broken, "1 at 0:02"},
		{"offline, the other cluster", of(plan.RefCluster, "east", "offline").none(), func(x *twin) {
			x.sample = func(s *record.Sample) {
				if s.Cluster == "west" {
					s.Partitions[0].Leader = -1
				}
			}
		}, Held, ""},

		// replay
		{"replayed, no phantom", reader("phantoms").none(), replays(0, 2, 4), Held, "0"},
		{"replayed, no duplicate", reader("duplicates").none(), replays(0, 2, 4), Held, "0"},
		{"replayed, for who reads both", reader("duplicates").none(), func(x *twin) {
			x.plan.Consumers[1].Topics = []string{"audit", source}
			replays(0, 2, 4)(x)
			x.then = []moment{{sec, func(w *record.Writer) {
				w.Consumer("reader", 1).Delivered(source, 0, 0, record.Identity{Run: 7, Member: 1}, sec)
			}}}
		}, Held, "0"},
		{"replayed, the source has none", orders("duplicates").none(), replays(0, 2, 4), Held, "0"},
		{"replayed twice", reader("duplicates").none(), replays(0, 2, 4, 2), Broken, "1"},
		{"replayed twice, in the log", of(plan.RefTopic, "audit", "duplicates").none(), replays(0, 2, 4, 2), Broken, "1"},
		{"replayed, in the log", of(plan.RefTopic, "audit", "duplicates").none(), replays(0, 2, 4), Held, "0"},
		{"replayed, never sent", reader("phantoms").none(), replays(0, 7000), Broken, "1"},
		{"replayed, nothing of it is missing", reader("missing").none(), replays(0, 2), Held, "0"},
	}
}

func TestFamilies(t *testing.T) {
	for _, tt := range twinCases() {
		x := newTwin()
		tt.change(x)
		got := x.judge(t, tt.claim.expect()).Claims[0]
		if got.Outcome != tt.want || !strings.HasPrefix(got.Measured, tt.says) {
			t.Errorf("%s: %s %v: got %s (%s), want %s (%s)", tt.name, tt.claim.Text, tt.claim.Bound, got.Outcome, got.Measured, tt.want, tt.says)
		}
	}
}
