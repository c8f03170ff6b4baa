// This file defines tool: Kafka's own tools against a cluster that stands.

package main

import (
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"starfall/internal/kafkatools"
	"starfall/runtime/docker"
)

func toolCommand(e *env) *cobra.Command {
	var s source
	var t target
	var on string
	cmd := &cobra.Command{
		Use:   "tool FILE -- TOOL [ARGUMENT…]",
		Short: "Run one of Kafka's own tools against a scenario's standing cluster",
		Long: `tool runs one of Kafka's own tools, by its usual name, in a container of the
scenario's cluster, which has to stand: held by starfall up --engine docker, in a
run that goes on, or left by --keep. Where no server is named, the cluster's
brokers are; where the cluster has users, the tool acts as its operator. The exit
code is the tool's own.`,
		Example: `  starfall up --engine docker first.star
  starfall tool first.star -- kafka-topics --describe`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return usage("starfall tool: got %d arguments, want a scenario and a tool", len(args)).
					hint("usage: starfall tool FILE -- kafka-topics --describe")
			}
			if t.engine == "" && e.getenv("STARFALL_ENGINE") == "" {
				t.engine = docker.Name
			}
			engine, err := t.resolve(cmd, e)
			if err != nil {
				return err
			}
			if engine != docker.Name {
				return usage("starfall tool: the embedded engine has no tools of Kafka's").
					hint("starfall doc %s tells the word that does the same in a scenario", args[1]).
					hint("or bring the cluster up on real Kafka: starfall up --engine docker %s", args[0])
			}
			p, err := s.load(cmd, e, args[0], nil, true)
			if err != nil {
				return err
			}
			var names []string
			for _, c := range p.Clusters {
				names = append(names, c.Name)
			}
			switch {
			case on == "" && len(names) == 1:
				on = names[0]
			case on == "":
				return usage("starfall tool: the scenario has %d clusters, want --on NAME", len(names)).hint("they are: %s", strings.Join(names, ", "))
			case !slices.Contains(names, on):
				return meant(usage("--on: the scenario has no cluster %s", on), on, names)
			}
			name := strings.TrimSuffix(args[1], ".sh")
			if name != "kafka-run-class" {
				var unknown *kafkatools.Unknown
				if err := kafkatools.Check(name, p.Cluster(on).Version); errors.As(err, &unknown) {
					f := usage("starfall tool: %s", unknown.Message)
					if unknown.Hint != "" {
						f = f.hint("%s", unknown.Hint)
					}
					return f
				}
			}
			code, err := docker.ToolAt(cmd.Context(), docker.Options{Getenv: e.getenv}, p, on, name, args[2:], e.stdout, e.stderr)
			if errors.Is(err, docker.ErrNotStanding) {
				return usage("%w", err).hint("bring it up first: starfall up --engine docker %s", args[0])
			}
			if err != nil {
				return dockerHints(&failure{code: exitEngine, err: err}, err)
			}
			return verdictCode(code)
		},
	}
	s.flags(cmd)
	cmd.Flags().StringVar(&t.engine, "engine", "", "docker, the only engine that has tools")
	cmd.Flags().StringVar(&on, "on", "", "the `cluster`, where the scenario has several")
	return cmd
}
