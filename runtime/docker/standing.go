package docker

// This file defines how Kafka's tools are run against a cluster that stands: one
// that up holds, a run that goes on, or one that --keep has left.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/pkg/stdcopy"

	"starfall/interp/plan"
	"starfall/runtime"
)

// ErrNotStanding says that no cluster of a scenario stands.
var ErrNotStanding = errors.New("no cluster of it stands")

// ToolAt runs a tool, by its usual name, against a standing cluster of a plan, and
// gives its exit code. What it prints goes to the writers as it comes. Where
// several runs of the scenario stand, the youngest is asked.
func ToolAt(ctx context.Context, o Options, p *plan.Plan, cluster, name string, args []string, stdout, stderr io.Writer) (int, error) {
	c := p.Cluster(cluster)
	if c == nil {
		return 0, fmt.Errorf("%s: there is no cluster %s", name, cluster)
	}
	h, err := open(ctx, o)
	if err != nil {
		return 0, err
	}
	defer h.api.Close()
	id, err := h.standing(ctx, p, c)
	if err != nil {
		return 0, err
	}
	version, err := h.versionIn(ctx, id)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	class, args, err := toolClass(name, version.String(), args)
	if err != nil {
		return 0, err
	}
	var brokers []string
	for _, n := range c.Brokers() {
		brokers = append(brokers, fmt.Sprintf("%s:%d", c.Label(n.ID), portClients))
	}
	login, err := h.operatorIn(ctx, id, c)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	settings := dirWork + "/tool-at.properties"
	args, text := complete(name, args, brokers, login, settings)
	// Everything goes in by arguments: the files would be those of a run that may go on.
	script := classPath + `umask 077; dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
log=$dir/log4j.properties
case $1 in 3) printf %s "$2" >"$log"; option=-Dlog4j.configuration=file:$log;;
*) printf %s "$3" >"$log"; option=-Dlog4j2.configurationFile=$log;; esac
printf %s "$4" >"$dir/settings"; class=$5; shift 5
for arg; do shift; [ "$arg" = ` + settings + ` ] && arg=$dir/settings; set -- "$@" "$arg"; done
java -Xmx256m -XX:TieredStopAtLevel=1 -Djava.awt.headless=true "$option" -cp "$cp" "$class" "$@"`
	major := "3"
	if !version.before(4, 0) {
		major = "4"
	}
	command := append([]string{"sh", "-c", script, "starfall", major, toolLog1, toolLog2, text, class}, args...)
	code, err := h.exec(ctx, id, command, stdout, stderr)
	if err != nil {
		return code, fmt.Errorf("%s: %w", name, err)
	}
	return code, nil
}

// standing finds the container of a broker of a cluster that runs.
func (h host) standing(ctx context.Context, p *plan.Plan, c *plan.Cluster) (string, error) {
	list, err := h.api.ContainerList(ctx, container.ListOptions{Filters: filters.NewArgs(filters.Arg("label", labelName+"="+p.Name))})
	if err != nil {
		return "", fmt.Errorf("containers: %w", err)
	}
	slices.SortStableFunc(list, func(a, b container.Summary) int { return int(b.Created - a.Created) })
	for _, x := range list {
		for _, n := range c.Brokers() {
			if x.Labels[labelPart] == c.Label(n.ID) {
				return x.ID, nil
			}
		}
	}
	return "", fmt.Errorf("%s: cluster %s: %w", p.Name, c.Name, ErrNotStanding)
}

// versionIn reads which release of Kafka a container has.
func (h host) versionIn(ctx context.Context, id string) (release, error) {
	var out bytes.Buffer
	if _, err := h.exec(ctx, id, []string{"sh", "-c", "ls " + dirKafka + "/libs"}, &out, io.Discard); err != nil {
		return release{}, err
	}
	for jar := range strings.FieldsSeq(out.String()) {
		if v, ok := releaseOf(jar); ok {
			return v, nil
		}
	}
	return release{}, fmt.Errorf("the image has no kafka-clients in %s/libs", dirKafka)
}

var loginPattern = regexp.MustCompile(`username="([^"]*)" password="([^"]*)"`)

// operatorIn reads as whom a cluster's nodes trust each other, which is its
// operator; whoever may look into the container may be him. Without users it is
// nobody.
func (h host) operatorIn(ctx context.Context, id string, c *plan.Cluster) (runtime.Login, error) {
	if c.Auth == "" {
		return runtime.Login{}, nil
	}
	var out bytes.Buffer
	if _, err := h.exec(ctx, id, []string{"cat", pathConfig}, &out, io.Discard); err != nil {
		return runtime.Login{}, err
	}
	m := loginPattern.FindStringSubmatch(out.String())
	if m == nil {
		return runtime.Login{}, errors.New("the broker's configuration names no operator")
	}
	return runtime.Login{Mechanism: mechanismOf(c.Auth), User: m[1], Password: m[2]}, nil
}

// exec runs a command in a container and gives its exit code.
func (h host) exec(ctx context.Context, id string, command []string, stdout, stderr io.Writer) (int, error) {
	created, err := h.api.ContainerExecCreate(ctx, id, container.ExecOptions{Cmd: command, AttachStdout: true, AttachStderr: true})
	if err != nil {
		return 0, err
	}
	stream, err := h.api.ContainerExecAttach(ctx, created.ID, container.ExecAttachOptions{})
	if err != nil {
		return 0, err
	}
	defer stream.Close()
	done := make(chan error, 1)
	go func() {
		_, err := stdcopy.StdCopy(stdout, stderr, stream.Reader)
		done <- err
	}()
	select {
	case err = <-done:
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	if err != nil {
		return 0, err
	}
	state, err := h.api.ContainerExecInspect(ctx, created.ID)
	if err != nil {
		return 0, err
	}
	return state.ExitCode, nil
}
