package plan_test

import (
	"bytes"
	"sort"
	"testing"
	"time"

	"starfall/interp/plan"
)

func TestDurationString(t *testing.T) {
	for _, tt := range []struct {
		in   time.Duration
		want string
	}{
		{0, "0s"},
		{90 * time.Second, "1m30s"},
		{time.Minute, "1m"},
		{2 * time.Hour, "2h"},
		{time.Hour + time.Second, "1h0m1s"},
		{250 * time.Millisecond, "250ms"},
	} {
		if got := plan.Duration(tt.in).String(); got != tt.want {
			t.Errorf("%d: got %s, want %s", tt.in, got, tt.want)
		}
	}
}

func TestCanonicalRoundTrip(t *testing.T) {
	undo := plan.Duration(30 * time.Second)
	p := &plan.Plan{
		Format:   plan.Format,
		Name:     "failover",
		Scenario: plan.Scenario{RunFor: plan.Duration(90 * time.Second), Seed: 1},
		Clusters: []plan.Cluster{{Name: "kafka", Config: map[string]string{"b": "2", "a": "1"}}},
		Events: []plan.Event{{Name: "outage", Actions: []plan.Action{{
			Verb: plan.Kill, Targets: []plan.Ref{{Kind: plan.RefLeader, Name: "orders"}}, UndoAfter: &undo,
		}}}},
	}
	first, err := p.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	back, err := plan.Read(bytes.NewReader(first))
	if err != nil {
		t.Fatal(err)
	}
	second, err := back.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, second) {
		t.Errorf("got %s after a round trip, want %s", second, first)
	}
}

func TestReadRefusesNewerFormat(t *testing.T) {
	_, err := plan.Read(bytes.NewReader([]byte(`{"format": 2}`)))
	if want := "plan: got format 2, want 1: update starfall"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestMeasuresAreSortedAndFound(t *testing.T) {
	all := plan.Measures()
	if !sort.SliceIsSorted(all, func(i, j int) bool {
		a, b := all[i], all[j]
		return a.Subject < b.Subject || a.Subject == b.Subject && a.Name < b.Name
	}) {
		t.Error("measures are not sorted by subject and name")
	}
	for _, m := range all {
		if got, ok := plan.MeasureOf(m.Subject, m.Name); !ok || got.Help != m.Help {
			t.Errorf("%s.%s is not found", m.Subject, m.Name)
		}
	}
	if _, ok := plan.MeasureOf(plan.RefProducer, "stalls"); ok {
		t.Error("got a measure producer.stalls, want none")
	}
}
