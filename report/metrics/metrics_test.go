package metrics

import (
	"flag"
	"fmt"
	"maps"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"starfall/runtime"
)

var update = flag.Bool("update", false, "write what tests compare anew")

// sample is a run in the middle of an outage.
func sample() runtime.Progress {
	latency := make([]uint64, len(runtime.LatencyBounds()))
	for i := range latency {
		latency[i] = uint64(900 + i)
	}
	return runtime.Progress{
		Phase: runtime.PhaseRun, At: 30 * time.Second, Left: 60 * time.Second,
		Sent: 1000, Acked: 703.5, Delivered: 600,
		Nodes: []runtime.NodeProgress{{Label: "kafka-1", State: "running"}, {Label: "kafka-2", State: "fenced"}},
		Producers: []runtime.ProducerProgress{{
			Name: "shop", Accepted: 1000, Acked: 920, Failed: 3, Unknown: 2, Latency: latency, LatencySum: 12500 * time.Millisecond,
		}},
		Consumers: []runtime.ConsumerProgress{
			{Name: "billing", Delivered: 880, Lag: 40, State: "Stable", Members: 2},
			{Name: "audit", Delivered: 0, Lag: -1},
		},
		Partitions: []runtime.PartitionProgress{
			{Topic: "orders", Partition: 0, Leader: "kafka-1", ISR: 2, Replicas: 3},
			{Topic: "orders", Partition: 1, ISR: 1, Replicas: 3},
		},
		Alarms: []runtime.AlarmProgress{{ID: "page", On: true}, {ID: "quiet"}},
		Faults: []runtime.FaultProgress{
			{Text: `kill("x") → kafka-2`, Since: 29 * time.Second}, {Text: "netsplit", Since: 29 * time.Second}, {Text: "netsplit", Since: 30 * time.Second},
		},
	}
}

func about(cell string) About {
	return About{Scenario: "failover", Engine: "embedded", Kafka: "3.9.1", Seed: 7, Speed: 10, Cell: cell}
}

func added(t testing.TB, x *Exporter, a About) *Run {
	t.Helper()
	r, err := x.Add(a)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func scrape(t testing.TB, x *Exporter) string {
	t.Helper()
	w := httptest.NewRecorder()
	x.ServeHTTP(w, httptest.NewRequest("GET", Path, nil))
	if w.Code != 200 {
		t.Fatalf("got status %d: %s", w.Code, w.Body)
	}
	if got := w.Header().Get("Content-Type"); !strings.HasPrefix(got, "text/plain; version=0.0.4") {
		t.Errorf("got content type %q, want the text format", got)
	}
	return w.Body.String()
}

func parsed(t testing.TB, text string) map[string]*dto.MetricFamily {
	t.Helper()
	p := expfmt.NewTextParser(model.LegacyValidation)
	families, err := p.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return families
}

// TestScrape compares all that a scrape says of one moment with a golden file.
func TestScrape(t *testing.T) {
	x := New()
	r := added(t, x, about(""))
	r.Update(sample())
	got := scrape(t, x)
	const golden = "testdata/scrape.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	// Every metric of the table is there, and no other.
	if got, want := slices.Sorted(maps.Keys(parsed(t, got))), names(); !slices.Equal(got, want) {
		t.Errorf("got metrics %v, want %v", got, want)
	}
}

func names() []string {
	var out []string
	for _, m := range Table() {
		out = append(out, m.Name)
	}
	return slices.Sorted(slices.Values(out))
}

// TestLint holds names, types and help to the conventions of Prometheus.
func TestLint(t *testing.T) {
	x := New()
	added(t, x, about("acks=1")).Update(sample())
	problems, err := promlint.New(strings.NewReader(scrape(t, x))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// TestPedantic collects with a registry that checks every metric against what
// the collector described.
func TestPedantic(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	r := added(t, New(), about(""))
	r.Update(sample())
	if err := registry.Register(r); err != nil {
		t.Fatal(err)
	}
	if _, err := registry.Gather(); err != nil {
		t.Error(err)
	}
}

// TestBeforeLoad: until the first update there are no zeros that nobody
// measured.
func TestBeforeLoad(t *testing.T) {
	x := New()
	r := added(t, x, about(""))
	r.Update(runtime.Progress{Phase: runtime.PhasePrepare, At: -3 * time.Second, Line: "phase: prepare"})
	got := parsed(t, scrape(t, x))
	want := []string{"starfall_run_info", "starfall_run_phase", "starfall_run_speed_ratio", "starfall_scenario_left_seconds", "starfall_scenario_time_seconds"}
	if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, want) {
		t.Errorf("got %v, want %v", names, want)
	}
	if v := got["starfall_scenario_time_seconds"].Metric[0].GetGauge().GetValue(); v != 0 {
		t.Errorf("got scenario time %g, want 0 before load", v)
	}
	phases := map[string]float64{}
	for _, m := range got["starfall_run_phase"].Metric {
		phases[m.Label[0].GetValue()] = m.GetGauge().GetValue()
	}
	if phases["prepare"] != 1 || phases["run"] != 0 || len(phases) != 7 {
		t.Errorf("got phases %v, want prepare of seven", phases)
	}
}

// TestLineKeepsCounts: what happened comes without counts, and takes none away.
func TestLineKeepsCounts(t *testing.T) {
	x := New()
	r := added(t, x, about(""))
	r.Update(sample())
	r.Update(runtime.Progress{Phase: runtime.PhaseHeal, At: 90 * time.Second, Line: "phase: heal"})
	got := scrape(t, x)
	for _, want := range []string{
		`starfall_run_phase{phase="heal"} 1`, `starfall_run_phase{phase="run"} 0`, "starfall_scenario_time_seconds 90",
		"starfall_scenario_left_seconds 0", `starfall_producer_records_acked_total{producer="shop"} 920`,
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("got\n%s\nwant %s in it", got, want)
		}
	}
}

// TestCells: runs side by side are told apart, two of one cell are refused, and
// what has ended is gone.
func TestCells(t *testing.T) {
	x := New()
	one, two := added(t, x, about("acks=1 #1")), added(t, x, about("acks=1 #2"))
	one.Update(sample())
	two.Update(sample())
	if _, err := x.Add(about("acks=1 #2")); err == nil {
		t.Error("got no error for a cell that runs already, want one")
	}
	for name, f := range parsed(t, scrape(t, x)) {
		cells := map[string]bool{}
		for _, m := range f.Metric {
			i := slices.IndexFunc(m.Label, func(l *dto.LabelPair) bool { return l.GetName() == CellLabel })
			if i < 0 {
				t.Fatalf("%s: got a metric without the label %s", name, CellLabel)
			}
			cells[m.Label[i].GetValue()] = true
		}
		if len(cells) != 2 {
			t.Errorf("%s: got cells %v, want two", name, cells)
		}
	}
	one.End()
	if got := scrape(t, x); strings.Contains(got, "#1") || !strings.Contains(got, "#2") {
		t.Errorf("got\n%s\nwant the second cell alone", got)
	}
	two.End()
	if got := scrape(t, x); got != "" {
		t.Errorf("got\n%s\nwant nothing when all has ended", got)
	}
	// Its name is free again: a cell may run a second time.
	added(t, x, about("acks=1 #1"))
}

// TestAnyName: a name may hold what the text format has to escape, or bytes
// that are no text.
func TestAnyName(t *testing.T) {
	x := New()
	p := sample()
	p.Producers[0].Name, p.Alarms[0].ID = "a\"b\\c\nd", "\xff"
	added(t, x, about("x=\xfe")).Update(p)
	got := parsed(t, scrape(t, x))
	var found bool
	for _, l := range got["starfall_producer_records_acked_total"].Metric[0].Label {
		found = found || l.GetValue() == p.Producers[0].Name
	}
	if !found {
		t.Errorf("got %v, want the producer's name unchanged", got["starfall_producer_records_acked_total"])
	}
}

// TestDocs compares the table with the one of the documentation.
func TestDocs(t *testing.T) {
	const path, begin, end = "../../docs/metrics.md", "<!-- table -->\n", "<!-- end of table -->\n"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	got, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no table between %q and %q", path, begin, end)
	}
	want := "\n" + Markdown() + "\n"
	if *update {
		if err := os.WriteFile(path, []byte(before+begin+want+end+after), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != want {
		t.Errorf("%s: got table\n%s\nwant\n%s(go test ./report/metrics -update writes it)", path, got, want)
	}
	for _, b := range runtime.LatencyBounds() {
		if !strings.Contains(string(text), fmt.Sprint(b.Seconds())) {
			t.Errorf("%s does not name the bucket %g", path, b.Seconds())
		}
	}
}

// large is a run with a thousand partitions.
func large() runtime.Progress {
	p := sample()
	p.Partitions = nil
	for i := range int32(1000) {
		p.Partitions = append(p.Partitions, runtime.PartitionProgress{Topic: "orders", Partition: i, Leader: "kafka-1", ISR: 3, Replicas: 3})
	}
	return p
}

// TestThousandPartitions bounds how many series a large run makes.
func TestThousandPartitions(t *testing.T) {
	x := New()
	added(t, x, about("")).Update(large())
	text := scrape(t, x)
	n := 0
	for _, line := range strings.Split(text, "\n") {
		if line != "" && !strings.HasPrefix(line, "#") {
			n++
		}
	}
	t.Logf("%d series, %d kB", n, len(text)>>10)
	if n > 4100 {
		t.Errorf("got %d series, want at most 4 a partition and 100", n)
	}
}

// BenchmarkScrape is one scrape of a thousand partitions.
func BenchmarkScrape(b *testing.B) {
	x := New()
	added(b, x, about("")).Update(large())
	for b.Loop() {
		w := httptest.NewRecorder()
		x.ServeHTTP(w, httptest.NewRequest("GET", Path, nil))
	}
}
