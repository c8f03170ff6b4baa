package wire

// This file defines scenario time and how durations cross the boundary between
// the clients' time and the core's.

import (
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// clock maps the wall clock to scenario time: since base, times speed.
type clock struct {
	base  time.Time
	speed float64
}

func (c clock) now() time.Duration { return c.scenario(time.Since(c.base)) }

func (c clock) scenario(wall time.Duration) time.Duration {
	return time.Duration(float64(wall) * c.speed)
}

func (c clock) wall(scenario time.Duration) time.Duration {
	return time.Duration(float64(scenario) / c.speed)
}

// A client that runs against a cluster at speed 10 has had its own durations
// divided by 10: a session timeout of 10 s is 1,000 ms on the wire. The core
// thinks in scenario time only, so lengths of time are multiplied by the speed
// where a request comes in and divided where an answer goes out. That is all
// there is to it: nothing else on the wire is a length of time. (Configs are
// texts in scenario time both ways; timestamps of records are the client's.)

// inward puts the lengths of time in a request into scenario time.
func inward(req kmsg.Request, speed float64) {
	if speed == 1 {
		return
	}
	if get, ok := req.(kmsg.TimeoutRequest); ok {
		if set, ok := req.(kmsg.SetTimeoutRequest); ok {
			set.SetTimeout(scale(get.Timeout(), speed))
		}
	}
	switch req := req.(type) {
	case *kmsg.FetchRequest:
		req.MaxWaitMillis = scale(req.MaxWaitMillis, speed)
	case *kmsg.JoinGroupRequest:
		req.SessionTimeoutMillis = scale(req.SessionTimeoutMillis, speed)
		req.RebalanceTimeoutMillis = scale(req.RebalanceTimeoutMillis, speed)
	case *kmsg.OffsetCommitRequest:
		if req.RetentionTimeMillis > 0 {
			req.RetentionTimeMillis = int64(float64(req.RetentionTimeMillis) * speed)
		}
	case *kmsg.InitProducerIDRequest:
		req.TransactionTimeoutMillis = scale(req.TransactionTimeoutMillis, speed)
	case *kmsg.ListTransactionsRequest:
		if req.DurationFilterMillis > 0 {
			req.DurationFilterMillis = int64(float64(req.DurationFilterMillis) * speed)
		}
	}
}

// outward puts the lengths of time in an answer into the client's time.
func outward(resp kmsg.Response, speed float64) {
	if speed == 1 {
		return
	}
	if resp, ok := resp.(*kmsg.DescribeTransactionsResponse); ok {
		for i := range resp.TransactionStates {
			t := &resp.TransactionStates[i]
			t.TimeoutMillis = scale(t.TimeoutMillis, 1/speed)
		}
	}
	get, ok := resp.(kmsg.ThrottleResponse)
	if !ok {
		return
	}
	if set, ok := resp.(kmsg.SetThrottleResponse); ok {
		if ms, _ := get.Throttle(); ms > 0 {
			set.SetThrottle(max(1, scale(ms, 1/speed)))
		}
	}
}

// scale multiplies milliseconds; 0 and negative numbers are not lengths and
// stay, and what does not fit any more is the longest length there is.
func scale(ms int32, by float64) int32 {
	if ms <= 0 {
		return ms
	}
	return int32(min(math.Round(float64(ms)*by), math.MaxInt32))
}
