// Package metrics tells Prometheus how a run goes, while it goes on.
//
// This file defines Exporter: one endpoint, and the runs that it tells of.
package metrics

import (
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"starfall/runtime"
)

// Path is where the metrics are.
const Path = "/metrics"

// scrapes is how many scrapes are answered at once; more are told to come
// again. A run is seldom scraped by more than one.
const scrapes = 8

// Exporter serves the metrics of the runs that were added to it, in the text
// format of Prometheus. It has a registry of its own, with nothing in it about
// this process.
type Exporter struct {
	registry *prometheus.Registry
	mux      *http.ServeMux
}

// New makes an exporter without runs.
func New() *Exporter {
	x := &Exporter{registry: prometheus.NewRegistry(), mux: http.NewServeMux()}
	x.mux.Handle(Path, promhttp.HandlerFor(x.registry, promhttp.HandlerOpts{MaxRequestsInFlight: scrapes}))
	return x
}

// ServeHTTP answers scrapes at Path.
func (x *Exporter) ServeHTTP(w http.ResponseWriter, r *http.Request) { x.mux.ServeHTTP(w, r) }

// About is what does not change in a run.
type About struct {
	Scenario, Engine, Kafka string
	Seed                    int64
	Speed                   float64
	// Cell is which of the runs of a sweep it is; "" for a single run. Runs
	// that are added at the same time must differ in it.
	Cell string
}

// Run is one run that the exporter tells of.
type Run struct {
	about    About
	registry prometheus.Registerer
	descs    map[string]*prometheus.Desc

	mu   sync.Mutex
	last runtime.Progress
	full bool // last has come with what the four updates a second carry
}

var _ prometheus.Collector = (*Run)(nil)

// Add adds a run, until its End. Two runs at once with the same Cell are an
// error.
func (x *Exporter) Add(a About) (*Run, error) {
	r := &Run{about: a, registry: x.registry, descs: make(map[string]*prometheus.Desc, len(table))}
	if a.Cell != "" {
		r.registry = prometheus.WrapRegistererWith(prometheus.Labels{CellLabel: valid(a.Cell)}, x.registry)
	}
	for _, m := range table {
		r.descs[m.Name] = prometheus.NewDesc(m.Name, m.Help, m.Labels, nil)
	}
	return r, r.registry.Register(r)
}

// Update takes how the run stands. It is what runtime.Options.Progress is
// called with.
func (r *Run) Update(p runtime.Progress) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p.Line != "" { // something happened; the rest is as it was
		r.last.Phase, r.last.At, r.last.Left = p.Phase, p.At, p.Left
		return
	}
	r.last, r.full = p, true
}

// End takes the run's metrics away: to Prometheus they are stale from then on.
func (r *Run) End() { r.registry.Unregister(r) }

// Describe implements prometheus.Collector.
func (r *Run) Describe(c chan<- *prometheus.Desc) {
	for _, m := range table {
		c <- r.descs[m.Name]
	}
}

// Collect implements prometheus.Collector.
func (r *Run) Collect(c chan<- prometheus.Metric) {
	r.mu.Lock()
	p, full := r.last, r.full
	r.mu.Unlock()
	o := output{r.descs, c}
	o.gauge("starfall_run_info", 1, r.about.Scenario, r.about.Engine, r.about.Kafka, strconv.FormatInt(r.about.Seed, 10))
	for _, phase := range phases {
		o.gauge("starfall_run_phase", bit(p.Phase == phase), string(phase))
	}
	o.gauge("starfall_run_speed_ratio", r.about.Speed)
	o.gauge("starfall_scenario_time_seconds", max(p.At, 0).Seconds())
	o.gauge("starfall_scenario_left_seconds", p.Left.Seconds())
	if !full {
		return
	}
	o.gauge("starfall_records_per_second", p.Sent, "accepted")
	o.gauge("starfall_records_per_second", p.Acked, "acked")
	o.gauge("starfall_records_per_second", p.Delivered, "delivered")
	o.clients(p)
	o.cluster(p)
	for _, a := range p.Alarms {
		o.gauge("starfall_alarm_active", bit(a.On), a.ID)
	}
	texts := map[string]int{}
	for _, f := range p.Faults {
		texts[f.Text]++
	}
	for text, n := range texts {
		o.gauge("starfall_fault_active", float64(n), text)
	}
}

// phases are all that a run goes through.
var phases = [...]runtime.Phase{
	runtime.PhasePrepare, runtime.PhaseLoad, runtime.PhaseRun, runtime.PhaseHeal,
	runtime.PhaseDrain, runtime.PhaseAudit, runtime.PhaseTakeDown,
}

// output is where one scrape's values go.
type output struct {
	descs map[string]*prometheus.Desc
	to    chan<- prometheus.Metric
}

func (o output) gauge(name string, v float64, labels ...string) {
	o.to <- prometheus.MustNewConstMetric(o.descs[name], prometheus.GaugeValue, v, validAll(labels)...)
}

func (o output) counter(name string, n uint64, labels ...string) {
	o.to <- prometheus.MustNewConstMetric(o.descs[name], prometheus.CounterValue, float64(n), validAll(labels)...)
}

// clients gives what producers and consumers did.
func (o output) clients(p runtime.Progress) {
	bounds := runtime.LatencyBounds()
	for _, x := range p.Producers {
		o.counter("starfall_producer_records_accepted_total", x.Accepted, x.Name)
		o.counter("starfall_producer_records_acked_total", x.Acked, x.Name)
		o.counter("starfall_producer_records_failed_total", x.Failed, x.Name)
		o.counter("starfall_producer_records_unknown_total", x.Unknown, x.Name)
		buckets := make(map[float64]uint64, len(bounds))
		for i, n := range x.Latency {
			buckets[bounds[i].Seconds()] = n
		}
		o.to <- prometheus.MustNewConstHistogram(o.descs["starfall_producer_ack_latency_seconds"],
			x.Acked, x.LatencySum.Seconds(), buckets, valid(x.Name))
	}
	for _, x := range p.Consumers {
		o.counter("starfall_consumer_records_delivered_total", x.Delivered, x.Name)
		if x.Lag >= 0 {
			o.gauge("starfall_consumer_lag_records", float64(x.Lag), x.Name)
		}
		if x.State != "" {
			o.gauge("starfall_consumer_group_members", float64(x.Members), x.Name)
			o.gauge("starfall_consumer_group_state", 1, x.Name, x.State)
		}
	}
}

// cluster gives how partitions and nodes are.
func (o output) cluster(p runtime.Progress) {
	for _, x := range p.Partitions {
		partition := strconv.Itoa(int(x.Partition))
		o.gauge("starfall_partition_isr_replicas", float64(x.ISR), x.Topic, partition)
		o.gauge("starfall_partition_replicas", float64(x.Replicas), x.Topic, partition)
		o.gauge("starfall_partition_offline", bit(x.Leader == ""), x.Topic, partition)
		if x.Leader != "" {
			o.gauge("starfall_partition_leader", 1, x.Topic, partition, x.Leader)
		}
	}
	for _, n := range p.Nodes {
		o.gauge("starfall_node_up", bit(n.State == "running"), n.Label)
		o.gauge("starfall_node_state", 1, n.Label, n.State)
	}
}

func bit(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// valid makes a label's value of a text, which may hold any bytes.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func validAll(texts []string) []string {
	out := make([]string, len(texts))
	for i, s := range texts {
		out[i] = valid(s)
	}
	return out
}
