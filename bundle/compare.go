// This file defines Compare: whether runs of an experiment came out as those whose
// results are attached to it.

package bundle

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"starfall/interp/plan"
	"starfall/runtime/judge"
)

// Outcome is what a comparison says.
type Outcome string

// The outcomes of a comparison: the first row that applies.
//
//	row  when                                                  outcome
//	1    no result is attached that these runs can be held to  not comparable
//	2    a run that counts has a claim, or a verdict, that no  different verdicts
//	     attached result that counts has
//	3    a run does not count                                  not comparable
//	4    –                                                     same verdicts
//
// A result counts when it was conclusive (PASS, FAIL or VOID) and ran under the same
// conditions: plan, engine, and version of Kafka. Speed, machine and the version of
// starfall may differ, and are told where they do.
const (
	Same          Outcome = "same verdicts"
	Different     Outcome = "different verdicts"
	NotComparable Outcome = "not comparable"
)

// Exit is the exit code of an outcome.
func (o Outcome) Exit() int {
	switch o {
	case Same:
		return 0
	case Different:
		return 1
	}
	return 3
}

// Run is a run beside the results.
type Run struct {
	Plan    *plan.Plan
	Engine  string
	Kafka   string
	Verdict *judge.Verdict // nil: it has none
	Name    string         // for people: a folder, "result 2"
}

// Comparison is what came out.
type Comparison struct {
	Outcome Outcome        `json:"outcome"`
	Reasons []string       `json:"reasons,omitempty"` // why it is not comparable
	Before  map[string]int `json:"before"`            // how many attached results that count have each verdict
	Now     map[string]int `json:"now"`               // how many runs that count have
	Claims  []ClaimPair    `json:"claims,omitempty"`
}

// ClaimPair is one claim in the attached results and in the runs.
type ClaimPair struct {
	Kind   plan.ClaimKind `json:"kind"`
	Text   string         `json:"text"`
	Before map[string]int `json:"before"` // how often it came out how
	Now    map[string]int `json:"now"`
	Same   bool           `json:"same"` // each outcome of now was one of before
}

// Compare holds runs to the results before. Both are of the bundle's experiment as
// far as they have its plan.
func Compare(before, now []Run) Comparison {
	c := Comparison{Before: map[string]int{}, Now: map[string]int{}}
	if len(before) == 0 {
		c.Outcome = NotComparable
		c.Reasons = []string{"no result is attached"}
		return c
	}
	var base, runs []Run
	var notBefore, notNow []string
	for _, b := range before {
		if why := inconclusive(b); why != "" {
			notBefore = append(notBefore, b.Name+" "+why)
			continue
		}
		base = append(base, b)
	}
	for _, n := range now {
		why := inconclusive(n)
		if why == "" && len(base) > 0 && !slices.ContainsFunc(base, func(b Run) bool { return otherConditions(b, n) == "" }) {
			why = otherConditions(base[0], n)
		}
		if why != "" {
			notNow = append(notNow, n.Name+" "+why)
			continue
		}
		runs = append(runs, n)
	}
	base = slices.DeleteFunc(base, func(b Run) bool {
		return len(runs) > 0 && !slices.ContainsFunc(runs, func(n Run) bool { return otherConditions(b, n) == "" })
	})
	c.tally(base, runs)
	switch {
	case len(base) == 0 || len(runs) == 0:
		c.Outcome = NotComparable
		c.Reasons = append(notBefore, notNow...)
	case !c.same():
		c.Outcome = Different
	case len(notNow) > 0:
		c.Outcome = NotComparable
		c.Reasons = notNow
	default:
		c.Outcome = Same
	}
	return c
}

// inconclusive says why a run says nothing.
func inconclusive(r Run) string {
	switch {
	case r.Verdict == nil:
		return "has no verdict"
	case r.Verdict.Interrupted:
		return "was interrupted"
	case r.Verdict.Result == judge.Inconclusive || r.Verdict.Result == judge.EngineError:
		why := fmt.Sprintf("was %s", r.Verdict.Result)
		if len(r.Verdict.Reasons) > 0 {
			why += ": " + r.Verdict.Reasons[0].Text
		}
		return why
	}
	return ""
}

// otherConditions says why two runs cannot be held to each other.
func otherConditions(before, now Run) string {
	switch {
	case !samePlan(before.Plan, now.Plan):
		return "has another plan: " + strings.Join(Parts(before.Plan, now.Plan), ", ")
	case before.Engine != now.Engine:
		return fmt.Sprintf("ran on the %s engine, and %s on %s", now.Engine, before.Name, before.Engine)
	case before.Kafka != now.Kafka:
		return fmt.Sprintf("ran on Kafka %s, and %s on %s", orNone(now.Kafka), before.Name, orNone(before.Kafka))
	}
	return ""
}

func (c *Comparison) tally(base, runs []Run) {
	for _, b := range base {
		c.Before[string(b.Verdict.Result)]++
	}
	for _, n := range runs {
		c.Now[string(n.Verdict.Result)]++
	}
	if len(base) == 0 || len(runs) == 0 {
		return
	}
	for i, x := range base[0].Verdict.Claims {
		if x.Kind == plan.Report {
			continue
		}
		p := ClaimPair{Kind: x.Kind, Text: x.Text, Before: map[string]int{}, Now: map[string]int{}, Same: true}
		for _, b := range base {
			p.Before[outcomeOf(b, i, x)]++
		}
		for _, n := range runs {
			p.Now[outcomeOf(n, i, x)]++
		}
		for o := range p.Now {
			p.Same = p.Same && p.Before[o] > 0
		}
		c.Claims = append(c.Claims, p)
	}
}

// outcomeOf is how claim i came out, when it is the claim meant.
func outcomeOf(r Run, i int, x judge.Claim) string {
	if i < len(r.Verdict.Claims) && r.Verdict.Claims[i].Text == x.Text && r.Verdict.Claims[i].Kind == x.Kind {
		return string(r.Verdict.Claims[i].Outcome)
	}
	return "not judged"
}

func (c *Comparison) same() bool {
	for v := range c.Now {
		if c.Before[v] == 0 {
			return false
		}
	}
	return !slices.ContainsFunc(c.Claims, func(p ClaimPair) bool { return !p.Same })
}

// samePlan tells whether two plans are the same experiment. Where something stands in
// the source, and comments, make no difference to a run.
func samePlan(a, b *plan.Plan) bool { return len(Parts(a, b)) == 0 }

// Parts names what differs between two plans: topics, claims …
func Parts(a, b *plan.Plan) []string {
	x, y := bare(a), bare(b)
	var out []string
	for _, name := range keys(x, y) {
		if !reflect.DeepEqual(x[name], y[name]) {
			out = append(out, name)
		}
	}
	return out
}

// bare is a plan without the places of its source.
func bare(p *plan.Plan) map[string]any {
	var out map[string]any
	if p == nil {
		return out
	}
	text, err := json.Marshal(p)
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil {
		panic(err) // a plan is data
	}
	for _, name := range []string{"files", "title", "doc"} {
		delete(out, name)
	}
	withoutPlaces(out)
	return out
}

func withoutPlaces(v any) {
	switch v := v.(type) {
	case map[string]any:
		delete(v, "pos")
		for _, x := range v {
			withoutPlaces(x)
		}
	case []any:
		for _, x := range v {
			withoutPlaces(x)
		}
	}
}
