// This file defines the command tree and how a wrong command line is told.

package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// run carries out one command line and gives the exit code.
func run(ctx context.Context, e env) int {
	root := newRoot(&e)
	root.SetArgs(e.args)
	root.SetIn(e.stdin)
	root.SetOut(e.stdout)
	root.SetErr(e.stderr)
	return tell(e.stderr, root.ExecuteContext(ctx))
}

func newRoot(e *env) *cobra.Command {
	root := &cobra.Command{
		Use:   "starfall",
		Short: "Kafka experiments that are written down",
		Long: `starfall runs Kafka experiments that are written down. A scenario, a .star
file, says what the cluster looks like, what load runs on it, what breaks and
when, and what must hold; starfall runs it, judges the recording, and prints a
table.`,
		Example: `  starfall init             write a first scenario
  starfall run first.star   run it
  starfall doc              the words a scenario may use`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return unknownCommand(cmd, args[0])
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return flagError(cmd, err) })
	root.CompletionOptions.HiddenDefaultCmd = true
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetHelpCommand(&cobra.Command{Use: "no-help", Hidden: true})
	root.AddCommand(
		runCommand(e),
		checkCommand(e),
		planCommand(e),
		fmtCommand(e),
		docCommand(e),
		initCommand(e),
		upCommand(e),
		toolCommand(e),
		packCommand(e),
		pushCommand(e),
		pullCommand(e),
		infoCommand(e),
		replayCommand(e),
		listCommand(e),
		showCommand(e),
		judgeCommand(e),
		reportCommand(e),
		playCommand(e),
		runsCommand(e),
		diffCommand(e),
		doctorCommand(e),
		cleanCommand(e),
		completionCommand(e),
		versionCommand(e),
		agentCommand(e),
		janitorCommand(e),
	)
	return root
}

func unknownCommand(root *cobra.Command, name string) error {
	f := usage("unknown command %q", name)
	if strings.HasSuffix(name, ".star") {
		return f.hint("to run the scenario: starfall run %s", name)
	}
	var names []string
	for _, c := range root.Commands() {
		if !c.Hidden {
			names = append(names, c.Name())
		}
	}
	return meant(f, name, names).hint("all commands: starfall --help")
}

// flagError tells what is wrong with a flag, with the name that was meant.
func flagError(cmd *cobra.Command, err error) error {
	f := usage("%s: %w", cmd.CommandPath(), err)
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		name := unknown.GetSpecifiedName()
		f = usage("%s: unknown flag --%s", cmd.CommandPath(), name)
		if unknown.GetSpecifiedShortnames() != "" {
			f = usage("%s: unknown flag -%s", cmd.CommandPath(), name)
		}
		var names []string
		cmd.Flags().VisitAll(func(x *pflag.Flag) { names = append(names, "--"+x.Name) })
		meant(f, "--"+name, names)
	}
	return f.hint("all flags: %s --help", cmd.CommandPath())
}

// exactly wants n arguments and says which.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == n {
			return nil
		}
		return usage("%s: got %d arguments, want %s", cmd.CommandPath(), len(args), what).
			hint("usage: %s", cmd.UseLine())
	}
}

func atMost(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) <= n {
			return nil
		}
		return usage("%s: got %d arguments, want %s", cmd.CommandPath(), len(args), what).
			hint("usage: %s", cmd.UseLine())
	}
}

func completionCommand(e *env) *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:       "completion SHELL",
		Short:     "Print a completion script for bash, zsh, fish or powershell",
		Example:   "  source <(starfall completion bash)",
		Args:      exactly(1, "one of bash, zsh, fish and powershell"),
		ValidArgs: shells,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch args[0] {
			case "bash":
				return cmd.Root().GenBashCompletionV2(e.stdout, true)
			case "zsh":
				return cmd.Root().GenZshCompletion(e.stdout)
			case "fish":
				return cmd.Root().GenFishCompletion(e.stdout, true)
			case "powershell":
				return cmd.Root().GenPowerShellCompletionWithDesc(e.stdout)
			}
			return meant(usage("starfall completion: unknown shell %q", args[0]), args[0], shells)
		},
	}
}

func versionCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  exactly(0, "none"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cmd.Println("starfall " + version())
			return nil
		},
	}
}

// version is the module's version, or the revision a checkout was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	if v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return "devel " + s.Value[:min(12, len(s.Value))]
		}
	}
	return "devel"
}

// shown is a path as messages have it: relative to the current folder when
// that is shorter.
func shown(path string) string {
	wd, err := os.Getwd()
	if err != nil {
		return path
	}
	rel, err := filepath.Rel(wd, path)
	if err != nil || len(rel) >= len(path) {
		return path
	}
	return rel
}

// stars completes the names of scenario files.
func stars(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	return []string{"star"}, cobra.ShellCompDirectiveFilterFileExt
}
