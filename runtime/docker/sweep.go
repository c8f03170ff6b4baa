package docker

// This file defines how what runs have left behind is removed.

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
)

// Remains is what there is of one run.
type Remains struct {
	Run        string // id
	Scenario   string
	Kept       bool
	Containers []string // names
	Networks   []string // names
	// Left says why nothing of it was removed, "" when all was.
	Left string

	containers, networks []string // ids
	owner                owner
	made                 time.Time // when the youngest thing of it was made
}

// patience is how long after a network was made its run must have containers in
// it, when nobody can tell whether its owner lives.
const patience = 10 * time.Minute

// Clean removes what runs that are over have left on a Docker engine, clusters
// that were kept among it, and tells what it was. What belongs to a run that
// goes on, and what has no label of starfall, is not touched.
func Clean(ctx context.Context, o Options) ([]Remains, error) {
	h, err := open(ctx, o)
	if err != nil {
		return nil, err
	}
	defer h.api.Close()
	return sweep(ctx, h, true)
}

// sweep removes what is left of runs that are over; kept clusters with kept
// only.
//
//	owner    containers  kept  age           sweep   with kept
//	living   -           -     -             left    left
//	gone     -           no    -             goes    goes
//	gone     -           yes   -             left    goes
//	unknown  none        -     ≥ patience    goes    goes
//	unknown  -           -     else          left    left, and told
func sweep(ctx context.Context, h host, kept bool) ([]Remains, error) {
	all, err := h.remains(ctx, filters.NewArgs(filters.Arg("label", labelRun)))
	if err != nil {
		return nil, err
	}
	var out []Remains
	var errs []error
	for _, r := range all {
		goes, why := r.goes(kept, time.Now())
		if !goes && why == "" {
			continue
		}
		if r.Left = why; goes {
			if err := h.removeAll(ctx, r); err != nil {
				errs = append(errs, err)
				continue
			}
		}
		out = append(out, r)
	}
	return out, errors.Join(errs...)
}

// goes is the table of sweep; why is told for what is left.
func (r Remains) goes(kept bool, now time.Time) (goes bool, why string) {
	switch r.owner.life() {
	case living:
		return false, ""
	case gone:
		return kept || !r.Kept, ""
	}
	if len(r.Containers) == 0 && now.Sub(r.made) >= patience {
		return true, ""
	}
	if !kept {
		return false, ""
	}
	return false, "whether its run goes on cannot be seen from here"
}

// remains lists what there is of runs, by run.
func (h host) remains(ctx context.Context, f filters.Args) ([]Remains, error) {
	runs := map[string]*Remains{}
	of := func(labels map[string]string, made time.Time) *Remains {
		id := labels[labelRun]
		r := runs[id]
		if r == nil {
			r = &Remains{Run: id}
			runs[id] = r
		}
		r.Scenario, r.Kept = labels[labelName], labels[labelKeep] == "true"
		r.owner, _ = parseOwner(labels[labelOwner])
		if made.After(r.made) {
			r.made = made
		}
		return r
	}
	containers, err := h.api.ContainerList(ctx, container.ListOptions{All: true, Filters: f})
	if err != nil {
		return nil, fmt.Errorf("containers: %w", err)
	}
	for _, c := range containers {
		r := of(c.Labels, time.Unix(c.Created, 0))
		r.containers = append(r.containers, c.ID)
		name := c.ID[:12]
		if len(c.Names) > 0 {
			name = strings.TrimPrefix(c.Names[0], "/")
		}
		r.Containers = append(r.Containers, name)
	}
	networks, err := h.api.NetworkList(ctx, network.ListOptions{Filters: f})
	if err != nil {
		return nil, fmt.Errorf("networks: %w", err)
	}
	for _, n := range networks {
		r := of(n.Labels, n.Created)
		r.networks = append(r.networks, n.ID)
		r.Networks = append(r.Networks, n.Name)
	}
	var out []Remains
	for _, id := range sortedKeys(runs) {
		out = append(out, *runs[id])
	}
	return out, nil
}

// labelIs finds what belongs to one run.
func labelIs(run string) filters.Args {
	return filters.NewArgs(filters.Arg("label", labelRun+"="+run))
}

// removeAll removes what there is of a run.
func (h host) removeAll(ctx context.Context, r Remains) error {
	var gone group
	for _, id := range r.containers {
		gone.Go(ctx, func(ctx context.Context) error { return h.remove(ctx, id) })
	}
	errs := []error{gone.Wait()}
	for _, id := range r.networks {
		if err := h.api.NetworkRemove(ctx, id); err != nil && !errdefs.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("remove network %.12s: %w", id, err))
		}
	}
	return errors.Join(errs...)
}
