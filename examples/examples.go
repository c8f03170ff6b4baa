// Package examples holds the small scenarios for a newcomer, in reading order.
//
// This file defines their index. What it says about a scenario comes from the
// scenario: the title is the first line of its docstring, and a comment line
// "# verdict: FAIL" declares the verdict that it gives.
package examples

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"
)

//go:embed *.star
var files embed.FS

// FS holds the scenario files.
func FS() fs.FS { return files }

// Example is one scenario of the index.
type Example struct {
	Name    string   // file name without .star
	Title   string   // first line of the docstring
	Verdict string   // PASS, FAIL …: what it gives
	Engines []string // on which
}

// order is the reading order.
func order() []string {
	return []string{
		"01-first-message",
		"02-consumer-group",
		"03-orderly-stop",
		"failover",
		"failover-faster",
		"04-grow-a-topic",
		"05-alarm",
		"06-acks-one",
		"07-acks-all",
		"08-two-sites",
		"09-transactions",
	}
}

// List gives the examples in reading order.
func List() ([]Example, error) {
	var out []Example
	for _, name := range order() {
		text, err := files.ReadFile(name + ".star")
		if err != nil {
			return nil, fmt.Errorf("examples: %w", err)
		}
		x := Example{Name: name, Engines: []string{"embedded", "docker"}}
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSpace(line)
			if x.Title == "" {
				x.Title = strings.Trim(line, `"`)
			}
			if v, ok := strings.CutPrefix(line, "# verdict: "); ok {
				x.Verdict = v
			}
		}
		if x.Title == "" || x.Verdict == "" {
			return nil, fmt.Errorf("examples: %s: got title %q and verdict %q, want both", name, x.Title, x.Verdict)
		}
		out = append(out, x)
	}
	return out, nil
}
