// Package builtins defines the words of the language: one literal table of
// every builtin, method and attribute, and the Starlark values and functions
// behind them. Argument checks, `starfall doc`, docs/language.md and the editor
// stub __builtins__.pyi all come from the table.
package builtins

import (
	"cmp"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"starfall/interp/plan"
)

// Kind says how a word is used.
type Kind string

// The kinds of word.
const (
	Function  Kind = "function"  // called: cluster(brokers = 3), shop.member(1)
	Attribute Kind = "attribute" // not called: outage.start, shop.rate
	Constant  Kind = "constant"  // predeclared value: second
)

// Family groups words in the reference.
type Family string

// The families, in the order of the reference.
const (
	Things     Family = "things"
	Selectors  Family = "selectors"
	Happenings Family = "happenings"
	Verbs      Family = "verbs"
	Claims     Family = "claims"
	Measures   Family = "measures"
	Windows    Family = "windows"
	Bounds     Family = "bounds"
	Units      Family = "units"
	Libraries  Family = "libraries"
)

// Word is one entry of the table.
type Word struct {
	On       string // the type whose attribute it is; "" for a predeclared name
	Name     string
	Kind     Kind
	Family   Family
	Position int // how many parameters may be given by position
	Params   []Param
	Returns  Type
	Help     string // full sentences, the first says what it is
	Example  string

	// run does the work of a Function, after its arguments were checked.
	run func(*call) starlark.Value
	// value gives an Attribute or Constant.
	value func(e *Env, recv starlark.Value) starlark.Value
}

// Param is one parameter of a Function.
type Param struct {
	Name     string
	Type     Type
	Required bool
	Default  any      // string, int, float64 or bool; nil is None
	Star     bool     // takes all further positional arguments
	Choices  []string // the legal strings, where they are few
	In       *Range   // legal numbers
	Help     string
}

// Range bounds a number, both ends included.
type Range struct{ Min, Max float64 }

// Qualified is how errors and the reference name the word: topic.leader, kill.
func (w *Word) Qualified() string {
	if w.On == "" {
		return w.Name
	}
	return w.On + "." + w.Name
}

// Signature renders the call: topic(cluster, partitions = 1, …).
func (w *Word) Signature() string {
	if w.Kind != Function {
		return w.Qualified()
	}
	var ps []string
	if w.Position == 0 && len(w.Params) > 0 {
		ps = append(ps, "*")
	}
	for i, p := range w.Params {
		switch {
		case p.Star:
			ps = append(ps, "*"+p.Name)
		case p.Required:
			ps = append(ps, p.Name)
		default:
			ps = append(ps, p.Name+" = "+literal(p.Default))
		}
		if i == w.Position-1 && i < len(w.Params)-1 && !p.Star {
			ps = append(ps, "*")
		}
	}
	return w.Qualified() + "(" + strings.Join(ps, ", ") + ")"
}

// Table gives every word of the language, sorted by the type it belongs to,
// then by name.
func Table() []Word {
	words := slices.Concat(
		thingWords(), mirrorWords(), selectorWords(), happeningWords(), verbWords(), mirrorVerbs(), adminVerbs(),
		claimWords(), windowWords(), boundWords(), unitWords(), measureWords(),
	)
	slices.SortFunc(words, func(a, b Word) int {
		return cmp.Or(cmp.Compare(a.On, b.On), cmp.Compare(a.Name, b.Name))
	})
	return words
}

// measureWords gives an attribute for each measure in the plan's catalogue.
func measureWords() []Word {
	var words []Word
	for _, m := range plan.Measures() {
		if m.Name == "identical" {
			words = append(words, Word{
				On: typeOfRef(m.Subject), Name: m.Name, Kind: Function, Family: Measures, Position: 1,
				Params:  []Param{{Name: "aspect", Type: TypeString, Required: true, Choices: plan.Aspects(), Help: "in which respect"}},
				Returns: TypeMeasure, Help: sentence(m.Help) + " " + measureFacts(m), run: runIdentical(m),
				Example: `expect(copy.identical("records").equals(True))`,
			})
			continue
		}
		words = append(words, Word{
			On: typeOfRef(m.Subject), Name: m.Name, Kind: Attribute, Family: Measures,
			Returns: TypeMeasure, Help: sentence(m.Help) + " " + measureFacts(m),
			value: func(e *Env, recv starlark.Value) starlark.Value {
				return e.newMeasure(recv.(subject).subjectRef(), m)
			},
		})
	}
	return words
}

// typeOfRef is the language's name for the type of a subject.
func typeOfRef(k plan.RefKind) string { return string(k) }

// measureFacts says unit, windows, bounds and what .by takes.
func measureFacts(m plan.Measure) string {
	f := factsOf(m)
	s := "Unit: " + unitWord(m.Unit) + "."
	if len(f.windows) > 0 {
		s += " Windows: " + strings.Join(f.windows, ", ") + "."
	}
	if f.per {
		s += " Buckets: a second, or per."
	}
	if f.stat {
		s += " Statistics: p50, p90, p99, p999, max (the longest if not said)."
	}
	s += " Bounds: " + strings.Join(f.bounds, ", ") + "."
	if len(m.By) > 0 {
		s += " By: " + strings.Join(m.By, ", ") + " (the first if not said)."
	}
	return s
}

func unitWord(u plan.Unit) string {
	switch u {
	case plan.UnitRate:
		return "records per second"
	case plan.UnitSeconds:
		return "duration"
	case plan.UnitShare:
		return "share"
	case plan.UnitBytes:
		return "size"
	case plan.UnitTruth:
		return "truth"
	}
	return "count"
}

func sentence(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + strings.TrimSuffix(s[1:], ".") + "."
}

func between(lo, hi float64) *Range { return &Range{lo, hi} }
