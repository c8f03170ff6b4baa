package group

// This file defines the little script language of the tests: a transcript of
// requests and answers. Lines with > are carried out, lines with < are what the
// coordinator must have answered, in order, each with the scenario time.

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"starfall/runtime/embedded/core"
)

var codeNames = map[int16]string{
	0: "ok", -1: "UNKNOWN_SERVER_ERROR", 3: "UNKNOWN_TOPIC_OR_PARTITION", 7: "REQUEST_TIMED_OUT",
	12: "OFFSET_METADATA_TOO_LARGE", 15: "COORDINATOR_NOT_AVAILABLE", 16: "NOT_COORDINATOR",
	22: "ILLEGAL_GENERATION", 23: "INCONSISTENT_GROUP_PROTOCOL", 24: "INVALID_GROUP_ID",
	25: "UNKNOWN_MEMBER_ID", 26: "INVALID_SESSION_TIMEOUT", 27: "REBALANCE_IN_PROGRESS",
	28: "INVALID_COMMIT_OFFSET_SIZE", 68: "NON_EMPTY_GROUP", 69: "GROUP_ID_NOT_FOUND",
	79: "MEMBER_ID_REQUIRED", 81: "GROUP_MAX_SIZE_REACHED", 82: "FENCED_INSTANCE_ID",
	86: "GROUP_SUBSCRIBED_TO_TOPIC",
	88: "UNSTABLE_OFFSET_COMMIT",
}

func codeName(code int16) string {
	if n, ok := codeNames[code]; ok {
		return n
	}
	return "code " + strconv.Itoa(int(code))
}

// world is a coordinator with a log that the script can hold up or break.
type world struct {
	t       *testing.T
	c       *Coordinator
	now     time.Duration
	out     []string
	clients map[string]*client
	config  map[string]string
	log     []core.GroupRecord
	hold    bool
	fail    int16
	held    []func()
}

type client struct {
	name, id   string
	generation int32
}

func newWorld(t *testing.T, config map[string]string) *world {
	w := &world{t: t, clients: map[string]*client{}, config: config}
	w.start()
	w.c.Load(0, 0, nil)
	return w
}

func (w *world) start() {
	w.c = New(core.GroupEnv{
		Broker:      1,
		Storage:     w,
		Partition:   func(string) int32 { return 0 },
		Config:      func(name string) string { return w.config[name] },
		TopicExists: func(topic string, p int32) bool { return topic != "nowhere" },
		WallMillis:  func(now time.Duration) int64 { return 1_000_000_000 + now.Milliseconds() },
		Rand:        rand.New(rand.NewPCG(1, 2)),
	})
}

func (w *world) Append(partition int32, records []core.GroupRecord, done func(int16)) {
	code := w.fail
	finish := func() {
		if code == 0 {
			w.log = append(w.log, records...)
		}
		done(code)
	}
	if w.hold {
		w.held = append(w.held, finish)
		return
	}
	finish()
}

func (w *world) AppendTxn(partition int32, _ string, txn core.GroupTxn, records []core.GroupRecord, done func(int16)) {
	for i := range records {
		records[i].Txn = &txn
	}
	w.Append(partition, records, done)
}

func (w *world) say(format string, args ...any) {
	w.out = append(w.out, fmt.Sprintf("%v < ", w.now)+fmt.Sprintf(format, args...))
}

// nick shortens a member id to the client or instance it was made for.
func nick(id string) string {
	if len(id) > 37 {
		return id[:len(id)-37]
	}
	if id == "" {
		return "-"
	}
	return id
}

// until lets time pass, tick by tick, as the World does.
func (w *world) until(t time.Duration) {
	for {
		at, ok := w.c.Next()
		if !ok || at > t {
			break
		}
		w.now = max(w.now, at)
		w.c.Tick(w.now)
	}
	w.now = t
}

func words(fields []string) (map[string]string, []string) {
	named, rest := map[string]string{}, []string(nil)
	for _, f := range fields {
		if k, v, ok := strings.Cut(f, "="); ok {
			named[k] = v
		} else {
			rest = append(rest, f)
		}
	}
	return named, rest
}

func (w *world) client(name string) *client {
	if w.clients[name] == nil {
		w.clients[name] = &client{name: name, generation: -1}
	}
	return w.clients[name]
}

func number(s string, otherwise int) int {
	if n, err := strconv.Atoi(s); err == nil {
		return n
	}
	return otherwise
}

func duration(s string, otherwise time.Duration) int32 {
	if d, err := time.ParseDuration(s); err == nil {
		otherwise = d
	}
	return int32(otherwise / time.Millisecond)
}

func (w *world) do(line string) {
	fields := strings.Fields(line)
	at, err := time.ParseDuration(fields[0])
	if err != nil || len(fields) < 3 || fields[1] != ">" {
		w.t.Fatalf("line %q: want TIME > WHO WHAT", line)
	}
	w.until(at)
	w.out = append(w.out, fmt.Sprintf("%v > %s", at, strings.Join(fields[2:], " ")))
	who, args := fields[2], fields[3:]
	if who == "storage" {
		w.storage(args)
		return
	}
	cl := w.client(who)
	verb := args[0]
	opt, rest := words(args[1:])
	id, generation := cl.id, cl.generation
	if v, ok := opt["id"]; ok {
		id = v
		if v == "none" {
			id = ""
		} else if strings.HasPrefix(v, "of:") {
			id = w.client(v[3:]).id
		}
	}
	generation = int32(number(opt["gen"], int(generation)))
	var instance *string
	if v, ok := opt["instance"]; ok {
		instance = &v
	}
	group := "g"
	if v, ok := opt["group"]; ok {
		group = v
	}
	request := func(req kmsg.Request, version int, show func(kmsg.Response)) {
		version = number(opt["v"], version)
		req.SetVersion(int16(version))
		// Over the wire and back, so that only what the version carries counts.
		over := kmsg.RequestForKey(req.Key())
		over.SetVersion(int16(version))
		if err := over.ReadFrom(req.AppendTo(nil)); err != nil {
			w.t.Fatalf("line %q: %v", line, err)
		}
		w.c.Handle(w.now, core.ClientConn{ID: 1, ClientID: who, ClientHost: "/127.0.0.1"}, over, func(r kmsg.Response) {
			resp := kmsg.ResponseForKey(req.Key())
			resp.SetVersion(int16(version))
			if err := resp.ReadFrom(r.AppendTo(nil)); err != nil {
				w.t.Fatalf("line %q: answer: %v", line, err)
			}
			show(resp)
		})
	}
	switch verb {
	case "join":
		req := kmsg.NewPtrJoinGroupRequest()
		req.Group, req.MemberID, req.InstanceID, req.ProtocolType = group, id, instance, "consumer"
		if v, ok := opt["type"]; ok {
			req.ProtocolType = v
		}
		req.SessionTimeoutMillis = duration(opt["session"], 10*time.Second)
		req.RebalanceTimeoutMillis = duration(opt["rebalance"], 60*time.Second)
		protocols := "range"
		if v, ok := opt["protocols"]; ok {
			protocols = v
		}
		for _, name := range strings.Split(protocols, ",") {
			meta := kmsg.NewConsumerMemberMetadata()
			meta.Topics = []string{"t"}
			if v, ok := opt["topics"]; ok {
				meta.Topics = strings.Split(v, ",")
			}
			req.Protocols = append(req.Protocols, kmsg.JoinGroupRequestProtocol{Name: name, Metadata: meta.AppendTo(nil)})
		}
		request(req, 5, func(r kmsg.Response) {
			resp := r.(*kmsg.JoinGroupResponse)
			if resp.ErrorCode != 0 {
				if resp.ErrorCode == errMemberIDRequired {
					cl.id = resp.MemberID
				}
				w.say("%s join %s", who, codeName(resp.ErrorCode))
				return
			}
			cl.id, cl.generation = resp.MemberID, resp.Generation
			s := fmt.Sprintf("%s join ok gen=%d %s leader=%s", who, resp.Generation, *resp.Protocol, nick(resp.LeaderID))
			if resp.LeaderID == resp.MemberID {
				var names []string
				for _, m := range resp.Members {
					names = append(names, nick(m.MemberID))
				}
				s += " members=" + strings.Join(names, ",")
			}
			if resp.SkipAssignment {
				s += " skip"
			}
			w.say("%s", s)
		})
	case "sync":
		req := kmsg.NewPtrSyncGroupRequest()
		req.Group, req.MemberID, req.Generation, req.InstanceID = group, id, generation, instance
		if v, ok := opt["protocol"]; ok {
			req.Protocol = &v
		}
		for _, a := range rest {
			name, what, _ := strings.Cut(a, ":")
			req.GroupAssignment = append(req.GroupAssignment, kmsg.SyncGroupRequestGroupAssignment{
				MemberID: w.client(name).id, MemberAssignment: []byte(what)})
		}
		request(req, 5, func(r kmsg.Response) {
			resp := r.(*kmsg.SyncGroupResponse)
			s := fmt.Sprintf("%s sync %s", who, codeName(resp.ErrorCode))
			if len(resp.MemberAssignment) > 0 {
				s += " " + string(resp.MemberAssignment)
			}
			w.say("%s", s)
		})
	case "beat":
		req := kmsg.NewPtrHeartbeatRequest()
		req.Group, req.MemberID, req.Generation, req.InstanceID = group, id, generation, instance
		request(req, 4, func(r kmsg.Response) { w.say("%s beat %s", who, codeName(r.(*kmsg.HeartbeatResponse).ErrorCode)) })
	case "leave":
		req := kmsg.NewPtrLeaveGroupRequest()
		req.Group, req.MemberID = group, id
		req.Members = []kmsg.LeaveGroupRequestMember{{MemberID: id, InstanceID: instance}}
		for _, name := range rest {
			req.Members = append(req.Members, kmsg.LeaveGroupRequestMember{MemberID: w.client(name).id})
		}
		request(req, 4, func(r kmsg.Response) {
			resp := r.(*kmsg.LeaveGroupResponse)
			s := fmt.Sprintf("%s leave %s", who, codeName(resp.ErrorCode))
			for _, m := range resp.Members {
				s += " " + codeName(m.ErrorCode)
			}
			w.say("%s", s)
		})
	case "commit":
		req := kmsg.NewPtrOffsetCommitRequest()
		req.Group, req.MemberID, req.Generation, req.InstanceID = group, id, generation, instance
		req.RetentionTimeMillis = -1
		if v, ok := opt["retention"]; ok {
			req.RetentionTimeMillis = int64(duration(v, 0))
		}
		for _, a := range rest {
			name, at, _ := strings.Cut(a, ":")
			topic, p, _ := strings.Cut(name, "/")
			rp := kmsg.NewOffsetCommitRequestTopicPartition()
			rp.Partition, rp.Offset, rp.LeaderEpoch = int32(number(p, 0)), int64(number(at, 0)), 7
			meta := strings.Repeat("m", number(opt["metadata"], 1))
			rp.Metadata = &meta
			req.Topics = append(req.Topics, kmsg.OffsetCommitRequestTopic{Topic: topic, Partitions: []kmsg.OffsetCommitRequestTopicPartition{rp}})
		}
		request(req, 8, func(r kmsg.Response) {
			s := who + " commit"
			for _, t := range r.(*kmsg.OffsetCommitResponse).Topics {
				for _, p := range t.Partitions {
					s += fmt.Sprintf(" %s/%d:%s", t.Topic, p.Partition, codeName(p.ErrorCode))
				}
			}
			w.say("%s", s)
		})
	case "txn": // a commit in a transaction; pid=N names the producer
		req := kmsg.NewPtrTxnOffsetCommitRequest()
		req.TransactionalID, req.Group, req.MemberID, req.Generation, req.InstanceID = "x", group, id, generation, instance
		req.ProducerID = int64(number(opt["pid"], 1))
		for _, a := range rest {
			name, at, _ := strings.Cut(a, ":")
			topic, p, _ := strings.Cut(name, "/")
			rp := kmsg.NewTxnOffsetCommitRequestTopicPartition()
			rp.Partition, rp.Offset, rp.LeaderEpoch = int32(number(p, 0)), int64(number(at, 0)), 7
			req.Topics = append(req.Topics, kmsg.TxnOffsetCommitRequestTopic{Topic: topic, Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{rp}})
		}
		request(req, 3, func(r kmsg.Response) {
			s := who + " txn"
			for _, t := range r.(*kmsg.TxnOffsetCommitResponse).Topics {
				for _, p := range t.Partitions {
					s += fmt.Sprintf(" %s/%d:%s", t.Topic, p.Partition, codeName(p.ErrorCode))
				}
			}
			w.say("%s", s)
		})
	case "fetch":
		w.fetch(who, group, number(opt["v"], 8), opt["stable"] != "", rest, request)
	case "describe":
		req := kmsg.NewPtrDescribeGroupsRequest()
		req.Groups = []string{group}
		request(req, 5, func(r kmsg.Response) {
			g := r.(*kmsg.DescribeGroupsResponse).Groups[0]
			s := fmt.Sprintf("%s describe %s %s type=%s protocol=%s", who, codeName(g.ErrorCode), cmp.Or(g.State, "-"), g.ProtocolType, g.Protocol)
			for _, m := range g.Members {
				s += fmt.Sprintf(" %s:%s", nick(m.MemberID), m.MemberAssignment)
			}
			w.say("%s", s)
		})
	case "list":
		req := kmsg.NewPtrListGroupsRequest()
		req.StatesFilter = rest
		request(req, 4, func(r kmsg.Response) {
			s := who + " list"
			for _, g := range r.(*kmsg.ListGroupsResponse).Groups {
				s += fmt.Sprintf(" %s:%s", g.Group, g.GroupState)
			}
			w.say("%s", s)
		})
	case "delete":
		req := kmsg.NewPtrDeleteGroupsRequest()
		req.Groups = rest
		request(req, 2, func(r kmsg.Response) {
			s := who + " delete"
			for _, g := range r.(*kmsg.DeleteGroupsResponse).Groups {
				s += fmt.Sprintf(" %s:%s", g.Group, codeName(g.ErrorCode))
			}
			w.say("%s", s)
		})
	case "forget":
		req := kmsg.NewPtrOffsetDeleteRequest()
		req.Group = group
		for _, a := range rest {
			topic, p, _ := strings.Cut(a, "/")
			req.Topics = append(req.Topics, kmsg.OffsetDeleteRequestTopic{Topic: topic,
				Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{Partition: int32(number(p, 0))}}})
		}
		request(req, 0, func(r kmsg.Response) {
			resp := r.(*kmsg.OffsetDeleteResponse)
			s := fmt.Sprintf("%s forget %s", who, codeName(resp.ErrorCode))
			for _, t := range resp.Topics {
				for _, p := range t.Partitions {
					s += fmt.Sprintf(" %s/%d:%s", t.Topic, p.Partition, codeName(p.ErrorCode))
				}
			}
			w.say("%s", s)
		})
	default:
		w.t.Fatalf("line %q: no verb %q", line, verb)
	}
}

func (w *world) fetch(who, group string, version int, stable bool, rest []string, request func(kmsg.Request, int, func(kmsg.Response))) {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group, req.RequireStable = group, stable
	rg := kmsg.NewOffsetFetchRequestGroup()
	rg.Group = group
	for _, a := range rest {
		topic, p, _ := strings.Cut(a, "/")
		req.Topics = append(req.Topics, kmsg.OffsetFetchRequestTopic{Topic: topic, Partitions: []int32{int32(number(p, 0))}})
		rg.Topics = append(rg.Topics, kmsg.OffsetFetchRequestGroupTopic{Topic: topic, Partitions: []int32{int32(number(p, 0))}})
	}
	req.Groups = []kmsg.OffsetFetchRequestGroup{rg}
	request(req, version, func(r kmsg.Response) {
		resp := r.(*kmsg.OffsetFetchResponse)
		s := who + " fetch"
		if version >= 8 {
			s += " " + codeName(resp.Groups[0].ErrorCode)
			for _, t := range resp.Groups[0].Topics {
				for _, p := range t.Partitions {
					if p.ErrorCode != 0 {
						s += fmt.Sprintf(" %s/%d:%s", t.Topic, p.Partition, codeName(p.ErrorCode))
						continue
					}
					s += fmt.Sprintf(" %s/%d:%d@%d", t.Topic, p.Partition, p.Offset, p.LeaderEpoch)
				}
			}
		} else {
			s += " " + codeName(resp.ErrorCode)
			for _, t := range resp.Topics {
				for _, p := range t.Partitions {
					s += fmt.Sprintf(" %s/%d:%d", t.Topic, p.Partition, p.Offset)
				}
			}
		}
		w.say("%s", s)
	})
}

// storage changes what becomes of appends, or moves the partition about.
func (w *world) storage(args []string) {
	switch args[0] {
	case "hold":
		w.hold = true
	case "release":
		w.hold = false
		held := w.held
		w.held = nil
		for _, f := range held {
			f()
		}
	case "fail":
		w.fail = int16(number(args[1], 0))
	case "unload":
		w.c.Unload(w.now, 0)
	case "load":
		w.c.Load(w.now, 0, slices.Clone(w.log))
	case "commit", "abort": // the marker of a producer's transaction
		txn := core.GroupTxn{ProducerID: int64(number(args[1], 0)), End: core.TxnAborted}
		if args[0] == "commit" {
			txn.End = core.TxnCommitted
		}
		w.log = append(w.log, core.GroupRecord{Txn: &txn})
		w.c.EndTxn(w.now, 0, txn)
	case "crash": // another broker takes over what was committed
		w.start()
		w.held = nil
		w.c.Load(w.now, 0, slices.Clone(w.log))
	default:
		w.t.Fatalf("storage %q: want hold, release, fail, unload, load, commit, abort or crash", args[0])
	}
}

// play carries out a transcript and compares all of it.
func play(t *testing.T, config map[string]string, transcript string) {
	t.Helper()
	w := newWorld(t, config)
	var want []string
	var last time.Duration
	for _, line := range strings.Split(transcript, "\n") {
		line = strings.TrimSpace(strings.Split(line, "#")[0])
		if line == "" {
			continue
		}
		fields := strings.Fields(line)
		at, err := time.ParseDuration(fields[0])
		if err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		last = max(last, at)
		want = append(want, fmt.Sprintf("%v %s", at, strings.Join(fields[1:], " ")))
		if fields[1] == ">" {
			w.do(line)
		}
	}
	w.until(last)
	for i := 0; i < max(len(want), len(w.out)); i++ {
		var g, x string
		if i < len(w.out) {
			g = w.out[i]
		}
		if i < len(want) {
			x = want[i]
		}
		if g != x {
			t.Fatalf("line %d: got %q, want %q\nwhole transcript:\n%s", i+1, g, x, strings.Join(w.out, "\n"))
		}
	}
}
