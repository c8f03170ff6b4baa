// Package kafkatools is the table of Kafka's own command line tools: what each
// is for, which Java class it is, what replaces those that are gone, and which
// word of the language does the same job on both engines.
package kafkatools

import (
	"fmt"
	"strings"

	"starfall/internal/spell"
)

// Tool is one of Kafka's command line tools.
type Tool struct {
	Name    string // its usual name, without .sh: kafka-topics
	Purpose string // what it is for, in one line without a full stop

	// Class3 and Class4 are its main class in Kafka 3.9 and in Kafka 4; "" where
	// that Kafka does not have it.
	Class3, Class4 string

	// Script says that it is a shell script and no class. It runs on a machine
	// that keeps a broker's process itself, so tool() refuses it.
	Script bool

	Gone    string // the release that took it away: "3.0"; "" while Kafka 3.9 or 4 has it
	Instead string // what does its job today; with Gone always said
	Endless bool   // it goes on until it is ended, or until what its arguments say

	Word     string // how a scenario says the same, on both engines; "" where nothing does
	Scenario string // the id in the library of a scenario that shows it; "" where none does
}

// Class gives the main class in a release such as "3.9.1"; "" means Kafka 3.9,
// the default of the Docker engine. It is empty where that release has none.
func (t *Tool) Class(version string) string {
	if major, _, _ := strings.Cut(version, "."); version == "" || major == "3" {
		return t.Class3
	}
	return t.Class4
}

// Lookup finds a tool by its usual name.
func Lookup(name string) (Tool, bool) {
	for _, t := range tools() {
		if t.Name == name {
			return t, true
		}
	}
	return Tool{}, false
}

// Table gives all tools, sorted by name.
func Table() []Tool { return tools() }

// Names gives the usual names of all tools that run on Kafka 3.9 or 4, sorted.
func Names() []string {
	var names []string
	for _, t := range tools() {
		if !t.Script && (t.Class3 != "" || t.Class4 != "") {
			names = append(names, t.Name)
		}
	}
	return names
}

// Unknown is why a tool cannot be run: there is none of that name, it is gone, or
// it is no class. Hint says what to write instead and may be empty.
type Unknown struct {
	Message string
	Hint    string
}

func (e *Unknown) Error() string { return e.Message }

// Check reports why a tool of that name cannot be run on a release of Kafka,
// as *Unknown; "" as the release means that any will do.
func Check(name, version string) error {
	t, ok := Lookup(name)
	switch {
	case !ok:
		return &Unknown{"Kafka has no tool " + name, suggest(name)}
	case t.Gone != "" && t.Class3 == "" && t.Class4 == "":
		return &Unknown{fmt.Sprintf("%s is gone since Kafka %s", name, t.Gone), "use " + t.Instead}
	case t.Script:
		hint := ""
		if t.Word != "" {
			hint = "say " + t.Word
		}
		return &Unknown{name + " is a script for the machine of a broker, which the engine looks after", hint}
	case version != "" && t.Class(version) == "":
		why := "Kafka " + version + " has no " + name
		if t.Class4 == "" {
			return &Unknown{fmt.Sprintf("%s: it is gone since Kafka %s", why, t.Gone), "use " + t.Instead}
		}
		return &Unknown{why + ": it comes with Kafka 4", ""}
	}
	return nil
}

// suggest finds the tool that somebody meant: with .sh, without kafka-, or
// misspelled.
func suggest(name string) string {
	plain := strings.TrimSuffix(name, ".sh")
	for _, try := range []string{plain, "kafka-" + plain} {
		if _, ok := Lookup(try); ok {
			return "did you mean " + try + "?"
		}
	}
	var names []string
	for _, t := range tools() {
		names = append(names, t.Name)
	}
	for _, try := range []string{plain, "kafka-" + plain} {
		if near, ok := spell.Nearest(try, names); ok {
			return "did you mean " + near + "?"
		}
	}
	return "starfall doc tool lists them"
}

// Doc explains one tool.
func (t *Tool) Doc() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, one of Kafka's tools\n\n  for       %s\n", t.Name, t.Purpose)
	line := func(label, text string) {
		if text != "" {
			fmt.Fprintf(&b, "  %-8s  %s\n", label, text)
		}
	}
	switch {
	case t.Class3 == t.Class4:
		line("class", t.Class3)
	default:
		line("Kafka 3", t.Class3)
		line("Kafka 4", t.Class4)
	}
	if t.Script {
		line("is", "a shell script")
	}
	if t.Gone != "" {
		line("gone", "since Kafka "+t.Gone)
	}
	line("instead", t.Instead)
	if t.Endless {
		line("ends", "only when it is ended, or told how much")
	}
	line("here", t.Word)
	line("shown by", t.Scenario)
	return b.String()
}

// Markdown gives docs/tools.md.
func Markdown() string {
	var b strings.Builder
	b.WriteString(`# Kafka's own tools

Each of Kafka's command line tools by its usual name, with the word of a scenario that does the same job on both engines. On the Docker engine ` + "`tool(\"kafka-topics\", \"--describe\", on = kafka)`" + ` runs the real tool inside the cluster and keeps its output in the run, and ` + "`starfall tool FILE -- kafka-topics --describe`" + ` runs one against a cluster that stands. A class in brackets is that of Kafka 4 where it differs from Kafka 3.9.

| tool | what it is for | Java class | scenario word | shown by |
| --- | --- | --- | --- | --- |
`)
	var gone []Tool
	for _, t := range tools() {
		if t.Gone != "" {
			gone = append(gone, t)
		}
		if t.Class3 == "" && t.Class4 == "" && !t.Script {
			continue
		}
		class := "`" + t.Class3 + "`"
		switch {
		case t.Script && t.Class3 == "":
			class = "a shell script"
		case t.Class3 == "":
			class = "[`" + t.Class4 + "`]"
		case t.Class4 == "":
			class += " [gone]"
		case t.Class4 != t.Class3:
			class += " [`" + t.Class4 + "`]"
		}
		purpose := t.Purpose
		if t.Endless {
			purpose += "; goes on until it is ended, or told how much"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", t.Name, purpose, class, code(t.Word), code(t.Scenario))
	}
	b.WriteString("\n## Gone\n\n| tool | what it was for | gone since | use today | scenario word |\n| --- | --- | --- | --- | --- |\n")
	for _, t := range gone {
		fmt.Fprintf(&b, "| `%s` | %s | Kafka %s | %s | %s |\n", t.Name, t.Purpose, t.Gone, t.Instead, code(t.Word))
	}
	return b.String()
}

func code(s string) string {
	if s == "" {
		return "–"
	}
	return "`" + strings.ReplaceAll(s, "|", `\|`) + "`"
}
