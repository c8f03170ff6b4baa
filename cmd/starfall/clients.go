// This file defines --client: programs of one's own in the place of named
// clients of a scenario.

package main

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"starfall/interp"
	"starfall/interp/plan"
	"starfall/runtime"
	"starfall/runtime/docker"
	"starfall/runtime/external"
	"starfall/runtime/record"
)

// clientFlags are the --client flags of a run.
type clientFlags struct {
	list     []string
	commands map[string]string // by client
	dir      string            // where they start; "" for the current folder
}

func (f *clientFlags) flags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.list, "client", nil, "run a program in the place of a client: `name='program arguments'`, repeatable")
}

// parse reads the flags. Programs of one's own keep real time, so the run does.
func (f *clientFlags) parse(cmd *cobra.Command, t *target) error {
	f.commands = map[string]string{}
	for _, x := range f.list {
		name, command, ok := strings.Cut(x, "=")
		if !ok || name == "" {
			return usage("--client: got %q, want name='program arguments'", x)
		}
		if _, twice := f.commands[name]; twice {
			return usage("--client: %s is given twice", name)
		}
		if _, err := external.Words(command); err != nil {
			return usage("--client: for %s: %w", name, err)
		}
		f.commands[name] = command
	}
	if len(f.commands) == 0 {
		return nil
	}
	if !cmd.Flags().Changed("speed") {
		t.speed = 1
	} else if t.speed != 1 {
		return usage("--speed: got %g, want 1: programs given by --client keep real time", t.speed)
	}
	return nil
}

func (f *clientFlags) any() bool { return len(f.commands) > 0 }

// fits refuses what cannot be replaced, before anything starts. The plan is of
// the scenario at path.
func (f *clientFlags) fits(path string, p *plan.Plan, engine string) error {
	var names []string
	for _, x := range p.Producers {
		names = append(names, x.Name)
	}
	for _, x := range p.Consumers {
		if x.Observes == "" {
			names = append(names, x.Name)
		}
	}
	for _, name := range f.names() {
		if !slices.Contains(names, name) {
			return meant(usage("--client: the scenario has no client %s", name), name, names).
				hint("its clients: %s", strings.Join(names, ", "))
		}
		if x := p.Producer(name); x != nil && x.MaxRate {
			return usage("--client: %s has rate \"max\", which only built-in clients can keep up: give it a number", name)
		}
	}
	if engine != docker.Name {
		return nil
	}
	open := opener(path, p)
	var refused []interp.Problem
	for _, e := range p.Events {
		for _, a := range e.Actions {
			for _, name := range f.names() {
				if !namesAsPlace(a, name) {
					continue
				}
				x := interp.Problem{
					Pos: open(a.Pos), Severity: interp.Error,
					Message:    fmt.Sprintf("%s: for %s: on the docker engine a program in the place of a client is known by its site alone", a.Verb, name),
					Suggestion: "--engine embedded can",
				}
				if a.Verb != plan.Reroute { // which takes clients only
					x.Suggestion = fmt.Sprintf("give %s a site of its own and name that site here, or\n%s", name, x.Suggestion)
				}
				refused = append(refused, x)
			}
		}
	}
	if len(refused) > 0 {
		return &interp.Errors{Problems: refused}
	}
	return nil
}

// namesAsPlace tells whether an action is about where a client stands.
func namesAsPlace(a plan.Action, name string) bool {
	client := func(r plan.Ref) bool {
		return r.Name == name && (r.Kind == plan.RefProducer || r.Kind == plan.RefConsumer || r.Kind == plan.RefMember)
	}
	if a.Verb == plan.Reroute {
		return slices.ContainsFunc(a.Targets, client)
	}
	return slices.ContainsFunc(a.Groups, func(g []plan.Ref) bool { return slices.ContainsFunc(g, client) })
}

func (f *clientFlags) names() []string {
	var out []string
	for name := range f.commands {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// strangers are the clients that the engine does not know one by one. The
// embedded engine does: each has listeners of its own on loopback.
func (f *clientFlags) strangers(engine string) []string {
	if engine != docker.Name {
		return nil
	}
	return f.names()
}

// connect puts the programs before the clients of an engine.
func (f *clientFlags) connect(next runtime.Connect, folder string) runtime.Connect {
	if !f.any() {
		return next
	}
	return func(w runtime.World, x runtime.Env, p *plan.Plan, rec *record.Writer) (runtime.Clients, error) {
		key := make([]byte, 32)
		rand.Read(key) // never fails
		x.TextKey = key
		c, err := next(w, x, p, rec)
		if err != nil {
			return c, err
		}
		c.Load, err = external.New(external.Options{
			Commands: f.commands, Next: c.Load, Key: key,
			Dir: f.dir, Folder: filepath.Join(folder, "logs"), Environ: os.Environ(),
		})
		return c, err
	}
}
