// This file defines facts: under which conditions a run took place.

package html

import (
	"fmt"
	"maps"
	"slices"

	"starfall/interp/plan"
	"starfall/report"
	"starfall/runtime/judge"
	"starfall/runtime/record"
)

// factGroup is facts of one kind. With Folded they are many, and shown when
// asked for.
type factGroup struct {
	Title  string
	Folded bool
	Facts  []fact
}

type fact struct{ Name, Value, Note string }

func factsOf(r report.Result, rec *record.Recording) []factGroup {
	p, info := rec.Plan, rec.Info
	var params []fact
	for _, x := range p.Params {
		f := fact{Name: x.Name, Value: x.Value, Note: x.Help}
		if x.Value != x.Default {
			if f.Note != "" {
				f.Note += "; "
			}
			f.Note += "default " + x.Default
		}
		params = append(params, f)
	}
	run := []fact{
		{Name: "run for", Value: p.Scenario.RunFor.String()},
		{Name: "warm-up", Value: p.Scenario.Warmup.String()},
		{Name: "drain", Value: p.Scenario.Drain.String(), Note: "at most"},
		{Name: "seed", Value: fmt.Sprint(info.Seed)},
		{Name: "speed", Value: fmt.Sprintf("%g", max(info.Speed, 0)), Note: "scenario seconds in a second"},
	}
	if !info.Started.IsZero() {
		run = append(run, fact{Name: "started", Value: info.Started.UTC().Format("2006-01-02 15:04:05 UTC")})
	}
	if info.Speed <= 0 {
		run[4].Value = "1"
	}
	if r.Wall > 0 {
		run = append(run, fact{Name: "took", Value: judge.Length(r.Wall), Note: "of real time, from start to end"})
	}
	for _, e := range rec.Events {
		if e.Kind == record.KindPhase && e.Phase == record.PhaseRun && e.What != "" {
			run = append(run, fact{Name: "machine", Value: e.What, Note: "when the load began"})
		}
	}
	versions := []fact{{Name: "engine", Value: info.Engine}}
	if info.Kafka != "" {
		versions = append(versions, fact{Name: "Kafka", Value: info.Kafka})
	}
	if info.Tool != "" {
		versions = append(versions, fact{Name: "starfall", Value: info.Tool})
	}
	for _, k := range slices.Sorted(maps.Keys(info.Images)) {
		versions = append(versions, fact{Name: "image " + k, Value: info.Images[k]})
	}
	if digest, err := p.Digest(); err == nil {
		versions = append(versions, fact{Name: "plan", Value: digest[:16], Note: "the beginning of its SHA-256"})
	}
	var host []fact
	add := func(name, value string) {
		if value != "" && value != "0" {
			host = append(host, fact{Name: name, Value: value})
		}
	}
	add("system", info.Host.OS)
	add("architecture", info.Host.Arch)
	add("processor", info.Host.CPU)
	add("cores", fmt.Sprint(info.Host.CPUs))
	if info.Host.Memory > 0 {
		add("memory", judge.Quantity(float64(info.Host.Memory), plan.UnitBytes))
	}
	add("Go", info.Host.Go)
	var configs []fact
	for _, k := range slices.Sorted(maps.Keys(info.Configs)) {
		configs = append(configs, fact{Name: k, Value: info.Configs[k]})
	}
	out := []factGroup{
		{Title: "Parameters", Facts: params},
		{Title: "Run", Facts: run},
		{Title: "Versions", Facts: versions},
		{Title: "Host", Facts: host},
		{Title: "Effective broker configuration", Folded: true, Facts: configs},
	}
	return slices.DeleteFunc(out, func(g factGroup) bool { return len(g.Facts) == 0 })
}
