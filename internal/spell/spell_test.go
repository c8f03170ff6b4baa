package spell

import (
	"math/rand/v2"
	"testing"
)

func TestNearest(t *testing.T) {
	words := []string{
		"alarm", "at", "assume", "cluster", "consumer", "crash", "every", "expect", "heal", "heal_all",
		"kill", "link", "min_insync", "netsplit", "partitions", "pause", "producer", "replicas", "report",
		"restart", "restart_after", "resume", "run_for", "scenario", "site", "slow", "start", "stop",
		"throttle", "topic", "warmup", "when",
	}
	configs := []string{
		"auto.offset.reset", "cleanup.policy", "log.retention.bytes", "log.retention.hours", "max.poll.interval.ms",
		"max.poll.records", "min.insync.replicas", "replica.lag.time.max.ms", "retention.bytes", "retention.ms",
		"session.timeout.ms", "unclean.leader.election.enable",
	}
	for _, tt := range []struct {
		about string
		name  string
		among []string
		want  string // empty: no suggestion
	}{
		{"letter missing", "partitons", words, "partitions"},
		{"letters exchanged", "tpoic", words, "topic"},
		{"first letters exchanged", "ikll", words, "kill"},
		{"short exchanged", "ta", words, "at"},
		{"letter doubled", "killl", words, "kill"},
		{"two errors", "senario", words, "scenario"},
		{"upper case", "TOPIC", words, "topic"},
		{"camel case", "restartAfter", words, "restart_after"},
		{"dashes", "min-insync", words, "min_insync"},
		{"dots", "heal.all", words, "heal_all"},
		{"no separator", "runfor", words, "run_for"},
		{"singular", "partition", words, "partitions"},
		{"plural", "topics", words, "topic"},
		{"plural ies", "policies", []string{"police", "policy"}, "policy"},
		{"underscores for dots", "min_insync_replicas", configs, "min.insync.replicas"},
		{"singular inside", "min.insync.replica", configs, "min.insync.replicas"},
		{"unit left out", "session.timeout", configs, "session.timeout.ms"},
		{"unit left out of two", "retention", configs, "retention.ms"},
		{"other order", "reset.offset.auto", configs, "auto.offset.reset"},
		{"words left out", "unclean.election", configs, "unclean.leader.election.enable"},
		{"first words only", "replica.lag", configs, "replica.lag.time.max.ms"},
		{"long with three errors", "uncleen.leder.elektion.enable", configs, "unclean.leader.election.enable"},
		{"same prefix wins", "stort", []string{"short", "start"}, "start"},
		{"accents count as letters", "tópic", words, "topic"},

		{"nothing near", "database", words, ""},
		{"short and unlike", "of", words, ""},
		{"one letter", "k", words, ""},
		{"short with wrong first letter", "bat", []string{"cat"}, ""},
		{"five letters, two wrong, first too", "table", []string{"cabin"}, ""},
		{"last word only", "replicas", configs, ""},
		{"word in the middle only", "election", configs, ""},
		{"empty name", "", words, ""},
		{"only separators", "__", words, ""},
		{"empty candidate", "ab", []string{"", "_"}, ""},
		{"no candidates", "topic", nil, ""},
		{"only itself", "topic", []string{"topic"}, ""},
	} {
		t.Run(tt.about, func(t *testing.T) {
			got, ok := Nearest(tt.name, tt.among)
			if got != tt.want || ok != (tt.want != "") {
				t.Errorf("Nearest(%q) = %q, %t, want %q", tt.name, got, ok, tt.want)
			}
		})
	}
}

func TestNearestDoesNotDependOnOrder(t *testing.T) {
	among := []string{"rate", "rats", "rage", "race", "Rate_", "r.ate"}
	want, ok := Nearest("raxe", among)
	if !ok || want != "Rate_" && want != "race" && want != "rage" && want != "r.ate" && want != "rate" {
		t.Fatalf("Nearest(%q) = %q, %t, want one of %q", "raxe", want, ok, among)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		rnd.Shuffle(len(among), func(i, j int) { among[i], among[j] = among[j], among[i] })
		if got, _ := Nearest("raxe", among); got != want {
			t.Fatalf("Nearest among %q = %q, want %q", among, got, want)
		}
	}
}

func TestList(t *testing.T) {
	for _, tt := range []struct {
		names []string
		want  string
	}{
		{nil, ""},
		{[]string{"a"}, "a"},
		{[]string{"b", "a"}, "b or a"},
		{[]string{"a", "b", "c"}, "a, b or c"},
	} {
		if got := List(tt.names); got != tt.want {
			t.Errorf("List(%q) = %q, want %q", tt.names, got, tt.want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"", "abc", 3},
		{"abc", "", 3},
		{"abc", "abc", 0},
		{"abc", "acb", 1},
		{"abcd", "badc", 2},
		{"kitten", "sitting", 3},
		{"ca", "abc", 3}, // the restricted form; the full one finds 2
	} {
		if got := distance([]rune(tt.a), []rune(tt.b)); got != tt.want {
			t.Errorf("distance(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

func TestMaxEdits(t *testing.T) {
	for n, want := range map[int]int{1: 0, 2: 1, 4: 1, 5: 2, 11: 2, 12: 3, 16: 4, 20: 5, 60: 5} {
		if got := maxEdits(n); got != want {
			t.Errorf("maxEdits(%d) = %d, want %d", n, got, want)
		}
	}
}

func FuzzNearest(f *testing.F) {
	f.Add("min.insync.replica", "min.insync.replicas")
	f.Add("", "_")
	f.Add("\xff", "a")
	f.Fuzz(func(t *testing.T, name, candidate string) {
		got, ok := Nearest(name, []string{candidate})
		if ok && (got != candidate || candidate == name) || !ok && got != "" {
			t.Errorf("Nearest(%q, [%q]) = %q, %t", name, candidate, got, ok)
		}
	})
}
