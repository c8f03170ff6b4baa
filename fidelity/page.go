// This file defines the page.

package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"starfall/internal/kept"
)

//go:embed page.md
var frame string

// marker is where the frame takes the tables.
const marker = "<!-- tables -->\n"

func writePage(all []scenario, results, path string) error {
	cs, err := compare(all, results)
	if err != nil {
		return err
	}
	before, after, ok := strings.Cut(frame, marker)
	if !ok {
		return fmt.Errorf("fidelity/page.md: want a line %s", strings.TrimSpace(marker))
	}
	var b bytes.Buffer
	b.WriteString(before)
	tables(&b, cs)
	b.WriteString(after)
	return os.WriteFile(path, b.Bytes(), 0o644)
}

func tables(b *bytes.Buffer, cs []compared) {
	verdicts, claims, lengths := tally(cs)
	fmt.Fprintf(b, "Of %d scenarios, %d have the same verdict on both engines; of %d claims, %d the same\noutcome; of %d stalls and latencies, %d lie within 20 %% or 300 ms of each other.\n",
		verdicts.all(), verdicts.equal, claims.all(), claims.equal, lengths.all(), lengths.equal)
	if n := verdicts.differs + claims.differs + lengths.differs; n > 0 {
		fmt.Fprintf(b, "%d differences have no reason yet.\n", n)
	}
	b.WriteString("\n## Verdicts\n\n| scenario | Kafka on Docker | embedded | at speed |\n| --- | --- | --- | --- |\n")
	for _, c := range cs {
		fmt.Fprintf(b, "| [%s](../%s): %s | %s | %s%s | %g |\n", c.scenario.name, filepath.ToSlash(c.scenario.path), cell(c.docker.Title),
			c.docker.Result, c.embedded.Result, mark(c.agreement), c.embedded.Speed)
	}
	b.WriteString("\n## Stalls and latencies\n\n| scenario | what | Kafka on Docker | embedded |\n| --- | --- | --- | --- |\n")
	for _, c := range cs {
		for _, r := range c.rows {
			if r.docker.Kind == "report" && r.agreement != shown {
				fmt.Fprintf(b, "| %s | `%s` | %s | %s%s |\n", c.scenario.name, r.text, cell(r.docker.Measured), cell(r.embedded.Measured), mark(r.agreement))
			}
		}
	}
	b.WriteString("\n## What differs\n\n")
	n := 0
	for _, c := range cs {
		if c.agreement == excepted || c.agreement == differs {
			n++
			fmt.Fprintf(b, "- **%s**: %s on Docker, %s embedded. %s\n", c.scenario.name, c.docker.Result, c.embedded.Result, why(c.reason))
		}
		for _, r := range c.rows {
			if r.agreement == excepted || r.agreement == differs {
				n++
				fmt.Fprintf(b, "- **%s**, `%s`: %s (%s) on Docker, %s (%s) embedded. %s\n", c.scenario.name, r.text,
					r.docker.Outcome, r.docker.Measured, r.embedded.Outcome, r.embedded.Measured, why(r.reason))
			}
		}
	}
	if n == 0 {
		b.WriteString("Nothing.\n")
	}
	b.WriteString("\n## Claim by claim\n\n")
	for _, c := range cs {
		fmt.Fprintf(b, "### %s\n\n%s Kafka %s, run %s.\n\n| claim | Kafka on Docker | embedded |\n| --- | --- | --- |\n", c.scenario.name, sentence(c.docker.Title), c.docker.Kafka, c.docker.Date)
		for _, r := range c.rows {
			fmt.Fprintf(b, "| `%s` | %s | %s%s |\n", r.text, told(r.docker), told(r.embedded), mark(r.agreement))
		}
		b.WriteByte('\n')
	}
}

func told(c kept.Claim) string {
	if c.Kind == "report" {
		return cell(c.Measured)
	}
	return c.Outcome + ": " + cell(c.Measured)
}

func mark(a agreement) string {
	if a == differs || a == excepted {
		return " ≠"
	}
	return ""
}

func why(reason string) string {
	if reason == "" {
		return "Why is not known."
	}
	return reason
}

func sentence(s string) string {
	if s == "" || strings.HasSuffix(s, ".") {
		return s
	}
	return s + "."
}

// cell keeps a text inside one cell of a table.
func cell(s string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "|", "\\|")
}
