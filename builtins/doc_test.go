package builtins_test

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"starfall/builtins"
	"starfall/interp/plan"
)

var update = flag.Bool("update", false, "write the generated files")

// The generated files, from this folder.
func generated() map[string]string {
	return map[string]string{
		"../docs/language.md": builtins.Markdown(),
		"../__builtins__.pyi": builtins.Stub(),
	}
}

func TestGeneratedFilesAreFresh(t *testing.T) {
	for path, want := range generated() {
		if *update {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Errorf("%v; write it with: go test ./builtins -run Generated -update", err)
		} else if string(got) != want {
			t.Errorf("%s is stale; write it anew with: go test ./builtins -run Generated -update", path)
		}
	}
}

func TestTableIsSortedAndComplete(t *testing.T) {
	table := builtins.Table()
	seen := map[string]bool{}
	for i := range table {
		w := &table[i]
		if q := w.Qualified(); seen[q] {
			t.Errorf("%s is in the table twice", q)
		} else {
			seen[q] = true
		}
		if w.Help == "" || !strings.HasSuffix(strings.TrimSpace(w.Help), ".") {
			t.Errorf("%s: got the help %q, want full sentences", w.Qualified(), w.Help)
		}
		for _, p := range w.Params {
			if p.Help == "" {
				t.Errorf("%s: parameter %s has no help", w.Qualified(), p.Name)
			}
			if p.Required && p.Default != nil {
				t.Errorf("%s: parameter %s is required and has a default", w.Qualified(), p.Name)
			}
		}
		if w.Position > len(w.Params) {
			t.Errorf("%s: got %d parameters by position, want at most %d", w.Qualified(), w.Position, len(w.Params))
		}
	}
	for _, m := range plan.Measures() {
		if !seen[string(m.Subject)+"."+m.Name] {
			t.Errorf("the measure %s.%s is not a word", m.Subject, m.Name)
		}
	}
}

func TestDoc(t *testing.T) {
	for _, tt := range []struct {
		word string
		ok   bool
		want []string
	}{
		{"kill", true, []string{"kill(node, *, restart_after = None) → action", "SIGKILL", "at(\"30s\", kill("}},
		{"rate", true, []string{"producer.rate: measure", "consumer.rate: measure"}},
		{"producer.rate", true, []string{"Records acknowledged per second."}},
		{"cluster", true, []string{"It has active_controllers, alive, any_broker"}},
		{"measure", true, []string{"measure, a type", "never_below"}},
		{"broker.session.timeout.ms", true, []string{"a broker config of Kafka", "9000", "needs a restart"}},
		{"tool", true, []string{"tool(name, *args, on = None)", "The tools are", "kafka-consumer-groups"}},
		{"kafka-preferred-replica-election", true, []string{"one of Kafka's tools", "since Kafka 3.0", "kafka-leader-election"}},
		{"mirror.identical", true, []string{"mirror.identical(aspect)", "\"records\"", "Bounds: equals."}},
		{"kafka-topic", false, []string{"did you mean kafka-topics?"}},
		{"kil", false, []string{"did you mean kill?"}},
		{"qqqqqq", false, []string{"there is no word qqqqqq"}},
	} {
		text, ok := builtins.Doc(tt.word)
		if ok != tt.ok {
			t.Errorf("%s: got %v, want %v", tt.word, ok, tt.ok)
		}
		for _, want := range tt.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s: got\n%s\nwant it to contain %q", tt.word, text, want)
			}
		}
	}
	if text, _ := builtins.Doc("producer.rate"); strings.Contains(text, "consumer") {
		t.Errorf("producer.rate: got\n%s\nwant only the producer's", text)
	}
}

func TestDocKnowsEveryWord(t *testing.T) {
	table := builtins.Table()
	for i := range table {
		if text, ok := builtins.Doc(table[i].Qualified()); !ok || !strings.Contains(text, table[i].Name) {
			t.Errorf("%s: got %q, %v", table[i].Qualified(), text, ok)
		}
		if !strings.Contains(builtins.Index(), table[i].Name) {
			t.Errorf("%s is not in the index", table[i].Name)
		}
	}
}

func TestDocLinesFitTheScreen(t *testing.T) {
	for line := range strings.Lines(builtins.Index()) {
		if n := len([]rune(strings.TrimRight(line, "\n"))); n > 80 {
			t.Errorf("got a line of %d characters, want at most 80: %s", n, line)
		}
	}
}

func TestOneLine(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{`f(a,  b)`, `f(a,  b)`},
		{"f(\n    a,  # the first\n    b = [\n        1,\n    ],\n)", `f(a, b = [1])`},
		{"a.b(\n  \"x # y\",\n).c()", `a.b("x # y").c()`},
		{"x \\\n  + y", `x + y`},
		{"f(\"\"\"two\nlines\"\"\")", `f("""two\nlines""")`},
		{"(shop\n    .rate\n    .none())", `(shop.rate.none())`},
	} {
		if got := builtins.OneLine(tt.in); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestStubDeclaresEveryWord(t *testing.T) {
	stub := builtins.Stub()
	for _, w := range builtins.Table() {
		if !slices.ContainsFunc([]string{"def " + w.Name + "(", w.Name + ": "}, func(s string) bool { return strings.Contains(stub, s) }) {
			t.Errorf("the stub has no %s", w.Qualified())
		}
	}
}
