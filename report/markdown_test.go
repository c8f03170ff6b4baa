package report

import (
	"bytes"
	"html"
	"regexp"
	"strings"
	"testing"

	"starfall/interp/plan"
	"starfall/runtime/judge"
)

func TestMarkdown(t *testing.T) {
	for _, tt := range []struct {
		name string
		runs []Result
	}{
		{"run.md", []Result{lost()}},
		{"sweep.md", sweep()},
		{"nothing.md", []Result{{Scenario: "x", Folder: "runs/x", Error: "up: no | way", Exit: 4}}},
	} {
		var b bytes.Buffer
		if err := Markdown(&b, tt.runs); err != nil {
			t.Fatal(err)
		}
		golden(t, tt.name, b.Bytes())
		tables(t, b.String())
	}
}

// tables wants every row of every table to have as many cells as its head.
func tables(t *testing.T, text string) (rows [][]string) {
	t.Helper()
	width := 0
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if !strings.HasPrefix(line, "|") {
			width = 0
			continue
		}
		// A bar is a border wherever it stands but behind a backslash.
		cells := strings.Split(strings.Trim(line, "|"), "|")
		if width == 0 {
			width = len(cells)
		}
		if len(cells) != width {
			t.Errorf("got a row of %d cells, want %d: %s", len(cells), width, line)
		}
		rows = append(rows, cells)
	}
	return rows
}

// TestMarkdownIsNoMarkup: whatever a claim or Kafka says comes out as text.
func TestMarkdownIsNoMarkup(t *testing.T) {
	nasty := "a|b `c` <script>x</script> *d* _e_ [f](g) ![h](i) ~~j~~ #1 @k \\| https://l :m: $n$ &amp; 1 < 2\n| - |"
	v := &judge.Verdict{Result: judge.Fail, Exit: 1, Title: nasty, Name: "x", Expected: 1,
		Claims: []judge.Claim{
			{Kind: plan.Expect, Text: nasty, Pos: pos(1), Outcome: judge.Broken, Measured: nasty, Hint: nasty},
			{Kind: plan.Report, Text: nasty, Pos: pos(2), Outcome: judge.Tabulated, Measured: nasty},
		},
		Reasons: []judge.Reason{{Result: judge.Inconclusive, Text: nasty}}}
	tag := regexp.MustCompile(`<[^>]*>`)
	for _, runs := range [][]Result{
		{{Scenario: "x", Folder: "runs/x", Verdict: v}},
		{{Scenario: "x", Folder: "runs/x/1", Verdict: v, Params: []Param{{nasty, nasty}}}, {Scenario: "x", Folder: "runs/x/2", Verdict: v, Params: []Param{{nasty, "2"}}}},
	} {
		var b bytes.Buffer
		if err := Markdown(&b, runs); err != nil {
			t.Fatal(err)
		}
		tables(t, b.String())
		for _, x := range tag.FindAllString(b.String(), -1) {
			switch x {
			case "<code>", "</code>", "<br>", "<details>", "</details>", "<summary>", "</summary>":
			default:
				t.Errorf("got the tag %s, want none of the scenario's", x)
			}
		}
		bare := tag.ReplaceAllString(b.String(), "")
		for line := range strings.Lines(bare) {
			if !strings.HasPrefix(line, "|") {
				line = strings.TrimPrefix(strings.TrimPrefix(line, "### "), "- ")
			}
			line = regexp.MustCompile(`&[a-z0-9#]+;`).ReplaceAllString(line, "")
			if strings.ContainsAny(line, "`*_[]\\~#@$!<>&") {
				t.Errorf("got markup in %q", line)
			}
		}
		if want := strings.ReplaceAll(nasty, "\n", ""); !strings.Contains(strings.ReplaceAll(html.UnescapeString(bare), "\n", ""), want) {
			t.Errorf("got %s, want it to say %q", html.UnescapeString(bare), want)
		}
	}
}
