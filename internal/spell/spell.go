// Package spell finds the name that somebody meant and renders lists of names
// for error messages.
package spell

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
)

// Nearest returns the candidate that name was most likely meant to be, and
// whether there is one that is near enough to be worth saying. Case and the
// separators '-', '_', '.' and ' ' never count. Equal ranks are decided by the
// alphabet, so the answer does not depend on the order of candidates. A candidate
// that equals name is skipped: it would be no suggestion.
//
// Candidates rank, best first:
//
//	same       equal but for case and separators       maxPollRecords  max.poll.records
//	number     equal but for plurals                   partition       partitions
//	order      the same words in another order         timeout.session session.timeout
//	typo       few edits apart, see maxEdits           replcias        replicas
//	part       the words of name, in order, with       unclean.election
//	           others between or after them            unclean.leader.election.enable
//
// Within a rank come fewer edits (typo) or fewer added words (part), then the
// longer common prefix, then the smaller difference in length.
func Nearest(name string, candidates []string) (string, bool) {
	n := fold(name)
	if len(n.key) == 0 {
		return "", false
	}
	best := match{rank: rankNone}
	for _, c := range candidates {
		if c == name {
			continue
		}
		if m := compare(n, fold(c)); m.rank < rankNone && m.compare(best) < 0 {
			best = m
		}
	}
	return best.text, best.rank < rankNone
}

// List renders names as an English alternative: "a", "a or b", "a, b or c". It
// keeps their order and is empty for no names.
func List(names []string) string {
	switch len(names) {
	case 0:
		return ""
	case 1:
		return names[0]
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// The ranks of a match, best first, as the table at Nearest names them.
const (
	rankSame = iota
	rankNumber
	rankOrder
	rankTypo
	rankPart
	rankNone
)

// match is how well a candidate fits.
type match struct {
	rank   int
	cost   int // edits, or words added
	prefix int // runes that both begin with
	gap    int // difference in length
	text   string
}

func (m match) compare(o match) int {
	return cmp.Or(
		cmp.Compare(m.rank, o.rank),
		cmp.Compare(m.cost, o.cost),
		cmp.Compare(o.prefix, m.prefix),
		cmp.Compare(m.gap, o.gap),
		strings.Compare(m.text, o.text),
	)
}

// folded is a name with what never counts taken away.
type folded struct {
	text  string
	key   []rune   // lower case, no separators
	words []string // lower case, singular
}

func fold(s string) folded {
	f := folded{text: s}
	lower := strings.Map(unicode.ToLower, s)
	for _, w := range strings.FieldsFunc(lower, separates) {
		f.key = append(f.key, []rune(w)...)
		f.words = append(f.words, singular(w))
	}
	return f
}

func separates(r rune) bool {
	return r == '-' || r == '_' || r == '.' || unicode.IsSpace(r)
}

// singular takes the plural ending off an English word; it need not be right
// about a word, only treat both forms alike.
func singular(w string) string {
	for _, e := range []struct{ end, want string }{
		{"ies", "y"}, {"sses", "ss"}, {"xes", "x"}, {"ches", "ch"}, {"shes", "sh"},
	} {
		if stem, ok := strings.CutSuffix(w, e.end); ok && len(stem) > 0 {
			return stem + e.want
		}
	}
	if len(w) > 2 && strings.HasSuffix(w, "s") && !strings.HasSuffix(w, "ss") {
		return w[:len(w)-1]
	}
	return w
}

func compare(n, c folded) match {
	m := match{rank: rankNone, text: c.text, prefix: commonPrefix(n.key, c.key), gap: abs(len(n.key) - len(c.key))}
	switch {
	case slices.Equal(n.key, c.key):
		m.rank = rankSame
	case strings.Join(n.words, "") == strings.Join(c.words, ""):
		m.rank = rankNumber
	case slices.Equal(slices.Sorted(slices.Values(n.words)), slices.Sorted(slices.Values(c.words))):
		m.rank = rankOrder
	default:
		if d, ok := typo(n.key, c.key); ok {
			m.rank, m.cost = rankTypo, d
		} else if isPart(n, c) {
			m.rank, m.cost = rankPart, len(c.words)-len(n.words)
		}
	}
	return m
}

// maxEdits is how many edits still make a typo in a name of n letters: none in
// one letter, one up to four, two up to eleven, then a quarter, five at most.
func maxEdits(n int) int {
	switch {
	case n < 2:
		return 0
	case n < 5:
		return 1
	case n < 12:
		return 2
	}
	return min(n/4, 5)
}

// typo reports whether a and b are few enough edits apart, and how many. In a
// word so short that the allowed edits are a large part of it, the first letter
// must be right, unless only the order of letters is wrong.
func typo(a, b []rune) (int, bool) {
	limit := maxEdits(len(a))
	if limit == 0 || len(b) == 0 || abs(len(a)-len(b)) > limit {
		return 0, false
	}
	d := distance(a, b)
	if d > limit {
		return d, false
	}
	short := d == 1 && len(a) <= 3 || d == 2 && len(a) <= 6
	if short && a[0] != b[0] {
		return d, slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
	}
	return d, true
}

// isPart reports whether n's words stand in c in the same order. A single word
// must be the first of c to the letter and have four of them: the last word of a
// long name says too little.
func isPart(n, c folded) bool {
	if len(n.words) >= len(c.words) {
		return false
	}
	if len(n.words) == 1 {
		return len(n.key) >= 4 && n.words[0] == c.words[0] && commonPrefix(n.key, c.key) == len(n.key)
	}
	i := 0
	for _, w := range c.words {
		if i < len(n.words) && w == n.words[i] {
			i++
		}
	}
	return i == len(n.words)
}

// distance is the Damerau–Levenshtein distance in its restricted form (no
// letters are edited twice): insertions, deletions, substitutions and exchanges
// of neighbours.
func distance(a, b []rune) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			d := min(last[j]+1, row[j-1]+1, last[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, before[j-2]+1)
			}
			row[j] = d
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

func commonPrefix(a, b []rune) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

func abs(n int) int { return max(n, -n) }
