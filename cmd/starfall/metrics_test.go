package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"starfall/runtime/embedded"
)

// observed breaks a broker for half of the time, and its alarm is raised
// from the end of the warm-up on, since nobody sends that much.
const observed = `
scenario(run_for = "30s", warmup = "2s")
kafka = cluster(brokers = 3)
orders = topic(kafka, partitions = 3, replicas = 3, min_insync = 2)
shop = producer(orders, rate = 200)
billing = consumer(orders, group = "billing")
greedy = alarm(shop.rate.never_below(1000))
at("6s", kill(kafka.broker(2), restart_after = "15s"))
expect(billing.missing.none())
`

// output is a stream that can be read while it is written.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// endpoint is what stderr says about where metrics are.
var endpoint = regexp.MustCompile(`(?m)^metrics at (http://\S+)$`)

// scrapeAll runs the command and scrapes it for as long as it serves. Once a
// scrape has until, when that is not empty, the command is interrupted.
func scrapeAll(t *testing.T, until string, args ...string) (code int, scrapes []string, stderr string) {
	t.Helper()
	var errs output
	interrupt := make(chan os.Signal, 1)
	ended := make(chan int, 1)
	go func() {
		ended <- run(t.Context(), env{
			args: args, stdin: strings.NewReader(""), stdout: io.Discard, stderr: &errs,
			getenv: func(string) string { return "" }, now: time.Now,
			terminal:   func(io.Writer) bool { return false },
			interrupts: func() <-chan os.Signal { return interrupt },
		})
	}()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		select {
		case code = <-ended:
			if m := endpoint.FindStringSubmatch(errs.String()); m != nil {
				if resp, err := http.Get(m[1]); err == nil {
					resp.Body.Close()
					t.Error("the endpoint is still there when the command has ended")
				}
			}
			return code, scrapes, errs.String()
		case <-again.C:
		}
		m := endpoint.FindStringSubmatch(errs.String())
		if m == nil {
			continue
		}
		resp, err := http.Get(m[1])
		if err != nil {
			continue // it ends just now
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			continue
		}
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("got status %s: %s", resp.Status, body)
		}
		scrapes = append(scrapes, string(body))
		if until != "" && strings.Contains(string(body), until) {
			interrupt <- os.Interrupt
			until = ""
		}
	}
}

func families(t *testing.T, text string) map[string]*dto.MetricFamily {
	t.Helper()
	p := expfmt.NewTextParser(model.LegacyValidation)
	out, err := p.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return out
}

// key names a series.
func seriesKey(name string, m *dto.Metric) string {
	var labels []string
	for _, l := range m.Label {
		labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
	}
	return name + "{" + strings.Join(labels, ",") + "}"
}

// TestMetricsOfARun scrapes a run on the embedded engine from its beginning to
// its end, as Prometheus would, and holds what it got to the rules of the
// format and to what happened.
func TestMetricsOfARun(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "observed.star")
	if err := os.WriteFile(file, []byte(observed), 0o666); err != nil {
		t.Fatal(err)
	}
	code, scrapes, stderr := scrapeAll(t, "", "run", file, "--metrics", "127.0.0.1:0", "--out", filepath.Join(dir, "runs"))
	if code != exitOK && code != 3 { // a busy machine changes nothing here
		t.Fatalf("got exit code %d\n%s", code, stderr)
	}
	if len(scrapes) < 20 {
		t.Fatalf("got %d scrapes, want many", len(scrapes))
	}
	counters := map[string]float64{}
	count := func(at int, k string, v float64) {
		if v < counters[k] {
			t.Errorf("scrape %d: %s fell from %g to %g", at, k, counters[k], v)
		}
		counters[k] = v
	}
	const fault = `starfall_fault_active{fault="kill(kafka.broker(2), restart_after = \"15s\") → kafka-2"}`
	var faults, alarms, isr, phases []string
	note := func(list *[]string, v string) {
		if n := len(*list); n == 0 || (*list)[n-1] != v {
			*list = append(*list, v)
		}
	}
	for i, text := range scrapes {
		gauges := map[string]float64{}
		for name, f := range families(t, text) {
			for _, m := range f.Metric {
				k := seriesKey(name, m)
				switch f.GetType() {
				case dto.MetricType_COUNTER:
					count(i, k, m.Counter.GetValue())
				case dto.MetricType_GAUGE:
					gauges[k] = m.Gauge.GetValue()
				case dto.MetricType_HISTOGRAM:
					h := m.Histogram
					count(i, k+" count", float64(h.GetSampleCount()))
					count(i, k+" sum", h.GetSampleSum())
					last := uint64(0)
					for _, b := range h.Bucket {
						if b.GetCumulativeCount() < last {
							t.Errorf("scrape %d: bucket %g has %d, the one before it %d", i, b.GetUpperBound(), b.GetCumulativeCount(), last)
						}
						last = b.GetCumulativeCount()
						count(i, fmt.Sprintf("%s le %g", k, b.GetUpperBound()), float64(last))
					}
					if last > h.GetSampleCount() {
						t.Errorf("scrape %d: got %d within the last bucket of %d", i, last, h.GetSampleCount())
					}
				default:
					t.Errorf("scrape %d: %s has the type %s", i, name, f.GetType())
				}
			}
		}
		for k, v := range gauges {
			if strings.HasPrefix(k, "starfall_run_phase") && v == 1 {
				note(&phases, k)
			}
		}
		broken := "none"
		for k, v := range gauges {
			if strings.HasPrefix(k, "starfall_fault_active") {
				broken = fmt.Sprintf("%s %g", k, v)
			}
		}
		note(&faults, broken)
		if v, ok := gauges[`starfall_alarm_active{alarm="greedy"}`]; ok {
			note(&alarms, fmt.Sprint(v))
		}
		if v, ok := gauges[`starfall_partition_isr_replicas{partition="0",topic="orders"}`]; ok {
			note(&isr, fmt.Sprint(v))
		}
	}
	wantSeen(t, "faults", faults, "none", fault+" 1", "none")
	wantSeen(t, "alarm", alarms, "0", "1")
	// A busy machine may let a replica fall behind once more.
	if n := len(isr); n < 3 || isr[0] != "3" || !slices.Contains(isr, "2") || isr[n-1] != "3" {
		t.Errorf("in-sync replicas: got %v one after the other, want 3, 2, and 3 at the end", isr)
	}
	if !slices.Contains(phases, `starfall_run_phase{phase="run"}`) || phases[0] == `starfall_run_phase{phase="run"}` {
		t.Errorf("got phases %v, want run, and one before it", phases)
	}
	last := scrapes[len(scrapes)-1]
	for _, want := range []string{
		`starfall_run_info{engine="embedded",kafka="` + embedded.KafkaVersion + `",scenario="observed",seed="1"} 1`,
		"starfall_run_speed_ratio 10", `starfall_consumer_group_state{consumer="billing",state="Stable"} 1`,
	} {
		if !slices.ContainsFunc(scrapes, func(s string) bool { return strings.Contains(s, want+"\n") }) {
			t.Errorf("got as the last scrape\n%s\nwant %s in one of them", last, want)
		}
	}
	if n := counters[`starfall_producer_records_acked_total{producer="shop"}`]; n < 4000 || n > 6000 {
		t.Errorf("got %g records acknowledged, want nearly 200 a second for 30 s", n)
	}
	problems, err := promlint.New(strings.NewReader(last)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func wantSeen(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %v one after the other, want %v", what, got, want)
	}
}

// TestMetricsOfASweep: the cells of a sweep are told apart, also side by side.
func TestMetricsOfASweep(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "small.star")
	source := `
scenario(run_for = "8s", warmup = "1s")
rate = param("rate", 10)
kafka = cluster(brokers = 1)
orders = topic(kafka)
shop = producer(orders, rate = rate)
`
	if err := os.WriteFile(file, []byte(source), 0o666); err != nil {
		t.Fatal(err)
	}
	_, scrapes, stderr := scrapeAll(t, "", "run", file, "--metrics", "localhost:0", "--out", filepath.Join(dir, "runs"), "--sweep", "rate=10,20", "--jobs", "2")
	cells := map[string]bool{}
	together := false
	for _, text := range scrapes {
		here := map[string]bool{}
		for name, f := range families(t, text) {
			for _, m := range f.Metric {
				i := slices.IndexFunc(m.Label, func(l *dto.LabelPair) bool { return l.GetName() == "cell" })
				if i < 0 {
					t.Fatalf("%s: got no label cell", seriesKey(name, m))
				}
				here[m.Label[i].GetValue()] = true
				cells[m.Label[i].GetValue()] = true
			}
		}
		together = together || len(here) == 2
	}
	if len(cells) != 2 || !cells["rate=10"] || !cells["rate=20"] || !together {
		t.Errorf("got cells %v, together %v; want both at one time\n%s", cells, together, stderr)
	}
}

// TestMetricsOfUp: clusters that are held tell of nodes, partitions and faults.
func TestMetricsOfUp(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "held.star")
	source := `
scenario(run_for = "60s", warmup = "1s")
kafka = cluster(brokers = 2)
orders = topic(kafka, partitions = 2, replicas = 2)
at("1s", kill(kafka.broker(2)))
`
	if err := os.WriteFile(file, []byte(source), 0o666); err != nil {
		t.Fatal(err)
	}
	const fault = `starfall_fault_active{fault="kill(kafka.broker(2)) → kafka-2"} 1`
	code, scrapes, stderr := scrapeAll(t, fault, "up", file, "--timeline", "--speed", "5", "--metrics", "127.0.0.1:0")
	if code != exitOK {
		t.Fatalf("got exit code %d\n%s", code, stderr)
	}
	for _, want := range []string{
		fault, `starfall_node_up{node="kafka-1"} 1`, `starfall_partition_replicas{partition="1",topic="orders"} 2`,
		`starfall_run_phase{phase="run"} 1`, "starfall_run_speed_ratio 5",
	} {
		if !slices.ContainsFunc(scrapes, func(s string) bool { return strings.Contains(s, want+"\n") }) {
			t.Errorf("got %d scrapes, want %s in one of them\n%s", len(scrapes), want, stderr)
		}
	}
}

// TestMetricsPortTaken: nothing starts, and no folder is made.
func TestMetricsPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir := t.TempDir()
	file, out := filepath.Join(dir, "observed.star"), filepath.Join(dir, "runs")
	if err := os.WriteFile(file, []byte(observed), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"run", file, "--out", out}, {"up", file}} {
		code, _, stderr := scrapeAll(t, "", append(args, "--metrics", l.Addr().String())...)
		want := fmt.Sprintf("starfall: --metrics: %s is in use\n  choose another port, or let the system choose: --metrics 127.0.0.1:0\n", l.Addr())
		if code != exitUsage || stderr != want {
			t.Errorf("%s: got exit code %d and\n%s\nwant %d and\n%s", args[0], code, stderr, exitUsage, want)
		}
	}
	if _, err := os.Stat(out); !os.IsNotExist(err) {
		t.Errorf("got %v for the folder of runs, want that it is not there", err)
	}
}
