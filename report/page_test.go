package report

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares with testdata/name.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

// narrow wants every line to fit.
func narrow(t *testing.T, text []byte) {
	t.Helper()
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if n := utf8.RuneCountInString(line); n > Width {
			t.Errorf("got a line of %d characters, want at most %d: %s", n, Width, line)
		}
		if strings.TrimRight(line, " ") != line {
			t.Errorf("got spaces at the end of a line: %q", line)
		}
	}
}

func failover() page {
	return page{
		title:   "One of three brokers dies under load; the senders must not notice for long.",
		context: "embedded · kafka 3.9 · 90s · seed 1",
		timeline: []timelineRow{
			{"0:30.003", "kill(orders.leader(partition = 0)) → kafka-2", "process gone, port closed", "+3 ms"},
			{"0:38.912", "kafka-2 fenced; 4 partitions elected new leaders", "", ""},
			{"1:00.004", "start kafka-2", "registered after 1.9 s", "+1.90 s"},
			{"1:03.100", "all partitions fully replicated", "", ""},
		},
		phases: []phaseRow{
			{"before", "0:10", "1000", "1000", "996", "4 ms", "11 ms", "–", ""},
			{"outage", "0:30", "1000", "703", "0", "5 ms", "8.70 s", "8.71 s", "all 6 partitions"},
			{"after", "1:00", "1000", "1297", "998", "4 ms", "14 ms", "–", ""},
		},
		claims: []claimRow{
			{markPass, "billing.missing.none()", "0 of 90 000", "failover.star:34", nil},
			{markFail, "shop.rate.never_below(floor)", "0/s at 0:31, 1 s after kill(kafka-2); below 800 for 8 s", "failover.star:32",
				[]string{"acks=all waits for kafka-2 until the controller fences it: broker.session.timeout.ms is 9000. starfall doc stall"}},
			{markOpen, "assume shop.rate.before(outage).per(\"5s\").never_below(0.9 * rate)", "no data", "failover.star:30", nil},
		},
		reports: []reportRow{{"shop.stall.during(outage)", "8.71 s on orders/3, from 0:30.2"}},
		verdict: "FAIL",
		summary: "1 of 3 expectations held",
		folder:  "runs/failover-20261124-073100",
	}
}

func TestPage(t *testing.T) {
	long := failover()
	long.folder = "/home/somebody/with/a/long/way/to/his/experiments/runs/failover-20261124-073100/03-acks=all"
	long.claims[0].text = "both(" + strings.Repeat(`no(shop.rate.during("30s", "60s").per("5s").never_below(800)), `, 3) + "billing.missing.none())"
	long.timeline[0].what = "netsplit([" + strings.Repeat("kafka.broker(1), ", 12) + "shop]) → kafka-1"
	long.verdict, long.summary = "INCONCLUSIVE", "the machine missed more than 1 % of the schedule"
	long.reasons = []string{"shop: 3.4 % of its records were offered more than 100 ms late; lower the speed with --speed 5, or the rate"}
	empty := page{title: "A title", context: "embedded · 20s · seed 1", verdict: "PASS", summary: "1 of 1 expectation held", folder: "runs/x"}
	for _, tt := range []struct {
		name string
		page page
	}{{"page-failover.txt", failover()}, {"page-long.txt", long}, {"page-short.txt", empty}} {
		var b bytes.Buffer
		if err := tt.page.write(&b); err != nil {
			t.Fatal(err)
		}
		narrow(t, b.Bytes())
		golden(t, tt.name, b.Bytes())
		// Colour adds escapes and nothing else.
		painted := paint(b.Bytes())
		if got := regexp.MustCompile("\x1b\\[[0-9]+m").ReplaceAll(painted, nil); !bytes.Equal(got, b.Bytes()) {
			t.Errorf("%s: got other text with colour than without", tt.name)
		}
		if bytes.Equal(painted, b.Bytes()) {
			t.Errorf("%s: got no colour", tt.name)
		}
	}
}

func TestSweepPage(t *testing.T) {
	p := sweepPage{
		title:    "Which settings lose acknowledged records?",
		context:  "embedded · kafka 3.9 · 90s · seed 1",
		params:   []string{"acks", "min_insync"},
		measures: []string{"orders.in_sync.during(alone)", "orders.lost", "shop.unknown", "shop.stall", "orders.unclean_elections"},
		rows: []sweepRow{
			{[]string{"1", "1"}, "FAIL 3 of 3", []string{"1", "4460 (4431–4477)", "0", "27.7 s (10.9 s–27.7 s)", "0"}, []string{"orders.lost.none()  3 of 3: 4460 of 45 000, first orders/0 at 17 s"}},
			{[]string{"all", "1"}, "PASS 3 of 3", []string{"1", "0", "0", "8.50 s", "0"}, nil},
			{[]string{"all", "2"}, "PASS 2 of 3, INCONCLUSIVE 1", []string{"1", "0", "–", "8.10 s (8.00 s–9.20 s)", "0"}, []string{"shop.late: 2 % of the schedule was missed"}},
		},
		verdict: "FAIL",
		summary: "5 of 9 runs passed",
		folder:  "runs/jepsen-20261124-073100",
	}
	var b bytes.Buffer
	if err := p.write(&b); err != nil {
		t.Fatal(err)
	}
	narrow(t, b.Bytes())
	golden(t, "sweep.txt", b.Bytes())

	p.measures = nil
	for i := range p.rows {
		p.rows[i].values, p.rows[i].broken = nil, nil
	}
	b.Reset()
	if err := p.write(&b); err != nil {
		t.Fatal(err)
	}
	narrow(t, b.Bytes())
	golden(t, "sweep-bare.txt", b.Bytes())
}
