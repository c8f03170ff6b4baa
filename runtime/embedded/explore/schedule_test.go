package explore

import (
	"fmt"
	"hash/fnv"
	"reflect"
	"strings"
	"testing"
)

func TestScheduleTextRoundTrip(t *testing.T) {
	verbs, triggers := map[Verb]bool{}, map[Trigger]bool{}
	for seed := range uint64(300) {
		want := Generate(seed)
		got, err := Parse("# a comment\n\n" + want.String())
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: got %v and\n%s\nwant\n%s", seed, err, got, want)
		}
		for _, a := range want.Actions {
			verbs[a.Verb], triggers[a.On] = true, true
		}
	}
	if len(verbs) != 15 || len(triggers) != 6 {
		t.Errorf("generated: got verbs %v and triggers %v, want all", verbs, triggers)
	}
}

func TestParseRefuses(t *testing.T) {
	good := Generate(1).String()
	for _, c := range []struct{ line, want string }{
		{"nodes 3", "line 1: for name nodes: want seed, brokers"},
		{"seed", "line 1: for seed: got 1 words"},
		{"seed x", `line 1: strconv.ParseUint: parsing "x"`},
		{"at 1s", "line 1: for an action: got 1 words"},
		{"at noon kill 1", "line 1: time: invalid duration"},
		{"at 1s murder 1", "line 1: for a verb: got murder"},
		{"at 1s kill", "line 1: for verb kill: got 0 words after it, want more"},
		{"at 1s kill 1 2", "line 1: for verb kill: got 2 words after it, want 1"},
		{"at 1s slow 1 2", "line 1: for verb slow: got 2 words after it, want 3"},
		{"at 1s split", "line 1: for verb split: got no nodes"},
		{"at 1s split 1,b", `line 1: strconv.ParseInt: parsing "b"`},
		{"at 1s on monday kill 1", "line 1: for a trigger: got monday"},
		{"at 1s freeze 1", "line 1: for verb freeze: got 1 words after it, want 2"},
		{"at -1s kill 1", "want no negative durations"},
		{"at 2h kill 1", "want them in order of time"},
	} {
		_, err := Parse(c.line + "\n" + good)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got error %v, want %q in it", c.line, err, c.want)
		}
	}
	for _, c := range []struct{ change, to, want string }{
		{"brokers 3", "brokers 0", "for brokers and controllers: got 0"},
		{"partitions 2", "partitions 0", "for partitions: got 0"},
		{"for 20s", "for 20h", "for the duration: got 20h"},
		{"members 0", "members 100", "for members: got 100"},
		{"transactions 1", "transactions 100", "for transactions: got 100"},
	} {
		_, err := Parse(strings.Replace(good, c.change, c.to, 1))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got error %v, want %q in it", c.to, err, c.want)
		}
	}
}

// TestReplayToTheLetter: the text of a schedule determines everything that happens.
func TestReplayToTheLetter(t *testing.T) {
	digest := func(s Schedule) (uint64, Stats) {
		h := fnv.New64a()
		v, stats, err := Replay(s, Options{Trace: func(line string) { fmt.Fprintln(h, line) }})
		if err != nil || v != nil {
			t.Fatalf("seed %d: got %v and %v", s.Seed, v, err)
		}
		return h.Sum64(), stats
	}
	seen := map[uint64]bool{}
	for seed := range uint64(12) {
		s := Generate(seed)
		parsed, err := Parse(s.String())
		if err != nil {
			t.Fatal(err)
		}
		a, first := digest(s)
		b, second := digest(parsed)
		if a != b || first != second {
			t.Errorf("seed %d: got %x %+v and then %x %+v", seed, a, first, b, second)
		}
		seen[a] = true
	}
	if len(seen) != 12 {
		t.Errorf("got %d different runs of 12 seeds", len(seen))
	}
}
