package core

// This file defines the throttling of replication (KIP-73): how many bytes a second a
// leader sends, and a follower takes, of partitions that are throttled.

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// throttled is the replicas of one topic that are throttled, from
// leader.replication.throttled.replicas or follower.replication.throttled.replicas.
type throttled struct {
	all   bool
	pairs map[[2]int32]bool // partition and broker
}

// parseThrottled reads "*" or partition:broker pairs.
func parseThrottled(list string) throttled {
	var t throttled
	for _, part := range strings.Split(list, ",") {
		part = strings.TrimSpace(part)
		if part == "*" {
			return throttled{all: true}
		}
		p, b, ok := strings.Cut(part, ":")
		partition, err1 := strconv.ParseInt(p, 10, 32)
		broker, err2 := strconv.ParseInt(b, 10, 32)
		if !ok || err1 != nil || err2 != nil {
			continue // checked when it was set; what is left is the empty list
		}
		if t.pairs == nil {
			t.pairs = map[[2]int32]bool{}
		}
		t.pairs[[2]int32{int32(partition), int32(broker)}] = true
	}
	return t
}

func (t *throttled) has(partition, broker int32) bool {
	return t.all || t.pairs[[2]int32{partition, broker}]
}

// throttledBy: a list, the leaders' or the followers' of the topic, has this replica.
func (r *replica) throttledBy(t *throttled) bool {
	return (t.all || len(t.pairs) > 0) && t.has(r.key.partition, r.b.n.id)
}

// quota measures a rate over replication.quota.window.num windows of
// replication.quota.window.size.seconds, the last of them begun (SimpleRate).
type quota struct {
	window  time.Duration
	windows int
	samples []quotaSample // oldest first
}

type quotaSample struct {
	begin time.Duration
	bytes int64
}

func newQuota(c *nodeConfig) quota {
	return quota{
		window:  time.Duration(c.long("replication.quota.window.size.seconds")) * time.Second,
		windows: int(c.long("replication.quota.window.num")),
	}
}

func (q *quota) expire(now time.Duration) {
	for len(q.samples) > 0 && now-q.samples[0].begin >= q.window*time.Duration(q.windows) {
		q.samples = q.samples[1:]
	}
}

func (q *quota) record(now time.Duration, bytes int) {
	q.expire(now)
	if n := len(q.samples); n == 0 || now-q.samples[n-1].begin >= q.window {
		q.samples = append(q.samples, quotaSample{begin: now})
	}
	q.samples[len(q.samples)-1].bytes += int64(bytes)
}

// exceeded: the rate is above a limit in bytes a second.
func (q *quota) exceeded(now time.Duration, limit int64) bool {
	q.expire(now)
	if len(q.samples) == 0 {
		return false
	}
	total := int64(0)
	for _, s := range q.samples {
		total += s.bytes
	}
	elapsed := max(now-q.samples[0].begin, q.window)
	return float64(total)/elapsed.Seconds() > float64(limit)
}

// The configs of the two rates, in bytes a second.
const (
	leaderRate   = "leader.replication.throttled.rate"
	followerRate = "follower.replication.throttled.rate"
)

func (b *broker) throttleRate(name string) int64 {
	v, _, _ := b.image().brokerConfig(b.n.cfg, b.n.id, name)
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return 1<<63 - 1
	}
	return n
}

// holdsBack: the leader does not send now, because the partition is throttled, the follower
// is not in sync, and too much has been sent.
func (r *replica) holdsBack(f *remote) bool {
	if !r.throttledBy(&r.settings.throttledLeader) || slices.Contains(r.state.ISR, f.id) {
		return false
	}
	return r.b.leaderQuota.exceeded(r.b.n.w.now, r.b.throttleRate(leaderRate))
}

// sent counts what a leader has sent of a throttled partition.
func (r *replica) sent(bytes int) {
	if r.throttledBy(&r.settings.throttledLeader) {
		r.b.leaderQuota.record(r.b.n.w.now, bytes)
	}
}

// taken counts what a follower has got of a throttled partition, and tells whether it is to
// pause: it is not in sync and has got too much.
func (r *replica) taken(batches []*batch) (pause bool) {
	if !r.throttledBy(&r.settings.throttledFollower) {
		return false
	}
	bytes := 0
	for _, b := range batches {
		bytes += b.size()
	}
	r.b.followerQuota.record(r.b.n.w.now, bytes)
	return !slices.Contains(r.state.ISR, r.b.n.id) && r.b.followerQuota.exceeded(r.b.n.w.now, r.b.throttleRate(followerRate))
}
