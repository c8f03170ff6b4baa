package core

// This file tests what StandardAuthorizer allows and what clients without a right are told.

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func entry(permission kmsg.ACLPermissionType, principal, host string, op kmsg.ACLOperation, pattern kmsg.ACLResourcePatternType, name string) acl {
	return acl{onTopic, name, pattern, principal, host, op, permission}
}

func TestAuthorizerDecides(t *testing.T) {
	const ann = "User:ann"
	one := func(a acl) []acl { return []acl{a} }
	tests := []struct {
		name      string
		acls      []acl
		principal string
		host      string
		op        kmsg.ACLOperation
		topic     string
		want      bool
	}{
		{"no entry", nil, ann, "h", opRead, "t", false},
		{"super user", one(entry(deny, "User:root", "*", opAll, literal, "*")), "User:root", "h", opRead, "t", true},
		{"literal", one(entry(allow, ann, "*", opRead, literal, "t")), ann, "h", opRead, "t", true},
		{"another name", one(entry(allow, ann, "*", opRead, literal, "t")), ann, "h", opRead, "t2", false},
		{"another user", one(entry(allow, ann, "*", opRead, literal, "t")), "User:bob", "h", opRead, "t", false},
		{"every user", one(entry(allow, "User:*", "*", opRead, literal, "t")), "User:bob", "h", opRead, "t", true},
		{"another operation", one(entry(allow, ann, "*", opRead, literal, "t")), ann, "h", opWrite, "t", false},
		{"all operations", one(entry(allow, ann, "*", opAll, literal, "t")), ann, "h", opAlterConfigs, "t", true},
		{"prefix", one(entry(allow, ann, "*", opRead, prefixed, "t")), ann, "h", opRead, "table", true},
		{"not the prefix", one(entry(allow, ann, "*", opRead, prefixed, "t")), ann, "h", opRead, "a-t", false},
		{"a star that is a prefix is a star", one(entry(allow, ann, "*", opRead, prefixed, "*")), ann, "h", opRead, "t", false},
		{"wildcard", one(entry(allow, ann, "*", opRead, literal, "*")), ann, "h", opRead, "t", true},
		{"this host", one(entry(allow, ann, "10.0.0.1", opRead, literal, "t")), ann, "10.0.0.1", opRead, "t", true},
		{"another host", one(entry(allow, ann, "10.0.0.1", opRead, literal, "t")), ann, "10.0.0.2", opRead, "t", false},
		{"deny beats allow", []acl{entry(allow, ann, "*", opRead, literal, "t"), entry(deny, ann, "*", opRead, prefixed, "t")}, ann, "h", opRead, "t", false},
		{"deny for everybody", []acl{entry(allow, ann, "*", opAll, literal, "t"), entry(deny, "User:*", "*", opRead, literal, "*")}, ann, "h", opRead, "t", false},
		{"read implies describe", one(entry(allow, ann, "*", opRead, literal, "t")), ann, "h", opDescribe, "t", true},
		{"write implies describe", one(entry(allow, ann, "*", opWrite, literal, "t")), ann, "h", opDescribe, "t", true},
		{"create does not", one(entry(allow, ann, "*", opCreate, literal, "t")), ann, "h", opDescribe, "t", false},
		{"alter configs implies describe configs", one(entry(allow, ann, "*", opAlterConfigs, literal, "t")), ann, "h", opDescribeConfigs, "t", true},
		{"denied read leaves describe", []acl{entry(allow, ann, "*", opDescribe, literal, "t"), entry(deny, ann, "*", opRead, literal, "t")}, ann, "h", opDescribe, "t", true},
	}
	for _, tt := range tests {
		z := authorizer{acls: tt.acls, super: []string{"User:root"}}
		if got := z.allows(tt.principal, tt.host, tt.op, onTopic, tt.topic); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
	everyone := authorizer{acls: one(entry(allow, ann, "*", opRead, literal, "t")), everyone: true}
	if !everyone.allows("User:bob", "h", opRead, onTopic, "free") || everyone.allows("User:bob", "h", opRead, onTopic, "t") {
		t.Error("allow.everyone.if.no.acl.found: want it to hold for what has no entry, and only there")
	}
	if everyone.allows("User:bob", "h", opRead, onGroup, "t") == false {
		t.Error("allow.everyone.if.no.acl.found: an entry on a topic must not count for a group")
	}
}

func TestAuthorizerAllowsSomeTopic(t *testing.T) {
	const ann = "User:ann"
	tests := []struct {
		name string
		acls []acl
		want bool
	}{
		{"none", nil, false},
		{"one", []acl{entry(allow, ann, "*", opWrite, literal, "t")}, true},
		{"denied itself", []acl{entry(allow, ann, "*", opWrite, literal, "t"), entry(deny, ann, "*", opWrite, literal, "t")}, false},
		{"denied by a prefix", []acl{entry(allow, ann, "*", opWrite, prefixed, "tab"), entry(deny, ann, "*", opWrite, prefixed, "t")}, false},
		{"a prefix with one name denied", []acl{entry(allow, ann, "*", opWrite, prefixed, "t"), entry(deny, ann, "*", opWrite, literal, "t")}, true},
		{"everything denied", []acl{entry(allow, ann, "*", opWrite, literal, "t"), entry(deny, "User:*", "*", opWrite, literal, "*")}, false},
		{"everything", []acl{entry(allow, ann, "*", opAll, literal, "*"), entry(deny, ann, "*", opWrite, literal, "t")}, true},
		{"only to read", []acl{entry(allow, ann, "*", opRead, literal, "t")}, false},
	}
	for _, tt := range tests {
		if got := (authorizer{acls: tt.acls}).allowsSome(ann, "h", opWrite, onTopic); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

// guarded is a broker with an authorizer; whoever dials listener NAME is User:NAME.
type guarded struct {
	t *testing.T
	w *World
	// conns has the connection of each user, logged in.
	conns map[string]ConnID
	ended []ConnID
}

func newGuarded(t *testing.T) *guarded {
	g := &guarded{t: t, conns: map[string]ConnID{}}
	g.w = newWorld(t, Options{
		Brokers:   1,
		Config:    map[string]string{"transaction.state.log.replication.factor": "1", "transaction.state.log.min.isr": "1", "offsets.topic.replication.factor": "1"},
		CloseConn: func(_ int32, id ConnID) { g.ended = append(g.ended, id) },
		Groups: func(env GroupEnv) GroupCoordinator {
			return groupsThat(func(req kmsg.Request) kmsg.Response {
				resp := req.ResponseKind()
				if l, ok := resp.(*kmsg.ListGroupsResponse); ok {
					for _, name := range []string{"g1", "g2"} {
						rg := kmsg.NewListGroupsResponseGroup()
						rg.Group = name
						l.Groups = append(l.Groups, rg)
					}
				}
				return resp
			})
		},
		Security: &Security{
			Mechanisms: func(string) []string { return []string{mechanismPlain} },
			Passwords:  map[string]string{"root": "r", "ann": "a"},
			Authorizer: true, SuperUsers: []string{"User:root"},
		},
	})
	settle(t, g.w)
	return g
}

// groupsThat is a coordinator that answers by a function.
type groupsThat func(kmsg.Request) kmsg.Response

func (f groupsThat) Handle(_ time.Duration, _ ClientConn, req kmsg.Request, reply func(kmsg.Response)) {
	reply(f(req))
}
func (f groupsThat) Load(time.Duration, int32, []GroupRecord) {}
func (f groupsThat) Unload(time.Duration, int32)              {}
func (f groupsThat) EndTxn(time.Duration, int32, GroupTxn)    {}

// as sends a request as a user; nil for no answer.
func (g *guarded) as(user string, req kmsg.Request) kmsg.Response {
	g.t.Helper()
	id := g.conns[user]
	if id == 0 {
		id = ConnID(len(g.conns) + 1)
		g.conns[user] = id
		hs := kmsg.NewPtrSASLHandshakeRequest()
		hs.SetVersion(1)
		hs.Mechanism = mechanismPlain
		g.send(id, hs)
		auth := kmsg.NewPtrSASLAuthenticateRequest()
		auth.SASLAuthBytes = []byte("\x00" + user + "\x00" + user[:1])
		if r := g.send(id, auth).(*kmsg.SASLAuthenticateResponse); r.ErrorCode != 0 {
			g.t.Fatalf("log in as %s: got error %d", user, r.ErrorCode)
		}
	}
	return g.send(id, req)
}

func (g *guarded) send(id ConnID, req kmsg.Request) kmsg.Response {
	g.t.Helper()
	var got kmsg.Response
	answered := false
	g.w.Request(1, ClientConn{ID: id, ClientHost: "/127.0.0.1"}, req, func(r kmsg.Response) { got, answered = r, true })
	if err := within(g.w, 10*sec, func() error {
		if !answered {
			return fmt.Errorf("no answer")
		}
		return nil
	}); err != nil {
		g.t.Fatalf("%s: %v", kmsg.NameForKey(req.Key()), err)
	}
	return got
}

// may adds an entry.
func (g *guarded) may(kind kmsg.ACLResourceType, name string, op kmsg.ACLOperation) {
	g.t.Helper()
	g.add(acl{kind, name, literal, "User:ann", "*", op, allow})
}

func (g *guarded) add(a acl) {
	g.t.Helper()
	req := at(kmsg.NewPtrCreateACLsRequest())
	c := kmsg.NewCreateACLsRequestCreation()
	c.ResourceType, c.ResourceName, c.ResourcePatternType, c.Principal, c.Host, c.Operation, c.PermissionType = a.kind, a.name, a.pattern, a.principal, a.host, a.operation, a.permission
	req.Creations = append(req.Creations, c)
	if r := g.as("root", req).(*kmsg.CreateACLsResponse).Results[0]; r.ErrorCode != 0 {
		g.t.Fatalf("create %v: got error %d", a, r.ErrorCode)
	}
	g.w.Advance(g.w.Now() + 100*ms)
}

func (g *guarded) create(user, topic string) int16 {
	req := at(kmsg.NewPtrCreateTopicsRequest())
	rt := kmsg.NewCreateTopicsRequestTopic()
	rt.Topic, rt.NumPartitions, rt.ReplicationFactor = topic, 1, 1
	req.Topics = append(req.Topics, rt)
	code := g.as(user, req).(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode
	settle(g.t, g.w)
	return code
}

func TestEveryRequestNeedsItsRight(t *testing.T) {
	topics := func(names ...string) []string { return names }
	tests := []struct {
		name string
		req  func() kmsg.Request
		code func(kmsg.Response) []int16
		// want without rights, then what gives the right, then what is left of the error.
		want  []int16
		right acl
		then  []int16
	}{
		{"produce", func() kmsg.Request { return produceRequest("t", 0, 1, makeBatch(0, 1, 8, -1, -1, -1)) },
			func(r kmsg.Response) []int16 {
				return []int16{r.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode}
			},
			[]int16{29}, acl{kind: onTopic, name: "t", operation: opWrite}, []int16{0}},
		{"fetch", func() kmsg.Request { return fetchRequest(0, 0, 1, 1000) },
			func(r kmsg.Response) []int16 {
				return []int16{r.(*kmsg.FetchResponse).Topics[0].Partitions[0].ErrorCode}
			},
			[]int16{29}, acl{kind: onTopic, name: "t", operation: opRead}, []int16{0}},
		{"metadata of two", func() kmsg.Request {
			req := at(kmsg.NewPtrMetadataRequest())
			for _, name := range topics("t", "nope") {
				rt := kmsg.NewMetadataRequestTopic()
				rt.Topic = kmsg.StringPtr(name)
				req.Topics = append(req.Topics, rt)
			}
			return req
		}, func(r kmsg.Response) []int16 {
			var out []int16
			for _, t := range r.(*kmsg.MetadataResponse).Topics {
				out = append(out, t.ErrorCode)
			}
			return out
		}, []int16{29, 29}, acl{kind: onTopic, name: "t", operation: opDescribe}, []int16{0, 29}},
		{"metadata of all", func() kmsg.Request {
			req := at(kmsg.NewPtrMetadataRequest())
			req.Topics = nil
			return req
		}, func(r kmsg.Response) []int16 { return make([]int16, len(r.(*kmsg.MetadataResponse).Topics)) },
			[]int16{}, acl{kind: onTopic, name: "t", operation: opRead}, []int16{0}},
		{"list offsets", func() kmsg.Request {
			req := at(kmsg.NewPtrListOffsetsRequest())
			rt := kmsg.NewListOffsetsRequestTopic()
			rt.Topic = "t"
			rp := kmsg.NewListOffsetsRequestTopicPartition()
			rp.Timestamp, rp.CurrentLeaderEpoch = -1, -1
			rt.Partitions = append(rt.Partitions, rp)
			req.Topics = append(req.Topics, rt)
			return req
		}, func(r kmsg.Response) []int16 {
			return []int16{r.(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0].ErrorCode}
		}, []int16{29}, acl{kind: onTopic, name: "t", operation: opDescribe}, []int16{0}},
		{"heartbeat", func() kmsg.Request {
			req := at(kmsg.NewPtrHeartbeatRequest())
			req.Group = "g1"
			return req
		}, func(r kmsg.Response) []int16 { return []int16{r.(*kmsg.HeartbeatResponse).ErrorCode} },
			[]int16{30}, acl{kind: onGroup, name: "g1", operation: opRead}, []int16{0}},
		{"join", func() kmsg.Request {
			req := at(kmsg.NewPtrJoinGroupRequest())
			req.Group = "g1"
			return req
		}, func(r kmsg.Response) []int16 { return []int16{r.(*kmsg.JoinGroupResponse).ErrorCode} },
			[]int16{30}, acl{kind: onGroup, name: "g1", operation: opRead}, []int16{0}},
		{"offset fetch", func() kmsg.Request {
			req := at(kmsg.NewPtrOffsetFetchRequest())
			g := kmsg.NewOffsetFetchRequestGroup()
			g.Group = "g1"
			req.Groups = append(req.Groups, g)
			return req
		}, func(r kmsg.Response) []int16 {
			var out []int16
			for _, g := range r.(*kmsg.OffsetFetchResponse).Groups {
				out = append(out, g.ErrorCode)
			}
			return out
		}, []int16{30}, acl{kind: onGroup, name: "g1", operation: opDescribe}, nil},
		{"offset commit to a topic", func() kmsg.Request {
			req := at(kmsg.NewPtrOffsetCommitRequest())
			req.Group = "g1"
			rt := kmsg.NewOffsetCommitRequestTopic()
			rt.Topic = "t"
			rt.Partitions = append(rt.Partitions, kmsg.NewOffsetCommitRequestTopicPartition())
			req.Topics = append(req.Topics, rt)
			return req
		}, func(r kmsg.Response) []int16 {
			return []int16{r.(*kmsg.OffsetCommitResponse).Topics[0].Partitions[0].ErrorCode}
		}, []int16{30}, acl{kind: onGroup, name: "g1", operation: opRead}, []int16{29}},
		{"find coordinator", func() kmsg.Request {
			req := at(kmsg.NewPtrFindCoordinatorRequest())
			req.CoordinatorKeys = []string{"g1"}
			return req
		}, func(r kmsg.Response) []int16 {
			return []int16{r.(*kmsg.FindCoordinatorResponse).Coordinators[0].ErrorCode}
		}, []int16{30}, acl{kind: onGroup, name: "g1", operation: opRead}, []int16{15}},
		{"list groups", func() kmsg.Request { return at(kmsg.NewPtrListGroupsRequest()) },
			func(r kmsg.Response) []int16 { return make([]int16, len(r.(*kmsg.ListGroupsResponse).Groups)) },
			[]int16{}, acl{kind: onGroup, name: "g2", operation: opDescribe}, []int16{0}},
		{"create topic, on its name", func() kmsg.Request {
			req := at(kmsg.NewPtrCreateTopicsRequest())
			rt := kmsg.NewCreateTopicsRequestTopic()
			rt.Topic, rt.NumPartitions, rt.ReplicationFactor = "new", 1, 1
			req.Topics = append(req.Topics, rt)
			return req
		}, func(r kmsg.Response) []int16 { return []int16{r.(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode} },
			[]int16{29}, acl{kind: onTopic, name: "new", operation: opCreate}, []int16{0}},
		{"delete topic", func() kmsg.Request {
			req := at(kmsg.NewPtrDeleteTopicsRequest())
			rt := kmsg.NewDeleteTopicsRequestTopic()
			rt.Topic = kmsg.StringPtr("t")
			req.Topics = append(req.Topics, rt)
			return req
		}, func(r kmsg.Response) []int16 { return []int16{r.(*kmsg.DeleteTopicsResponse).Topics[0].ErrorCode} },
			[]int16{29}, acl{kind: onTopic, name: "t", operation: opDelete}, []int16{0}},
		{"describe configs of broker and topic", func() kmsg.Request {
			req := at(kmsg.NewPtrDescribeConfigsRequest())
			req.Resources = []kmsg.DescribeConfigsRequestResource{
				{ResourceType: kmsg.ConfigResourceTypeBroker, ResourceName: "1"}, {ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: "t"},
			}
			return req
		}, func(r kmsg.Response) []int16 {
			var out []int16
			for _, c := range r.(*kmsg.DescribeConfigsResponse).Resources {
				out = append(out, c.ErrorCode)
			}
			return out
		}, []int16{31, 29}, acl{kind: onCluster, name: clusterName, operation: opAlterConfigs}, []int16{0, 29}},
		{"alter configs", func() kmsg.Request {
			req := at(kmsg.NewPtrIncrementalAlterConfigsRequest())
			r := kmsg.NewIncrementalAlterConfigsRequestResource()
			r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, "t"
			req.Resources = append(req.Resources, r)
			return req
		}, func(r kmsg.Response) []int16 {
			return []int16{r.(*kmsg.IncrementalAlterConfigsResponse).Resources[0].ErrorCode}
		}, []int16{29}, acl{kind: onTopic, name: "t", operation: opAlterConfigs}, []int16{0}},
		{"init producer id", func() kmsg.Request { return at(kmsg.NewPtrInitProducerIDRequest()) },
			func(r kmsg.Response) []int16 { return []int16{r.(*kmsg.InitProducerIDResponse).ErrorCode} },
			[]int16{31}, acl{kind: onTopic, name: "whatever", operation: opWrite}, []int16{0}},
		{"describe acls", func() kmsg.Request {
			req := at(kmsg.NewPtrDescribeACLsRequest())
			req.ResourceType, req.ResourcePatternType, req.Operation, req.PermissionType = 1, 1, 1, 1
			return req
		}, func(r kmsg.Response) []int16 { return []int16{r.(*kmsg.DescribeACLsResponse).ErrorCode} },
			[]int16{31}, acl{kind: onCluster, name: clusterName, operation: opAlter}, []int16{0}},
		{"elect leaders", func() kmsg.Request { return at(kmsg.NewPtrElectLeadersRequest()) },
			func(r kmsg.Response) []int16 { return []int16{r.(*kmsg.ElectLeadersResponse).ErrorCode} },
			[]int16{31}, acl{kind: onCluster, name: clusterName, operation: opAlter}, []int16{0}},
		{"describe quorum", func() kmsg.Request { return at(kmsg.NewPtrDescribeQuorumRequest()) },
			func(r kmsg.Response) []int16 { return []int16{r.(*kmsg.DescribeQuorumResponse).ErrorCode} },
			[]int16{31}, acl{kind: onCluster, name: clusterName, operation: opDescribe}, []int16{0}},
		{"produce of a transaction", func() kmsg.Request {
			req := produceRequest("t", 0, 1, makeTxnBatch(0, 1, 5, 0, 0))
			req.TransactionID = kmsg.StringPtr("x")
			return req
		}, func(r kmsg.Response) []int16 {
			return []int16{r.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode}
		}, []int16{53}, acl{kind: onTxnID, name: "x", operation: opWrite}, []int16{29}},
		{"end a transaction", func() kmsg.Request {
			req := at(kmsg.NewPtrEndTxnRequest())
			req.TransactionalID = "x"
			return req
		}, func(r kmsg.Response) []int16 { return []int16{r.(*kmsg.EndTxnResponse).ErrorCode} },
			[]int16{53}, acl{kind: onTxnID, name: "x", operation: opWrite}, []int16{16}},
		{"add partitions", func() kmsg.Request {
			req := kmsg.NewPtrAddPartitionsToTxnRequest()
			req.SetVersion(3)
			req.TransactionalID = "x"
			for _, name := range []string{"t", "u"} {
				rt := kmsg.NewAddPartitionsToTxnRequestTopic()
				rt.Topic, rt.Partitions = name, []int32{0}
				req.Topics = append(req.Topics, rt)
			}
			return req
		}, func(r kmsg.Response) []int16 {
			var out []int16
			for _, t := range r.(*kmsg.AddPartitionsToTxnResponse).Topics {
				out = append(out, t.Partitions[0].ErrorCode)
			}
			return out
		}, []int16{53, 53}, acl{kind: onTxnID, name: "x", operation: opWrite}, []int16{29, 29}},
		{"offsets in a transaction", func() kmsg.Request {
			req := at(kmsg.NewPtrTxnOffsetCommitRequest())
			req.TransactionalID, req.Group = "x", "g1"
			rt := kmsg.NewTxnOffsetCommitRequestTopic()
			rt.Topic = "t"
			rt.Partitions = append(rt.Partitions, kmsg.NewTxnOffsetCommitRequestTopicPartition())
			req.Topics = append(req.Topics, rt)
			return req
		}, func(r kmsg.Response) []int16 {
			return []int16{r.(*kmsg.TxnOffsetCommitResponse).Topics[0].Partitions[0].ErrorCode}
		}, []int16{53}, acl{kind: onTxnID, name: "x", operation: opWrite}, []int16{30}},
		{"describe transactions", func() kmsg.Request {
			req := at(kmsg.NewPtrDescribeTransactionsRequest())
			req.TransactionalIDs = []string{"x"}
			return req
		}, func(r kmsg.Response) []int16 {
			return []int16{r.(*kmsg.DescribeTransactionsResponse).TransactionStates[0].ErrorCode}
		}, []int16{53}, acl{kind: onTxnID, name: "x", operation: opDescribe}, []int16{16}},
		{"describe producers", func() kmsg.Request {
			req := at(kmsg.NewPtrDescribeProducersRequest())
			rt := kmsg.NewDescribeProducersRequestTopic()
			rt.Topic, rt.Partitions = "t", []int32{0}
			req.Topics = append(req.Topics, rt)
			return req
		}, func(r kmsg.Response) []int16 {
			return []int16{r.(*kmsg.DescribeProducersResponse).Topics[0].Partitions[0].ErrorCode}
		}, []int16{29}, acl{kind: onTopic, name: "t", operation: opRead}, []int16{0}},
		{"init a transactional producer", func() kmsg.Request {
			req := at(kmsg.NewPtrInitProducerIDRequest())
			req.TransactionalID, req.TransactionTimeoutMillis = kmsg.StringPtr("x"), 1000
			return req
		}, func(r kmsg.Response) []int16 { return []int16{r.(*kmsg.InitProducerIDResponse).ErrorCode} },
			[]int16{53}, acl{kind: onTxnID, name: "x", operation: opWrite}, []int16{16}},
		{"markers", func() kmsg.Request {
			req := at(kmsg.NewPtrWriteTxnMarkersRequest())
			m := kmsg.NewWriteTxnMarkersRequestMarker()
			m.Committed = true
			mt := kmsg.NewWriteTxnMarkersRequestMarkerTopic()
			mt.Topic, mt.Partitions = "t", []int32{0}
			m.Topics = append(m.Topics, mt)
			req.Markers = append(req.Markers, m)
			return req
		}, func(r kmsg.Response) []int16 {
			return []int16{r.(*kmsg.WriteTxnMarkersResponse).Markers[0].Topics[0].Partitions[0].ErrorCode}
		}, []int16{31}, acl{kind: onCluster, name: clusterName, operation: opClusterAction}, []int16{0}},
		{"log dirs", func() kmsg.Request { return at(kmsg.NewPtrDescribeLogDirsRequest()) },
			func(r kmsg.Response) []int16 { return []int16{r.(*kmsg.DescribeLogDirsResponse).ErrorCode} },
			[]int16{31}, acl{kind: onCluster, name: clusterName, operation: opDescribe}, []int16{0}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := newGuarded(t)
			if code := g.create("root", "t"); code != 0 {
				t.Fatalf("create as the super user: got error %d", code)
			}
			if got := tt.code(g.as("ann", tt.req())); !slices.Equal(got, tt.want) {
				t.Errorf("without the right: got errors %v, want %v", got, tt.want)
			}
			g.may(tt.right.kind, tt.right.name, tt.right.operation)
			if got := tt.code(g.as("ann", tt.req())); !slices.Equal(got, tt.then) {
				t.Errorf("with it: got errors %v, want %v", got, tt.then)
			}
			g.add(acl{tt.right.kind, tt.right.name, literal, "User:ann", "127.0.0.1", opAll, deny})
			if got := tt.code(g.as("ann", tt.req())); !slices.Equal(got, tt.want) && tt.name != "init producer id" && !strings.Contains(tt.name, "describe configs") {
				t.Errorf("denied on a connection that is open: got errors %v, want %v", got, tt.want)
			}
		})
	}
}

func TestProduceWithoutAcksAndRightEndsTheConnection(t *testing.T) {
	g := newGuarded(t)
	g.create("root", "t")
	if r := g.as("ann", produceRequest("t", 0, 0, makeBatch(0, 1, 8, -1, -1, -1))); r != nil {
		t.Errorf("got an answer %v, want none", r)
	}
	if !slices.Contains(g.ended, g.conns["ann"]) {
		t.Error("got the connection left open, want it ended")
	}
	if end := g.w.Replicas(1)[0].LogEnd; end != 0 {
		t.Errorf("got log end %d, want nothing written", end)
	}
}

func TestACLsAreKeptAndFound(t *testing.T) {
	g := newGuarded(t)
	list := []acl{
		entry(allow, "User:ann", "*", opRead, literal, "orders"),
		entry(allow, "User:ann", "*", opRead, prefixed, "ord"),
		entry(allow, "User:bob", "*", opWrite, literal, "*"),
		entry(deny, "User:bob", "10.0.0.1", opAll, literal, "pay"),
	}
	for _, a := range list {
		g.add(a)
		g.add(a) // twice is once
	}
	type filter struct {
		pattern kmsg.ACLResourcePatternType
		name    string
		user    string
	}
	describe := func(f filter) int {
		req := at(kmsg.NewPtrDescribeACLsRequest())
		req.ResourceType, req.ResourcePatternType, req.Operation, req.PermissionType = onTopic, f.pattern, 1, 1
		if f.name != "" {
			req.ResourceName = &f.name
		}
		if f.user != "" {
			req.Principal = &f.user
		}
		n := 0
		for _, r := range g.as("root", req).(*kmsg.DescribeACLsResponse).Resources {
			n += len(r.ACLs)
		}
		return n
	}
	const anyPattern, match = kmsg.ACLResourcePatternTypeAny, kmsg.ACLResourcePatternTypeMatch
	tests := []struct {
		filter filter
		want   int
	}{
		{filter{anyPattern, "", ""}, 4}, {filter{literal, "", ""}, 3}, {filter{prefixed, "", ""}, 1},
		{filter{literal, "orders", ""}, 1}, {filter{match, "orders", ""}, 3}, {filter{match, "pay", ""}, 2},
		{filter{anyPattern, "ord", ""}, 1}, {filter{anyPattern, "", "User:bob"}, 2}, {filter{match, "orders", "User:ann"}, 2},
	}
	for _, tt := range tests {
		if got := describe(tt.filter); got != tt.want {
			t.Errorf("%+v: got %d entries, want %d", tt.filter, got, tt.want)
		}
	}
	req := at(kmsg.NewPtrDeleteACLsRequest())
	f := kmsg.NewDeleteACLsRequestFilter()
	f.ResourceType, f.ResourcePatternType, f.Operation, f.PermissionType = onTopic, match, 1, 1
	f.ResourceName = kmsg.StringPtr("orders")
	bad := f
	bad.Operation = 0
	req.Filters = append(req.Filters, f, bad)
	r := g.as("root", req).(*kmsg.DeleteACLsResponse)
	if len(r.Results[0].MatchingACLs) != 3 || r.Results[1].ErrorCode != codeInvalidRequest {
		t.Errorf("delete: got %d entries and error %d, want 3 and %d", len(r.Results[0].MatchingACLs), r.Results[1].ErrorCode, codeInvalidRequest)
	}
	g.w.Advance(g.w.Now() + 100*ms)
	if got := describe(filter{anyPattern, "", ""}); got != 1 {
		t.Errorf("after deleting: got %d entries, want 1", got)
	}
}

func TestACLsThatCannotBe(t *testing.T) {
	good := entry(allow, "User:ann", "*", opRead, literal, "t")
	tests := []struct {
		name  string
		spoil func(*acl)
	}{
		{"resource", func(a *acl) { a.kind = kmsg.ACLResourceTypeAny }},
		{"pattern", func(a *acl) { a.pattern = kmsg.ACLResourcePatternTypeMatch }},
		{"operation", func(a *acl) { a.operation = kmsg.ACLOperationAny }},
		{"permission", func(a *acl) { a.permission = kmsg.ACLPermissionTypeAny }},
		{"no name", func(a *acl) { a.name = "" }},
		{"principal", func(a *acl) { a.principal = "ann" }},
		{"cluster", func(a *acl) { a.kind, a.name = onCluster, "mine" }},
	}
	g := newGuarded(t)
	for _, tt := range tests {
		a := good
		tt.spoil(&a)
		req := at(kmsg.NewPtrCreateACLsRequest())
		c := kmsg.NewCreateACLsRequestCreation()
		c.ResourceType, c.ResourceName, c.ResourcePatternType, c.Principal, c.Host, c.Operation, c.PermissionType = a.kind, a.name, a.pattern, a.principal, a.host, a.operation, a.permission
		req.Creations = append(req.Creations, c)
		if r := g.as("root", req).(*kmsg.CreateACLsResponse).Results[0]; r.ErrorCode != codeInvalidRequest || r.ErrorMessage == nil {
			t.Errorf("%s: got error %d, want %d with a message", tt.name, r.ErrorCode, codeInvalidRequest)
		}
	}
	open := newWorld(t, Options{Brokers: 1})
	settle(t, open)
	req := at(kmsg.NewPtrDescribeACLsRequest())
	req.ResourceType, req.ResourcePatternType, req.Operation, req.PermissionType = 1, 1, 1, 1
	if r := ask(t, open, 1, req).(*kmsg.DescribeACLsResponse); r.ErrorCode != codeSecurityDisabled {
		t.Errorf("without authorizer: got error %d, want %d", r.ErrorCode, codeSecurityDisabled)
	}
}

func TestAuthorizedOperations(t *testing.T) {
	g := newGuarded(t)
	g.create("root", "t")
	g.may(onTopic, "t", opWrite)
	ask := func(user string) int32 {
		req := at(kmsg.NewPtrMetadataRequest())
		req.IncludeTopicAuthorizedOperations = true
		rt := kmsg.NewMetadataRequestTopic()
		rt.Topic = kmsg.StringPtr("t")
		req.Topics = append(req.Topics, rt)
		return g.as(user, req).(*kmsg.MetadataResponse).Topics[0].AuthorizedOperations
	}
	if got, want := ask("ann"), int32(1<<opWrite|1<<opDescribe); got != want {
		t.Errorf("got operations %b, want %b", got, want)
	}
	if got, want := ask("root"), int32(0b110111111000); got != want {
		t.Errorf("super user: got operations %b, want %b", got, want)
	}
}
