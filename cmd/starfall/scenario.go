// This file defines check, plan, fmt and doc: what can be done with a scenario
// without starting anything.

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"starfall/builtins"
	"starfall/internal/spell"
	"starfall/interp"
	"starfall/interp/model"
	"starfall/interp/plan"
	"starfall/report"
	"starfall/runtime"
	"starfall/runtime/kafka"
	"starfall/scenarios"
)

// source is how a scenario is loaded: the flags that change a plan.
type source struct {
	set  []string // name=value
	seed int64

	fixed bool   // the seed counts though no flag gives it
	root  string // what // in load means; "" to find it
}

func (s *source) flags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&s.set, "set", nil, "give a parameter another value: `name=value`, repeatable")
	cmd.Flags().Int64Var(&s.seed, "seed", 0, "replace the scenario's seed")
}

// load evaluates and checks a scenario. Warnings and what the scenario prints
// go to stderr. More sets, of a sweep's cell, come last.
func (s *source) load(cmd *cobra.Command, e *env, path string, more map[string]string, quiet bool) (*plan.Plan, error) {
	set, err := s.values()
	if err != nil {
		return nil, err
	}
	for k, v := range more {
		set[k] = v
	}
	o := interp.Options{
		Set:     set,
		Root:    s.root,
		Std:     scenarios.Std(),
		Clients: kafka.Mapped,
		Print: func(pos plan.Pos, text string) {
			if !quiet {
				fmt.Fprintf(e.stderr, "%s: %s\n", pos.Short(), text)
			}
		},
		Warn: func(p interp.Problem) {
			if !quiet {
				fmt.Fprintln(e.stderr, p)
			}
		},
	}
	if s.fixed || cmd.Flags().Changed("seed") {
		o.Seed = &s.seed
	}
	if name, ok := strings.CutPrefix(path, stdPrefix); ok {
		o.FS, o.Root = scenarios.FS(), "."
		file, err := stdFile(name)
		if err != nil {
			return nil, err
		}
		return interp.Load(file, o)
	}
	if err := readable(path); err != nil {
		return nil, err
	}
	return interp.Load(path, o)
}

// stdPrefix opens the name of a scenario of the library, as it opens that of a
// module in load.
const stdPrefix = "@std//"

// stdFile gives the file of a scenario of the library.
func stdFile(name string) (string, error) {
	name = strings.TrimSuffix(name, ".star")
	all, err := scenarios.Names()
	if err != nil {
		return "", err
	}
	if !slices.Contains(all, name) {
		return "", meant(usage("%s%s: there is no such scenario", stdPrefix, name), name, all).hint("all of them: starfall list")
	}
	return name + ".star", nil
}

// fits tells what a target makes of the plan of the scenario at path: an error
// for what the engine cannot do, warnings for what the speed makes meaningless.
func fits(e *env, path string, p *plan.Plan, engine runtime.Engine, speed float64, quiet bool) error {
	open := opener(path, p)
	if !quiet {
		for _, x := range model.CheckSpeed(p, speed) {
			x.Pos = open(x.Pos)
			fmt.Fprintln(e.stderr, x)
		}
	}
	var refused []interp.Problem
	for _, r := range engine.Refuse(p) {
		x := interp.Problem{Pos: open(r.Pos), Severity: interp.Error, Message: fmt.Sprintf("%s: the %s engine cannot do this", r.Message, engine.Name())}
		if r.Engine != "" {
			x.Suggestion = "--engine " + r.Engine + " can"
		}
		refused = append(refused, x)
	}
	if len(refused) > 0 {
		return &interp.Errors{Problems: refused}
	}
	return nil
}

// opener gives positions in the plan of the scenario at path as an editor can
// open them from here.
func opener(path string, p *plan.Plan) func(plan.Pos) plan.Pos {
	root := strings.TrimSuffix(filepath.ToSlash(path), p.Files[0].Path)
	if strings.HasPrefix(path, stdPrefix) {
		root = stdPrefix
	}
	return func(pos plan.Pos) plan.Pos {
		if !strings.HasPrefix(pos.File, "@") {
			pos.File = root + pos.File
		}
		return pos
	}
}

func (s *source) values() (map[string]string, error) {
	set := map[string]string{}
	for _, x := range s.set {
		name, value, ok := strings.Cut(x, "=")
		if !ok || name == "" {
			return nil, usage("--set: got %q, want name=value", x)
		}
		if _, twice := set[name]; twice {
			return nil, usage("--set: %s is given twice", name)
		}
		set[name] = value
	}
	return set, nil
}

// readable tells early, with the names that are near, that there is no such
// file.
func readable(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f := usage("%s: no such file", path)
		if found, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*.star")); len(found) > 0 {
			if near, ok := spell.Nearest(filepath.Base(path), bases(found)); ok {
				return f.hint("did you mean %s?", filepath.Join(filepath.Dir(path), near))
			}
		}
		return f
	case err != nil:
		return usage("%w", err)
	case info.IsDir():
		return usage("%s: is a folder, want a .star file", path)
	}
	return nil
}

func bases(paths []string) []string {
	var out []string
	for _, p := range paths {
		out = append(out, filepath.Base(p))
	}
	return out
}

func checkCommand(e *env) *cobra.Command {
	var s source
	var t target
	var quiet bool
	cmd := &cobra.Command{
		Use:   "check FILE…",
		Short: "Check scenarios without starting anything",
		Long: `check evaluates scenarios and checks their plans against a model of the
cluster over time, and against what the engine can do. It starts nothing. All
mistakes are told at once, each with its place; the exit code is 2 when there is
one.`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: stars,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("starfall check: no scenario given").hint("usage: starfall check FILE…")
			}
			name, err := t.resolve(cmd, e)
			if err != nil {
				return err
			}
			engine := t.bare(e, name)
			failed := false
			for _, path := range args {
				p, err := s.load(cmd, e, path, nil, quiet)
				if err == nil {
					err = fits(e, path, p, engine, t.speed, quiet)
				}
				if err != nil {
					if tell(e.stderr, err) != exitOK {
						failed = true
					}
					continue
				}
				if !quiet {
					fmt.Fprintf(e.stdout, "%s: ok: %s, %s, %s\n", path,
						few(len(p.Events), "event"), few(len(p.Claims), "claim"), p.Scenario.RunFor)
				}
			}
			if failed {
				return verdictCode(exitUsage)
			}
			return nil
		},
	}
	s.flags(cmd)
	t.flags(cmd)
	cmd.Flags().Float64Var(&t.speed, "speed", defaultSpeed, "how much faster than life the embedded engine runs")
	cmd.Flags().BoolVar(&quiet, "quiet", false, "print mistakes only")
	return cmd
}

func few(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func planCommand(e *env) *cobra.Command {
	var s source
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "plan FILE",
		Short: "Print what a scenario will do: topology, timeline, claims",
		Long: `plan evaluates a scenario and prints its topology, load, timeline and claims,
each with its place in the source. It starts nothing. With --json it prints the
canonical plan: the same scenario always gives the same bytes.`,
		Args:              exactly(1, "one scenario"),
		ValidArgsFunction: stars,
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := s.load(cmd, e, args[0], nil, false)
			if err != nil {
				return err
			}
			if asJSON {
				b, err := p.Canonical()
				if err != nil {
					return err
				}
				_, err = e.stdout.Write(b)
				return err
			}
			return report.Plan(e.stdout, p)
		},
	}
	s.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the canonical plan as JSON")
	return cmd
}

func fmtCommand(e *env) *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use:   "fmt [FILE…]",
		Short: "Lay scenarios out in the one style",
		Long: `fmt rewrites scenario files in the one style and prints the names of those
that changed. Without a file, or for "-", it formats stdin to stdout. With
--check it changes nothing and exits 1 when a file is not in the style.`,
		ValidArgsFunction: stars,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{"-"}
			}
			changed := false
			for _, path := range args {
				diff, err := formatOne(e, path, check)
				if err != nil {
					return err
				}
				changed = changed || diff
			}
			if check && changed {
				return verdictCode(1)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "change nothing, print the files that are not in the style, exit 1 if any")
	return cmd
}

// formatOne formats a file in its place, or stdin to stdout, and tells whether
// the layout was another one before.
func formatOne(e *env, path string, check bool) (bool, error) {
	var src []byte
	var err error
	if path == "-" {
		src, err = io.ReadAll(e.stdin)
	} else if err = readable(path); err == nil {
		src, err = os.ReadFile(path)
	}
	if err != nil {
		return false, asUsage(err)
	}
	name := path
	if path == "-" {
		name = "<stdin>"
	}
	out, err := interp.Format(name, src)
	if err != nil {
		return false, err
	}
	same := bytes.Equal(src, out)
	switch {
	case path == "-" && !check:
		_, err = e.stdout.Write(out)
		return !same, err
	case same:
		return false, nil
	}
	fmt.Fprintln(e.stdout, name)
	if check {
		return true, nil
	}
	return true, asUsage(replace(path, out))
}

// replace writes a file whole or not at all, with the mode it had.
func replace(path string, text []byte) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if err := errors.Join(err, f.Chmod(info.Mode().Perm()), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// asUsage gives an error of the file system the code of a wrong command line.
func asUsage(err error) error {
	var f *failure
	if err == nil || errors.As(err, &f) {
		return err
	}
	return &failure{code: exitUsage, err: err}
}

// schemaWord is what doc prints the JSON Schema for. No word of the language has
// that name.
const schemaWord = "schema"

func docCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "doc [WORD]",
		Short: "Explain a word of the language; without a word, list all",
		Long: `doc explains a word of the language; without one it lists all. "starfall doc
schema" prints the JSON Schema of what run --json and judge --json print.`,
		Example: `  starfall doc
  starfall doc producer
  starfall doc stall
  starfall doc schema`,
		Args: atMost(1, "one word at most"),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
			return words(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				_, err := fmt.Fprint(e.stdout, builtins.Index())
				return err
			}
			if args[0] == schemaWord {
				_, err := fmt.Fprint(e.stdout, report.Schema())
				return err
			}
			text, ok := builtins.Doc(args[0])
			if !ok {
				return meant(usage("starfall doc: there is no word %q", args[0]), args[0], append(builtins.DocNames(), schemaWord)).hint("all words: starfall doc")
			}
			_, err := fmt.Fprintln(e.stdout, strings.TrimRight(text, "\n"))
			return err
		},
	}
}

// words are all words of the language, sorted, each once.
func words() []string {
	var out []string
	for _, w := range builtins.Table() {
		out = append(out, w.Name)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
