// This file checks users: who is known to which cluster, and what rights are
// given and taken over time.

package model

import (
	"slices"

	"starfall/internal/spell"
	"starfall/interp/plan"
)

// userState is a user with the rights that were given and denied by now.
type userState struct {
	u             *plan.User
	allowed, deny map[plan.ACL]bool
	last          map[plan.ACL]rightChange
	may           bool // an event of unknown time changes them
}

// rightChange is what was last done about a right.
type rightChange struct {
	verb  plan.Verb
	at    plan.Duration
	event *plan.Event
}

func newUserState(u *plan.User) *userState {
	s := &userState{u: u, allowed: make(map[plan.ACL]bool), deny: make(map[plan.ACL]bool), last: make(map[plan.ACL]rightChange)}
	for _, right := range u.Rights {
		s.allowed[right] = true
	}
	return s
}

// checkUsers holds users and clients against each other.
func (c *checker) checkUsers() {
	for i := range c.p.Users {
		u := &c.p.Users[i]
		if c.clusters[u.Cluster] == nil {
			unknown(c, u.Pos, "user", "cluster", u.Cluster, c.clusters)
			continue
		}
		for _, right := range u.Rights {
			if !c.resourceOn(right, u.Cluster) {
				c.errorf(u.Pos, "", "user: got a right on topic %s, which is on %s, and %s is a user of %s", right.Name, c.topics[right.Name].t.Cluster, u.Name, u.Cluster)
				break
			}
		}
	}
	for i := range c.p.Clusters {
		cl := &c.p.Clusters[i]
		if s := c.clusters[cl.Name]; cl.Auth != "" && len(s.voters) > 0 && s.voters[0].Role == plan.RoleZooKeeper {
			c.errorf(cl.Pos, "leave zookeeper out", "cluster: got zookeeper and users, want one of them: rights are kept by Kafka's StandardAuthorizer, which needs KRaft")
		}
	}
	for i := range c.p.Producers {
		x := &c.p.Producers[i]
		c.checkLogin(x.Pos, "producer", x.User, c.producers[x.Name], "produces")
		if u := c.users[x.User]; u != nil && x.Transaction > 0 && !c.mayHave(u, "transactional_id") {
			c.warnf(x.Pos, `at("0s", allow(`+u.u.Name+`, "Write", "transactional_id:*"))`, "producer: transaction needs Write on its transactional id, and nothing gives %s that", u.u.Name)
		}
	}
	for i := range c.p.Consumers {
		x := &c.p.Consumers[i]
		c.checkLogin(x.Pos, "consumer", x.User, c.consumers[x.Name], "consumes")
	}
}

// resourceOn reports whether what a right is on may be there: a topic of the
// plan is on its own cluster only.
func (c *checker) resourceOn(right plan.ACL, cluster string) bool {
	if right.Resource != "topic" || right.Prefix {
		return true
	}
	t := c.topics[right.Name]
	return t == nil || t.t.Cluster == cluster || c.knows(cluster, right.Name)
}

// knows reports whether a cluster has, or gets, a topic of that name.
func (c *checker) knows(cluster, name string) bool {
	return c.whole.KafkaTopic(cluster, name) != nil
}

// mayHave reports whether a user is given a right on a kind of resource at some
// time.
func (c *checker) mayHave(u *userState, resource string) bool {
	for right := range u.allowed {
		if right.Resource == resource {
			return true
		}
	}
	for _, ev := range c.order {
		for i := range ev.e.Actions {
			a := &ev.e.Actions[i]
			if a.Verb == plan.Allow && a.ACL != nil && a.ACL.Resource == resource && len(a.Targets) > 0 && a.Targets[0].Name == u.u.Name {
				return true
			}
		}
	}
	return false
}

// checkLogin: a cluster with users lets nobody in without a name, and knows only
// its own.
func (c *checker) checkLogin(pos plan.Pos, word, user string, s *clientState, right string) {
	cluster := s.cluster()
	if cluster == nil {
		return
	}
	u := c.users[user]
	switch {
	case user != "" && u == nil:
		unknown(c, pos, word, "user", user, c.users)
	case u != nil && u.u.Cluster != cluster.c.Name:
		c.errorf(pos, "", "%s: for parameter user: got %s, a user of %s, but %s is on %s", word, user, u.u.Cluster, s.topics[0].t.Name, cluster.c.Name)
	case user == "" && cluster.c.Auth != "":
		hint := "user = …"
		if name := c.userOf(cluster); name != "" {
			hint = "user = " + name
		} else {
			hint = "alice = user(" + cluster.c.Name + ", " + right + " = " + s.topics[0].t.Name + "), and user = alice here"
		}
		c.errorf(pos, hint, "%s: %s has users, so nobody gets in without a name", word, cluster.c.Name)
	}
}

func (c *checker) userOf(cluster *clusterState) string {
	for i := range c.p.Users {
		if c.p.Users[i].Cluster == cluster.c.Name {
			return c.p.Users[i].Name
		}
	}
	return ""
}

// right gives or takes a right.
//
//	right is      allow            deny             revoke
//	not there     allowed          denied           cannot
//	allowed       warned, allowed  denied as well   not there
//	denied        allowed as well  warned, denied   not there
//
// One that is denied as well as allowed is denied.
func (c *checker) right(a *plan.Action, now plan.Duration) {
	u := c.checkRight(a)
	if u == nil {
		return
	}
	acl := *a.ACL
	// What happens at one moment happens side by side, but for the rights of one event.
	ev := c.eventOf(a)
	if before, ok := u.last[acl]; ok && before.at == now && before.event != ev && (a.Verb == plan.Revoke) != (before.verb == plan.Revoke) {
		c.actWarn(a, "do one of them a second later", "at %s there is a %s of %s %s as well, and which comes first nobody knows", now, before.verb, u.u.Name, aclText(acl))
	}
	u.last[acl] = rightChange{a.Verb, now, ev}
	switch a.Verb {
	case plan.Allow:
		if u.allowed[acl] && !u.may {
			c.actWarn(a, "", "%s may %s already at %s", u.u.Name, aclText(acl), now)
		}
		u.allowed[acl] = true
	case plan.Deny:
		if u.deny[acl] && !u.may {
			c.actWarn(a, "", "%s is denied %s already at %s", u.u.Name, aclText(acl), now)
		}
		u.deny[acl] = true
	case plan.Revoke:
		if !u.allowed[acl] && !u.deny[acl] && !u.may {
			c.actErr(a, "", "at %s nothing allows or denies %s %s", now, u.u.Name, aclText(acl))
			return
		}
		delete(u.allowed, acl)
		delete(u.deny, acl)
	}
}

// eventOf gives the event that an action belongs to, nil for none.
func (c *checker) eventOf(a *plan.Action) *plan.Event {
	for i := range c.p.Events {
		for j := range c.p.Events[i].Actions {
			if &c.p.Events[i].Actions[j] == a {
				return &c.p.Events[i]
			}
		}
	}
	return nil
}

// aclText names a right as people do.
func aclText(a plan.ACL) string {
	name := a.Name
	if a.Prefix {
		name += "*"
	}
	if a.Resource == "cluster" {
		return a.Operation + " on the cluster"
	}
	return a.Operation + " on " + a.Resource + " " + name
}

// checkRight checks of an allow, deny or revoke what does not depend on time, and
// gives its user, or nil when something is wrong.
func (c *checker) checkRight(a *plan.Action) *userState {
	if len(a.Targets) == 0 || a.ACL == nil || c.badAction[a] {
		return nil
	}
	u := c.users[a.Targets[0].Name]
	if u == nil {
		c.badAction[a] = true
		unknown(c, a.Pos, string(a.Verb), "user", a.Targets[0].Name, c.users)
		return nil
	}
	if !c.resourceOn(*a.ACL, u.u.Cluster) {
		c.actErr(a, "", "topic %s is on %s, and %s is a user of %s", a.ACL.Name, c.topics[a.ACL.Name].t.Cluster, u.u.Name, u.u.Cluster)
		return nil
	}
	if known := c.resources(a.ACL.Resource, u.u.Cluster); !a.ACL.Prefix && a.ACL.Name != "*" && known != nil && !slices.Contains(known, a.ACL.Name) {
		hint := ""
		if near, ok := spell.Nearest(a.ACL.Name, known); ok {
			hint = "did you mean " + near + "?"
		}
		c.actWarn(a, hint, "%s has no %s %s in this scenario", u.u.Cluster, a.ACL.Resource, a.ACL.Name)
	}
	return u
}

// resources names what there is of a kind on a cluster; nil when that is not
// known beforehand.
func (c *checker) resources(kind, cluster string) []string {
	names := []string{}
	switch kind {
	case "topic":
		for _, t := range c.whole.Topics {
			if t.Cluster == cluster {
				names = append(names, t.KafkaName())
			}
		}
	case "group":
		for i := range c.p.Consumers {
			if s := c.consumers[c.p.Consumers[i].Name]; s.cluster() != nil && s.cluster().c.Name == cluster {
				names = append(names, c.p.Consumers[i].Group)
			}
		}
	default:
		return nil
	}
	return names
}
