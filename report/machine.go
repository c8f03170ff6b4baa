// This file defines what programs read: JSON and JUnit XML.

package report

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"starfall/interp/plan"
	"starfall/runtime/judge"
)

// JSONFormat is the version of what JSON writes. It grows when a field goes or
// changes its meaning; new fields may come at any time.
const JSONFormat = 1

type jsonDocument struct {
	Format int       `json:"format"`
	Exit   int       `json:"exit"`
	Runs   []jsonRun `json:"runs"`
}

type jsonRun struct {
	Scenario string         `json:"scenario"`
	Params   []Param        `json:"params,omitempty"`
	Repeat   int            `json:"repeat,omitempty"`
	Folder   string         `json:"folder"`
	WallMS   int64          `json:"wall_ms"`
	Exit     int            `json:"exit"`
	Error    string         `json:"error,omitempty"`
	Verdict  *judge.Verdict `json:"verdict,omitempty"`
}

// JSON writes the runs as one object, whether they are one or many
// (docs/reference.md).
func JSON(w io.Writer, results []Result) error {
	doc := jsonDocument{Format: JSONFormat, Runs: []jsonRun{}}
	for _, r := range results {
		doc.Exit = Worse(doc.Exit, r.Exit)
		doc.Runs = append(doc.Runs, jsonRun{
			Scenario: r.Scenario, Params: r.Params, Repeat: r.Repeat, Folder: r.Folder,
			WallMS: r.Wall.Milliseconds(), Exit: r.Exit, Error: r.Error, Verdict: r.Verdict,
		})
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(doc)
}

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name       string          `xml:"name,attr"`
	Tests      int             `xml:"tests,attr"`
	Failures   int             `xml:"failures,attr"`
	Errors     int             `xml:"errors,attr"`
	Time       string          `xml:"time,attr"`
	Properties []junitProperty `xml:"properties>property,omitempty"`
	Cases      []junitCase     `xml:"testcase"`
	Out        string          `xml:"system-out,omitempty"`
}

type junitProperty struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type junitCase struct {
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"`
	Failure *junitProblem `xml:"failure,omitempty"`
	Error   *junitProblem `xml:"error,omitempty"`
}

type junitProblem struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// JUnit writes the runs as JUnit XML: a suite a run, a case an expectation,
// assumption or rule. A broken expectation is a failure. Everything else that
// keeps a run from PASS is an error, so that no run looks better than its
// verdict.
func JUnit(w io.Writer, results []Result) error {
	var all junitSuites
	for _, r := range results {
		s := suite(r)
		all.Tests += s.Tests
		all.Failures += s.Failures
		all.Errors += s.Errors
		all.Suites = append(all.Suites, s)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func suite(r Result) junitSuite {
	s := junitSuite{Name: r.Scenario, Time: fmt.Sprintf("%.3f", r.Wall.Seconds())}
	for _, p := range r.Params {
		s.Name += " " + p.Name + "=" + p.Value
	}
	if r.Repeat > 0 {
		s.Name += fmt.Sprintf(" #%d", r.Repeat)
	}
	s.Properties = []junitProperty{{"verdict", string(r.Word())}, {"folder", r.Folder}}
	said := map[plan.Pos]bool{}
	if v := r.Verdict; v != nil {
		s.Properties = append(s.Properties, junitProperty{"engine", v.Engine}, junitProperty{"seed", fmt.Sprint(v.Seed)})
		var reports []string
		for _, c := range v.Claims {
			if c.Kind == plan.Report {
				reports = append(reports, c.Text+" = "+c.Measured)
				continue
			}
			said[bare(c.Pos)] = true
			s.Cases = append(s.Cases, caseOf(r.Scenario, c))
		}
		s.Out = strings.Join(reports, "\n")
		for _, x := range v.Reasons {
			if x.Pos == nil || !said[bare(*x.Pos)] {
				s.Cases = append(s.Cases, junitCase{Name: "the run", Class: r.Scenario, Error: &junitProblem{Message: x.Text}})
			}
		}
	}
	if r.Error != "" || r.Verdict == nil {
		message := r.Error
		if message == "" {
			message = "nothing was recorded"
		}
		s.Cases = append(s.Cases, junitCase{Name: "the engine", Class: r.Scenario, Error: &junitProblem{Message: message}})
	}
	for _, c := range s.Cases {
		s.Tests++
		if c.Failure != nil {
			s.Failures++
		}
		if c.Error != nil {
			s.Errors++
		}
	}
	return s
}

func caseOf(scenario string, c judge.Claim) junitCase {
	row := claimOf(c)
	out := junitCase{Name: row.text, Class: scenario}
	if c.Outcome == judge.Held {
		return out
	}
	problem := &junitProblem{Message: row.measured, Text: strings.Join(append([]string{c.Pos.String()}, row.notes...), "\n")}
	if c.Outcome == judge.Broken && c.Kind == plan.Expect {
		out.Failure = problem
	} else {
		out.Error = problem
	}
	return out
}
