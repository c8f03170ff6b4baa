package bundle

import (
	"strings"
	"testing"

	"starfall/interp/plan"
	"starfall/runtime/judge"
)

func TestCompare(t *testing.T) {
	run := func(result judge.Result) Run {
		return Run{Plan: testPlan(), Engine: "embedded", Kafka: "3.9", Verdict: verdictOf(result), Name: "r-" + string(result)}
	}
	pass, fail, vague := run(judge.Pass), run(judge.Fail), run(judge.Inconclusive)
	vague.Verdict.Reasons = []judge.Reason{{Text: "the machine was slow"}}
	docker, kafka4, none, other, moved := pass, pass, pass, pass, pass
	docker.Engine = "docker"
	kafka4.Kafka = "4.3"
	none.Verdict = nil
	other.Plan = testPlan()
	other.Plan.Claims[0].Text = "orders.lost.at_most(1)"
	moved.Plan = testPlan()
	moved.Plan.Files[1].Text, moved.Plan.Scenario.Pos.Line = "# a comment\nrule = 1", 9
	void := run(judge.Void)
	gone := run(judge.Pass)
	gone.Verdict.Claims = nil
	list := func(r ...Run) []Run { return r }
	for _, tt := range []struct {
		name        string
		before, now []Run
		want        Outcome
		why         string
	}{
		{"the same", list(pass), list(pass, pass), Same, ""},
		{"the same failure", list(fail), list(fail), Same, ""},
		{"both void", list(void), list(void), Same, ""},
		{"a moved module", list(pass), list(moved), Same, ""},
		{"another verdict", list(pass), list(fail), Different, ""},
		{"one of three is another", list(pass), list(pass, fail, pass), Different, ""},
		{"one of those that came before", list(pass, fail), list(fail, pass), Same, ""},
		{"claims that are gone", list(pass), list(gone), Different, ""},
		{"nothing attached", nil, list(pass), NotComparable, "no result is attached"},
		{"nothing ran", list(pass), nil, NotComparable, ""},
		{"inconclusive now", list(pass), list(vague), NotComparable, "r-INCONCLUSIVE was INCONCLUSIVE: the machine was slow"},
		{"inconclusive before", list(vague), list(pass), NotComparable, "the machine was slow"},
		{"one inconclusive now", list(pass), list(pass, vague), NotComparable, "the machine was slow"},
		{"one inconclusive, one different", list(pass), list(fail, vague), Different, ""},
		{"one inconclusive before", list(vague, pass), list(pass), Same, ""},
		{"no verdict", list(pass), list(none), NotComparable, "has no verdict"},
		{"another engine", list(docker), list(pass), NotComparable, "ran on the embedded engine, and r-PASS on docker"},
		{"another Kafka", list(kafka4), list(pass), NotComparable, "ran on Kafka 3.9, and r-PASS on 4.3"},
		{"another plan", list(pass), list(other), NotComparable, "has another plan: claims"},
		{"one of several engines", list(docker, pass), list(pass), Same, ""},
	} {
		c := Compare(tt.before, tt.now)
		if c.Outcome != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, c.Outcome, tt.want)
		}
		if tt.why != "" && !strings.Contains(strings.Join(c.Reasons, "\n"), tt.why) {
			t.Errorf("%s: got reasons %q, want %q", tt.name, c.Reasons, tt.why)
		}
		for _, p := range c.Claims {
			if p.Kind == plan.Report {
				t.Errorf("%s: got the report %s among the claims", tt.name, p.Text)
			}
		}
	}
	c := Compare(list(pass, fail), list(pass, pass, fail))
	if len(c.Claims) != 1 || c.Claims[0].Before["held"] != 1 || c.Claims[0].Now["held"] != 2 || c.Claims[0].Now["broken"] != 1 {
		t.Errorf("got %+v, want held 1 of 2 before and 2 of 3 now", c.Claims)
	}
	for outcome, want := range map[Outcome]int{Same: 0, Different: 1, NotComparable: 3} {
		if got := outcome.Exit(); got != want {
			t.Errorf("%s: got exit code %d, want %d", outcome, got, want)
		}
	}
}
