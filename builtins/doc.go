// This file defines what `starfall doc` says, and the reference in
// docs/language.md: both are written from the table.

package builtins

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"starfall/internal/kafkaconf"
	"starfall/internal/kafkatools"
	"starfall/internal/spell"
	"starfall/interp/plan"
)

//go:generate go test -run TestGeneratedFilesAreFresh -update .

//go:embed intro.md
var intro string

// familyTitles gives the families in the order of the reference.
func familyTitles() []struct {
	family Family
	title  string
	text   string
} {
	return []struct {
		family Family
		title  string
		text   string
	}{
		{Things, "Things", "Every thing takes `name`; without it, the global that holds the handle names it."},
		{Selectors, "Selectors", "Attributes of handles that name nodes, client members and moments. A selector such as the leader of a partition is resolved when its event fires, and the answer is recorded."},
		{Happenings, "Happenings", "They put actions on the timeline and give a handle, which can be used as a window."},
		{Verbs, "Verbs", "They give an action for `at`, `every` or `when`."},
		{Claims, "Claims", "A claim is a sentence: *subject . measure . window . bound*."},
		{Measures, "Measures", "What can be said of whom. Each gives a measure, on which windows and bounds follow."},
		{Windows, "Windows and series", "They limit a measure to a part of the run, or divide it."},
		{Bounds, "Bounds", "They make a claim of a measure. `never_below` and `never_above` judge every bucket, sample and series; the others judge one number: of counts the total, of stalls and latencies the longest, of rates the mean; of a gauge, every sample."},
		{Units, "Units", ""},
		{Libraries, "Libraries", "Beside Starlark's own functions."},
	}
}

// Doc explains a word: a predeclared name, an attribute (rate, or
// producer.rate), a type such as measure, one of Kafka's config names, or one of
// its tools; with tool come the names of all of them. When there is none of that
// name, the text says what may have been meant.
func Doc(word string) (text string, ok bool) {
	table := Table()
	var found []string
	for i := range table {
		if w := &table[i]; w.Name == word || w.Qualified() == word {
			found = append(found, w.doc(table))
		}
	}
	if len(found) == 0 {
		if attrs := attributesOf(table, word); attrs != "" {
			found = append(found, word+", a type\n\nIt has "+attrs+".\n")
		}
	}
	if word == string(plan.Tool) && len(found) > 0 {
		found = append(found, "The tools are\n\n"+indented(strings.Join(kafkatools.Names(), " "))+"\nstarfall doc kafka-topics explains one; docs/tools.md has them all.\n")
	}
	found = append(found, confDocs(word)...)
	if t, ok := kafkatools.Lookup(word); ok {
		found = append(found, t.Doc())
	}
	if len(found) > 0 {
		return strings.Join(found, "\n"), true
	}
	names := DocNames()
	text = "there is no word " + word
	if near, ok := spell.Nearest(word, names); ok {
		text += "; did you mean " + near + "?"
	}
	return text, false
}

// DocNames gives everything that Doc knows by name, sorted.
func DocNames() []string {
	var names []string
	for _, w := range Table() {
		names = append(names, w.Name, w.Qualified())
	}
	for _, s := range kafkaconf.Scopes() {
		names = append(names, kafkaconf.Names(s)...)
	}
	for _, t := range kafkatools.Table() {
		names = append(names, t.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// doc explains one word in full.
func (w *Word) doc(table []Word) string {
	var b strings.Builder
	b.WriteString(w.Signature())
	switch {
	case w.Kind == Function && w.Returns != TypeNone && w.Returns != TypeAny:
		fmt.Fprintf(&b, " → %s", w.Returns)
	case w.Kind == Attribute:
		fmt.Fprintf(&b, ": %s", w.Returns)
	}
	b.WriteString("\n\n" + wrap(w.Help, 78) + "\n")
	if len(w.Params) > 0 {
		b.WriteString("\n")
		width := 0
		for _, p := range w.Params {
			width = max(width, len(p.Name))
		}
		for _, p := range w.Params {
			fmt.Fprintf(&b, "  %-*s  %s\n", width, p.Name, p.line())
		}
	}
	if w.Example != "" {
		b.WriteString("\n    " + w.Example + "\n")
	}
	if attrs := attributesOf(table, w.Name); attrs != "" && w.On == "" && string(w.Returns) == w.Name {
		b.WriteString("\n" + wrap("It has "+attrs+".", 78) + "\n")
	}
	return b.String()
}

// line says what a parameter takes and means.
func (p *Param) line() string {
	takes := p.Type.want()
	if len(p.Choices) > 0 && p.Type != TypeAcks {
		takes = spell.List(quoted(p.Choices))
	}
	if p.Star {
		takes = "any number of " + takes
	}
	s := p.Help + " (" + takes
	if p.In != nil && p.Type != TypeSize {
		s += fmt.Sprintf(", %s to %s", trimNumber(p.In.Min), trimNumber(p.In.Max))
	} else if p.In != nil {
		s += fmt.Sprintf(", %s to %s", bytesText(p.In.Min), bytesText(p.In.Max))
	}
	if !p.Required && p.Default != nil && p.Default != "" {
		s += "; " + literal(p.Default) + " if not said"
	}
	return s + ")"
}

func attributesOf(table []Word, typ string) string {
	var names []string
	for _, w := range table {
		if w.On == typ && typ != "" {
			names = append(names, w.Name)
		}
	}
	return strings.Join(names, ", ")
}

// confDocs explains one of Kafka's config names, in each scope that has it.
func confDocs(name string) []string {
	var out []string
	for _, scope := range []kafkaconf.Scope{brokerScope, topicScope, producerScope, consumerScope} {
		e, ok := kafkaconf.Lookup(scope, name)
		if !ok {
			continue
		}
		s := fmt.Sprintf("%s, a %s config of Kafka\n\n  wants    %s\n", name, scope, e.Want())
		if !e.Required && !e.Null {
			s += "  default  " + e.Default + "\n"
		}
		if len(e.Server) > 0 {
			s += "  broker   " + e.Server[0] + " holds where the topic says nothing\n"
		}
		if scope == brokerScope || scope == topicScope {
			can := "needs a restart"
			if e.Dynamic() {
				can = "can be changed by configure(…)"
			}
			s += "  update   " + can + "\n"
		}
		if hint := spoken(scope, name); hint != "" {
			s += "  here     " + hint + "\n"
		}
		out = append(out, s)
	}
	return out
}

// Index lists all words by family, for `starfall doc` without a word.
func Index() string {
	table := Table()
	var b strings.Builder
	for _, f := range familyTitles() {
		var names []string
		for _, w := range table {
			if w.Family == f.family {
				names = append(names, w.Name)
			}
		}
		slices.Sort(names)
		names = slices.Compact(names)
		b.WriteString(f.title + "\n")
		b.WriteString(indented(strings.Join(names, " ")))
	}
	return b.String()
}

// indented breaks text into indented lines.
func indented(text string) string {
	var b strings.Builder
	for line := range strings.Lines(wrap(text, 76)) {
		b.WriteString("  " + line)
	}
	return b.String() + "\n"
}

// wrap breaks text into lines of at most width characters.
func wrap(text string, width int) string {
	var b strings.Builder
	n := 0
	for _, word := range strings.Fields(text) {
		k := len([]rune(word))
		switch {
		case n == 0:
		case n+1+k > width:
			b.WriteString("\n")
			n = 0
		default:
			b.WriteString(" ")
			n++
		}
		b.WriteString(word)
		n += k
	}
	return b.String()
}

// Markdown gives docs/language.md: the rules, then every word.
func Markdown() string {
	table := Table()
	var b strings.Builder
	b.WriteString(intro)
	for _, f := range familyTitles() {
		fmt.Fprintf(&b, "\n## %s\n", f.title)
		if f.text != "" {
			b.WriteString("\n" + f.text + "\n")
		}
		if f.family == Measures {
			measureTables(&b)
			continue
		}
		if f.family == Units || f.family == Libraries {
			b.WriteString("\n| word | what it is |\n| --- | --- |\n")
			for _, w := range table {
				if w.Family == f.family {
					fmt.Fprintf(&b, "| `%s` | %s |\n", w.Name, w.Help)
				}
			}
			continue
		}
		for i := range table {
			if table[i].Family == f.family {
				table[i].markdown(&b)
			}
		}
	}
	return b.String()
}

func (w *Word) markdown(b *strings.Builder) {
	fmt.Fprintf(b, "\n### %s\n\n`%s`", w.Qualified(), w.Signature())
	if w.Returns != TypeNone && w.Returns != TypeAny {
		fmt.Fprintf(b, " gives %s.", article(string(w.Returns)))
	}
	fmt.Fprintf(b, "\n\n%s\n", w.Help)
	if len(w.Params) > 0 {
		b.WriteString("\n| parameter | takes | default | meaning |\n| --- | --- | --- | --- |\n")
		for _, p := range w.Params {
			takes := cell(p.Type.short())
			if len(p.Choices) > 0 && p.Type != TypeAcks {
				takes = cell(spell.List(quoted(p.Choices)))
			}
			def := "`" + literal(p.Default) + "`"
			if p.Required {
				def = "–"
			}
			name := p.Name
			if p.Star {
				name = "*" + name
			}
			fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", name, takes, def, cell(p.Help))
		}
	}
	if w.Example != "" {
		fmt.Fprintf(b, "\n```python\n%s\n```\n", w.Example)
	}
}

func article(s string) string {
	if strings.HasSuffix(s, "s") {
		return s // nodes
	}
	if strings.ContainsRune("aeiou", rune(s[0])) {
		return "an " + s
	}
	return "a " + s
}

// short names a type where the page's rules explain it.
func (t Type) short() string {
	switch t {
	case TypeDuration, TypeInstant, TypeSize, TypeBandwidth:
		return string(t)
	case TypeMoment:
		return "duration, instant or event"
	case TypeRate:
		return `number or "max"`
	case TypeNumber:
		return "number"
	case TypeConfig:
		return "dict of Kafka's names"
	case TypeBrokerConfig:
		return "dict of broker id to dict of Kafka's names"
	case TypePlacement:
		return "dict of partition to list of broker ids"
	case TypePlaces:
		return "place or list of places"
	case TypeBound:
		return "number, duration or size"
	case TypeOperation:
		return "Kafka's name of an operation"
	}
	return t.want()
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// measureTables writes what may be said of each kind of measure, then the
// measures of each subject.
func measureTables(b *strings.Builder) {
	b.WriteString("\n| kind | windows | bounds | besides |\n| --- | --- | --- | --- |\n")
	for _, family := range []plan.Family{plan.FamilyRate, plan.FamilyFate, plan.FamilyLatency, plan.FamilyStall, plan.FamilyGauge, plan.FamilyNumber} {
		f := factsOf(plan.Measure{Family: family, By: []string{"all", "partition"}})
		besides := []string{}
		if f.per {
			besides = append(besides, "`per`")
		}
		if f.stat {
			besides = append(besides, "`p50 p90 p99 p999 max`")
		}
		fmt.Fprintf(b, "| %s | `%s` | `%s` | %s |\n", family, strings.Join(f.windows, " "), strings.Join(f.bounds, " "), strings.Join(besides, ", "))
	}
	b.WriteString("\n`balanced` needs a measure of several series; where `by` takes more than one word, the first holds if nothing is said. A number of an event takes no window.\n")
	on := plan.RefKind("")
	for _, m := range plan.Measures() {
		if m.Subject != on {
			on = m.Subject
			fmt.Fprintf(b, "\n### Measures of %s\n\n| measure | kind | unit | by | meaning |\n| --- | --- | --- | --- | --- |\n", article(typeOfRef(on)))
		}
		by := ""
		if len(m.By) > 0 {
			by = "`" + strings.Join(m.By, " ") + "`"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s |\n", m.Name, m.Family, unitWord(m.Unit), by, cell(sentence(m.Help)))
	}
}
