// Package group is the group coordinator of one embedded broker: the classic
// protocol of consumer groups and their committed offsets, as Kafka 3.9 has
// them, as a state machine that is stepped by time and requests. It keeps
// groups and offsets in __consumer_offsets in Kafka's own format, so that the
// next leader of a partition of that topic finds them.
//
// The log of a partition is replayed in one step, so there is no time in which a
// coordinator would answer COORDINATOR_LOAD_IN_PROGRESS.
//
// Assignors are none of its business: range, sticky or cooperative, the group's
// leader assigns, and the coordinator carries bytes.
package group

// This file defines the coordinator, what it reads from the broker's
// configuration, and which request goes where.

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"starfall/runtime/embedded/core"
)

// Error codes of Kafka's protocol that a coordinator answers with.
const (
	errNone                      int16 = 0
	errUnknownServer             int16 = -1
	errUnknownTopicOrPartition   int16 = 3
	errNotLeaderOrFollower       int16 = 6
	errRequestTimedOut           int16 = 7
	errMessageTooLarge           int16 = 10
	errOffsetMetadataTooLarge    int16 = 12
	errCoordinatorNotAvailable   int16 = 15
	errNotCoordinator            int16 = 16
	errNotEnoughReplicas         int16 = 19
	errNotEnoughAfterAppend      int16 = 20
	errIllegalGeneration         int16 = 22
	errInconsistentGroupProtocol int16 = 23
	errInvalidGroupID            int16 = 24
	errUnknownMemberID           int16 = 25
	errInvalidSessionTimeout     int16 = 26
	errRebalanceInProgress       int16 = 27
	errInvalidCommitOffsetSize   int16 = 28
	errStorage                   int16 = 56
	errNonEmptyGroup             int16 = 68
	errGroupIDNotFound           int16 = 69
	errMemberIDRequired          int16 = 79
	errGroupMaxSizeReached       int16 = 81
	errFencedInstanceID          int16 = 82
	errGroupSubscribedToTopic    int16 = 86
	errInvalidTxnState           int16 = 48
	errUnstableOffsetCommit      int16 = 88
	errTransactionAbortable      int16 = 120
)

// limits are the broker configs that rule groups.
type limits struct {
	minSession, maxSession time.Duration // group.min/max.session.timeout.ms
	initialDelay           time.Duration // group.initial.rebalance.delay.ms
	maxSize                int           // group.max.size
	maxMetadata            int           // offset.metadata.max.bytes
	retention              time.Duration // offsets.retention.minutes
	retentionCheck         time.Duration // offsets.retention.check.interval.ms
}

// Coordinator coordinates the groups of one broker. It must be used from one
// goroutine.
type Coordinator struct {
	env    core.GroupEnv
	limits limits
	now    time.Duration
	timers timers
	groups map[string]*group
	leads  map[int32]bool // partitions of __consumer_offsets
	expiry *timer
	order  uint64 // of committed offset records
}

var (
	_ core.GroupCoordinator = (*Coordinator)(nil)
	_ core.GroupTimers      = (*Coordinator)(nil)
)

// New makes the coordinator of a broker whose process starts; it leads nothing
// until Load. A config that the broker does not know has Kafka's default.
func New(env core.GroupEnv) *Coordinator {
	read := func(name string, otherwise int64) int64 {
		if n, err := strconv.ParseInt(env.Config(name), 10, 64); err == nil {
			return n
		}
		return otherwise
	}
	ms := func(name string, otherwise int64) time.Duration {
		return time.Duration(read(name, otherwise)) * time.Millisecond
	}
	return &Coordinator{
		env: env,
		limits: limits{
			minSession:     ms("group.min.session.timeout.ms", 6_000),
			maxSession:     ms("group.max.session.timeout.ms", 1_800_000),
			initialDelay:   ms("group.initial.rebalance.delay.ms", 3_000),
			maxSize:        int(read("group.max.size", math.MaxInt32)),
			maxMetadata:    int(read("offset.metadata.max.bytes", 4_096)),
			retention:      time.Duration(read("offsets.retention.minutes", 10_080)) * time.Minute,
			retentionCheck: ms("offsets.retention.check.interval.ms", 600_000),
		},
		groups: map[string]*group{},
		leads:  map[int32]bool{},
	}
}

// Next says when the coordinator next has something to do by itself.
func (c *Coordinator) Next() (time.Duration, bool) { return c.timers.next() }

// Tick does what is due.
func (c *Coordinator) Tick(now time.Duration) {
	c.now = max(c.now, now)
	c.timers.run(c.now)
}

// Handle answers one request of a group.
func (c *Coordinator) Handle(now time.Duration, from core.ClientConn, req kmsg.Request, reply func(kmsg.Response)) {
	c.Tick(now) // a session that is over does not come back to life by a late heartbeat
	switch req := req.(type) {
	case *kmsg.JoinGroupRequest:
		c.join(from, req, func(r joinResult) { reply(joinResponse(req, r)) })
	case *kmsg.SyncGroupRequest:
		c.sync(req, func(r syncResult) { reply(syncResponse(req, r)) })
	case *kmsg.HeartbeatRequest:
		resp := req.ResponseKind().(*kmsg.HeartbeatResponse)
		resp.ErrorCode = c.heartbeat(req)
		reply(resp)
	case *kmsg.LeaveGroupRequest:
		reply(c.leaveAll(req))
	case *kmsg.OffsetCommitRequest:
		c.commit(req, reply)
	case *kmsg.TxnOffsetCommitRequest:
		c.commitTxn(req, reply)
	case *kmsg.OffsetFetchRequest:
		reply(c.fetch(req))
	case *kmsg.OffsetDeleteRequest:
		c.deleteOffsets(req, reply)
	case *kmsg.DescribeGroupsRequest:
		reply(c.describe(req))
	case *kmsg.ListGroupsRequest:
		reply(c.list(req))
	case *kmsg.DeleteGroupsRequest:
		c.deleteGroups(req, reply)
	default:
		// The broker routes only the requests above here; anything else is a
		// mistake in this process, not in the client's.
		panic(fmt.Sprintf("group coordinator: request %T is not for it", req))
	}
}

// owns says whether a request that needs a group id may be answered here.
func (c *Coordinator) owns(id string) int16 {
	if id == "" {
		return errInvalidGroupID
	}
	return c.ownsAny(id)
}

// ownsAny is owns for the requests that allow the empty group id.
func (c *Coordinator) ownsAny(id string) int16 {
	if !c.leads[c.env.Partition(id)] {
		return errNotCoordinator
	}
	return errNone
}

func (c *Coordinator) create(id string) *group {
	g := newGroup(id, c.env.Partition(id))
	g.since = c.env.WallMillis(c.now)
	c.groups[id] = g
	return g
}

func (c *Coordinator) enter(g *group, s state) {
	g.state = s
	g.since = c.env.WallMillis(c.now)
}

// bury forgets a group; its timers must not find it again.
func (c *Coordinator) bury(g *group) {
	g.state = dead
	c.timers.stop(g.joinTimer)
	c.timers.stop(g.syncTimer)
	for _, tm := range g.pending {
		c.timers.stop(tm)
	}
	g.each(func(m *member) { c.timers.stop(m.session) })
	delete(c.groups, g.id)
}

// newID is a random UUID from the broker's seeded source.
func (c *Coordinator) newID() string {
	hi, lo := c.env.Rand.Uint64(), c.env.Rand.Uint64()
	hi = hi&^0xf000 | 0x4000
	lo = lo&^(3<<62) | 2<<62
	return fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", hi>>32, hi>>16&0xffff, hi&0xffff, lo>>48, lo&(1<<48-1))
}

func millis(ms int32) time.Duration { return time.Duration(ms) * time.Millisecond }

func joinResponse(req *kmsg.JoinGroupRequest, r joinResult) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.JoinGroupResponse)
	resp.ErrorCode, resp.Generation = r.code, r.generation
	resp.LeaderID, resp.MemberID = r.leader, r.memberID
	resp.Members, resp.SkipAssignment = r.members, r.skip
	if r.protocolType != "" {
		resp.ProtocolType = &r.protocolType
	}
	if r.protocol != "" || req.Version < 7 {
		resp.Protocol = &r.protocol
	}
	return resp
}

func syncResponse(req *kmsg.SyncGroupRequest, r syncResult) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.SyncGroupResponse)
	resp.ErrorCode, resp.MemberAssignment = r.code, r.assignment
	if r.protocolType != "" {
		resp.ProtocolType = &r.protocolType
	}
	if r.protocol != "" {
		resp.Protocol = &r.protocol
	}
	return resp
}

func (c *Coordinator) leaveAll(req *kmsg.LeaveGroupRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.LeaveGroupResponse)
	if resp.ErrorCode = c.owns(req.Group); resp.ErrorCode != errNone {
		return resp
	}
	if req.Version < 3 {
		resp.ErrorCode = c.leave(c.groups[req.Group], req.MemberID, "")
		return resp
	}
	for _, m := range req.Members {
		instance := ""
		if m.InstanceID != nil {
			instance = *m.InstanceID
		}
		rm := kmsg.NewLeaveGroupResponseMember()
		rm.MemberID, rm.InstanceID = m.MemberID, m.InstanceID
		rm.ErrorCode = c.leave(c.groups[req.Group], m.MemberID, instance)
		resp.Members = append(resp.Members, rm)
	}
	return resp
}
