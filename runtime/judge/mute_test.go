package judge

import (
	"strings"
	"testing"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

// muted is a healthy run in which nobody says what the group got: 500 records
// stand in each of 4 partitions.
func muted(committed ...int64) *world {
	x := newWorld()
	x.deliver = func(uint64, int32, time.Duration) []time.Duration { return nil }
	x.group = func(*record.Writer) {}
	x.events = append(outage(), record.Event{At: 21 * sec, Kind: record.KindCommitted, Name: "billing", What: "billing never said what it got",
		Committed: map[string][]int64{"orders": committed}})
	return x
}

// TestMute judges groups that never say what they get, by what they have
// committed.
func TestMute(t *testing.T) {
	for _, tt := range []struct {
		name    string
		world   *world
		missing float64
		note    string
	}{
		{"all committed", muted(500, 500, 500, 500), 0, ""},
		{"the last of one partition are not", muted(500, 497, 500, 500), 3, "in the log, past the group's position"},
		{"nothing committed in one", muted(500, 500, 500, -1), 500, "in the log, past the group's position"},
		{"nothing known of the last ones", muted(500, 500), 1000, "in the log, past the group's position"},
		{"nothing committed at all", muted(), 2000, "in the log, past the group's position"},
		{"one is not in the log", func() *world {
			x := muted(499, 500, 500, 500)
			x.inLog = without(1000)
			return x
		}(), 1, "not in the log"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := tt.world.judge(t, billing("missing").none().expect(), billing("missing").by("partition").none().expect())
			c := v.Claims[0]
			if c.Value == nil || *c.Value != tt.missing {
				t.Fatalf("missing: got %+v, want %v", c, tt.missing)
			}
			want := Held
			if tt.missing > 0 {
				want = Broken
			}
			if c.Outcome != want || v.Claims[1].Outcome != want {
				t.Errorf("outcomes: got %s and %s by partition, want %s", c.Outcome, v.Claims[1].Outcome, want)
			}
			if tt.missing > 0 && (len(c.Witnesses) == 0 || c.Witnesses[0].Note != tt.note) {
				t.Errorf("witnesses: got %+v, want the first %s", c.Witnesses, tt.note)
			}
		})
	}
}

// TestMuteWindows checks that only what was due in the window counts, of what
// stands past the committed offset.
func TestMuteWindows(t *testing.T) {
	v := muted(400, 400, 400, 400).judge(t, // the first 16 s
		billing("missing").during(2*sec, 15*sec).none().expect(), billing("missing").during(15*sec, 17*sec).none().expect(),
		billing("pending").none().expect(), billing("lost").none().expect())
	if c := v.Claims[0]; c.Outcome != Held {
		t.Errorf("before: got %+v, want it to hold", c)
	}
	if c := v.Claims[1]; c.Outcome != Broken || *c.Value != 100 {
		t.Errorf("astride: got %+v, want 100 missing", c)
	}
	if c := v.Claims[2]; c.Outcome != Broken || *c.Value != 400 {
		t.Errorf("pending: got %+v, want 400", c)
	}
	if c := v.Claims[3]; c.Outcome != Held {
		t.Errorf("lost: got %+v, want it to hold", c)
	}
}

// TestMuteNoData checks what nobody can tell of such a group: none of it holds
// because nothing was seen.
func TestMuteNoData(t *testing.T) {
	unknown := muted()
	unknown.events[len(unknown.events)-1] = record.Event{At: 21 * sec, Kind: record.KindCommitted, Name: "billing", Error: "no coordinator"}
	unaudited := muted(500, 500, 500, 500)
	unaudited.noAudit = true
	whole := muted(500, 500, 500, 500)
	const never = "billing never said what it got"
	for _, tt := range []struct {
		world *world
		claim plan.Claim
		want  string
	}{
		{whole, billing("duplicates").none().expect(), never},
		{whole, billing("out_of_order").none().expect(), never},
		{whole, billing("phantoms").none().expect(), never},
		{whole, billing("undelivered").none().expect(), never},
		{whole, billing("rate").atLeast(0).expect(), never},
		{whole, billing("delay").stat("p99").atMost(9).expect(), never},
		{whole, billing("stall").atMost(9).expect(), never},
		{whole, billing("lag").atMost(1e9).expect(), never},
		{whole, billing("missing").at(10 * sec).none().expect(), never},
		{unknown, billing("missing").none().expect(), never + ", and the offsets that its group has committed are not known: no coordinator"},
		{unaudited, billing("missing").none().expect(), "orders/0 was not audited"},
	} {
		v := tt.world.judge(t, tt.claim)
		if c := v.Claims[0]; c.Outcome != NoData || !strings.HasPrefix(c.Measured, tt.want) {
			t.Errorf("%s: got %s, %q, want no data, %q", c.Text, c.Outcome, c.Measured, tt.want)
		}
	}
}
