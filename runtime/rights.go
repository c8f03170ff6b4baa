// This file defines who may do what on clusters with authentication: the
// operators, the rights that users begin with, and what is told of those who
// were denied.

package runtime

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

// operators makes a super user for each cluster with authentication. Nothing
// about them is left to chance, so that two runs of one id are alike.
func operators(p *plan.Plan, id uint64) map[string]Login {
	var out map[string]Login
	for i := range p.Clusters {
		c := &p.Clusters[i]
		if c.Auth == "" {
			continue
		}
		if out == nil {
			out = make(map[string]Login)
		}
		name := "starfall"
		for p.User(c.Name, name) != nil {
			name += "-operator"
		}
		sum := sha256.Sum256(fmt.Appendf(nil, "operator of %s in run %016x", c.Name, id))
		out[c.Name] = Login{Mechanism: mechanism(c), User: name, Password: hex.EncodeToString(sum[:16])}
	}
	return out
}

// grant gives users the rights that they have before the clients start: their
// own, and those that events at 0 s give and take.
func (r *run) grant(ctx context.Context) error {
	for _, u := range r.p.Users {
		if len(u.Rights) == 0 {
			continue
		}
		var proof Proof
		err := errors.New("these clients cannot give any")
		if x, ok := r.clients.Admin.(Grantor); ok {
			proof, err = x.Grant(ctx, u.Cluster, u.Name, u.Rights)
		}
		if err == nil && !proof.OK {
			err = errors.New(unprovedText(proof, nil))
		}
		if err != nil {
			return fmt.Errorf("rights of %s on %s: %w", u.Name, u.Cluster, err)
		}
		given := make([]string, len(u.Rights))
		for i, right := range u.Rights {
			given[i] = aclText(right)
		}
		r.journal.note(cmp.Or(proof.At, time.Now()), record.Event{
			Kind: record.KindCluster, Cluster: u.Cluster,
			What: fmt.Sprintf("%s may %s", u.Name, strings.Join(given, ", ")),
		})
	}
	zero := time.Duration(0)
	for i := range r.p.Events {
		ev := &r.p.Events[i]
		for j := range ev.Actions {
			if !early(ev, &ev.Actions[j]) {
				continue
			}
			r.effects.begin(ev.Name)
			r.act(happening{
				event: ev.Name, action: j, planned: &zero,
				what: ev.Actions[j].Source, verb: ev.Actions[j].Verb,
			}, ev.Actions[j], time.Now())
		}
	}
	return ctx.Err()
}

// early tells whether an action is carried out before the clients start.
func early(ev *plan.Event, a *plan.Action) bool {
	return onRights(a.Verb) && ev.Trigger.Kind == plan.TriggerAt && ev.Trigger.At == plan.Instant{}
}

func onRights(v plan.Verb) bool { return v == plan.Allow || v == plan.Deny || v == plan.Revoke }

// aclText says a right as people do: Read on topic orders*.
func aclText(a plan.ACL) string {
	name := a.Name
	if a.Prefix {
		name += "*"
	}
	text := fmt.Sprintf("%s on %s %s", a.Operation, a.Resource, name)
	if a.Host != "" && a.Host != "*" {
		text += " from " + a.Host
	}
	return text
}

// denials remembers which answers were journaled.
type denials struct {
	mu   sync.Mutex
	told map[[3]string]bool
}

// denied journals that brokers refuse a client: each answer once.
func (r *run) denied(client string, member int, cluster, text string) {
	r.denials.mu.Lock()
	key := [3]string{client, cluster, text}
	told := r.denials.told[key]
	if r.denials.told == nil {
		r.denials.told = make(map[[3]string]bool)
	}
	r.denials.told[key] = true
	r.denials.mu.Unlock()
	if !told {
		r.journal.add(time.Now(), record.Event{
			Kind: record.KindDenied, Name: client, Member: member, Cluster: cluster, Error: text,
			What: fmt.Sprintf("%s-%d denied at %s", client, member, cluster),
		})
	}
}
