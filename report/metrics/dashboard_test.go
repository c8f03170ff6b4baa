// This file tests that the dashboard asks for nothing that is not there.

package metrics

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// dashboard is what the tests read of Grafana's format.
type dashboard struct {
	Title      string
	Panels     []panel
	Annotation struct {
		List []struct{ Expr, TitleFormat string }
	} `json:"annotations"`
	Templating struct {
		List []struct {
			Name  string
			Type  string
			Query any
		}
	}
}

type panel struct {
	ID      int
	Title   string
	GridPos struct{ X, Y, W, H int }
	Targets []struct{ RefID, Expr, LegendFormat string }
}

func loadDashboard(t *testing.T) dashboard {
	t.Helper()
	text, err := os.ReadFile("dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

var (
	metricName = regexp.MustCompile(`starfall_[a-z_]+`)
	matchers   = regexp.MustCompile(`\{([^}]*)\}`)
	grouping   = regexp.MustCompile(`by \(([^)]*)\)`)
	braces     = regexp.MustCompile(`\{\{(\w+)\}\}`)
	matched    = regexp.MustCompile(`(\w+)\s*[=!]`)
)

// known gives the labels of the metrics that an expression names, and what is
// wrong with it.
func known(expr string) (labels, problems []string) {
	labels = []string{CellLabel}
	names := metricName.FindAllString(expr, -1)
	if len(names) == 0 {
		problems = append(problems, "names no metric")
	}
	for _, n := range names {
		i := slices.IndexFunc(table, func(m Metric) bool {
			suffix, ok := strings.CutPrefix(n, m.Name)
			if m.Kind == Histogram {
				return ok && slices.Contains([]string{"_bucket", "_sum", "_count"}, suffix)
			}
			return ok && suffix == ""
		})
		if i < 0 {
			problems = append(problems, "there is no "+n)
			continue
		}
		labels = append(labels, table[i].Labels...)
		if table[i].Kind == Histogram {
			labels = append(labels, "le")
		}
	}
	var used []string
	for _, m := range matchers.FindAllStringSubmatch(expr, -1) {
		for _, l := range matched.FindAllStringSubmatch(m[1], -1) {
			used = append(used, l[1])
		}
	}
	for _, m := range grouping.FindAllStringSubmatch(expr, -1) {
		for _, l := range strings.Split(m[1], ",") {
			used = append(used, strings.TrimSpace(l))
		}
	}
	for _, l := range used {
		if !slices.Contains(labels, l) {
			problems = append(problems, "no metric in it has the label "+l)
		}
	}
	return labels, problems
}

func TestDashboard(t *testing.T) {
	d := loadDashboard(t)
	queries := 0
	check := func(where, expr, legend string) {
		queries++
		labels, problems := known(expr)
		for _, p := range problems {
			t.Errorf("%s: %s: %s", where, expr, p)
		}
		for _, m := range braces.FindAllStringSubmatch(legend, -1) {
			if !slices.Contains(labels, m[1]) {
				t.Errorf("%s: %s: the legend wants the label %s", where, expr, m[1])
			}
		}
	}
	used := ""
	ids := map[int]bool{}
	for i, p := range d.Panels {
		if len(p.Targets) == 0 {
			t.Errorf("%s: got no query, want one", p.Title)
		}
		for _, x := range p.Targets {
			check(p.Title, x.Expr, x.LegendFormat)
			used += x.Expr
		}
		if ids[p.ID] {
			t.Errorf("%s: the id %d is there twice", p.Title, p.ID)
		}
		ids[p.ID] = true
		a := p.GridPos
		if a.X < 0 || a.W < 1 || a.X+a.W > 24 {
			t.Errorf("%s: got columns %d to %d, want them in 0 to 24", p.Title, a.X, a.X+a.W)
		}
		for _, q := range d.Panels[:i] {
			if b := q.GridPos; a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
				t.Errorf("%s lies over %s", p.Title, q.Title)
			}
		}
	}
	for _, a := range d.Annotation.List {
		check("annotations", a.Expr, a.TitleFormat)
	}
	for _, v := range d.Templating.List {
		if q, ok := v.Query.(map[string]any); ok {
			text, _ := q["query"].(string)
			check("variable "+v.Name, text, "")
		}
	}
	if queries < 15 {
		t.Errorf("got %d queries, want those of every panel, the variable and the annotation", queries)
	}
	// Nothing that a run is watched for is left out.
	for _, name := range []string{
		"starfall_records_per_second", "starfall_producer_ack_latency_seconds", "starfall_consumer_lag_records",
		"starfall_partition_isr_replicas", "starfall_alarm_active", "starfall_fault_active", "starfall_node_up",
	} {
		if !strings.Contains(used, name) {
			t.Errorf("no panel draws %s", name)
		}
	}
}

// TestKnown: the check of queries finds what it is for.
func TestKnown(t *testing.T) {
	for _, tt := range []struct {
		expr string
		want []string
	}{
		{`starfall_node_up{cell=~"$cell"} == 1`, nil},
		{`sum by (producer, le) (rate(starfall_producer_ack_latency_seconds_bucket[1m]))`, nil},
		{`starfall_producer_ack_latency_seconds`, []string{"there is no starfall_producer_ack_latency_seconds"}},
		{`starfall_nodes_up`, []string{"there is no starfall_nodes_up"}},
		{`sum by (topic) (starfall_node_up)`, []string{"no metric in it has the label topic"}},
		{`starfall_node_up{broker="1"}`, []string{"no metric in it has the label broker"}},
		{`vector(0)`, []string{"names no metric"}},
	} {
		if _, got := known(tt.expr); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.expr, got, tt.want)
		}
	}
}
