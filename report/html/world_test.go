package html

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"starfall/interp/plan"
	"starfall/report"
	"starfall/runtime/judge"
	"starfall/runtime/record"
)

const (
	sec = time.Second
	ms  = time.Millisecond
)

// shape is a run to make up: restless, so that no curve is flat and no page
// smaller than that of a real run.
type shape struct {
	seconds    int
	partitions int
	every      time.Duration // a leader's broker is killed
	hostile    bool          // whatever a scenario may choose is markup
	cut        bool          // the run did not end in good order
}

// evil is what a page must show as it is.
const evil = `"'></script><script>document.title='owned'</script><img src=x onerror=alert(1)><!--`

func (x shape) text(harmless string) string {
	if x.hostile {
		return harmless + evil
	}
	return harmless
}

func (x shape) plan() *plan.Plan {
	undo := plan.Duration(10 * sec)
	at := func(n int) plan.Pos { return plan.Pos{File: "made-up.star", Line: n, Col: 1} }
	p := &plan.Plan{
		Format: plan.Format, Name: x.text("made-up"), Title: x.text("A run that is made up"), Doc: x.text("It never took place.") + "\n\nIt has two paragraphs.",
		Files: []plan.File{{Path: "made-up.star", Text: "\"\"\"A run that is made up.\n\nIt never took place.\n\"\"\"\n" +
			"# " + x.text("a comment") + "\nshop = producer(orders, rate = 1000)\nat(\"60s\", kill(\"" + x.text("leader") + "\"))\n" +
			strings.Repeat("expect(shop.rate.never_below(800))\n", 5)}},
		Scenario:  plan.Scenario{RunFor: plan.Duration(time.Duration(x.seconds) * sec), Warmup: plan.Duration(10 * sec), Drain: plan.Duration(30 * sec), Seed: 1},
		Params:    []plan.Param{{Pos: at(6), Name: "rate", Default: "500", Value: x.text("1000"), Help: x.text("records a second")}},
		Clusters:  []plan.Cluster{{Name: "kafka"}},
		Topics:    []plan.Topic{{Name: "orders", Cluster: "kafka", Partitions: x.partitions, Replicas: 3, MinInsync: 2}},
		Producers: []plan.Producer{{Pos: at(6), Name: "shop", Topic: "orders", Rate: 1000, Members: 1, Acks: "all", Size: 100, Partitioner: "round_robin"}},
		Consumers: []plan.Consumer{{Name: "billing", Topics: []string{"orders"}, Group: "billing", Members: 1, Start: "earliest"}},
		Alarms:    []plan.Alarm{{Name: x.text("slow"), Text: x.text("shop.rate.never_below(800)")}},
		Events: []plan.Event{
			{Pos: at(7), Name: "outage", Text: "kill", Trigger: plan.Trigger{Kind: plan.TriggerEvery},
				Actions: []plan.Action{{Verb: plan.Kill, Source: x.text("kill(leader)"), UndoAfter: &undo}}},
			{Pos: at(7), Name: "event-2", Text: "note", Actions: []plan.Action{{Verb: plan.Note, Source: x.text("note()")}}},
		},
	}
	for id := int32(1); id <= 3; id++ {
		p.Clusters[0].Nodes = append(p.Clusters[0].Nodes, plan.Node{ID: id, Role: plan.RoleCombined})
	}
	term := func(kind plan.RefKind, name, measure string, bound *plan.Bound) plan.Expr {
		return plan.Expr{Op: plan.OpTerm, Term: &plan.Term{Subject: plan.Ref{Kind: kind, Name: name}, Measure: measure, Bound: bound, Text: name + "." + measure}}
	}
	p.Claims = []plan.Claim{
		{Pos: at(8), Kind: plan.Expect, Text: x.text("shop.rate.never_below(800)"), Why: x.text("people wait"), Hint: x.text("wait"), Expr: term(plan.RefProducer, "shop", "rate", &plan.Bound{Op: plan.NeverBelow, Value: 800})},
		{Pos: at(9), Kind: plan.Expect, Text: x.text("shop.latency.at_most(10)"), Expr: term(plan.RefProducer, "shop", "latency", &plan.Bound{Op: plan.AtMost, Value: 60})},
		{Pos: at(10), Kind: plan.Expect, Text: x.text("billing.missing.none()"), Expr: term(plan.RefConsumer, "billing", "missing", &plan.Bound{Op: plan.None})},
		{Pos: at(11), Kind: plan.Report, Text: x.text("shop.rate"), Expr: term(plan.RefProducer, "shop", "rate", nil)},
	}
	return p
}

// recording plays the run. While a broker is down nothing is acknowledged for
// three seconds, and one record in a thousand never gets to the group.
func (x shape) recording(tb testing.TB) *record.Recording {
	tb.Helper()
	p := x.plan()
	w := record.NewMemory(p, record.Info{ID: 7, Engine: "embedded", Kafka: "3.9", Seed: 1, Tool: x.text("devel"), Speed: 1,
		Host: record.Host{OS: "linux", CPU: x.text("a processor"), CPUs: 2}, Configs: map[string]string{"kafka-1/log.dir": x.text("/data")}})
	noise := rand.New(rand.NewPCG(1, 2))
	end := time.Duration(x.seconds) * sec
	w.Event(record.Event{At: -sec, Kind: record.KindPhase, Phase: record.PhasePrepare})
	w.Event(record.Event{Kind: record.KindPhase, Phase: record.PhaseRun, What: "load average 0.1"})
	down := func(t time.Duration) (int32, time.Duration) {
		if x.every == 0 || t < x.every {
			return 0, 0
		}
		k := t / x.every
		return int32(k%3) + 1, t - k*x.every
	}
	for k := time.Duration(1); x.every > 0 && k*x.every < end; k++ {
		at, id := k*x.every, int32(k%3)+1
		planned := at
		who := []string{fmt.Sprintf("kafka-%d", id)}
		e := record.Event{Name: "outage", Occurrence: int(k) - 1, What: x.text("kill(leader)"), Targets: who}
		for _, s := range []struct {
			kind  record.Kind
			at    time.Duration
			proof string
		}{{record.KindFired, at, ""}, {record.KindEffect, at + 3*ms, x.text("process gone")}, {record.KindUndoing, at + 10*sec, ""}, {record.KindUndone, at + 11*sec, "registered"}} {
			e.At, e.Kind, e.Proof, e.Planned = s.at, s.kind, s.proof, nil
			if s.kind == record.KindFired {
				e.Planned = &planned
			}
			w.Event(e)
		}
		w.Event(record.Event{At: at + 2*sec, Kind: record.KindAlarmRaised, Name: p.Alarms[0].Name})
		w.Event(record.Event{At: at + 5*sec, Kind: record.KindAlarmCleared, Name: p.Alarms[0].Name})
	}
	w.Event(record.Event{At: 5 * sec, Kind: record.KindFired, Name: "event-2", What: x.text("note()")})
	w.Event(record.Event{At: 5 * sec, Kind: record.KindNote, Name: "event-2", What: x.text("so it goes")})

	shop, billing := w.Producer("shop", 1), w.Consumer("billing", 1)
	billing.Assigned(1, nil, -ms)
	shop.Due(0, 0, 1000, x.partitions)
	const batch = 50 * ms
	var held [][2]uint64 // batches that wait: first, n
	offsets := make([]int64, x.partitions)
	seq := uint64(0)
	looked := time.Duration(0)
	for at := time.Duration(0); at < end; at += batch {
		n := uint64(45 + noise.IntN(10))
		shop.Accepted(seq, int(n), at)
		held = append(held, [2]uint64{seq, n})
		seq += n
		if id, since := down(at); id == 0 || since > 3*sec {
			for _, h := range held {
				for k := range x.partitions {
					first := h[0] + (uint64(k)+uint64(x.partitions)-h[0]%uint64(x.partitions))%uint64(x.partitions)
					if first >= h[0]+h[1] {
						continue
					}
					count := int((h[0] + h[1] - first + uint64(x.partitions) - 1) / uint64(x.partitions))
					ack := at + batch + time.Duration(noise.IntN(40))*ms
					shop.AckedRun(first, uint64(x.partitions), count, int32(k), offsets[k], ack)
					if noise.IntN(1000) > 0 {
						billing.DeliveredRun("orders", int32(k), offsets[k], record.Identity{Run: 7, Member: 1, Seq: first}, uint64(x.partitions), count, ack+2*ms)
					}
					offsets[k] += int64(count)
				}
			}
			held = held[:0]
		}
		for ; looked <= at; looked += 200 * ms {
			s := record.Sample{At: looked, Cluster: "kafka", ActiveControllers: 1, Controller: 1}
			id, since := down(looked)
			dead := id > 0 && since < 11*sec
			for b := int32(1); b <= 3; b++ {
				s.Brokers = append(s.Brokers, record.BrokerState{ID: b, Alive: !dead || b != id})
			}
			for k := range x.partitions {
				leader, isr := int32(k%3)+1, []int32{1, 2, 3}
				if dead {
					isr = isr[:2]
					if leader == id {
						leader = leader%3 + 1
					}
				}
				s.Partitions = append(s.Partitions, record.PartitionState{Topic: "orders", Partition: int32(k), Leader: leader, ISR: isr, Replicas: []int32{1, 2, 3},
					MinInsync: 2, LogEnd: offsets[k], HighWater: offsets[k]})
			}
			w.Sample(s)
		}
		if at%(10*sec) == 0 {
			if err := w.Flush(); err != nil {
				tb.Fatal(err)
			}
		}
	}
	shop.End(seq, end)
	for k := range x.partitions {
		a := w.Audit("orders", int32(k), 0, offsets[k])
		a.Run(0, record.Identity{Run: 7, Member: 1, Seq: uint64(k)}, uint64(x.partitions), int(offsets[k]))
		a.Close(nil)
	}
	w.Event(record.Event{At: end, Kind: record.KindPhase, Phase: record.PhaseHeal})
	w.Event(record.Event{At: end + sec, Kind: record.KindPhase, Phase: record.PhaseAudit})
	if !x.cut {
		w.Event(record.Event{At: end + 2*sec, Kind: record.KindClosed})
	}
	return w.Recording()
}

// page makes the page of a run, with its verdict.
func (x shape) page(tb testing.TB) Page {
	tb.Helper()
	rec := x.recording(tb)
	v, err := judge.Judge(rec.Plan, rec)
	if err != nil {
		tb.Fatal(err)
	}
	return Page{Result: report.Result{Scenario: rec.Plan.Name, Folder: x.text("runs/made-up-1"), Verdict: v, Exit: v.Exit, Wall: 61 * sec}, Recording: rec}
}

func render(tb testing.TB, p Page) string {
	tb.Helper()
	var b bytes.Buffer
	if err := Run(&b, p); err != nil {
		tb.Fatal(err)
	}
	return b.String()
}

// tree is a page as a browser reads it.
type tree struct{ root *html.Node }

func parse(tb testing.TB, page string) tree {
	tb.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		tb.Fatal(err)
	}
	return tree{root}
}

// all gives the elements for which ok holds, in order.
func (t tree) all(ok func(*html.Node) bool) (out []*html.Node) {
	for n := range t.root.Descendants() {
		if n.Type == html.ElementNode && ok(n) {
			out = append(out, n)
		}
	}
	return out
}

func (t tree) tags(name string) []*html.Node {
	return t.all(func(n *html.Node) bool { return n.Data == name })
}

func (t tree) class(name string) []*html.Node {
	return t.all(func(n *html.Node) bool { return strings.Contains(" "+attr(n, "class")+" ", " "+name+" ") })
}

func attr(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

// text is what stands in an element, with single spaces.
func text(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}
