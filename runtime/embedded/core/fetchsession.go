package core

// This file defines the fetch sessions of clients (KIP-227): a client names its
// partitions once, then only what changes, and is answered only about partitions that
// have something to tell.

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// The epochs of a fetch request that are none of a session.
const (
	fetchFinal   = -1 // no session, or end the one that is named
	fetchInitial = 0  // all partitions are named; a new session is wanted
)

// fetchSessions are the sessions of one broker's process.
//
//	session id  epoch    answer
//	0           -1       everything that is named, no session
//	0           0        everything that is named; a session, if there is room
//	known       -1       as above, and the session ends
//	known       0        as above; a new session replaces it
//	known       next     the news of the session's partitions
//	known       other    INVALID_FETCH_SESSION_EPOCH
//	unknown     over 0   FETCH_SESSION_ID_NOT_FOUND
//
// A session whose last partition is forgotten ends. There is room for
// max.incremental.fetch.session.cache.slots; then a new one takes the place of one that
// was not used for sessionEvictAfter, or of a smaller one that is older than that.
type fetchSessions struct {
	b    *broker
	byID map[int32]*fetchSession
	// order is by last use, the latest last.
	order []*fetchSession
}

// sessionEvictAfter is how long a session is safe (FetchSession.MinIncrementalFetchSessionEvictionMs).
const sessionEvictAfter = 2 * time.Minute

type fetchSession struct {
	id      int32 // 0 until it has been answered
	epoch   int32 // what the next request must carry
	byName  bool  // version 12 or below: topics by name
	created time.Duration
	used    time.Duration
	topics  []kmsg.FetchRequestTopic
	told    [][]toldPartition // beside topics
}

// toldPartition is what the client knows of a partition by the last answer.
type toldPartition struct{ hw, start int64 }

func (s *fetchSession) size() int {
	n := 0
	for i := range s.topics {
		n += len(s.topics[i].Partitions)
	}
	return n
}

// begin finds the session of a request, and the request as it would be without sessions.
func (c *fetchSessions) begin(req *kmsg.FetchRequest) (*kmsg.FetchRequest, *fetchSession, int16) {
	if req.GetVersion() < 7 {
		return req, nil, 0
	}
	old := c.byID[req.SessionID]
	if req.SessionEpoch == fetchInitial || req.SessionEpoch == fetchFinal {
		if old != nil {
			c.end(old)
		}
		if req.SessionEpoch == fetchFinal || len(req.Topics) == 0 {
			return req, nil, 0
		}
		return req, newFetchSession(c.b.n.w.now, req), 0
	}
	switch {
	case old == nil:
		return nil, nil, codeFetchSessionIDNotFound
	case old.epoch != req.SessionEpoch:
		return nil, nil, codeInvalidFetchSessionEpoch
	case old.byName != (req.GetVersion() < 13):
		return nil, nil, codeFetchSessionTopicID
	}
	old.update(req)
	whole := *req
	whole.Topics = old.topics
	if len(old.topics) == 0 {
		c.end(old)
		return &whole, nil, 0
	}
	c.touch(old)
	old.epoch = nextFetchEpoch(old.epoch)
	return &whole, old, 0
}

// nextFetchEpoch wraps to 1: 0 begins a session.
func nextFetchEpoch(epoch int32) int32 {
	if epoch == 1<<31-1 {
		return 1
	}
	return epoch + 1
}

func newFetchSession(now time.Duration, req *kmsg.FetchRequest) *fetchSession {
	s := &fetchSession{epoch: 1, byName: req.GetVersion() < 13, created: now}
	s.update(req)
	return s
}

// update takes over what a request names and forgets. Slices are made anew: an earlier
// request on the same session may still be parked.
func (s *fetchSession) update(req *kmsg.FetchRequest) {
	if len(req.Topics) == 0 && len(req.ForgottenTopics) == 0 {
		return
	}
	s.topics = slices.Clone(s.topics)
	for i := range s.topics {
		s.topics[i].Partitions = slices.Clone(s.topics[i].Partitions)
	}
	find := func(name string, id topicID) int {
		return slices.IndexFunc(s.topics, func(t kmsg.FetchRequestTopic) bool { return t.Topic == name && t.TopicID == id })
	}
	for _, t := range req.Topics {
		i := find(t.Topic, t.TopicID)
		if i < 0 {
			i = len(s.topics)
			nt := kmsg.NewFetchRequestTopic()
			nt.Topic, nt.TopicID = t.Topic, t.TopicID
			s.topics, s.told = append(s.topics, nt), append(s.told, nil)
		}
		have := map[int32]int{}
		for j := range s.topics[i].Partitions {
			have[s.topics[i].Partitions[j].Partition] = j
		}
		for _, p := range t.Partitions {
			if j, ok := have[p.Partition]; ok {
				s.topics[i].Partitions[j] = p
				continue
			}
			have[p.Partition] = len(s.topics[i].Partitions)
			s.topics[i].Partitions = append(s.topics[i].Partitions, p)
			s.told[i] = append(s.told[i], toldPartition{-1, -1})
		}
	}
	for _, t := range req.ForgottenTopics {
		i := find(t.Topic, t.TopicID)
		if i < 0 {
			continue
		}
		for _, id := range t.Partitions {
			j := slices.IndexFunc(s.topics[i].Partitions, func(p kmsg.FetchRequestTopicPartition) bool { return p.Partition == id })
			if j >= 0 {
				s.topics[i].Partitions = slices.Delete(s.topics[i].Partitions, j, j+1)
				s.told[i] = slices.Delete(s.told[i], j, j+1)
			}
		}
		if len(s.topics[i].Partitions) == 0 {
			s.topics, s.told = slices.Delete(s.topics, i, i+1), slices.Delete(s.told, i, i+1)
		}
	}
}

// answered turns the answer about all partitions into what the session's client is told.
// asked is what the answer was made for.
func (c *fetchSessions) answered(s *fetchSession, asked *kmsg.FetchRequest, resp *kmsg.FetchResponse) {
	if s.id == 0 {
		if !c.admit(s) {
			return // no room: an answer with id 0 says so
		}
		for i := range resp.Topics {
			for j := range resp.Topics[i].Partitions {
				p := &resp.Topics[i].Partitions[j]
				s.told[i][j] = toldPartition{p.HighWatermark, p.LogStartOffset}
			}
		}
		resp.SessionID = s.id
		return
	}
	if nextFetchEpoch(asked.SessionEpoch) != s.epoch || c.byID[s.id] != s {
		// Another request has moved the session on while this one was parked.
		resp.ErrorCode, resp.Topics, resp.Brokers = codeInvalidFetchSessionEpoch, nil, nil
		return
	}
	resp.SessionID = s.id
	var topics []kmsg.FetchResponseTopic
	var later []int // topics with data, which go behind the others for the next answer
	for i := range resp.Topics {
		t := &resp.Topics[i]
		out := *t
		out.Partitions = nil
		var served []int
		for j := range t.Partitions {
			p := &t.Partitions[j]
			told := &s.told[i][j]
			news := len(p.RecordBatches) > 0 || p.ErrorCode != 0 || p.DivergingEpoch.Epoch >= 0 ||
				told.hw != p.HighWatermark || told.start != p.LogStartOffset
			if !news {
				continue
			}
			*told = toldPartition{p.HighWatermark, p.LogStartOffset}
			if p.ErrorCode != 0 {
				told.hw = -1 // so that the end of the error is news
			}
			if len(p.RecordBatches) > 0 {
				served = append(served, j)
			}
			out.Partitions = append(out.Partitions, *p)
		}
		if len(out.Partitions) > 0 {
			topics = append(topics, out)
		}
		if len(served) > 0 {
			s.topics[i].Partitions = moveLast(s.topics[i].Partitions, served)
			s.told[i] = moveLast(s.told[i], served)
			later = append(later, i)
		}
	}
	resp.Topics = topics
	if len(later) > 0 && len(later) < len(s.topics) {
		s.topics, s.told = moveLast(s.topics, later), moveLast(s.told, later)
	}
}

// moveLast gives a copy with the elements at some indexes, in order, behind the others, so
// that what got no room in one answer is first in the next.
func moveLast[T any](list []T, indexes []int) []T {
	out := make([]T, 0, len(list))
	next := 0
	for i := range list {
		if next < len(indexes) && indexes[next] == i {
			next++
			continue
		}
		out = append(out, list[i])
	}
	for _, i := range indexes {
		out = append(out, list[i])
	}
	return out
}

// admit gives a new session an id, if there is room for it.
func (c *fetchSessions) admit(s *fetchSession) bool {
	slots := int(c.b.n.cfg.long("max.incremental.fetch.session.cache.slots"))
	if len(c.order) >= slots && !c.evict(s) {
		return false
	}
	for s.id == 0 || c.byID[s.id] != nil {
		s.id = c.b.n.w.rng.Int32N(1<<31-1) + 1
	}
	s.created, s.used = c.b.n.w.now, c.b.n.w.now
	c.byID[s.id] = s
	c.order = append(c.order, s)
	return true
}

func (c *fetchSessions) evict(s *fetchSession) bool {
	if len(c.order) == 0 {
		return false
	}
	now := c.b.n.w.now
	if oldest := c.order[0]; now-oldest.used > sessionEvictAfter {
		c.end(oldest)
		return true
	}
	var smallest *fetchSession
	for _, o := range c.order {
		if now-o.created > sessionEvictAfter && (smallest == nil || o.size() < smallest.size()) {
			smallest = o
		}
	}
	if smallest == nil || smallest.size() >= s.size() {
		return false
	}
	c.end(smallest)
	return true
}

func (c *fetchSessions) touch(s *fetchSession) {
	s.used = c.b.n.w.now
	if last := len(c.order) - 1; c.order[last] != s {
		i := slices.Index(c.order, s)
		c.order = append(slices.Delete(c.order, i, i+1), s)
	}
}

func (c *fetchSessions) end(s *fetchSession) {
	delete(c.byID, s.id)
	if i := slices.Index(c.order, s); i >= 0 {
		c.order = slices.Delete(c.order, i, i+1)
	}
}
