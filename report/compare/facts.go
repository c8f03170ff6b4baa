// This file defines what makes runs comparable: the facts about them that have
// to be equal, and how a fact that is not is told.

package compare

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

// Kind is a kind of fact.
type Kind string

// The kinds of facts that have to be equal, in the order in which differences
// are told.
//
//	kind     from
//	plan     the sources by their SHA-256; where these, params and seed are equal, the plan's digest
//	params   parameters of the scenario, but those that were swept
//	seed     the scenario's seed
//	images   Docker images by digest
//	engine   embedded or docker
//	kafka    the version of Kafka
//	speed    scenario seconds in a second
//	host     operating system, architecture, CPUs and their model, memory, Go
const (
	KindPlan   Kind = "plan"
	KindParams Kind = "params"
	KindSeed   Kind = "seed"
	KindImages Kind = "images"
	KindEngine Kind = "engine"
	KindKafka  Kind = "kafka"
	KindSpeed  Kind = "speed"
	KindHost   Kind = "host"
)

// Kinds gives all kinds, in order.
func Kinds() []Kind {
	return []Kind{KindPlan, KindParams, KindSeed, KindImages, KindEngine, KindKafka, KindSpeed, KindHost}
}

// Difference is a fact that is not the same on both sides. A side whose runs
// differ among themselves has all its values, with commas.
type Difference struct {
	Kind   Kind   `json:"kind"`
	Name   string `json:"name,omitempty"` // which parameter, file, image or fact of the host
	A      string `json:"a"`
	B      string `json:"b"`
	Wanted bool   `json:"wanted,omitempty"` // by Options.Despite
}

type factKey struct {
	kind Kind
	name string
}

// none stands for a fact that a run does not have.
const none = "–"

// facts gives all facts of a run but the digest of its plan.
func facts(r Run, swept []string) map[factKey]string {
	out := map[factKey]string{
		{KindSeed, ""}:   strconv.FormatInt(r.Info.Seed, 10),
		{KindEngine, ""}: r.Info.Engine,
		{KindKafka, ""}:  r.Info.Kafka,
		{KindSpeed, ""}:  strconv.FormatFloat(speed(r.Info), 'g', -1, 64),
	}
	for _, f := range r.Plan.Files {
		out[factKey{KindPlan, f.Path}] = short(f.SHA256)
	}
	for _, p := range r.Plan.Params {
		if !slices.Contains(swept, p.Name) {
			out[factKey{KindParams, p.Name}] = p.Value
		}
	}
	for name, digest := range r.Info.Images {
		out[factKey{KindImages, name}] = short(strings.TrimPrefix(digest, "sha256:"))
	}
	h := r.Info.Host
	for name, value := range map[string]string{
		"os": h.OS, "arch": h.Arch, "cpus": strconv.Itoa(h.CPUs), "cpu": h.CPU, "go": h.Go,
		// What a kernel keeps for itself differs from version to version.
		"memory": fmt.Sprintf("%.1f GB", float64(h.Memory)/(1<<30)),
	} {
		out[factKey{KindHost, name}] = value
	}
	return out
}

func speed(i record.Info) float64 {
	if i.Speed <= 0 {
		return 1
	}
	return i.Speed
}

func short(digest string) string { return digest[:min(12, len(digest))] }

// differences gives the facts in which two sides differ.
func differences(a, b []Run, swept []string, o Options) []Difference {
	gather := func(runs []Run) map[factKey]map[string]bool {
		out := map[factKey]map[string]bool{}
		for i, r := range runs {
			have := facts(r, swept)
			for k, v := range have {
				if out[k] == nil {
					out[k] = map[string]bool{}
					if i > 0 {
						out[k][none] = true // the runs before had none
					}
				}
				out[k][v] = true
			}
			for k := range out {
				if _, ok := have[k]; !ok {
					out[k][none] = true
				}
			}
		}
		return out
	}
	inA, inB := gather(a), gather(b)
	keys := map[factKey]bool{}
	for k := range inA {
		keys[k] = true
	}
	for k := range inB {
		keys[k] = true
	}
	text := func(values map[string]bool) string {
		if len(values) == 0 {
			return none
		}
		list := slices.Sorted(maps.Keys(values))
		for i := range list {
			if list[i] == "" {
				list[i] = none
			}
		}
		return strings.Join(list, ", ")
	}
	out := []Difference{}
	for k := range keys {
		// A side that is not of one mind is not comparable either.
		if x, y := text(inA[k]), text(inB[k]); x != y || len(inA[k]) > 1 {
			out = append(out, Difference{k.kind, k.name, x, y, slices.Contains(o.Despite, k.kind)})
		}
	}
	order := Kinds()
	slices.SortFunc(out, func(a, b Difference) int {
		if a.Kind != b.Kind {
			return slices.Index(order, a.Kind) - slices.Index(order, b.Kind)
		}
		return strings.Compare(a.Name, b.Name)
	})
	return out
}

// digests tells a difference of two cells' plans that nothing else explains:
// another starfall made another plan of the same sources.
func digests(a, b cell, known []Difference, o Options) []Difference {
	for _, d := range known {
		if d.Kind == KindPlan || d.Kind == KindParams || d.Kind == KindSeed {
			return nil
		}
	}
	one := func(runs []Run) string {
		set := map[string]bool{}
		for _, r := range runs {
			d, err := r.Plan.Digest()
			if err != nil {
				d = err.Error()
			}
			set[short(d)] = true
		}
		return strings.Join(slices.Sorted(maps.Keys(set)), ", ")
	}
	x, y := one(a.runs), one(b.runs)
	if x == y && !strings.Contains(x, ",") {
		return nil
	}
	return []Difference{{KindPlan, "digest", x, y, slices.Contains(o.Despite, KindPlan)}}
}

// tools notes that another starfall recorded a side. The judge is the same: both
// sides have been judged anew.
func tools(a, b []Run) []string {
	one := func(runs []Run) string {
		set := map[string]bool{}
		for _, r := range runs {
			set[r.Info.Tool] = true
		}
		return strings.Join(slices.Sorted(maps.Keys(set)), ", ")
	}
	if x, y := one(a), one(b); x != y {
		return []string{fmt.Sprintf("recorded by starfall %s and %s; both are judged by this one", x, y)}
	}
	return nil
}

// cell is the runs of one side with the same values of the swept parameters.
type cell struct {
	params []Param
	runs   []Run
}

func (c cell) label() string {
	var parts []string
	for _, p := range c.params {
		parts = append(parts, p.Name+"="+p.Value)
	}
	return strings.Join(parts, " ")
}

// cellsOf puts runs into cells, in the order in which they come first.
func cellsOf(runs []Run, swept []string) []cell {
	var out []cell
	for _, r := range runs {
		var params []Param
		for _, name := range swept {
			value := none
			if i := slices.IndexFunc(r.Plan.Params, func(p plan.Param) bool { return p.Name == name }); i >= 0 {
				value = r.Plan.Params[i].Value
			}
			params = append(params, Param{name, value})
		}
		i := indexOf(out, params)
		if i < 0 {
			out = append(out, cell{params: params})
			i = len(out) - 1
		}
		out[i].runs = append(out[i].runs, r)
	}
	return out
}

func indexOf(cells []cell, params []Param) int {
	return slices.IndexFunc(cells, func(c cell) bool { return slices.Equal(c.params, params) })
}
