package report

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"starfall/runtime/judge"
)

// compiled gives the published schema, or the strict form of it, in which an
// object has no other fields than those described.
func compiled(t *testing.T, strict bool) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	if strict {
		closeObjects(doc)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// closeObjects forbids unknown fields of every object that is described as one.
func closeObjects(x any) {
	switch x := x.(type) {
	case map[string]any:
		if x["type"] == "object" {
			x["additionalProperties"] = false
		}
		for _, v := range x {
			closeObjects(v)
		}
	case []any:
		for _, v := range x {
			closeObjects(v)
		}
	}
}

func document(t *testing.T, results []Result) map[string]any {
	t.Helper()
	var b bytes.Buffer
	if err := JSON(&b, results); err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(&b)
	if err != nil {
		t.Fatal(err)
	}
	return doc.(map[string]any)
}

// everything is a document with each kind of result; what real runs print is
// validated by the command's tests.
func everything() []Result {
	interrupted := lost()
	interrupted.Exit, interrupted.Verdict.Exit, interrupted.Verdict.Interrupted = 130, 130, true
	unread := Result{Scenario: "x", Folder: "runs/x", Exit: 3, Verdict: judge.Unread("x", &json.SyntaxError{})}
	out := append([]Result{lost(), interrupted, unread, {Scenario: "x", Folder: "runs/x", Error: "up: no", Exit: 4}}, sweep()...)
	for _, r := range out {
		if v := r.Verdict; v != nil { // Judge leaves no array null
			v.Claims, v.Phases, v.Timeline = append([]judge.Claim{}, v.Claims...), append([]judge.Phase{}, v.Phases...), append([]judge.Row{}, v.Timeline...)
		}
	}
	return out
}

func TestSchema(t *testing.T) {
	for _, strict := range []bool{false, true} {
		if err := compiled(t, strict).Validate(document(t, everything())); err != nil {
			t.Errorf("strict %v: %v", strict, err)
		}
	}
}

// TestSchemaRefuses: a document that is not what JSON writes is refused.
func TestSchemaRefuses(t *testing.T) {
	at := func(doc map[string]any, path ...any) any {
		var x any = doc
		for _, p := range path {
			switch p := p.(type) {
			case string:
				x = x.(map[string]any)[p]
			case int:
				x = x.([]any)[p]
			}
		}
		return x
	}
	object := func(doc map[string]any, path ...any) map[string]any { return at(doc, path...).(map[string]any) }
	for _, tt := range []struct {
		name   string
		strict bool // refused by the strict form only
		wrong  func(doc map[string]any)
	}{
		{"another format", false, func(d map[string]any) { d["format"] = json.Number("2") }},
		{"no runs", false, func(d map[string]any) { delete(d, "runs") }},
		{"runs that are null", false, func(d map[string]any) { d["runs"] = nil }},
		{"an exit code that is none", false, func(d map[string]any) { d["exit"] = json.Number("7") }},
		{"a verdict that is none", false, func(d map[string]any) { object(d, "runs", 0, "verdict")["result"] = "PASSED" }},
		{"PASS with another code", false, func(d map[string]any) { object(d, "runs", 0, "verdict")["result"] = "PASS" }},
		{"FAIL without a reason", false, func(d map[string]any) { delete(object(d, "runs", 0, "verdict"), "reasons") }},
		{"claims that are null", false, func(d map[string]any) { object(d, "runs", 0, "verdict")["claims"] = nil }},
		{"a claim without its outcome", false, func(d map[string]any) { delete(object(d, "runs", 0, "verdict", "claims", 0), "outcome") }},
		{"a value as text", false, func(d map[string]any) { object(d, "runs", 0, "verdict", "claims", 0)["value"] = "12" }},
		{"a line that is no number", false, func(d map[string]any) { object(d, "runs", 0, "verdict", "claims", 0, "pos")["line"] = "7" }},
		{"part of a record", false, func(d map[string]any) {
			object(d, "runs", 0, "verdict", "claims", 1, "witnesses", 0)["seq"] = json.Number("1.5")
		}},
		{"neither verdict nor error", false, func(d map[string]any) { delete(object(d, "runs", 0), "verdict") }},
		{"a param without a value", false, func(d map[string]any) { delete(object(d, "runs", 4, "params", 0), "value") }},
		{"a field that nobody described", true, func(d map[string]any) { object(d, "runs", 0, "verdict", "timeline", 0)["colour"] = "red" }},
	} {
		doc := document(t, everything())
		tt.wrong(doc)
		if err := compiled(t, true).Validate(doc); err == nil {
			t.Errorf("%s: got no error of the strict form", tt.name)
		}
		if err := compiled(t, false).Validate(doc); (err == nil) != tt.strict {
			t.Errorf("%s: got %v, want an error: %v", tt.name, err, !tt.strict)
		}
	}
}
