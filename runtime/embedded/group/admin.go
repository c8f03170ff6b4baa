package group

// This file defines what administrators ask: DescribeGroups, ListGroups and
// DeleteGroups.

import (
	"math"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func (c *Coordinator) describe(req *kmsg.DescribeGroupsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DescribeGroupsResponse)
	for _, id := range req.Groups {
		rg := kmsg.NewDescribeGroupsResponseGroup()
		rg.Group = id
		rg.AuthorizedOperations = math.MinInt32 // "not asked for"
		if req.IncludeAuthorizedOperations {
			// Without an authorizer everybody may read, delete and describe.
			rg.AuthorizedOperations = 1<<3 | 1<<6 | 1<<8
		}
		rg.ErrorCode = c.ownsAny(id)
		g := c.groups[id]
		switch {
		case rg.ErrorCode != errNone:
		case g == nil:
			rg.State = dead.String()
			if req.Version >= 6 {
				rg.ErrorCode = errGroupIDNotFound
				rg.ErrorMessage = kmsg.StringPtr("Group " + id + " not found.")
			}
		default:
			rg.State, rg.ProtocolType = g.state.String(), g.protocolType
			if g.state == stable {
				rg.Protocol = g.protocol
			}
			g.each(func(m *member) {
				rm := kmsg.NewDescribeGroupsResponseGroupMember()
				rm.MemberID, rm.ClientID, rm.ClientHost = m.id, m.clientID, m.clientHost
				if m.static() {
					rm.InstanceID = &m.instance
				}
				// Between generations there is nothing that is true to say.
				if g.state == stable {
					rm.ProtocolMetadata, rm.MemberAssignment = m.metadata(g.protocol), m.assignment
				}
				rg.Members = append(rg.Members, rm)
			})
		}
		resp.Groups = append(resp.Groups, rg)
	}
	return resp
}

func (c *Coordinator) list(req *kmsg.ListGroupsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ListGroupsResponse)
	wants := func(filter []string, name string) bool {
		return len(filter) == 0 || slices.ContainsFunc(filter, func(f string) bool { return strings.EqualFold(f, name) })
	}
	const kind = "classic"
	for _, g := range c.sorted() {
		if !wants(req.StatesFilter, g.state.String()) || !wants(req.TypesFilter, kind) {
			continue
		}
		rg := kmsg.NewListGroupsResponseGroup()
		rg.Group, rg.ProtocolType, rg.GroupState, rg.GroupType = g.id, g.protocolType, g.state.String(), kind
		resp.Groups = append(resp.Groups, rg)
	}
	return resp
}

func (c *Coordinator) deleteGroups(req *kmsg.DeleteGroupsRequest, reply func(kmsg.Response)) {
	resp := req.ResponseKind().(*kmsg.DeleteGroupsResponse)
	resp.Groups = make([]kmsg.DeleteGroupsResponseGroup, len(req.Groups))
	left := 1 // for this loop itself, so that an answer at once does not reply early
	done := func() {
		if left--; left == 0 {
			reply(resp)
		}
	}
	for i, id := range req.Groups {
		rg := &resp.Groups[i]
		rg.Group = id
		rg.ErrorCode = c.ownsAny(id)
		g := c.groups[id]
		switch {
		case rg.ErrorCode != errNone:
		case g == nil:
			rg.ErrorCode = errGroupIDNotFound
		case g.state != empty || len(g.pending) > 0:
			rg.ErrorCode = errNonEmptyGroup
		default:
			left++
			c.forget(g, g.sortedOffsets(), true, func(code int16) {
				rg.ErrorCode = storageError(code)
				done()
			})
		}
	}
	done()
}
