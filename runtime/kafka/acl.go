// This file defines rights: allow, deny and revoke as kafka-acls does them, the
// rights that users hold from the start, and SCRAM credentials.

package kafka

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/IBM/sarama"

	"starfall/interp/plan"
	"starfall/runtime"
)

// aclOperations and aclResources are sorted; plan.ACL has these names.
var aclOperations = []struct {
	name string
	code sarama.AclOperation
}{
	{"All", sarama.AclOperationAll}, {"Alter", sarama.AclOperationAlter}, {"AlterConfigs", sarama.AclOperationAlterConfigs},
	{"ClusterAction", sarama.AclOperationClusterAction}, {"Create", sarama.AclOperationCreate}, {"Delete", sarama.AclOperationDelete},
	{"Describe", sarama.AclOperationDescribe}, {"DescribeConfigs", sarama.AclOperationDescribeConfigs},
	{"IdempotentWrite", sarama.AclOperationIdempotentWrite}, {"Read", sarama.AclOperationRead}, {"Write", sarama.AclOperationWrite},
}

var aclResources = []struct {
	name string
	code sarama.AclResourceType
}{
	{"cluster", sarama.AclResourceCluster}, {"group", sarama.AclResourceGroup},
	{"topic", sarama.AclResourceTopic}, {"transactional_id", sarama.AclResourceTransactionalID},
}

// binding is one entry of an access control list.
type binding struct {
	resource sarama.Resource
	acl      sarama.Acl
	text     string // for people
}

// bindingOf is a right of a user. Host "" is any host.
func bindingOf(user string, a plan.ACL, permission sarama.AclPermissionType) (binding, error) {
	var b binding
	o := slices.IndexFunc(aclOperations, func(x struct {
		name string
		code sarama.AclOperation
	}) bool {
		return strings.EqualFold(x.name, a.Operation)
	})
	if o < 0 {
		return b, fmt.Errorf("for parameter operation: got %q, want one of Kafka's operations, such as Read or Write", a.Operation)
	}
	r := slices.IndexFunc(aclResources, func(x struct {
		name string
		code sarama.AclResourceType
	}) bool {
		return x.name == a.Resource
	})
	if r < 0 {
		return b, fmt.Errorf("for parameter resource: got %q, want topic, group, cluster or transactional_id", a.Resource)
	}
	host := a.Host
	if host == "" {
		host = "*"
	}
	b.resource = sarama.Resource{ResourceType: aclResources[r].code, ResourceName: a.Name, ResourcePatternType: sarama.AclPatternLiteral}
	pattern := ""
	if a.Prefix {
		b.resource.ResourcePatternType = sarama.AclPatternPrefixed
		pattern = "*"
	}
	b.acl = sarama.Acl{Principal: "User:" + user, Host: host, Operation: aclOperations[o].code, PermissionType: permission}
	b.text = fmt.Sprintf("%s on %s %s%s", aclOperations[o].name, a.Resource, a.Name, pattern)
	if host != "*" {
		b.text += " from " + host
	}
	return b, nil
}

// filter matches this entry and no other; with any, whether it allows or denies.
func (b binding) filter(permission sarama.AclPermissionType) sarama.AclFilter {
	r, a := b.resource, b.acl
	return sarama.AclFilter{
		Version: 1, ResourceType: r.ResourceType, ResourceName: &r.ResourceName, ResourcePatternTypeFilter: r.ResourcePatternType,
		Principal: &a.Principal, Host: &a.Host, Operation: a.Operation, PermissionType: permission,
	}
}

// Grant gives a user the rights that he holds from the start.
func (c *Control) Grant(ctx context.Context, cluster, user string, rights []plan.ACL) (runtime.Proof, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	p, err := c.bind(ctx, cluster, user, rights, sarama.AclPermissionAllow)
	if err != nil {
		return runtime.Proof{}, fmt.Errorf("rights of %s: %w", user, err)
	}
	return p, nil
}

func (c *Control) grant(ctx context.Context, cluster, user string, a plan.Action) (runtime.Proof, error) {
	if a.ACL == nil {
		return runtime.Proof{}, errors.New("it names no right")
	}
	permission := sarama.AclPermissionAllow
	if a.Verb == plan.Deny {
		permission = sarama.AclPermissionDeny
	}
	return c.bind(ctx, cluster, user, []plan.ACL{*a.ACL}, permission)
}

// bind makes entries and returns when every broker shows them: each decides by
// its own metadata.
func (c *Control) bind(ctx context.Context, cluster, user string, rights []plan.ACL, permission sarama.AclPermissionType) (runtime.Proof, error) {
	if len(rights) == 0 {
		return proved("no rights"), nil
	}
	bindings := make([]binding, len(rights))
	texts := make([]string, len(rights))
	for i, a := range rights {
		var err error
		if bindings[i], err = bindingOf(user, a, permission); err != nil {
			return runtime.Proof{}, err
		}
		texts[i] = bindings[i].text
	}
	err := c.do(ctx, cluster, func(_ sarama.Client, admin sarama.ClusterAdmin) error {
		b, err := admin.Controller()
		if err != nil {
			return passing{err}
		}
		req := &sarama.CreateAclsRequest{Version: 1}
		for _, x := range bindings {
			req.AclCreations = append(req.AclCreations, &sarama.AclCreation{Resource: x.resource, Acl: x.acl})
		}
		resp, err := b.CreateAcls(req)
		if resp == nil {
			return err
		}
		for _, r := range resp.AclCreationResponses {
			if r.Err != sarama.ErrNoError {
				return told(r.Err, r.ErrMsg)
			}
		}
		return nil
	})
	if err != nil {
		return runtime.Proof{}, err
	}
	n, err := c.shownRights(ctx, cluster, bindings, permission, true)
	word := "allowed"
	if permission == sarama.AclPermissionDeny {
		word = "denied"
	}
	return proved("%s %s by the rights of %d brokers", strings.Join(texts, ", "), word, n), err
}

// revoke removes what allows and what denies a right.
func (c *Control) revoke(ctx context.Context, cluster, user string, a plan.Action) (runtime.Proof, error) {
	if a.ACL == nil {
		return runtime.Proof{}, errors.New("it names no right")
	}
	b, err := bindingOf(user, *a.ACL, sarama.AclPermissionAny)
	if err != nil {
		return runtime.Proof{}, err
	}
	removed := map[string]bool{} // of all attempts
	err = c.do(ctx, cluster, func(_ sarama.Client, admin sarama.ClusterAdmin) error {
		matched, err := admin.DeleteACL(b.filter(sarama.AclPermissionAny), false)
		if err != nil {
			return err
		}
		for _, m := range matched {
			if m.Err != sarama.ErrNoError {
				return told(m.Err, m.ErrMsg)
			}
			removed[m.PermissionType.String()] = true
		}
		return nil
	})
	if err != nil {
		return runtime.Proof{}, err
	}
	n, err := c.shownRights(ctx, cluster, []binding{b}, sarama.AclPermissionAny, false)
	if err != nil {
		return runtime.Proof{}, err
	}
	var what []string
	for _, x := range []struct{ kind, text string }{{"Allow", "is no longer allowed"}, {"Deny", "is no longer denied"}} {
		if removed[x.kind] {
			what = append(what, x.text)
		}
	}
	if len(what) == 0 {
		what = []string{"was neither allowed nor denied: nothing to revoke"}
	}
	return proved("%s %s by the rights of %d brokers", b.text, strings.Join(what, " and "), n), nil
}

// shownRights waits until every broker shows the entries, or none of them.
func (c *Control) shownRights(ctx context.Context, cluster string, bindings []binding, permission sarama.AclPermissionType, want bool) (int, error) {
	n := 0
	err := c.do(ctx, cluster, func(client sarama.Client, _ sarama.ClusterAdmin) error {
		brokers := client.Brokers()
		for _, b := range brokers {
			_ = b.Open(client.Config())
			for _, x := range bindings {
				resp, err := b.DescribeAcls(&sarama.DescribeAclsRequest{Version: 1, AclFilter: x.filter(permission)})
				switch {
				case err != nil:
					return passing{fmt.Errorf("broker %d: %w", b.ID(), err)}
				case resp.Err != sarama.ErrNoError:
					return told(resp.Err, resp.ErrMsg)
				case len(resp.ResourceAcls) > 0 != want:
					return passing{fmt.Errorf("broker %d does not show yet: %s", b.ID(), x.text)}
				}
			}
		}
		if n = len(brokers); n == 0 {
			return passing{errors.New("no broker is registered")}
		}
		return nil
	})
	return n, err
}

// told is an answer of Kafka with what it says beside the code.
func told(k sarama.KError, text *string) error {
	if text == nil || *text == "" {
		return k
	}
	return fmt.Errorf("%w: %s", k, *text)
}

// scramIterations is what kafka-configs takes when nothing is said.
const scramIterations = 4096

// Enroll makes SCRAM credentials. Whoever uses another mechanism is left out.
func (c *Control) Enroll(ctx context.Context, cluster string, logins []runtime.Login) (runtime.Proof, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	var upserts []sarama.AlterUserScramCredentialsUpsert
	var names []string
	for _, l := range logins {
		mechanism := sarama.SCRAM_MECHANISM_SHA_256
		switch l.Mechanism {
		case sarama.SASLTypeSCRAMSHA256:
		case sarama.SASLTypeSCRAMSHA512:
			mechanism = sarama.SCRAM_MECHANISM_SHA_512
		default:
			continue
		}
		salt := make([]byte, 16)
		if _, err := rand.Read(salt); err != nil {
			return runtime.Proof{}, err
		}
		upserts = append(upserts, sarama.AlterUserScramCredentialsUpsert{
			Name: l.User, Mechanism: mechanism, Iterations: scramIterations, Salt: salt, Password: []byte(l.Password)})
		names = append(names, l.User)
	}
	if len(upserts) == 0 {
		return proved("no SCRAM credentials"), nil
	}
	err := c.do(ctx, cluster, func(_ sarama.Client, admin sarama.ClusterAdmin) error {
		results, err := admin.UpsertUserScramCredentials(upserts)
		if err != nil {
			return err
		}
		for _, r := range results {
			if r.ErrorCode != sarama.ErrNoError {
				return fmt.Errorf("user %s: %w", r.User, told(r.ErrorCode, r.ErrorMessage))
			}
		}
		return nil
	})
	if err != nil {
		return runtime.Proof{}, fmt.Errorf("credentials: %w", err)
	}
	n := 0
	err = c.do(ctx, cluster, func(client sarama.Client, _ sarama.ClusterAdmin) error {
		brokers := client.Brokers()
		for _, b := range brokers {
			_ = b.Open(client.Config())
			req := &sarama.DescribeUserScramCredentialsRequest{}
			for _, u := range names {
				req.DescribeUsers = append(req.DescribeUsers, sarama.DescribeUserScramCredentialsRequestUser{Name: u})
			}
			resp, err := b.DescribeUserScramCredentials(req)
			switch {
			case err != nil:
				return passing{fmt.Errorf("broker %d: %w", b.ID(), err)}
			case resp.ErrorCode != sarama.ErrNoError:
				return told(resp.ErrorCode, resp.ErrorMessage)
			}
			for _, u := range upserts {
				known := slices.ContainsFunc(resp.Results, func(r *sarama.DescribeUserScramCredentialsResult) bool {
					return r.User == u.Name && slices.ContainsFunc(r.CredentialInfos, func(i *sarama.UserScramCredentialsResponseInfo) bool { return i.Mechanism == u.Mechanism })
				})
				if !known {
					return passing{fmt.Errorf("broker %d does not know user %s yet", b.ID(), u.Name)}
				}
			}
		}
		if n = len(brokers); n == 0 {
			return passing{errors.New("no broker is registered")}
		}
		return nil
	})
	return proved("%d users known to %d brokers", len(upserts), n), err
}
