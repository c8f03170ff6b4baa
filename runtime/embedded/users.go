package embedded

// This file defines how the users of a plan become those of a cluster.

import (
	"strings"

	"starfall/interp/plan"
	"starfall/runtime"
	"starfall/runtime/embedded/core"
)

// security is that of a cluster with authentication, nil for one without: everybody logs
// in, on every listener and by the cluster's mechanism, the operator may do everything and
// a user what the rights say that he is given once the cluster is up.
func security(c *plan.Cluster, users []plan.User, operator runtime.Login) *core.Security {
	if c.Auth == "" {
		return nil
	}
	mechanism := strings.ToUpper(c.Auth)
	s := &core.Security{
		Mechanisms: func(string) []string { return []string{mechanism} },
		Authorizer: true, Passwords: map[string]string{},
	}
	add := func(name, password string) {
		if mechanism == "PLAIN" {
			s.Passwords[name] = password
		} else {
			s.SCRAM = append(s.SCRAM, core.SCRAMUser{Name: name, Password: password, Mechanism: mechanism})
		}
	}
	if operator.User != "" {
		s.SuperUsers = []string{"User:" + operator.User}
		add(operator.User, operator.Password)
	}
	for _, u := range users {
		if u.Cluster == c.Name {
			add(u.Name, u.Password)
		}
	}
	return s
}
