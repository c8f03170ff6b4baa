package html

import (
	"math"
	"regexp"
	"strconv"
	"testing"
)

// luminance is WCAG's relative luminance of a colour.
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	n, err := strconv.ParseUint(hex[1:7], 16, 32)
	if err != nil {
		t.Fatal(err)
	}
	part := func(shift int) float64 {
		c := float64(n>>shift&0xff) / 255
		if c <= 0.04045 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	return 0.2126*part(16) + 0.7152*part(8) + 0.0722*part(0)
}

func contrast(t *testing.T, a, b string) float64 {
	x, y := luminance(t, a), luminance(t, b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// TestContrast holds the colours to WCAG 2.2 AA: 4.5 for text (1.4.3), 3 for
// what is drawn (1.4.11).
func TestContrast(t *testing.T) {
	for _, theme := range []string{"page.css", "dark.css"} {
		colour := map[string]string{}
		for _, m := range regexp.MustCompile(`--([a-z0-9-]+): (#[0-9a-f]{6})[0-9a-f]{0,2};`).FindAllStringSubmatch(asset(theme), -1) {
			colour[m[1]] = m[2]
		}
		at := func(a, b string, least float64) {
			if colour[a] == "" || colour[b] == "" {
				t.Errorf("%s: no colour %s or %s", theme, a, b)
				return
			}
			if c := contrast(t, colour[a], colour[b]); c < least {
				t.Errorf("%s: %s on %s: got a contrast of %.2f, want %g", theme, a, b, c, least)
			}
		}
		for _, ground := range []string{"bg", "raised"} {
			for _, ink := range []string{"ink", "muted", "accent", "held", "broken", "open", "com", "str"} {
				at(ink, ground, 4.5)
			}
		}
		for _, verdict := range []string{"held", "broken", "open"} {
			at(verdict, verdict+"-bg", 4.5)
			at("ink", verdict+"-bg", 4.5)
			at("muted", verdict+"-bg", 4.5)
		}
		for _, leader := range []string{"b1", "b2", "b3", "b4", "b5", "b6", "b7", "b8"} {
			at("b-ink", leader, 4.5)
		}
		at("alive-ink", "alive", 4.5)
		at("down-ink", "down", 4.5)
		at("down-ink", "down-2", 4.5)
		for _, line := range []string{"sent", "acked", "p50", "p99", "lag", "behind", "full", "less", "under", "fault-ink"} {
			at(line, "bg", 3)
		}
	}
}
