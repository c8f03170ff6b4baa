package group

// This file defines a test over random conversations: whatever clients do, each request
// is answered exactly once, generations only grow, and nothing of a group is left when
// its partition goes.

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"starfall/runtime/embedded/core"
)

func TestRandomConversations(t *testing.T) {
	for seed := range uint64(300) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { converse(t, seed) })
	}
}

func converse(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 7))
	// No expiry: a group that is forgotten begins at generation 1 again.
	w := newWorld(t, map[string]string{"group.max.size": "4", "offsets.retention.check.interval.ms": "36000000"})
	type talker struct {
		id, instance string
		generation   int32
		waiting      bool
	}
	talkers := make([]*talker, 6)
	for i := range talkers {
		talkers[i] = &talker{generation: -1}
		if i%3 == 0 {
			talkers[i].instance = fmt.Sprint("i", i%2)
		}
	}
	answers := map[int]int{} // by number of request
	asked := 0
	highest := int32(0)
	ask := func(tk *talker, req kmsg.Request, then func(kmsg.Response)) {
		n := asked
		asked++
		answers[n] = 0
		w.c.Handle(w.now, core.ClientConn{ClientID: "c"}, req, func(r kmsg.Response) {
			answers[n]++
			if answers[n] > 1 {
				t.Fatalf("request %d, %T: answered %d times", n, req, answers[n])
			}
			if then != nil {
				then(r)
			}
		})
	}
	instance := func(tk *talker) *string {
		if tk.instance == "" {
			return nil
		}
		return &tk.instance
	}
	for range 400 {
		w.until(w.now + time.Duration(rng.Int64N(int64(4*time.Second))))
		tk := talkers[rng.IntN(len(talkers))]
		switch rng.IntN(12) {
		case 0, 1, 2, 3:
			if tk.waiting {
				continue
			}
			req := kmsg.NewPtrJoinGroupRequest()
			req.Version, req.Group, req.MemberID, req.InstanceID, req.ProtocolType = int16(rng.IntN(10)), "g", tk.id, instance(tk), "consumer"
			req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 6_000, 12_000
			meta := kmsg.NewConsumerMemberMetadata()
			meta.Topics = []string{fmt.Sprint("t", rng.IntN(2))}
			req.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: meta.AppendTo(nil)}}
			tk.waiting = true
			ask(tk, req, func(r kmsg.Response) {
				resp := r.(*kmsg.JoinGroupResponse)
				tk.waiting = false
				switch resp.ErrorCode {
				case errNone:
					tk.id, tk.generation = resp.MemberID, resp.Generation
					if resp.Generation < highest {
						t.Fatalf("generation: got %d after %d", resp.Generation, highest)
					}
					highest = resp.Generation
				case errMemberIDRequired:
					tk.id = resp.MemberID
				default:
					tk.id = ""
				}
			})
		case 4, 5, 6:
			if tk.waiting {
				continue
			}
			req := kmsg.NewPtrSyncGroupRequest()
			req.Version, req.Group, req.MemberID, req.Generation, req.InstanceID = 5, "g", tk.id, tk.generation, instance(tk)
			tk.waiting = true
			ask(tk, req, func(kmsg.Response) { tk.waiting = false })
		case 7, 8:
			req := kmsg.NewPtrHeartbeatRequest()
			req.Version, req.Group, req.MemberID, req.Generation, req.InstanceID = 4, "g", tk.id, tk.generation, instance(tk)
			ask(tk, req, nil)
		case 9:
			req := kmsg.NewPtrOffsetCommitRequest()
			req.Version, req.Group, req.MemberID, req.Generation = 8, "g", tk.id, tk.generation
			req.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: "t0", Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Offset: int64(asked)}}}}
			ask(tk, req, nil)
		case 10:
			req := kmsg.NewPtrLeaveGroupRequest()
			req.Version, req.Group = 3, "g"
			req.Members = []kmsg.LeaveGroupRequestMember{{MemberID: tk.id, InstanceID: instance(tk)}}
			ask(tk, req, nil)
		case 11:
			switch rng.IntN(4) {
			case 0:
				w.storage([]string{"hold"})
			case 1:
				w.storage([]string{"release"})
			case 2:
				w.storage([]string{"fail", fmt.Sprint([]int{6, 7, 20}[rng.IntN(3)])})
			case 3:
				w.storage([]string{"fail", "0"})
			}
		}
		check(t, w.c.groups["g"])
	}
	w.storage([]string{"release"})
	w.storage([]string{"unload"})
	for n, count := range answers {
		if count != 1 {
			t.Errorf("request %d: got %d answers, want 1", n, count)
		}
	}
	if at, ok := w.c.Next(); ok {
		t.Errorf("after unloading: a timer is left at %v", at)
	}
}

// check looks at what must be true of a group at any time.
func check(t *testing.T, g *group) {
	t.Helper()
	if g == nil {
		return
	}
	if len(g.order) != len(g.members) {
		t.Fatalf("members: got %d in order %v, want %d", len(g.order), g.order, len(g.members))
	}
	for id, m := range g.members {
		switch {
		case m.id != id || !slices.Contains(g.order, id):
			t.Fatalf("member %s: filed as %s", m.id, id)
		case m.static() && g.static[m.instance] != id:
			t.Fatalf("instance %s: got member %s, want %s", m.instance, g.static[m.instance], id)
		case m.join != nil && g.state != preparingRebalance && g.state != stable:
			t.Fatalf("member %s: waits to join in %s", id, g.state)
		case m.sync != nil && g.state != completingRebalance:
			t.Fatalf("member %s: waits to sync in %s", id, g.state)
		}
	}
	switch {
	case (g.state == empty) != (len(g.members) == 0) && g.state != preparingRebalance:
		t.Fatalf("state: got %s with %d members", g.state, len(g.members))
	case len(g.members) > 0 && g.members[g.leader] == nil:
		t.Fatalf("leader: got %s, not a member", g.leader)
	case g.state == preparingRebalance && (g.joinTimer == nil || g.joinTimer.index < 0):
		t.Fatal("PreparingRebalance without an end")
	}
}
