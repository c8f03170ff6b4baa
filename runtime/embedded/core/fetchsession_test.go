package core

// This file tests fetch sessions (KIP-227).

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// sessionClient sends fetches as a client with one session does.
type sessionClient struct {
	t    *testing.T
	w    *World
	max  int32 // of an answer
	part int32 // of a partition
}

// fetch names partitions of topic t with their offsets and forgets others.
func (c sessionClient) fetch(id, epoch int32, offsets map[int32]int64, forget ...int32) *kmsg.FetchResponse {
	c.t.Helper()
	req := kmsg.NewPtrFetchRequest()
	req.SetVersion(12)
	req.MaxBytes, req.SessionID, req.SessionEpoch = c.max, id, epoch
	rt := kmsg.NewFetchRequestTopic()
	rt.Topic = "t"
	var ids []int32
	for p := range offsets {
		ids = append(ids, p)
	}
	slices.Sort(ids)
	for _, p := range ids {
		rp := kmsg.NewFetchRequestTopicPartition()
		rp.Partition, rp.FetchOffset, rp.PartitionMaxBytes, rp.CurrentLeaderEpoch, rp.LastFetchedEpoch = p, offsets[p], c.part, -1, -1
		rt.Partitions = append(rt.Partitions, rp)
	}
	if len(ids) > 0 {
		req.Topics = append(req.Topics, rt)
	}
	if len(forget) > 0 {
		ft := kmsg.NewFetchRequestForgottenTopic()
		ft.Topic, ft.Partitions = "t", forget
		req.ForgottenTopics = append(req.ForgottenTopics, ft)
	}
	return ask(c.t, c.w, 1, req).(*kmsg.FetchResponse)
}

// told lists the partitions of an answer, those with records marked.
func told(r *kmsg.FetchResponse) string {
	out := ""
	for _, t := range r.Topics {
		for _, p := range t.Partitions {
			mark := ""
			if len(p.RecordBatches) > 0 {
				mark = "*"
			}
			if p.ErrorCode != 0 {
				mark = fmt.Sprintf("!%d", p.ErrorCode)
			}
			out += fmt.Sprintf("%d%s ", p.Partition, mark)
		}
	}
	return out
}

func sessionBed(t *testing.T, config map[string]string) (*World, sessionClient) {
	w := newWorld(t, Options{Brokers: 1, Config: config})
	settle(t, w)
	createTopic(t, w, 1, "t", 3, 1, nil, nil)
	return w, sessionClient{t, w, 1 << 20, 1 << 20}
}

func put(t *testing.T, w *World, partition int32) {
	t.Helper()
	r := ask(t, w, 1, produceRequest("t", partition, 1, makeBatch(0, 1, 100, -1, -1, -1))).(*kmsg.ProduceResponse)
	if code := r.Topics[0].Partitions[0].ErrorCode; code != 0 {
		t.Fatalf("produce: got error %d", code)
	}
}

func TestFetchSession(t *testing.T) {
	w, c := sessionBed(t, nil)
	put(t, w, 0)
	r := c.fetch(0, 0, map[int32]int64{0: 0, 1: 0, 2: 0})
	id := r.SessionID
	if id == 0 || told(r) != "0* 1 2 " {
		t.Fatalf("first: got session %d and %q, want one and all partitions", id, told(r))
	}
	check := func(what string, r *kmsg.FetchResponse, code int16, want string) {
		t.Helper()
		if r.ErrorCode != code || told(r) != want || code == 0 && r.SessionID != id || code != 0 && r.SessionID != 0 {
			t.Errorf("%s: got error %d, session %d, partitions %q, want error %d and %q", what, r.ErrorCode, r.SessionID, told(r), code, want)
		}
	}
	check("what was read is named, the rest has no news", c.fetch(id, 1, map[int32]int64{0: 1}), 0, "")
	put(t, w, 2)
	check("a record in a partition that is not named", c.fetch(id, 2, nil), 0, "2* ")
	check("again until its offset moves", c.fetch(id, 3, nil), 0, "2* ")
	check("an epoch twice", c.fetch(id, 3, nil), codeInvalidFetchSessionEpoch, "")
	check("the session is still there", c.fetch(id, 4, map[int32]int64{2: 1}), 0, "")
	check("an error is told every time", c.fetch(id, 5, map[int32]int64{1: 9}), 0, "1!1 ")
	check("and again", c.fetch(id, 6, nil), 0, "1!1 ")
	check("and its end too", c.fetch(id, 7, map[int32]int64{1: 0}), 0, "1 ")
	put(t, w, 0)
	check("forgotten", c.fetch(id, 8, nil, 0), 0, "")
	check("nobody's session", c.fetch(id+1, 1, nil), codeFetchSessionIDNotFound, "")
	ids := fetchRequest(0, 0, 1, 1)
	ids.SetVersion(13)
	ids.SessionID, ids.SessionEpoch, ids.Topics = id, 9, nil
	check("by topic id", ask(t, w, 1, ids).(*kmsg.FetchResponse), codeFetchSessionTopicID, "")
	if r := c.fetch(id, 9, nil, 1, 2); r.ErrorCode != 0 || r.SessionID != 0 || told(r) != "" {
		t.Errorf("all forgotten: got error %d session %d, want the end of the session", r.ErrorCode, r.SessionID)
	}
	check("after its end", c.fetch(id, 10, nil), codeFetchSessionIDNotFound, "")
}

func TestFetchSessionEndsWhenAsked(t *testing.T) {
	_, c := sessionBed(t, nil)
	first := c.fetch(0, 0, map[int32]int64{0: 0}).SessionID
	second := c.fetch(first, 0, map[int32]int64{0: 0, 1: 0}).SessionID
	if second == 0 || second == first {
		t.Errorf("got sessions %d and %d, want another one for a full request", first, second)
	}
	if r := c.fetch(first, 1, nil); r.ErrorCode != codeFetchSessionIDNotFound {
		t.Errorf("the replaced session: got error %d, want %d", r.ErrorCode, codeFetchSessionIDNotFound)
	}
	if r := c.fetch(second, -1, map[int32]int64{0: 0}); r.SessionID != 0 || told(r) != "0 " {
		t.Errorf("the final request: got session %d and %q, want none and what is named", r.SessionID, told(r))
	}
	if r := c.fetch(second, 1, nil); r.ErrorCode != codeFetchSessionIDNotFound {
		t.Errorf("after the final request: got error %d, want %d", r.ErrorCode, codeFetchSessionIDNotFound)
	}
}

func TestFetchSessionIsFairWhenAnswersAreSmall(t *testing.T) {
	w, c := sessionBed(t, nil)
	for p := range int32(3) {
		put(t, w, p)
		put(t, w, p)
	}
	c.max = 180 // room for one batch
	r := c.fetch(0, 0, map[int32]int64{0: 0, 1: 0, 2: 0})
	id, epoch := r.SessionID, int32(1)
	served := map[int32]int{}
	for range 6 {
		r := c.fetch(id, epoch, nil)
		epoch++
		for _, p := range r.Topics[0].Partitions {
			if len(p.RecordBatches) > 0 {
				served[p.Partition]++
			}
		}
	}
	if served[0] != 2 || served[1] != 2 || served[2] != 2 {
		t.Errorf("got answers with records by partition %v, want two each", served)
	}
}

func TestFetchSessionsHaveLimitedRoom(t *testing.T) {
	w, c := sessionBed(t, map[string]string{"max.incremental.fetch.session.cache.slots": "2"})
	small := c.fetch(0, 0, map[int32]int64{0: 0}).SessionID
	other := c.fetch(0, 0, map[int32]int64{0: 0, 1: 0}).SessionID
	if id := c.fetch(0, 0, map[int32]int64{0: 0, 1: 0, 2: 0}).SessionID; id != 0 {
		t.Errorf("a third while the others are young: got session %d, want none", id)
	}
	w.Advance(w.Now() + 100*time.Second)
	c.fetch(small, 1, nil)
	c.fetch(other, 1, nil)
	w.Advance(w.Now() + 100*time.Second)
	if id := c.fetch(0, 0, map[int32]int64{2: 0}).SessionID; id != 0 {
		t.Errorf("one that is no larger: got session %d, want none", id)
	}
	if id := c.fetch(0, 0, map[int32]int64{0: 0, 1: 0, 2: 0}).SessionID; id == 0 {
		t.Error("a larger one: got no session, want the smallest old one to go")
	}
	if r := c.fetch(small, 2, nil); r.ErrorCode != codeFetchSessionIDNotFound {
		t.Errorf("the smallest: got error %d, want %d", r.ErrorCode, codeFetchSessionIDNotFound)
	}
	w.Advance(w.Now() + 130*time.Second)
	if id := c.fetch(0, 0, map[int32]int64{2: 0}).SessionID; id == 0 {
		t.Error("after one was not used for long: got no session")
	}
	if r := c.fetch(other, 2, nil); r.ErrorCode != codeFetchSessionIDNotFound {
		t.Errorf("the one that was not used for longest: got error %d, want %d", r.ErrorCode, codeFetchSessionIDNotFound)
	}
	none, _ := sessionBed(t, map[string]string{"max.incremental.fetch.session.cache.slots": "0"})
	if id := (sessionClient{t, none, 1 << 20, 1 << 20}).fetch(0, 0, map[int32]int64{0: 0}).SessionID; id != 0 {
		t.Errorf("without slots: got session %d, want none", id)
	}
}

func TestTwoFetchesOfOneSessionAtOnce(t *testing.T) {
	w, c := sessionBed(t, nil)
	id := c.fetch(0, 0, map[int32]int64{0: 0}).SessionID
	req := fetchRequest(0, 5000, 1, 1<<20)
	req.SessionID, req.SessionEpoch, req.Topics = id, 1, nil
	var late *kmsg.FetchResponse
	w.Request(1, ClientConn{ID: 3}, req, func(r kmsg.Response) { late = r.(*kmsg.FetchResponse) })
	if r := c.fetch(id, 2, nil); r.ErrorCode != 0 {
		t.Fatalf("got error %d", r.ErrorCode)
	}
	put(t, w, 0)
	w.Advance(w.Now() + 10*ms)
	if late == nil || late.ErrorCode != codeInvalidFetchSessionEpoch {
		t.Errorf("got %v, want the parked request answered with error %d", late, codeInvalidFetchSessionEpoch)
	}
}
