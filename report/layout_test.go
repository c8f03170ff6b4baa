package report

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestGridFitsAndLosesNothing(t *testing.T) {
	long := `no(both(shop.rate.during("30s", "60s").per("5s").never_below(0.9 * rate), billing.missing.none()))`
	rows := [][]string{
		{"✗", long, "0/s at 0:31, 1 s after kill(kafka-2); below 800 for 8 s"},
		{"✓", "a", "12 345"},
	}
	var b strings.Builder
	if err := grid(&b, 3, []column{{}, {head: "claim", wrap: true}, {head: "measured", wrap: true}}, rows); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + b.String())
	squeeze := func(s string) string { return strings.Join(strings.Fields(s), "") }
	for line := range strings.Lines(b.String()) {
		if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > Width {
			t.Errorf("line of %d characters, want at most %d: %s", n, Width, line)
		}
	}
	// Column by column, every character is still there.
	got := map[rune]int{}
	for _, r := range squeeze(b.String()) {
		got[r]++
	}
	want := map[rune]int{}
	for _, r := range squeeze("claim measured " + strings.Join(rows[0], "") + strings.Join(rows[1], "")) {
		want[r]++
	}
	for r, n := range want {
		if got[r] != n {
			t.Errorf("character %q: got %d of them, want %d", r, got[r], n)
		}
	}
}

func TestWrap(t *testing.T) {
	for _, tt := range []struct {
		text  string
		width int
		want  []string
	}{
		{"", 10, []string{""}},
		{"one two three", 8, []string{"one two", "three"}},
		{"shop.rate.never_below(800)", 12, []string{"shop.rate", ".never_below", "(800)"}},
		{"abcdefghijkl", 5, []string{"abcde", "fghij", "kl"}},
		{"for 12 345 records", 8, []string{"for", "12 345", "records"}},
		{"registered 1.9 s", 14, []string{"registered", "1.9 s"}},
		{"a\nb", 5, []string{"a", "b"}},
		{"exactly ten", 11, []string{"exactly ten"}},
	} {
		got := wrap(tt.text, tt.width)
		if strings.Join(got, "|") != strings.Join(tt.want, "|") {
			t.Errorf("wrap(%q, %d): got %q, want %q", tt.text, tt.width, got, tt.want)
		}
	}
}
