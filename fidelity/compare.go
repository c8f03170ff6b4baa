// This file defines when the engines agree, and where it is known why they do
// not.

package main

import (
	"fmt"
	"io"
	"math"

	"starfall/internal/kept"
)

// How far two lengths may lie apart: a fifth of what real Kafka took, or 0.3 s,
// whichever is more.
const (
	share = 0.2
	least = 0.3
)

// agreement is what comparing one row gives.
type agreement int

const (
	equal    agreement = iota
	shown              // a number that is only shown beside the other
	differs            // and nobody knows why
	excepted           // and the reason is in reasons
)

// row is one claim on both engines.
type row struct {
	text             string
	docker, embedded kept.Claim
	agreement        agreement
	reason           string
}

// compared is one scenario on both engines.
type compared struct {
	scenario         scenario
	docker, embedded outcome
	agreement        agreement // of the verdicts
	reason           string
	rows             []row
}

// reason is why a scenario, or one claim of it, comes out differently. It is
// part of the page.
type reason struct {
	scenario string
	claim    string // as written; "" for the verdict
	text     string
}

func find(scenario, claim string) (string, bool) {
	for _, r := range reasons() {
		if r.scenario == scenario && r.claim == claim {
			return r.text, true
		}
	}
	return "", false
}

// compare puts what both engines gave side by side. A scenario that is missing
// on one of them is an error.
func compare(all []scenario, results string) ([]compared, error) {
	have := map[string]map[string]outcome{}
	for _, e := range engines() {
		var err error
		if have[e], err = kept.Load[outcome](resultsOf(results, e)); err != nil {
			return nil, err
		}
	}
	var out []compared
	for _, s := range all {
		c := compared{scenario: s}
		var ok bool
		for i, o := range []*outcome{&c.docker, &c.embedded} {
			if *o, ok = have[engines()[i]][s.name]; !ok {
				return nil, fmt.Errorf("%s: it has not run on %s: go run ./fidelity run -engine %s -only %s", s.name, engines()[i], engines()[i], s.name)
			}
		}
		c.agreement, c.reason = judged(s.name, "", c.docker.Result == c.embedded.Result)
		if len(c.docker.Claims) != len(c.embedded.Claims) {
			return nil, fmt.Errorf("%s: %d claims on docker, %d on embedded: run both again", s.name, len(c.docker.Claims), len(c.embedded.Claims))
		}
		for i, d := range c.docker.Claims {
			e := c.embedded.Claims[i]
			if d.Text != e.Text {
				return nil, fmt.Errorf("%s: claim %d is %s on docker, %s on embedded: run both again", s.name, i+1, d.Text, e.Text)
			}
			r := row{text: d.Text, docker: d, embedded: e}
			switch {
			case d.Kind != "report":
				r.agreement, r.reason = judged(s.name, d.Text, d.Outcome == e.Outcome)
			case d.Unit == "s":
				r.agreement, r.reason = judged(s.name, d.Text, near(d.Value, e.Value))
			default:
				r.agreement = shown
			}
			c.rows = append(c.rows, r)
		}
		out = append(out, c)
	}
	return out, nil
}

func judged(scenario, claim string, same bool) (agreement, string) {
	if same {
		return equal, ""
	}
	if text, ok := find(scenario, claim); ok {
		return excepted, text
	}
	return differs, ""
}

// near tells whether two lengths in seconds are as good as equal; nil is never.
func near(standard, other *float64) bool {
	if standard == nil || other == nil {
		return standard == other
	}
	return math.Abs(*standard-*other) <= max(share**standard, least)
}

// count counts agreements: of verdicts, of claims, of lengths.
type count struct{ equal, excepted, differs int }

func (c *count) add(a agreement) {
	switch a {
	case equal:
		c.equal++
	case excepted:
		c.excepted++
	case differs:
		c.differs++
	}
}

func (c count) all() int { return c.equal + c.excepted + c.differs }

func tally(cs []compared) (verdicts, claims, lengths count) {
	for _, c := range cs {
		verdicts.add(c.agreement)
		for _, r := range c.rows {
			if r.docker.Kind == "report" {
				lengths.add(r.agreement)
			} else {
				claims.add(r.agreement)
			}
		}
	}
	return verdicts, claims, lengths
}

// check fails when something differs and no reason is given; lengths says
// whether stalls and latencies count.
func check(chosen []scenario, results string, lengths bool, stdout io.Writer) error {
	cs, err := compare(chosen, results)
	if err != nil {
		return err
	}
	n := 0
	for _, c := range cs {
		if c.agreement == differs {
			n++
			fmt.Fprintf(stdout, "%s: %s on docker, %s on embedded\n", c.scenario.name, c.docker.Result, c.embedded.Result)
		}
		for _, r := range c.rows {
			if r.agreement == differs && (lengths || r.docker.Kind != "report") {
				n++
				fmt.Fprintf(stdout, "%s: %s\n  docker    %s: %s\n  embedded  %s: %s\n", c.scenario.name, r.text, r.docker.Outcome, r.docker.Measured, r.embedded.Outcome, r.embedded.Measured)
			}
		}
	}
	verdicts, claims, spans := tally(cs)
	fmt.Fprintf(stdout, "%d of %d verdicts, %d of %d claims, %d of %d lengths equal\n",
		verdicts.equal, verdicts.all(), claims.equal, claims.all(), spans.equal, spans.all())
	if n > 0 {
		return fmt.Errorf("%d differences without a reason", n)
	}
	return nil
}
