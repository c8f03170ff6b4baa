// This file defines list and init: what there is to run, and how a newcomer
// gets a first scenario of his own.

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
	"starfall/report"
)

func listCommand(e *env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the scenarios that come with starfall, in reading order",
		Args:  exactly(0, "none"),
		RunE: func(cmd *cobra.Command, args []string) error {
			all, err := examples.List()
			if err != nil {
				return err
			}
			if asJSON {
				enc := json.NewEncoder(e.stdout)
				enc.SetIndent("", "  ")
				return enc.Encode(all)
			}
			var rows [][]string
			for _, x := range all {
				rows = append(rows, []string{x.Name, x.Title, x.Verdict, strings.Join(x.Engines, " ")})
			}
			if err := report.Rows(e.stdout, []string{"scenario", "title", "verdict", "engines"}, rows); err != nil {
				return err
			}
			if _, err := os.Stat(filepath.Join("examples", all[0].Name+".star")); err == nil {
				fmt.Fprintf(e.stdout, "\nstarfall run examples/%s.star runs one of them\n", all[0].Name)
			} else {
				fmt.Fprintf(e.stdout, "\nstarfall init --example %s writes one of them here\n", all[0].Name)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the list as JSON")
	return cmd
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
