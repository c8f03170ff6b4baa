// This file defines the commands that people do not type: the agent, which is
// the first process in every container, and the janitor, which stands by for the
// case that a run is killed. It also defines clean.

package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"starfall/runtime/agent"
	"starfall/runtime/docker"
)

const janitorName = "janitor"

// stdio is the stream of the agent.
type stdio struct {
	io.Reader
	io.Writer
}

func agentCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:    "agent",
		Short:  "Be the first process of a container; starfall starts it",
		Hidden: true,
		Args:   exactly(0, "none"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if os.Getpid() != 1 {
				return usage("starfall agent: it is for containers, which starfall makes").hint("to run a scenario: starfall run FILE --engine docker")
			}
			return agent.Serve(cmd.Context(), stdio{e.stdin, e.stdout}, e.stderr, agent.Options{Services: docker.Services()})
		},
	}
}

func janitorCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:    janitorName + " RUN",
		Short:  "Remove what is left of a run that was killed; starfall starts it",
		Hidden: true,
		Args:   exactly(1, "the id of a run"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return docker.Tidy(cmd.Context(), docker.Options{Getenv: e.getenv}, args[0], e.stdin)
		},
	}
}

func cleanCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "clean",
		Short: "Remove clusters that were kept, and what a crash has left of others",
		Long: `clean removes containers and networks that the docker engine has made for runs
that are over: clusters that were kept with --keep, and what was left behind when
starfall and Docker were both killed. It touches nothing that belongs to a run
which goes on, and nothing that is not starfall's. It prints what it removed.`,
		Args: exactly(0, "none"),
		RunE: func(cmd *cobra.Command, args []string) error {
			list, err := docker.Clean(cmd.Context(), docker.Options{Getenv: e.getenv})
			for _, r := range list {
				what := strings.Join(append(r.Containers, r.Networks...), ", ")
				if r.Left != "" {
					fmt.Fprintf(e.stdout, "left     %s (%s): %s\n", what, r.Scenario, r.Left)
					continue
				}
				fmt.Fprintf(e.stdout, "removed  %s (%s)\n", what, r.Scenario)
			}
			if err != nil {
				return dockerHints(&failure{code: exitEngine, err: err}, err)
			}
			if len(list) == 0 {
				fmt.Fprintln(e.stdout, "nothing is left of any run")
			}
			return nil
		},
	}
}
