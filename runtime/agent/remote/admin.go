// This file defines admin and audit of a session, outside.

package remote

import (
	"context"
	"errors"
	"fmt"

	"starfall/interp/plan"
	"starfall/runtime"
	"starfall/runtime/record"
)

// admin asks for something that is about a cluster.
func (s *Session) admin(ctx context.Context, op, cluster string, a adminArgs, value any) error {
	if s.o.Bootstrap == nil {
		return fmt.Errorf("%s: %s: the session is for load only", s.o.Name, op)
	}
	b, err := s.o.Bootstrap(cluster)
	if err != nil {
		return err
	}
	a.Cluster, a.Bootstrap = cluster, b
	return s.call(ctx, op, a, value)
}

// Create makes topics.
func (s *Session) Create(ctx context.Context, cluster string, topics []plan.Topic) error {
	return s.admin(ctx, opCreate, cluster, adminArgs{Topics: topics}, nil)
}

// Do carries out an admin verb.
func (s *Session) Do(ctx context.Context, cluster string, a plan.Action) (runtime.Proof, error) {
	return s.prove(ctx, opDo, cluster, adminArgs{Action: &a})
}

// Restore puts configs back.
func (s *Session) Restore(ctx context.Context, cluster string, target plan.Ref, values map[string]*string) (runtime.Proof, error) {
	return s.prove(ctx, opRestore, cluster, adminArgs{Target: target, Values: values})
}

func (s *Session) prove(ctx context.Context, op, cluster string, a adminArgs) (runtime.Proof, error) {
	var p proof
	if err := s.admin(ctx, op, cluster, a, &p); err != nil {
		return runtime.Proof{}, err
	}
	out := runtime.Proof{OK: p.OK, Text: p.Text, Wrote: p.Wrote, Deleted: p.Deleted}
	if p.At != nil {
		out.At = s.moment(*p.At)
	}
	return out, nil
}

// Grant gives a user rights.
func (s *Session) Grant(ctx context.Context, cluster, user string, rights []plan.ACL) (runtime.Proof, error) {
	return s.prove(ctx, opGrant, cluster, adminArgs{User: user, Rights: rights})
}

// Compare reads both sides of a mirror, there.
func (s *Session) Compare(ctx context.Context, spec runtime.MirrorSpec, ends map[string]map[int32]int64, groups []string) ([]runtime.Comparison, error) {
	if s.o.Bootstrap == nil {
		return nil, fmt.Errorf("%s: %s: the session is for load only", s.o.Name, opCompare)
	}
	a := compareArgs{Mirror: spec.Mirror, Topics: spec.Topics, Copies: spec.Copies, Ends: ends, Groups: groups, Bootstrap: map[string][]string{}}
	for _, cluster := range []string{spec.Mirror.From, spec.Mirror.To} {
		b, err := s.o.Bootstrap(cluster)
		if err != nil {
			return nil, err
		}
		a.Bootstrap[cluster] = b
	}
	var out []runtime.Comparison
	err := s.call(ctx, opCompare, a, &out)
	return out, err
}

// Coordinator tells which broker coordinates a group.
func (s *Session) Coordinator(ctx context.Context, cluster, group string) (int32, error) {
	id := int32(-1)
	err := s.admin(ctx, opCoordinator, cluster, adminArgs{Group: group}, &id)
	return id, err
}

// Configs reads configs back.
func (s *Session) Configs(ctx context.Context, cluster string, target plan.Ref, names []string) (map[string]*string, error) {
	var values map[string]*string
	err := s.admin(ctx, opConfigs, cluster, adminArgs{Target: target, Names: names}, &values)
	return values, err
}

// Group describes a group.
func (s *Session) Group(ctx context.Context, cluster, group string) (runtime.Group, error) {
	var g runtime.Group
	err := s.admin(ctx, opGroup, cluster, adminArgs{Group: group}, &g)
	return g, err
}

// Inspect gives the state of a cluster as kafka.Inspector has it, there.
func (s *Session) Inspect(ctx context.Context, cluster string) (runtime.State, error) {
	var a adminArgs
	if s.o.Controllers != nil {
		var err error
		if a.Control, err = s.o.Controllers(cluster); err != nil {
			return runtime.State{}, err
		}
	}
	var state runtime.State
	err := s.admin(ctx, opInspect, cluster, a, &state)
	return state, err
}

// Audit reads each partition of a topic to its end. The logs are written
// inside, and are in the recording when Audit returns; log is not called.
func (s *Session) Audit(ctx context.Context, cluster, topic string, end map[int32]int64, _ func(partition int32, logStart, highWater int64) *record.AuditLog) error {
	err := s.admin(ctx, opAudit, cluster, adminArgs{Topic: topic, Ends: end}, nil)
	if errors.Is(err, errSilent) {
		// What it still records would come too late.
		return s.fail(err)
	}
	return err
}
