package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/judge"
)

func at(s float64) *judge.Seconds {
	x := judge.Seconds(s * 1e9)
	return &x
}

func num(x float64) *float64 { return &x }

func pos(line int) plan.Pos { return plan.Pos{File: "failover.star", Line: line, Col: 1} }

// lost is a run with something of everything.
func lost() Result {
	offset, partition := int64(812), int32(3)
	kill := `kill(orders.leader(partition = 0), restart_after = "30s") → kafka-2`
	v := &judge.Verdict{
		Result: judge.Fail, Exit: 1, Title: "Failover under load", Name: "failover", Engine: "embedded", Kafka: "3.9",
		Seed: 1, Speed: 10, RunFor: *at(90), LoadEnded: *at(90), Held: 1, Expected: 3,
		Timeline: []judge.Row{
			{At: *at(30.003), Planned: at(30), Kind: "fired", Text: kill, Proof: "process gone, port refuses"},
			{At: *at(38.912), Kind: "cluster", Text: "kafka-2 fenced"},
			{At: *at(38.95), Kind: "election", Text: "orders/0: leader 3", Proof: "and 1 more"},
			{At: *at(60.004), Kind: "undoing", Text: kill, Proof: "registered after 1.9 s, port answers"},
			{At: *at(70), Kind: "unproved", Text: "netsplit(east, west)", Error: "a probe still passes"},
			{At: *at(71), Planned: at(71), Kind: "fired", Text: `tool("kafka-topics", "--describe")`, Proof: "exit code 1: Error: no such option", File: "logs/tools/01-kafka-topics.txt"},
			{At: *at(72), Planned: at(72), Kind: "fired", Text: `tool("kafka-configs")`, Proof: "exit code 0: Dynamic configs", File: "logs/tools/02-kafka-configs.txt"},
			{At: *at(73), Kind: "denied", Text: "shop-1 was denied by kafka", Proof: "Not authorized to access topics: [orders]"},
			{At: *at(74), Planned: at(74), Kind: "fired", Text: "fail_over(shop, billing, to = copy)", Proof: "shop and billing are at dc2"},
			{At: *at(75), Kind: "undoing", Text: `reroute(shop, via = london, restore_after = "5s")`, Proof: "shop goes straight"},
			{At: *at(91), Kind: "compared", Text: "mirror copy against its source", Proof: "records identical (9 000); offsets differ: 12 of 9 000, first: orders/1 at 7"},
		},
		Phases: []judge.Phase{
			{Name: "before", Producer: "shop", From: *at(10), To: *at(30), Sent: 1000, Acked: 999.6, Worst: num(996), P50: at(0.004), P99: at(0.011)},
			{Name: "outage", Producer: "shop", From: *at(30), To: *at(60), Sent: 1000, Acked: 703, Worst: num(0), P50: at(0.005), P99: at(8.7), Stall: *at(8.71), StallOn: "all 6 partitions"},
		},
		Claims: []judge.Claim{
			{Kind: plan.Assume, Text: "shop.late.at_most(0.01)", Pos: pos(28), Outcome: judge.Held, Measured: "0.0 %"},
			{Kind: plan.Expect, Text: "billing.missing.none()", Pos: pos(30), Outcome: judge.Broken, Wanted: "none", Measured: "12 of 90 000",
				Witnesses: []judge.Witness{{Producer: "shop", Member: 1, Seq: 4711, Topic: "orders", Partition: partition, Offset: &offset}},
				Advice:    "acks=1 is the leader's word alone", Topic: "acks"},
			{Kind: plan.Expect, ID: "fast", Text: `shop.stall.during(outage).at_most("5s")`, Pos: pos(31), Outcome: judge.Broken, Wanted: "at most 5.00 s",
				Measured: "8.71 s on orders/3, from 0:31", Where: &judge.Where{At: at(31), Event: kill, EventAt: at(30.003)}, Hint: "look at acks"},
			{Kind: plan.Expect, Text: "kafka.under_replicated.at_end().none()", Pos: pos(32), Outcome: judge.Held, Measured: "highest 0"},
			{Kind: plan.Expect, Text: `copy.identical("records").equals(True)`, Pos: pos(35), Outcome: judge.Held, Measured: "identical, 9 000 compared", Value: num(1), Unit: plan.UnitTruth},
			{Kind: plan.Expect, Text: `copy.identical("offsets").equals(True)`, Pos: pos(36), Outcome: judge.Broken, Wanted: "identical", Measured: "differs: orders/1 at 7: 9 in the copy (12 of 9 000)", Value: num(0), Unit: plan.UnitTruth},
			{Kind: plan.Report, Text: "billing.state_size.max", Pos: pos(37), Outcome: judge.Tabulated, Measured: "1.2 MB", Value: num(1.2 * (1 << 20)), Unit: plan.UnitBytes},
			{Kind: plan.Report, Text: "shop.latency.p99", Pos: pos(33), Outcome: judge.Tabulated, Measured: "8.70 s", Value: num(8.7), Unit: plan.UnitSeconds},
			{Kind: plan.Report, Text: `shop.rate.by("member")`, Pos: pos(34), Outcome: judge.Tabulated, Measured: "900/s", Value: num(900), Unit: plan.UnitRate,
				Values: []judge.Value{{Label: "shop-1", Value: num(450), Text: "450/s"}, {Label: "shop-2", Value: num(450), Text: "450/s"}}},
		},
		Reasons: []judge.Reason{
			{Result: judge.Inconclusive, Text: "shop: the machine offered 2.7 % of the records late", Advice: "lower the rate, or --speed"},
			{Result: judge.Fail, Text: "billing.missing.none(): 12 of 90 000", Pos: &plan.Pos{File: "failover.star", Line: 30, Col: 1}},
		},
	}
	return Result{Scenario: "failover", Folder: "runs/failover-20261124-073100", Wall: 9300 * time.Millisecond, Exit: 1, Verdict: v}
}

func TestText(t *testing.T) {
	broken := lost()
	broken.Error, broken.Exit = "audit: connection refused", 4
	interrupted := lost()
	v := *interrupted.Verdict
	v.Interrupted, v.LoadEnded = true, *at(42)
	interrupted.Verdict, interrupted.Exit = &v, 130
	for _, tt := range []struct {
		name string
		r    Result
	}{
		{"text-fail.txt", lost()},
		{"text-error.txt", broken},
		{"text-interrupted.txt", interrupted},
		{"text-nothing.txt", Result{Scenario: "x", Folder: "runs/x", Error: "up: no", Exit: 4}},
	} {
		var b bytes.Buffer
		if err := Text(&b, tt.r, Options{}); err != nil {
			t.Fatal(err)
		}
		narrow(t, b.Bytes())
		golden(t, tt.name, b.Bytes())
	}
}

// sweep is two cells, the first run three times.
func sweep() []Result {
	var out []Result
	for i, value := range []float64{4460, 4431, 4477} {
		out = append(out, cellResult("1", i+1, judge.Fail, value))
	}
	return append(out, cellResult("all", 1, judge.Pass, 0), cellResult("all", 2, judge.Inconclusive, 0), cellResult("all", 3, judge.Pass, 0))
}

func cellResult(acks string, repeat int, result judge.Result, lost float64) Result {
	v := &judge.Verdict{Result: result, Exit: result.Exit(), Title: "Which settings lose records?", Name: "jepsen", Engine: "embedded",
		Seed: 1, RunFor: *at(90), Expected: 1,
		Claims: []judge.Claim{
			{Kind: plan.Expect, Text: "orders.lost.none()", Pos: pos(9), Outcome: judge.Held},
			{Kind: plan.Report, Text: "orders.lost", Pos: pos(10), Outcome: judge.Tabulated, Measured: judge.Number(lost), Value: &lost, Unit: plan.UnitCount},
		}}
	switch result {
	case judge.Fail:
		v.Claims[0].Outcome = judge.Broken
		where := pos(9)
		v.Reasons = []judge.Reason{{Result: result, Pos: &where, Text: "orders.lost.none(): " + judge.Number(lost) + " of 45 000"}}
	case judge.Inconclusive:
		v.Reasons = []judge.Reason{{Result: result, Text: "shop: the machine offered 2.7 % of the records late"}}
	}
	return Result{Scenario: "jepsen", Params: []Param{{"acks", acks}}, Repeat: repeat, Folder: "runs/jepsen-1/" + acks, Exit: result.Exit(), Verdict: v}
}

func TestTable(t *testing.T) {
	var b bytes.Buffer
	if err := Table(&b, sweep(), Options{}); err != nil {
		t.Fatal(err)
	}
	narrow(t, b.Bytes())
	golden(t, "table.txt", b.Bytes())
}

// wide is a sweep that needs every way to fit: parameters with long values, one
// that is the same throughout, titles that are too tall, a title said in a loop,
// measures of every kind.
func wide(repeats int) []Result {
	inf := func(text string, unit plan.Unit) judge.Claim {
		return judge.Claim{Text: "home.recovered", Outcome: judge.Tabulated, Measured: text, Unit: unit}
	}
	var out []Result
	for row, way := range []string{"readers first", "writers first, after ten seconds", "both"} {
		for n := range max(repeats, 1) {
			x := float64(row*10 + n)
			say := func(text string, v float64, unit plan.Unit, measured string) judge.Claim {
				return judge.Claim{Text: text, Outcome: judge.Tabulated, Measured: measured, Value: &v, Unit: unit}
			}
			identical, text := 1.0, "identical, 9 000 compared"
			if row == 1 && n != 1 {
				identical, text = 0, "differs: orders/1 at 7: 9 in the copy (12 of 9 000)"
			}
			claims := []judge.Claim{
				say("shop.stall", 0.5+x, plan.UnitSeconds, "8.71 s on orders/3, from 0:31"),
				say("billing.stall.outside(away).by(\"all\")", x/10, plan.UnitSeconds, "1 s"),
				say("both(billing.missing.during(cut).by(\"partition\"), shop.unknown.during(cut, home.end + ten_seconds).per(\"5s\"))", x, plan.UnitCount, "3"),
				say("copy.identical(\"records\")", identical, plan.UnitTruth, text),
				say("billing.state_size.max", (1+x)*1000, plan.UnitBytes, "1 000 B"),
				say("c.rate", 900+x, plan.UnitRate, "900/s"),
				say("c.rate", 100+x, plan.UnitRate, "100/s"),
				{Text: "shop.rate.by(\"member\")", Outcome: judge.Tabulated, Measured: "shop-1 450/s, shop-2 440/s", Unit: plan.UnitRate,
					Values: []judge.Value{{Label: "shop-1", Value: num(450 + x), Text: "450/s"}, {Label: "shop-2", Value: num(440), Text: "440/s"}}},
				inf("never not by the end of the run", plan.UnitSeconds),
				{Text: "billing.members", Outcome: judge.NoData, Measured: "no sample in the window", Unit: plan.UnitCount},
				say("east.under_replicated", 1.2, plan.UnitCount, "0 to 3, mean 1.2"),
			}
			for i := range claims {
				claims[i].Kind, claims[i].Pos = plan.Report, pos(20+i)
			}
			v := &judge.Verdict{Result: judge.Pass, Title: "In which order is it best to fail over?", Name: "away", Engine: "embedded", Kafka: "3.9", Seed: 1, RunFor: *at(60), Claims: claims}
			r := Result{Scenario: "away", Folder: fmt.Sprintf("runs/away-1/%d-%d", row, n), Verdict: v,
				Params: []Param{{"way", way}, {"rename", "{cluster}.{topic}"}, {"sync_offsets_every", "5s"}, {"acks", []string{"1", "all", "all"}[row]},
					{"session_timeout", []string{"6s", "6s", "45s"}[row]}, {"min_insync", []string{"1", "2", "2"}[row]}}}
			if repeats > 1 {
				r.Repeat = n + 1
			}
			if row == 2 && n == 0 {
				v.Result = judge.Fail
				v.Reasons = []judge.Reason{{Result: judge.Fail, Text: "billing.missing.none(): 12 of 90 000"}}
			}
			out = append(out, r)
		}
	}
	return out
}

func TestWideTable(t *testing.T) {
	for _, tt := range []struct {
		name    string
		results []Result
	}{{"table-wide.txt", wide(3)}, {"table-wide-once.txt", wide(1)}} {
		var plain, coloured bytes.Buffer
		if err := Table(&plain, tt.results, Options{}); err != nil {
			t.Fatal(err)
		}
		narrow(t, plain.Bytes())
		golden(t, tt.name, plain.Bytes())
		if err := Table(&coloured, tt.results, Options{Color: true}); err != nil {
			t.Fatal(err)
		}
		if got := regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(coloured.String(), ""); got != plain.String() {
			t.Errorf("%s: with colour other text:\n%s", tt.name, got)
		}
	}
}

func TestWorse(t *testing.T) {
	for _, tt := range []struct{ a, b, want int }{
		{0, 1, 1}, {1, 0, 1}, {1, 3, 3}, {3, 5, 5}, {5, 4, 4}, {4, 130, 130}, {0, 0, 0}, {3, 1, 3},
	} {
		if got := Worse(tt.a, tt.b); got != tt.want {
			t.Errorf("Worse(%d, %d): got %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

func TestJSON(t *testing.T) {
	var b bytes.Buffer
	if err := JSON(&b, append([]Result{lost()}, sweep()...)); err != nil {
		t.Fatal(err)
	}
	golden(t, "runs.json", b.Bytes())
	var doc struct {
		Format, Exit int
		Runs         []struct{ Verdict judge.Verdict }
	}
	if err := json.Unmarshal(b.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Format != JSONFormat || doc.Exit != 3 || len(doc.Runs) != 7 {
		t.Errorf("got format %d, exit %d and %d runs, want %d, 3 and 7", doc.Format, doc.Exit, len(doc.Runs), JSONFormat)
	}
	if got := doc.Runs[0].Verdict.Claims[2].Text; got != lost().Verdict.Claims[2].Text {
		t.Errorf("got claim %s, want it as written", got)
	}
}

func TestJUnit(t *testing.T) {
	failed := Result{Scenario: "x", Folder: "runs/x", Error: "up: no", Exit: 4}
	var b bytes.Buffer
	if err := JUnit(&b, append([]Result{lost(), failed}, sweep()...)); err != nil {
		t.Fatal(err)
	}
	golden(t, "junit.xml", b.Bytes())
	var doc struct {
		Failures int `xml:"failures,attr"`
		Errors   int `xml:"errors,attr"`
		Suites   []struct {
			Failures int `xml:"failures,attr"`
			Errors   int `xml:"errors,attr"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(b.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	// Whatever is not PASS has a failure or an error in its suite.
	for i, r := range append([]Result{lost(), failed}, sweep()...) {
		red := doc.Suites[i].Failures+doc.Suites[i].Errors > 0
		if red == (r.Word() == judge.Pass) {
			t.Errorf("suite %d: got failures %v with verdict %s", i, red, r.Word())
		}
	}
	if doc.Failures != 6 {
		t.Errorf("got %d failures, want 6", doc.Failures)
	}
}

func TestPlanText(t *testing.T) {
	p := &plan.Plan{
		Name: "failover", Title: "Failover under load", Doc: "A broker dies.\n\nIt comes back.",
		Scenario: plan.Scenario{RunFor: plan.Duration(90 * time.Second), Seed: 1},
		Params:   []plan.Param{{Name: "rate", Default: "1000", Value: "2000", Help: "messages per second"}, {Name: "acks", Default: `"all"`, Value: `"all"`, Choices: []string{`"1"`, `"all"`}}},
		Sites:    []plan.Site{{Name: "east", Pos: pos(3)}, {Name: "west", Pos: pos(4)}},
		Links:    []plan.Link{{A: "east", B: "west", Pos: pos(5), Condition: plan.Condition{Latency: plan.Duration(20 * time.Millisecond), Jitter: plan.Duration(2 * time.Millisecond), Loss: 0.01, Bandwidth: 10 << 20}}},
		Clusters: []plan.Cluster{{Name: "kafka", Pos: pos(6), Version: "3.9.1", Config: map[string]string{"log.dir": "/x", "broker.rack": "r"},
			Nodes: []plan.Node{{ID: 1, Role: plan.RoleBroker, Site: "east"}, {ID: 2, Role: plan.RoleBroker, Site: "west"}, {ID: 101, Role: plan.RoleController, Site: "east"}}}},
		Topics: []plan.Topic{{Name: "orders", Cluster: "kafka", Partitions: 1, Replicas: 2, MinInsync: 1, Placement: map[int][]int32{0: {1, 2}}, Pos: pos(7)}},
		Producers: []plan.Producer{{Name: "shop", Topic: "orders", Rate: 1000, Members: 2, Acks: "all", Idempotent: true, Keys: 10, Size: 100, Partitioner: "hash", Site: "east", Pos: pos(8)},
			{Name: "flood", Topic: "orders", MaxRate: true, Members: 1, Acks: "0", Size: 100, Partitioner: "random", Site: "west", Pos: pos(9)}},
		Consumers: []plan.Consumer{{Name: "billing", Topics: []string{"orders"}, Group: "billing", Members: 1, Start: "earliest", Commit: "after", CommitEvery: plan.Duration(time.Second), Assignor: "range", Site: "east", Pos: pos(10)}},
		Alarms:    []plan.Alarm{{Name: "slow", Text: "shop.rate.never_below(800)", Lasting: plan.Duration(2 * time.Second), Pos: pos(11)}},
		Events: []plan.Event{
			{Name: "a", Text: "when(no(shop.rate.never_below(1)), note(\"x\"))", Trigger: plan.Trigger{Kind: plan.TriggerWhen}, Pos: pos(12)},
			{Name: "b", Text: `at("60s", note("late"))`, Trigger: plan.Trigger{Kind: plan.TriggerAt, At: plan.Instant{Offset: plan.Duration(60 * time.Second)}}, Pos: pos(13)},
			{Name: "c", Text: `every("10s", note("often"), first = "5s")`, Trigger: plan.Trigger{Kind: plan.TriggerEvery, At: plan.Instant{Offset: plan.Duration(5 * time.Second)}}, Pos: pos(14)},
			{Name: "d", Text: `at(b.end - second, heal_all())`, Trigger: plan.Trigger{Kind: plan.TriggerAt, At: plan.Instant{Event: "b", Edge: plan.End, Offset: plan.Duration(-time.Second)}}, Pos: pos(15)},
		},
		Claims: []plan.Claim{{Kind: plan.Expect, ID: "x", Text: "shop.rate.never_below(800)", Pos: pos(16)}, {Kind: plan.Rule, Text: "orders.partitions.equals(1)", Pos: pos(17)}},
	}
	p.Clusters = append(p.Clusters, plan.Cluster{Name: "dc2", Pos: pos(18), Nodes: []plan.Node{{ID: 1, Role: plan.RoleCombined, Site: "west"}}})
	p.Topics = append(p.Topics,
		plan.Topic{Name: "dc2/kafka.orders", Kafka: "kafka.orders", Origin: plan.Mirrored, Of: "orders", Mirror: "copy", Cluster: "dc2", Partitions: 1},
		plan.Topic{Name: "dc2/orders", Kafka: "orders", Origin: plan.FailedTo, Of: "orders", Mirror: "copy", Cluster: "dc2", Partitions: 1})
	p.Mirrors = []plan.Mirror{{Name: "copy", Topics: []string{"orders"}, From: "kafka", To: "dc2", Site: "west", Rename: plan.RenameDefault,
		SyncOffsetsEvery: plan.Duration(5 * time.Second), Pos: pos(19)}}
	p.Users = []plan.User{{Name: "bob", Cluster: "kafka", Pos: pos(20), Rights: []plan.ACL{{Operation: "Read", Resource: "topic", Name: "orders"}, {Operation: "Read", Resource: "group", Name: "b", Prefix: true}}},
		{Name: "eve", Cluster: "kafka", Pos: pos(21)}}
	p.Producers[0].Owns = true
	p.Consumers[0].User, p.Consumers[0].Dedup = "bob", &plan.Dedup{Kind: "high_water", Per: "partition"}
	p.Consumers = append(p.Consumers, plan.Consumer{Name: "copy", Topics: []string{"dc2/kafka.orders"}, Members: 1, Observes: "copy", Pos: pos(19)})
	var b bytes.Buffer
	if err := Plan(&b, p); err != nil {
		t.Fatal(err)
	}
	narrow(t, b.Bytes())
	golden(t, "plan.txt", b.Bytes())
	if strings.Contains(b.String(), "consumer copy") {
		t.Errorf("got the mirror's observer among the clients")
	}
	if !strings.Contains(b.String(), "b.end - 1s") {
		t.Errorf("got no instant after an event, want b.end - 1s")
	}
}
