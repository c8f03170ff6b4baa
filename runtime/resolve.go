// This file defines how selectors become nodes and places at the moment their
// event fires.

package runtime

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"starfall/interp/plan"
)

// resolver answers selectors from the true state of the clusters.
type resolver struct {
	p           *plan.Plan
	inspect     func(ctx context.Context, cluster string) (State, error)
	coordinator func(ctx context.Context, cluster, group string) (int32, error)
	// at tells where a client is now.
	at func(client string) whereabouts
	// hit gives the nodes that an event holds down.
	hit func(event string) []NodeKey
}

// nodes resolves refs that stand for nodes, in order, each node once. Random
// decides any_broker.
func (r *resolver) nodes(ctx context.Context, refs []plan.Ref, random *rand.Rand) ([]NodeKey, error) {
	var out []NodeKey
	for _, ref := range refs {
		keys, err := r.node(ctx, ref, random)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", refText(ref), err)
		}
		for _, k := range keys {
			if !slices.Contains(out, k) {
				out = append(out, k)
			}
		}
	}
	return out, nil
}

func (r *resolver) node(ctx context.Context, ref plan.Ref, random *rand.Rand) ([]NodeKey, error) {
	switch ref.Kind {
	case plan.RefBroker:
		return []NodeKey{{ref.Name, int32(ref.Index)}}, nil
	case plan.RefCtlNode:
		return []NodeKey{{ref.Name, int32(plan.FirstControllerID + ref.Index - 1)}}, nil
	case plan.RefZooKeeper:
		return []NodeKey{{ref.Name, int32(plan.FirstZooKeeperID + ref.Index - 1)}}, nil
	case plan.RefBrokers:
		c := r.p.Cluster(ref.Name)
		if c == nil {
			return nil, errors.New("there is no such cluster")
		}
		var out []NodeKey
		for _, n := range c.Brokers() {
			out = append(out, NodeKey{c.Name, n.ID})
		}
		return out, nil
	case plan.RefHit:
		out := r.hit(ref.Name)
		if len(out) == 0 {
			return nil, errors.New("it holds no node now")
		}
		return out, nil
	case plan.RefControl, plan.RefAnyBroker:
		s, err := r.inspect(ctx, ref.Name)
		if err != nil {
			return nil, err
		}
		if ref.Kind == plan.RefControl {
			return controllerOf(ref.Name, s)
		}
		return anyBroker(ref.Name, s, random)
	case plan.RefLeader, plan.RefFollower, plan.RefReplicas:
		t := r.p.Topic(ref.Name)
		if t == nil {
			return nil, errors.New("there is no such topic")
		}
		s, err := r.inspect(ctx, t.Cluster)
		if err != nil {
			return nil, err
		}
		return replicaOf(t, ref, s)
	case plan.RefCoord:
		c := r.p.Consumer(ref.Name)
		if c == nil {
			return nil, errors.New("there is no such consumer")
		}
		cluster := r.at(c.Name).cluster
		if cluster == "" {
			return nil, errors.New("its topic is not in the plan")
		}
		id, err := r.coordinator(ctx, cluster, c.Group)
		if err != nil {
			return nil, err
		}
		return []NodeKey{{cluster, id}}, nil
	}
	return nil, fmt.Errorf("a %s is no node", ref.Kind)
}

// controllerOf gives the active controller: of several nodes that consider
// themselves active (one is cut off), the one of the newest quorum epoch.
func controllerOf(cluster string, s State) ([]NodeKey, error) {
	if len(s.Controllers) == 0 {
		return nil, errors.New("there is no active controller now")
	}
	return []NodeKey{{cluster, s.Controllers[0]}}, nil
}

func anyBroker(cluster string, s State, random *rand.Rand) ([]NodeKey, error) {
	var living []int32
	for _, n := range s.Nodes {
		if n.Alive && n.Process == processRunning && n.ID < plan.FirstControllerID {
			living = append(living, n.ID)
		}
	}
	if len(living) == 0 {
		return nil, errors.New("no broker is alive now")
	}
	slices.Sort(living)
	return []NodeKey{{cluster, living[random.IntN(len(living))]}}, nil
}

func replicaOf(t *plan.Topic, ref plan.Ref, s State) ([]NodeKey, error) {
	for _, p := range s.Partitions {
		if p.Topic != t.KafkaName() || int(p.Partition) != ref.Index {
			continue
		}
		switch ref.Kind {
		case plan.RefLeader:
			if p.Leader < 0 {
				return nil, errors.New("the partition has no leader now")
			}
			return []NodeKey{{t.Cluster, p.Leader}}, nil
		case plan.RefFollower:
			for _, id := range p.Replicas {
				if id != p.Leader && slices.Contains(p.ISR, id) {
					return []NodeKey{{t.Cluster, id}}, nil
				}
			}
			return nil, errors.New("the partition has no in-sync follower now")
		}
		var out []NodeKey
		for _, id := range p.Replicas {
			out = append(out, NodeKey{t.Cluster, id})
		}
		return out, nil
	}
	return nil, errors.New("there is no such partition now")
}

// spots resolves refs that stand for places. Sites and clients stay what they
// are, so that members which come later belong to them.
func (r *resolver) spots(ctx context.Context, refs []plan.Ref, random *rand.Rand) ([]spot, error) {
	var out []spot
	for _, ref := range refs {
		switch ref.Kind {
		case plan.RefSite:
			out = append(out, spot{Site: ref.Name})
		case plan.RefProducer, plan.RefConsumer:
			out = append(out, spot{Client: ref.Name})
		case plan.RefMember:
			out = append(out, spot{Client: ref.Name, Member: ref.Index})
		case plan.RefCluster:
			c := r.p.Cluster(ref.Name)
			if c == nil {
				return nil, fmt.Errorf("%s: there is no such cluster", refText(ref))
			}
			for _, n := range c.Nodes {
				out = append(out, spot{Node: NodeKey{c.Name, n.ID}})
			}
		default:
			keys, err := r.nodes(ctx, []plan.Ref{ref}, random)
			if err != nil {
				return nil, err
			}
			for _, k := range keys {
				out = append(out, spot{Node: k})
			}
		}
	}
	return out, nil
}

// refText names a ref as the language writes it.
func refText(r plan.Ref) string {
	switch r.Kind {
	case plan.RefLeader, plan.RefFollower, plan.RefReplicas:
		return fmt.Sprintf("%s.%s(partition=%d)", r.Name, r.Kind, r.Index)
	case plan.RefBroker, plan.RefZooKeeper, plan.RefMember:
		return fmt.Sprintf("%s.%s(%d)", r.Name, r.Kind, r.Index)
	case plan.RefCtlNode:
		return fmt.Sprintf("%s.controller(%d)", r.Name, r.Index)
	case plan.RefBrokers:
		return r.Name + ".brokers"
	case plan.RefControl, plan.RefAnyBroker, plan.RefCoord:
		return fmt.Sprintf("%s.%s()", r.Name, r.Kind)
	}
	return r.Name
}

// seeded gives the source of chance of one action, the same in each run with
// the same seed, whatever else happens at the time.
func seeded(seed int64, event string, occurrence, action int) *rand.Rand {
	h := uint64(14695981039346656037) // FNV-1a
	for _, c := range []byte(event) {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return rand.New(rand.NewPCG(uint64(seed), h^uint64(occurrence)<<16^uint64(action)))
}

// spotText names a place for people.
func (r *resolver) spotText(s spot, label func(NodeKey) string) string {
	switch {
	case s.Site != "":
		return s.Site
	case s.Node.ID != 0:
		return label(s.Node)
	case s.Member != 0:
		return fmt.Sprintf("%s-%d", s.Client, s.Member)
	}
	return s.Client
}

// labels names nodes for people.
func labels(keys []NodeKey, label func(NodeKey) string) []string {
	out := make([]string, len(keys))
	for i, k := range keys {
		out[i] = label(k)
	}
	return out
}

// joinTexts puts the texts of several proofs in one line, each once.
func joinTexts(texts []string) string {
	var out []string
	for _, t := range texts {
		if t != "" && !slices.Contains(out, t) {
			out = append(out, t)
		}
	}
	return strings.Join(out, "; ")
}

// refNames names refs as the language writes them.
func refNames(refs []plan.Ref) []string {
	out := make([]string, len(refs))
	for i, ref := range refs {
		out[i] = refText(ref)
	}
	return out
}

// sorted gives the keys of a map in order.
func sorted[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
