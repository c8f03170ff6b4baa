// This file defines the editor stub: __builtins__.pyi, by which a Python
// language server knows the words of a scenario.

package builtins

import (
	"fmt"
	"slices"
	"strings"

	"starfall/interp/plan"
)

// stubHead declares what the table does not: values and their arithmetic.
const stubHead = `# The words of starfall for editors: a Python language server that finds this
# file beside a scenario knows them. Generated from the table of builtins.

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

_T = TypeVar("_T")

class _Duration:
    def __add__(self, other: _Duration | str) -> _Duration: ...
    def __radd__(self, other: str) -> _Duration: ...
    def __sub__(self, other: _Duration | str) -> _Duration: ...
    def __rsub__(self, other: str) -> _Duration: ...
    def __mul__(self, other: float) -> _Duration: ...
    def __rmul__(self, other: float) -> _Duration: ...
    def __truediv__(self, other: Any) -> Any: ...
    def __neg__(self) -> _Duration: ...
    def __pos__(self) -> _Duration: ...
    def __lt__(self, other: _Duration) -> bool: ...
    def __le__(self, other: _Duration) -> bool: ...
    def __gt__(self, other: _Duration) -> bool: ...
    def __ge__(self, other: _Duration) -> bool: ...

class _Instant:
    def __add__(self, other: _Duration | str) -> _Instant: ...
    def __radd__(self, other: _Duration | str) -> _Instant: ...
    def __sub__(self, other: _Duration | str) -> _Instant: ...

class _Action: ...
class _Claim: ...
class _Node: ...
class _Member: ...
class _Site: ...
class _User: ...
class _Dedup: ...

class _Nodes(Sequence[_Node]):
    def __getitem__(self, index: Any) -> Any: ...
    def __len__(self) -> int: ...
    def __add__(self, other: Any) -> list[Any]: ...
    def __radd__(self, other: Any) -> list[Any]: ...

class _JSON:
    def encode(self, x: Any) -> str: ...
    def decode(self, x: str, default: Any = ...) -> Any: ...
    def indent(self, s: str, *, prefix: str = ..., indent: str = ...) -> str: ...

_Length = str | _Duration
_When = str | _Duration | _Instant
_Setting = str | float | bool | _Duration
_Place = _Site | _Node | _Nodes | "_Producer" | "_Consumer" | _Member

def load(module: str, *names: str, **renamed: str) -> None: ...
def fail(*args: Any) -> None: ...
def struct(**fields: Any) -> Any: ...

json: _JSON
math: Any
`

// Stub gives __builtins__.pyi.
func Stub() string {
	table := Table()
	var b strings.Builder
	b.WriteString(strings.Replace(stubHead, `"_Producer" | "_Consumer"`, "_Producer | _Consumer", 1))
	classes := map[string]plan.Measure{}
	for _, m := range plan.Measures() {
		classes[measureClass(m)] = m
	}
	for _, name := range sortedKeys(classes) {
		stubMeasure(&b, table, name, classes[name])
	}
	for _, typ := range []string{"alarm", "cluster", "consumer", "event", "mirror", "producer", "topic"} {
		fmt.Fprintf(&b, "\nclass %s:\n", className(Type(typ)))
		for i := range table {
			if table[i].On == typ {
				table[i].stub(&b, "    ", nil)
			}
		}
	}
	b.WriteString("\n")
	for i := range table {
		if w := &table[i]; w.On == "" && w.Family != Libraries {
			w.stub(&b, "", nil)
		}
	}
	return b.String()
}

// className gives the stub's class for a type of handle.
func className(t Type) string {
	return "_" + strings.ToUpper(string(t[:1])) + string(t[1:])
}

// measureClass names the class of a measure: measures about which the same may
// be said share one.
func measureClass(m plan.Measure) string {
	name := "_" + strings.ToUpper(string(m.Family[:1])) + string(m.Family[1:])
	switch m.Unit {
	case plan.UnitSeconds:
		name += "OfTime"
	case plan.UnitBytes:
		name += "OfBytes"
	case plan.UnitTruth:
		name += "OfTruth"
	}
	if m.Subject == plan.RefEvent {
		name += "OfEvent"
	}
	switch {
	case len(m.By) == 0:
	case slices.Equal(m.By, []string{"all", "partition"}), slices.Equal(m.By, []string{"partition", "all"}):
		name += "ByPartition"
	default:
		name += "By"
		for _, by := range m.By {
			name += strings.ToUpper(by[:1]) + by[1:]
		}
	}
	return name
}

// stubMeasure declares what may be said of the measures of one class.
func stubMeasure(b *strings.Builder, table []Word, name string, m plan.Measure) {
	fmt.Fprintf(b, "\nclass %s:\n", name)
	fits := (&measure{m: m}).AttrNames()
	for i := range table {
		if w := &table[i]; w.On == "measure" && slices.Contains(fits, w.Name) {
			w.stub(b, "    ", &m)
		}
	}
	b.WriteString("\n")
}

// stub declares one word; of is the measure whose window or bound it is.
func (w *Word) stub(b *strings.Builder, indent string, of *plan.Measure) {
	returns := pyType(w.Returns, of)
	if w.Family == Measures {
		m, _ := plan.MeasureOf(plan.RefKind(w.On), w.Name)
		returns = measureClass(m)
	}
	if w.Returns == TypeNodes {
		returns = "_Nodes" // a parameter takes more than is ever given
	}
	doc := `"""` + w.Help + `"""`
	switch w.Kind {
	case Constant:
		fmt.Fprintf(b, "%s%s: %s\n%s%s\n", indent, w.Name, returns, indent, doc)
		return
	case Attribute:
		fmt.Fprintf(b, "%s@property\n%sdef %s(self) -> %s:\n%s    %s\n", indent, indent, w.Name, returns, indent, doc)
		return
	}
	var ps []string
	if indent != "" {
		ps = append(ps, "self")
	}
	star := w.Position == 0
	for i, p := range w.Params {
		if i >= w.Position && !star {
			ps, star = append(ps, "*"), true
		} else if i == 0 && star && w.Position == 0 {
			ps = append(ps, "*")
		}
		typ := pyParam(p, of)
		if w.Name == "param" && p.Type == TypeAny {
			typ = "_T"
		} else if w.Name == "param" && p.Type == TypeList {
			typ = "Sequence[_T]"
		}
		switch {
		case p.Star:
			ps, star = append(ps, "*"+p.Name+": "+typ), true
		case p.Required:
			ps = append(ps, p.Name+": "+typ)
		case p.Default == nil:
			ps = append(ps, p.Name+": "+typ+" | None = None")
		default:
			ps = append(ps, p.Name+": "+typ+" = "+literal(p.Default))
		}
	}
	if w.Name == "param" {
		returns = "_T"
	}
	fmt.Fprintf(b, "%sdef %s(%s) -> %s:\n%s    %s\n", indent, w.Name, strings.Join(ps, ", "), returns, indent, doc)
}

// pyParam gives a parameter's Python type. Choices stay open, since a value may
// come from param(…).
func pyParam(p Param, of *plan.Measure) string {
	if len(p.Choices) > 0 && p.Type == TypeString {
		return "Literal[" + strings.Join(quoted(p.Choices), ", ") + "] | str"
	}
	return pyType(p.Type, of)
}

func pyType(t Type, of *plan.Measure) string {
	switch t {
	case TypeNone:
		return "None"
	case TypeAny:
		return "Any"
	case TypeString, TypeText, TypeName:
		return "str"
	case TypeInt:
		return "int"
	case TypeNumber:
		return "float"
	case TypeBool:
		return "bool"
	case TypeList:
		return "Sequence[Any]"
	case TypeStrings:
		return "Sequence[str]"
	case TypeDuration:
		return "_Length"
	case TypeInstant:
		return "_When"
	case TypeMoment:
		return "_When | _Event"
	case TypeSize:
		return "str | int"
	case TypeBandwidth:
		return "str | float"
	case TypeRate:
		return `float | Literal["max"] | str`
	case TypeAcks:
		return `Literal["all", "1", "0", 1, 0] | str | int`
	case TypeConfig:
		return "Mapping[str, _Setting]"
	case TypeBrokerConfig:
		return "Mapping[int, Mapping[str, _Setting]]"
	case TypePlacement:
		return "Mapping[int, Sequence[int]]"
	case TypeSites:
		return "Sequence[_Site]"
	case TypeTopics:
		return "_Topic | Sequence[_Topic]"
	case TypeClient, TypeClients:
		return "_Producer | _Consumer"
	case TypeNodes:
		return "_Node | _Nodes | Sequence[_Node]"
	case TypeNodesOrHit:
		return "_Node | _Nodes | Sequence[_Node] | _Event"
	case TypeMembers:
		return "_Member | Sequence[_Member]"
	case TypePlaces:
		return "_Place | Sequence[_Place]"
	case TypeConfigurable:
		return "_Topic | _Cluster | _Node | _Nodes | Sequence[_Node]"
	case TypeOffsets:
		return `Literal["earliest", "latest"] | str | Mapping[int, int]`
	case TypeCut:
		return `int | Literal["latest"] | str | Mapping[int, int]`
	case TypeOperation:
		return "Literal[" + strings.Join(quoted(operations()), ", ") + "] | str"
	case TypeResource:
		return "_Topic | _Consumer | _Cluster | str"
	case TypeArg:
		return "str | float | _Topic | _Consumer"
	case TypeMeasure:
		if of != nil {
			return measureClass(*of)
		}
		return "Any"
	case TypeBound:
		switch {
		case of != nil && of.Unit == plan.UnitSeconds:
			return "_Length"
		case of != nil && of.Unit == plan.UnitBytes:
			return "str | int"
		case of != nil && of.Unit == plan.UnitTruth:
			return "bool"
		}
		return "float"
	}
	return className(t)
}
