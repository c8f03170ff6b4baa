// This file defines list, show and init: what there is to run, and how a
// newcomer gets a first scenario of his own.

package main

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"starfall/builtins"
	"starfall/examples"
	"starfall/interp"
	"starfall/interp/plan"
	"starfall/report"
	"starfall/scenarios"
)

// listed is one scenario that comes with starfall.
type listed struct {
	Name     string            `json:"name"` // as run takes it, for the library
	Title    string            `json:"title"`
	RunFor   plan.Duration     `json:"run_for"`
	Cells    int               `json:"cells"` // runs of its matrix
	Verdicts map[string]string `json:"verdicts"`
	Library  bool              `json:"library"`
}

// listAll gives the examples in reading order, then the library in the order of
// the chapter.
func listAll() ([]listed, error) {
	var out []listed
	first, err := examples.List()
	if err != nil {
		return nil, err
	}
	for _, x := range first {
		l := listed{Name: x.Name, Title: x.Title, Cells: 1, Verdicts: map[string]string{}}
		for _, engine := range x.Engines {
			l.Verdicts[engine] = x.Verdict
		}
		if l.RunFor, err = lasts(examples.FS(), x.Name); err != nil {
			return nil, err
		}
		out = append(out, l)
	}
	library, err := scenarios.List()
	if err != nil {
		return nil, err
	}
	for _, x := range library {
		axes, err := parseSweeps(x.Sweeps, nil)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", x.Name, err)
		}
		cells, err := matrix(axes, 1)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", x.Name, err)
		}
		l := listed{Name: stdPrefix + x.Name, Title: x.Title, Cells: len(cells), Verdicts: x.Verdicts, Library: true}
		if l.RunFor, err = lasts(scenarios.FS(), x.Name); err != nil {
			return nil, err
		}
		out = append(out, l)
	}
	return out, nil
}

// lasts gives how long a scenario runs, in scenario time.
func lasts(files fs.FS, name string) (plan.Duration, error) {
	p, err := interp.Load(name+".star", interp.Options{FS: files, Root: ".", Std: scenarios.Std()})
	if err != nil {
		return 0, err
	}
	return p.Scenario.RunFor, nil
}

func listCommand(e *env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the scenarios that come with starfall, in reading order",
		Args:  exactly(0, "none"),
		RunE: func(cmd *cobra.Command, args []string) error {
			all, err := listAll()
			if err != nil {
				return err
			}
			if asJSON {
				enc := json.NewEncoder(e.stdout)
				enc.SetIndent("", "  ")
				return enc.Encode(all)
			}
			heads := []string{"scenario", "title", "time", "verdict", "engines"}
			for _, library := range []bool{false, true} {
				var rows [][]string
				for _, x := range all {
					if x.Library == library {
						rows = append(rows, []string{x.Name, x.Title, x.time(), x.verdict(), x.engines()})
					}
				}
				if len(rows) == 0 {
					continue
				}
				if library {
					fmt.Fprintln(e.stdout)
				}
				if err := report.Rows(e.stdout, heads, rows); err != nil {
					return err
				}
			}
			fmt.Fprintf(e.stdout, "\nstarfall show NAME prints one of them; starfall init --example NAME writes one\nof the first table here; starfall run %sNAME runs one of the second\n", stdPrefix)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the list as JSON")
	return cmd
}

// time is how long a scenario runs, and how often as the matrix that it is
// meant to be.
func (l listed) time() string {
	if l.Cells > 1 {
		return fmt.Sprintf("%d × %s", l.Cells, l.RunFor)
	}
	return l.RunFor.String()
}

func (l listed) verdict() string {
	embedded, docker := l.Verdicts["embedded"], l.Verdicts["docker"]
	switch {
	case embedded == docker || docker == "":
		return embedded
	case embedded == "":
		return docker
	}
	return embedded + ", on docker " + docker
}

func (l listed) engines() string {
	var out []string
	for _, name := range engineNames() {
		if l.Verdicts[name] != "" {
			out = append(out, name)
		}
	}
	return strings.Join(out, " ")
}

func showCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:     "show NAME",
		Short:   "Print a scenario that comes with starfall",
		Example: "  starfall show failover",
		Args:    exactly(1, "the name of one scenario of starfall list"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := strings.TrimSuffix(strings.TrimPrefix(args[0], stdPrefix), ".star")
			library, err := scenarios.Names()
			if err != nil {
				return err
			}
			var text []byte
			switch own := strings.HasPrefix(args[0], stdPrefix); {
			case slices.Contains(library, name):
				text, err = scenarios.Text(name)
			case !own && slices.Contains(exampleNames(), name):
				text, err = fs.ReadFile(examples.FS(), name+".star")
			default:
				return meant(usage("starfall show: there is no scenario %q", args[0]), name, append(library, exampleNames()...)).
					hint("all of them: starfall list")
			}
			if err != nil {
				return err
			}
			_, err = e.stdout.Write(text)
			return err
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			library, _ := scenarios.Names()
			return append(library, exampleNames()...), cobra.ShellCompDirectiveNoFileComp
		},
	}
}

//go:embed skeleton
var skeleton embed.FS

func initCommand(e *env) *cobra.Command {
	var example string
	cmd := &cobra.Command{
		Use:   "init [DIR]",
		Short: "Write a first scenario, with editor settings",
		Long: `init writes a first scenario with comments (first.star), the words of the
language for editors (__builtins__.pyi), and settings for Visual Studio Code.
It never overwrites a file.`,
		Args: atMost(1, "one folder at most"),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			files, err := initFiles(example)
			if err != nil {
				return err
			}
			return writeNew(e, dir, files)
		},
	}
	cmd.Flags().StringVar(&example, "example", "", "write the example `NAME` of starfall list instead of first.star")
	cmd.RegisterFlagCompletionFunc("example", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return exampleNames(), cobra.ShellCompDirectiveNoFileComp
	})
	return cmd
}

func exampleNames() []string {
	all, err := examples.List()
	if err != nil {
		return nil
	}
	var names []string
	for _, x := range all {
		names = append(names, x.Name)
	}
	return names
}

// newFile is a file that init writes. Path is relative to the folder.
type newFile struct {
	path string
	text []byte
}

func initFiles(example string) ([]newFile, error) {
	name, path := "first.star", "skeleton/first.star"
	text, err := skeleton.ReadFile(path)
	if example != "" {
		example = strings.TrimSuffix(example, ".star")
		if !slices.Contains(exampleNames(), example) {
			return nil, meant(usage("starfall init: there is no example %q", example), example, exampleNames()).hint("all examples: starfall list")
		}
		name = example + ".star"
		text, err = fs.ReadFile(examples.FS(), name)
	}
	if err != nil {
		return nil, err
	}
	settings, err := skeleton.ReadFile("skeleton/settings.json")
	if err != nil {
		return nil, err
	}
	return []newFile{
		{name, text},
		{"__builtins__.pyi", []byte(builtins.Stub())},
		{filepath.Join(".vscode", "settings.json"), settings},
	}, nil
}

// writeNew writes files into a folder, none of which it may overwrite. One that
// is there with the same content counts as written.
func writeNew(e *env, dir string, files []newFile) error {
	var todo []newFile
	for _, f := range files {
		path := filepath.Join(dir, f.path)
		have, err := os.ReadFile(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			todo = append(todo, f)
		case err != nil:
			return asUsage(err)
		case string(have) != string(f.text):
			return usage("starfall init: %s is there already and would be overwritten", path).
				hint("choose another folder: starfall init DIR")
		}
	}
	for _, f := range todo {
		path := filepath.Join(dir, f.path)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			return asUsage(err)
		}
		out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
		if err != nil {
			return asUsage(err)
		}
		_, err = out.Write(f.text)
		if err := errors.Join(err, out.Close()); err != nil {
			return asUsage(err)
		}
		fmt.Fprintln(e.stdout, "wrote "+path)
	}
	if len(todo) == 0 {
		fmt.Fprintln(e.stdout, "everything is there already")
	}
	fmt.Fprintf(e.stderr, "next: starfall run %s\n", filepath.Join(dir, files[0].path))
	return nil
}
