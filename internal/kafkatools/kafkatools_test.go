package kafkatools_test

import (
	"errors"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"starfall/internal/kafkatools"
)

var update = flag.Bool("update", false, "write docs/tools.md")

func TestPageIsFresh(t *testing.T) {
	const path = "../../docs/tools.md"
	want := kafkatools.Markdown()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; write it with: go test ./internal/kafkatools -update", err)
	}
	if string(got) != want {
		t.Errorf("%s is stale; write it anew with: go test ./internal/kafkatools -update", path)
	}
}

func TestTableIsSortedAndComplete(t *testing.T) {
	table := kafkatools.Table()
	if !slices.IsSortedFunc(table, func(a, b kafkatools.Tool) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("the table is not sorted by name")
	}
	seen := map[string]bool{}
	for _, x := range table {
		switch {
		case seen[x.Name]:
			t.Errorf("%s is in the table twice", x.Name)
		case x.Purpose == "" || strings.HasSuffix(x.Purpose, "."):
			t.Errorf("%s: got the purpose %q, want a line without a full stop", x.Name, x.Purpose)
		case x.Gone != "" && x.Instead == "":
			t.Errorf("%s is gone and nothing is named instead", x.Name)
		case x.Gone == "" && x.Class3 == "" && x.Class4 == "" && !x.Script:
			t.Errorf("%s has no class and is not gone", x.Name)
		}
		seen[x.Name] = true
		if got, ok := kafkatools.Lookup(x.Name); !ok || got != x {
			t.Errorf("%s is not found", x.Name)
		}
		if doc := x.Doc(); !strings.Contains(doc, x.Purpose) || !strings.Contains(doc, x.Instead) {
			t.Errorf("%s: got the text\n%s", x.Name, doc)
		}
	}
	// The tools that the chapter asks for.
	for _, name := range strings.Fields(`acls replay-log-producer configs replica-verification console-consumer run-class
		console-producer server-start consumer-groups server-stop consumer-offset-checker simple-consumer-shell
		consumer-perf-test streams-application-reset mirror-maker topics preferred-replica-election verifiable-consumer
		producer-perf-test verifiable-producer reassign-partitions`) {
		x, ok := kafkatools.Lookup("kafka-" + name)
		if !ok {
			t.Errorf("there is no kafka-%s", name)
		} else if x.Word == "" {
			t.Errorf("kafka-%s has no word that does the same", name)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, tt := range []struct{ name, version, want, hint string }{
		{"kafka-topics", "", "", ""},
		{"kafka-topics", "4.3.1", "", ""},
		{"kafka-mirror-maker", "3.9.1", "", ""},
		{"kafka-mirror-maker", "4.3.1", "Kafka 4.3.1 has no kafka-mirror-maker: it is gone since Kafka 4.0", "use connect-mirror-maker"},
		{"kafka-share-groups", "3.9.1", "Kafka 3.9.1 has no kafka-share-groups: it comes with Kafka 4", ""},
		{"kafka-share-groups", "", "", ""},
		{"kafka-topic", "", "Kafka has no tool kafka-topic", "did you mean kafka-topics?"},
		{"topics", "", "Kafka has no tool topics", "did you mean kafka-topics?"},
		{"consumer-group", "", "Kafka has no tool consumer-group", "did you mean kafka-consumer-groups?"},
		{"kafka-topics.sh", "", "Kafka has no tool kafka-topics.sh", "did you mean kafka-topics?"},
		{"qqqqqqqqqqqq", "", "Kafka has no tool qqqqqqqqqqqq", "starfall doc tool lists them"},
		{"kafka-consumer-offset-checker", "", "kafka-consumer-offset-checker is gone since Kafka 1.0", "use kafka-consumer-groups"},
		{"kafka-replay-log-producer", "4.3.1", "kafka-replay-log-producer is gone since Kafka 2.0", "use kafka-console-consumer piped into kafka-console-producer"},
		{"kafka-server-start", "", "kafka-server-start is a script for the machine of a broker, which the engine looks after", "say start(outage)"},
	} {
		err := kafkatools.Check(tt.name, tt.version)
		got, hint := "", ""
		var unknown *kafkatools.Unknown
		if errors.As(err, &unknown) {
			got, hint = unknown.Message, unknown.Hint
		} else if err != nil {
			t.Errorf("%s: got %v, want an *Unknown", tt.name, err)
		}
		if got != tt.want || hint != tt.hint {
			t.Errorf("%s on %q: got %q, %q, want %q, %q", tt.name, tt.version, got, hint, tt.want, tt.hint)
		}
	}
	if slices.Contains(kafkatools.Names(), "kafka-server-start") || slices.Contains(kafkatools.Names(), "kafka-consumer-offset-checker") || !slices.Contains(kafkatools.Names(), "kafka-mirror-maker") || !slices.Contains(kafkatools.Names(), "kafka-topics") {
		t.Errorf("got the names %v, want those that tool can run", kafkatools.Names())
	}
}

func TestClass(t *testing.T) {
	x, _ := kafkatools.Lookup("kafka-acls")
	for version, want := range map[string]string{
		"": "kafka.admin.AclCommand", "3.9.1": "kafka.admin.AclCommand", "4.3.1": "org.apache.kafka.tools.AclCommand",
	} {
		if got := x.Class(version); got != want {
			t.Errorf("%q: got %s, want %s", version, got, want)
		}
	}
}
