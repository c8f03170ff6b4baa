package builtins

import (
	"strings"
	"testing"
	"time"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"starfall/interp/plan"
)

func TestParseDuration(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want time.Duration
		err  string
	}{
		{"90s", 90 * time.Second, ""},
		{"1m30s", 90 * time.Second, ""},
		{"250ms", 250 * time.Millisecond, ""},
		{"1.5h", 90 * time.Minute, ""},
		{"0s", 0, ""},
		{"-5s", -5 * time.Second, ""},
		{"720h", 720 * time.Hour, ""},
		{"721h", 0, "the longest duration is 720h"},
		{"90", 0, `a unit is missing; say "90s"`},
		{"1.5", 0, `a unit is missing; say "1.5s"`},
		{"", 0, "the units are ms, s, m and h"},
		{"5 s", 0, "without spaces"},
		{"5sec", 0, "the units are"},
		{"5us", 0, "the units are"},
		{"5ns", 0, "the units are"},
		{"1d", 0, "the units are"},
		{"99999999999999h", 0, "the units are"},
	} {
		got, err := parseDuration(tt.in)
		switch {
		case tt.err == "" && (err != nil || got.Std() != tt.want):
			t.Errorf("%q: got %v (%v), want %v", tt.in, got, err, tt.want)
		case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
			t.Errorf("%q: got %v (%v), want the error %q", tt.in, got, err, tt.err)
		}
	}
}

func TestParseSizeAndBandwidth(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want float64 // -1: an error
	}{
		{"0B", 0}, {"100B", 100}, {"4KB", 4096}, {"1.5KB", 1536}, {"32MB", 32 << 20}, {"1GB", 1 << 30},
		{"100", -1}, {"KB", -1}, {"-1KB", -1}, {"+1KB", -1}, {"1kb", -1}, {"1 KB", -1}, {"1TB", -1}, {"", -1}, {"0x1KB", -1}, {"1_0KB", -1}, {"1e3B", -1},
	} {
		got, err := parseSize(tt.in)
		if tt.want < 0 && err == nil || tt.want >= 0 && (err != nil || got != tt.want) {
			t.Errorf("size %q: got %v (%v), want %v", tt.in, got, err, tt.want)
		}
		got, err = parseBandwidth(tt.in + "/s")
		if tt.want < 0 && err == nil || tt.want >= 0 && (err != nil || got != tt.want) {
			t.Errorf("bandwidth %q: got %v (%v), want %v", tt.in+"/s", got, err, tt.want)
		}
	}
	if _, err := parseBandwidth("10MB"); err == nil {
		t.Error("got no error for a bandwidth without /s")
	}
}

func TestArithmetic(t *testing.T) {
	second := Duration(plan.Duration(time.Second))
	start := instant{plan.Instant{Event: "e", Edge: plan.Start}}
	env := starlark.StringDict{"second": second, "start": start}
	for _, tt := range []struct{ expr, want string }{
		{"30 * second", "30s"},
		{"second * 1.5", "1.5s"},
		{"second + \"500ms\"", "1.5s"},
		{"\"500ms\" + second", "1.5s"},
		{"\"5s\" - second", "4s"},
		{"second - \"5s\"", "-4s"},
		{"-second", "-1s"},
		{"+second", "1s"},
		{"second / 4", "250ms"},
		{"(90 * second) / second", "90.0"},
		{"second < 2 * second", "True"},
		{"second == 1 * second", "True"},
		{"second != 1 * second", "False"},
		{"second >= 2 * second", "False"},
		{"bool(0 * second)", "False"},
		{"str(90 * second)", `"1m30s"`},
		{"type(second)", `"duration"`},
		{"type(start + second)", `"instant"`},
		{"type(second + start)", `"instant"`},
		{"type(\"5s\" + start)", `"instant"`},
		{"type(start - \"5s\")", `"instant"`},
		{"{second: 1}[1 * second]", "1"},
		{"second - start", "error: unknown binary op"},
		{"start - start", "error: unknown binary op"},
		{"start * 2", "error: unknown binary op"},
		{"2 * start", "error: unknown binary op"},
		{"second * second", "error: unknown binary op"},
		{"2 / second", "error: unknown binary op"},
		{"second // 2", "error: unknown binary op"},
		{"second + 5", "error: a bare number is no duration; say 5 * second"},
		{"5 + second", "error: a bare number is no duration"},
		{"start + 5", "error: a bare number is no duration"},
		{"1e300 * second", "error: the longest duration is 720h"},
		{"float(\"nan\") * second", "error: the longest duration is 720h"},
		{"start + 700 * 3600 * second + 700 * 3600 * second", "error: the longest duration is 720h"},
	} {
		v, err := starlark.EvalOptions(&syntax.FileOptions{}, &starlark.Thread{}, "x", tt.expr, env)
		if want, ok := strings.CutPrefix(tt.want, "error: "); ok {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v (%v), want the error %q", tt.expr, v, err, want)
			}
			continue
		}
		if err != nil || v.String() != tt.want {
			t.Errorf("%s: got %v (%v), want %s", tt.expr, v, err, tt.want)
		}
	}
}

// TestFactsFitEveryMeasure makes each measure with each word that is said to
// fit it, and expects that nothing else is accepted.
func TestFactsFitEveryMeasure(t *testing.T) {
	for _, m := range plan.Measures() {
		f := factsOf(m)
		if len(f.bounds) == 0 {
			t.Errorf("%s.%s: got no bounds, want some", m.Subject, m.Name)
		}
		if (m.Subject == plan.RefEvent || m.Unit == plan.UnitTruth) != (len(f.windows) == 0) {
			t.Errorf("%s.%s: got the windows %v", m.Subject, m.Name, f.windows)
		}
		many := false
		for _, by := range m.By {
			many = many || by != "all"
		}
		balanced := strings.Contains(strings.Join(f.bounds, " "), "balanced")
		if balanced && !many {
			t.Errorf("%s.%s: got balanced for a measure of one series", m.Subject, m.Name)
		}
	}
}

func TestStandInTakesEverything(t *testing.T) {
	env := starlark.StringDict{"x": standIn{}}
	for _, expr := range []string{
		"x.a.b(1, c = 2)[3].d", "x + 1", "1 + x", "x * x", "-x", "x == x", "x < x", "[y for y in x]", "x[\"a\"]", "len(x)", "{x: 1}", "1 in x", "str(x)", "x or 1",
	} {
		if _, err := starlark.EvalOptions(&syntax.FileOptions{}, &starlark.Thread{}, "x", expr, env); err != nil {
			t.Errorf("%s: got %v, want no error", expr, err)
		}
	}
}
