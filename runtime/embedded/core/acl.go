package core

// This file defines access control lists: how StandardAuthorizer of Kafka 3.9 decides by
// them, and how the active controller keeps them.

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Security is who clients have to be and what they may do.
type Security struct {
	// Mechanisms gives the SASL mechanisms of a listener, of PLAIN, SCRAM-SHA-256 and
	// SCRAM-SHA-512. With none of them nobody logs in there: every client is
	// User:ANONYMOUS. nil means no SASL on any listener.
	Mechanisms func(listener string) []string
	// Passwords are PLAIN's users with their passwords, as JAAS' user_NAME="…" has them.
	Passwords map[string]string
	// SCRAM are the credentials that the cluster is formatted with (KIP-900).
	SCRAM []SCRAMUser
	// Authorizer turns StandardAuthorizer on. Without it everybody may do everything.
	Authorizer bool
	// SuperUsers may do everything; principals such as User:admin (super.users).
	SuperUsers []string
	// AllowEveryoneIfNoACL is allow.everyone.if.no.acl.found.
	AllowEveryoneIfNoACL bool
}

// anonymous is the principal of a client that did not log in.
const anonymous = "User:ANONYMOUS"

// Operations and resource types that the rules below name.
const (
	opAll             = kmsg.ACLOperationAll
	opRead            = kmsg.ACLOperationRead
	opWrite           = kmsg.ACLOperationWrite
	opCreate          = kmsg.ACLOperationCreate
	opDelete          = kmsg.ACLOperationDelete
	opAlter           = kmsg.ACLOperationAlter
	opDescribe        = kmsg.ACLOperationDescribe
	opClusterAction   = kmsg.ACLOperationClusterAction
	opDescribeConfigs = kmsg.ACLOperationDescribeConfigs
	opAlterConfigs    = kmsg.ACLOperationAlterConfigs
	opIdempotentWrite = kmsg.ACLOperationIdempotentWrite

	onTopic   = kmsg.ACLResourceTypeTopic
	onGroup   = kmsg.ACLResourceTypeGroup
	onCluster = kmsg.ACLResourceTypeCluster
	onTxnID   = kmsg.ACLResourceTypeTransactionalId

	literal  = kmsg.ACLResourcePatternTypeLiteral
	prefixed = kmsg.ACLResourcePatternTypePrefixed

	deny  = kmsg.ACLPermissionTypeDeny
	allow = kmsg.ACLPermissionTypeAllow

	clusterName = "kafka-cluster"
	wildcard    = "*"
	// anyUser is the principal that stands for all of them.
	anyUser = "User:*"
)

// acl is one entry. Two equal ones are one.
type acl struct {
	kind       kmsg.ACLResourceType
	name       string
	pattern    kmsg.ACLResourcePatternType
	principal  string
	host       string
	operation  kmsg.ACLOperation
	permission kmsg.ACLPermissionType
}

func (a acl) compare(o acl) int {
	return cmp.Or(cmp.Compare(a.kind, o.kind), strings.Compare(a.name, o.name), cmp.Compare(a.pattern, o.pattern),
		strings.Compare(a.principal, o.principal), strings.Compare(a.host, o.host), cmp.Compare(a.operation, o.operation), cmp.Compare(a.permission, o.permission))
}

// covers: the entry's pattern matches a resource's name.
func (a acl) covers(kind kmsg.ACLResourceType, name string) bool {
	if a.kind != kind {
		return false
	}
	if a.pattern == prefixed {
		return strings.HasPrefix(name, a.name)
	}
	return a.name == name || a.name == wildcard
}

// applies: the entry speaks of this principal, host and operation. An entry that allows
// READ, WRITE, DELETE or ALTER allows DESCRIBE too, and ALTER_CONFIGS does so for
// DESCRIBE_CONFIGS; an entry that denies denies only what it names.
func (a acl) applies(principal, host string, op kmsg.ACLOperation) bool {
	if a.principal != principal && a.principal != anyUser || a.host != host && a.host != wildcard {
		return false
	}
	switch {
	case a.operation == opAll || a.operation == op:
		return true
	case a.permission == deny:
		return false
	case op == opDescribe:
		return a.operation == opRead || a.operation == opWrite || a.operation == opDelete || a.operation == opAlter
	case op == opDescribeConfigs:
		return a.operation == opAlterConfigs
	}
	return false
}

// authorizer answers for one broker by its own metadata.
type authorizer struct {
	acls     []acl
	super    []string
	everyone bool
}

// allows decides (StandardAuthorizerData.authorize):
//
//	super user                                    allowed
//	an entry on the resource denies               denied
//	an entry on the resource allows               allowed
//	entries on the resource, none of them applies denied
//	no entry on the resource                      allow.everyone.if.no.acl.found
func (z authorizer) allows(principal, host string, op kmsg.ACLOperation, kind kmsg.ACLResourceType, name string) bool {
	if slices.Contains(z.super, principal) {
		return true
	}
	allowed, found := false, false
	for _, a := range z.acls {
		if !a.covers(kind, name) {
			continue
		}
		found = true
		if !a.applies(principal, host, op) {
			continue
		}
		if a.permission == deny {
			return false
		}
		allowed = true
	}
	return allowed || !found && z.everyone
}

// allowsSome decides whether there may be a resource of a kind that the operation is
// allowed on (Authorizer.authorizeByResourceType): some entry that allows is not covered
// by one that denies.
func (z authorizer) allowsSome(principal, host string, op kmsg.ACLOperation, kind kmsg.ACLResourceType) bool {
	// A name that no entry can be meant for: super users, and whoever has no entry.
	if z.allows(principal, host, op, kind, "hardcode") {
		return true
	}
	var denies []acl
	for _, a := range z.acls {
		if a.kind == kind && a.permission == deny && a.applies(principal, host, op) {
			if a.pattern == literal && a.name == wildcard {
				return false
			}
			denies = append(denies, a)
		}
	}
	for _, a := range z.acls {
		if a.kind != kind || a.permission != allow || !a.applies(principal, host, op) {
			continue
		}
		if a.pattern == literal && a.name == wildcard {
			return true
		}
		dominated := slices.ContainsFunc(denies, func(d acl) bool {
			if d.pattern == prefixed {
				return strings.HasPrefix(a.name, d.name)
			}
			return a.pattern == literal && a.name == d.name
		})
		if !dominated {
			return true
		}
	}
	return false
}

// authorizing: an authorizer is on.
func (b *broker) authorizing() bool {
	return b.n.w.opts.Security != nil && b.n.w.opts.Security.Authorizer
}

func (b *broker) authorizer() authorizer {
	s := b.n.w.opts.Security
	return authorizer{b.image().acls, s.SuperUsers, s.AllowEveryoneIfNoACL}
}

// allowed decides for a client.
func (b *broker) allowed(from ClientConn, op kmsg.ACLOperation, kind kmsg.ACLResourceType, name string) bool {
	return !b.authorizing() || b.authorizer().allows(from.principal, from.host(), op, kind, name)
}

// host is the client's address as entries name it.
func (c ClientConn) host() string {
	h := strings.TrimPrefix(c.ClientHost, "/")
	if only, _, err := net.SplitHostPort(h); err == nil {
		return only
	}
	return h
}

// operations is the set of what a client may do, as bits (KIP-430).
func (b *broker) operations(from ClientConn, kind kmsg.ACLResourceType, name string) int32 {
	var all []kmsg.ACLOperation
	switch kind {
	case onTopic:
		all = []kmsg.ACLOperation{opRead, opWrite, opCreate, opDescribe, opDelete, opAlter, opDescribeConfigs, opAlterConfigs}
	case onGroup:
		all = []kmsg.ACLOperation{opRead, opDescribe, opDelete}
	case onCluster:
		all = []kmsg.ACLOperation{opCreate, opClusterAction, opDescribeConfigs, opAlterConfigs, opIdempotentWrite, opAlter, opDescribe}
	}
	bits := int32(0)
	for _, op := range all {
		if b.allowed(from, op, kind, name) {
			bits |= 1 << op
		}
	}
	return bits
}

// aclFilter is what DescribeAcls and DeleteAcls ask for.
type aclFilter struct {
	kind       kmsg.ACLResourceType
	name       *string
	pattern    kmsg.ACLResourcePatternType
	principal  *string
	host       *string
	operation  kmsg.ACLOperation
	permission kmsg.ACLPermissionType
}

func (f aclFilter) check() *apiError {
	switch {
	case f.kind == kmsg.ACLResourceTypeUnknown || f.kind > kmsg.ACLResourceTypeUser, f.pattern == kmsg.ACLResourcePatternTypeUnknown || f.pattern > prefixed:
		return apiErrorf(codeInvalidRequest, "Unknown patternFilter.")
	case f.operation == kmsg.ACLOperationUnknown || f.operation > kmsg.ACLOperationDescribeTokens, f.permission == kmsg.ACLPermissionTypeUnknown || f.permission > allow:
		return apiErrorf(codeInvalidRequest, "Unknown entryFilter.")
	}
	return nil
}

// matches: pattern MATCH asks for all entries that would cover the name, ANY for
// whatever type, the others for that type alone.
func (f aclFilter) matches(a acl) bool {
	switch {
	case f.kind != kmsg.ACLResourceTypeAny && f.kind != a.kind,
		f.principal != nil && *f.principal != a.principal,
		f.host != nil && *f.host != a.host,
		f.operation != kmsg.ACLOperationAny && f.operation != a.operation,
		f.permission != kmsg.ACLPermissionTypeAny && f.permission != a.permission:
		return false
	case f.pattern == literal || f.pattern == prefixed:
		return f.pattern == a.pattern && (f.name == nil || *f.name == a.name)
	case f.name == nil:
		return true
	case f.pattern == kmsg.ACLResourcePatternTypeAny:
		return *f.name == a.name
	}
	return a.covers(a.kind, *f.name)
}

func (b *broker) describeACLs(req *kmsg.DescribeACLsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DescribeACLsResponse)
	if !b.authorizing() {
		resp.ErrorCode, resp.ErrorMessage = codeSecurityDisabled, kmsg.StringPtr("No Authorizer is configured on the broker")
		return resp
	}
	f := aclFilter{req.ResourceType, req.ResourceName, patternOf(req.GetVersion(), req.ResourcePatternType), req.Principal, req.Host, req.Operation, req.PermissionType}
	if err := f.check(); err != nil {
		resp.ErrorCode, resp.ErrorMessage = err.code, err.ptr()
		return resp
	}
	for _, a := range b.image().acls {
		if !f.matches(a) {
			continue
		}
		if n := len(resp.Resources); n == 0 || resp.Resources[n-1].ResourceType != a.kind || resp.Resources[n-1].ResourceName != a.name || resp.Resources[n-1].ResourcePatternType != a.pattern {
			r := kmsg.NewDescribeACLsResponseResource()
			r.ResourceType, r.ResourceName, r.ResourcePatternType = a.kind, a.name, a.pattern
			resp.Resources = append(resp.Resources, r)
		}
		e := kmsg.NewDescribeACLsResponseResourceACL()
		e.Principal, e.Host, e.Operation, e.PermissionType = a.principal, a.host, a.operation, a.permission
		r := &resp.Resources[len(resp.Resources)-1]
		r.ACLs = append(r.ACLs, e)
	}
	return resp
}

// patternOf: version 0 knows literal patterns only.
func patternOf(version int16, p kmsg.ACLResourcePatternType) kmsg.ACLResourcePatternType {
	if version == 0 {
		return literal
	}
	return p
}

func (c *controller) authorizing() bool {
	return c.n.w.opts.Security != nil && c.n.w.opts.Security.Authorizer
}

func (c *controller) createACLs(req *kmsg.CreateACLsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.CreateACLsResponse)
	for _, r := range req.Creations {
		out := kmsg.NewCreateACLsResponseResult()
		a := acl{r.ResourceType, r.ResourceName, patternOf(req.GetVersion(), r.ResourcePatternType), r.Principal, r.Host, r.Operation, r.PermissionType}
		if err := c.createACL(a); err != nil {
			out.ErrorCode, out.ErrorMessage = err.code, err.ptr()
		}
		resp.Results = append(resp.Results, out)
	}
	return resp
}

func (c *controller) createACL(a acl) *apiError {
	principalKind, principalName, ok := strings.Cut(a.principal, ":")
	switch {
	case !c.authorizing():
		return apiErrorf(codeSecurityDisabled, "No Authorizer is configured.")
	case a.kind <= kmsg.ACLResourceTypeAny || a.kind > kmsg.ACLResourceTypeUser:
		return apiErrorf(codeInvalidRequest, "Invalid resourceType %d", a.kind)
	case a.pattern != literal && a.pattern != prefixed:
		return apiErrorf(codeInvalidRequest, "Invalid patternType %d", a.pattern)
	case a.operation <= kmsg.ACLOperationAny || a.operation > kmsg.ACLOperationDescribeTokens:
		return apiErrorf(codeInvalidRequest, "Invalid operation %d", a.operation)
	case a.permission != deny && a.permission != allow:
		return apiErrorf(codeInvalidRequest, "Invalid permissionType %d", a.permission)
	case a.name == "":
		return apiErrorf(codeInvalidRequest, "Resource name should not be empty")
	case a.kind == onCluster && a.name != clusterName:
		return apiErrorf(codeInvalidRequest, "The only valid name for the CLUSTER resource is %s", clusterName)
	case !ok || principalKind == "" || principalName == "":
		return apiErrorf(codeInvalidRequest, "Could not parse principal from `%s` (no colon is present separating the principal type from the principal name)", a.principal)
	}
	if _, there := slices.BinarySearchFunc(c.image.acls, a, acl.compare); !there {
		c.write(&aclRecord{a})
	}
	return nil
}

func (c *controller) deleteACLs(req *kmsg.DeleteACLsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DeleteACLsResponse)
	var gone []acl
	for _, r := range req.Filters {
		out := kmsg.NewDeleteACLsResponseResult()
		f := aclFilter{r.ResourceType, r.ResourceName, patternOf(req.GetVersion(), r.ResourcePatternType), r.Principal, r.Host, r.Operation, r.PermissionType}
		err := f.check()
		if !c.authorizing() {
			err = apiErrorf(codeSecurityDisabled, "No Authorizer is configured.")
		}
		if err != nil {
			out.ErrorCode, out.ErrorMessage = err.code, err.ptr()
			resp.Results = append(resp.Results, out)
			continue
		}
		for _, a := range c.image.acls {
			if !f.matches(a) {
				continue
			}
			m := kmsg.NewDeleteACLsResponseResultMatchingACL()
			m.ResourceType, m.ResourceName, m.ResourcePatternType = a.kind, a.name, a.pattern
			m.Principal, m.Host, m.Operation, m.PermissionType = a.principal, a.host, a.operation, a.permission
			out.MatchingACLs = append(out.MatchingACLs, m)
			if !slices.Contains(gone, a) {
				gone = append(gone, a)
			}
		}
		resp.Results = append(resp.Results, out)
	}
	for _, a := range gone {
		c.write(&removeACLRecord{a})
	}
	return resp
}

// String is how logs and tests show an entry.
func (a acl) String() string {
	return fmt.Sprintf("%v %v %v:%s from %s on %v", a.permission, a.principal, a.kind, a.name, a.host, a.operation)
}
