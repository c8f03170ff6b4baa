package group

// This file defines the tests of the coordinator: transcripts of whole
// conversations. Defaults: session timeout 10 s, rebalance timeout 60 s, protocol
// range, JoinGroup version 5.

import (
	"strings"
	"testing"
	"time"
)

// stableTwo is the start of many transcripts: members a (leader) and b in
// generation 1, stable at 3 s.
const stableTwo = `
	0s > a join
	0s < a join MEMBER_ID_REQUIRED
	0s > a join
	0s > b join v=3
	6s < a join ok gen=1 range leader=a members=a,b
	6s < b join ok gen=1 range leader=a
	6s > b sync
	6s > a sync a:one b:two
	6s < a sync ok one
	6s < b sync ok two
`

func TestTranscripts(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config map[string]string
		text   string
	}{
		{"one member forms a group after the initial delay", nil, `
			0s > a join
			0s < a join MEMBER_ID_REQUIRED
			0s > a join
			3s < a join ok gen=1 range leader=a members=a
			3s > a describe
			3s < a describe ok CompletingRebalance type=consumer protocol= a:
			3s > a sync a:all
			3s < a sync ok all
			3s > a describe
			3s < a describe ok Stable type=consumer protocol=range a:all
			4s > a beat
			4s < a beat ok`},
		{"a join in the initial delay prolongs it", nil, stableTwo},
		{"the initial delay ends at the rebalance timeout", nil, `
			0s > a join v=3 rebalance=7s
			2s > b join v=3 rebalance=7s
			5s > c join v=3 rebalance=7s
			6900ms > d join v=3 rebalance=7s
			7s < a join ok gen=1 range leader=a members=a,b,c,d
			7s < b join ok gen=1 range leader=a
			7s < c join ok gen=1 range leader=a
			7s < d join ok gen=1 range leader=a`},
		{"delay 0", map[string]string{"group.initial.rebalance.delay.ms": "0"}, `
			1s > a join v=3
			1s < a join ok gen=1 range leader=a members=a
			1s > a sync a:all
			1s < a sync ok all`},
		{"a given member id that is not used goes away", nil, stableTwo + `
			7s > c join session=6s
			7s < c join MEMBER_ID_REQUIRED
			8s > a join topics=t,u     # the leader joins anew
			8s > b beat
			8s < b beat REBALANCE_IN_PROGRESS
			8s > b join
			13s < a join ok gen=2 range leader=a members=a,b
			13s < b join ok gen=2 range leader=a
			13s > c join
			13s < c join UNKNOWN_MEMBER_ID`},
		{"a third member rebalances", nil, stableTwo + `
			7s > c join
			7s < c join MEMBER_ID_REQUIRED
			7s > c join
			7s > a describe
			7s < a describe ok PreparingRebalance type=consumer protocol= a: b: c:
			8s > a beat
			8s < a beat REBALANCE_IN_PROGRESS
			8s > a commit t/0:5
			8s < a commit t/0:ok
			8s > a sync
			8s < a sync REBALANCE_IN_PROGRESS
			8s > a join
			8s > b beat
			8s < b beat REBALANCE_IN_PROGRESS
			9s > b join
			9s < a join ok gen=2 range leader=a members=a,b,c
			9s < b join ok gen=2 range leader=a
			9s < c join ok gen=2 range leader=a
			9s > a commit t/0:6
			9s < a commit t/0:REBALANCE_IN_PROGRESS
			9s > b beat
			9s < b beat ok
			9s > c sync
			9s > a sync a:1 b:2 c:3
			9s < a sync ok 1
			9s < c sync ok 3
			9s > b sync
			9s < b sync ok 2
			9s > b beat gen=1
			9s < b beat ILLEGAL_GENERATION
			9s > b commit gen=1 t/0:9
			9s < b commit t/0:ILLEGAL_GENERATION
			9s > b sync gen=1
			9s < b sync ILLEGAL_GENERATION`},
		{"who does not come back in the rebalance timeout is out", nil, stableTwo + `
			7s > a join rebalance=20s topics=x
			10s > b beat
			10s < b beat REBALANCE_IN_PROGRESS
			19s > b beat
			19s < b beat REBALANCE_IN_PROGRESS
			28s > b beat
			28s < b beat REBALANCE_IN_PROGRESS
			37s > b beat
			37s < b beat REBALANCE_IN_PROGRESS
			46s > b beat
			46s < b beat REBALANCE_IN_PROGRESS
			55s > b beat
			55s < b beat REBALANCE_IN_PROGRESS
			64s > b beat
			64s < b beat REBALANCE_IN_PROGRESS
			67s < a join ok gen=2 range leader=a members=a
			67s > b beat
			67s < b beat UNKNOWN_MEMBER_ID`},
		{"a session ends and the others rebalance", nil, stableTwo + `
			15s > a beat
			15s < a beat ok
			15999ms > b describe
			15999ms < b describe ok Stable type=consumer protocol=range a:one b:two
			16s > a beat
			16s < a beat REBALANCE_IN_PROGRESS
			16s > a join
			16s < a join ok gen=2 range leader=a members=a
			16s > b beat
			16s < b beat UNKNOWN_MEMBER_ID`},
		{"heartbeats and commits keep a session", nil, stableTwo + `
			15s > a commit t/0:1
			15s < a commit t/0:ok
			15s > b beat
			15s < b beat ok
			24s > a beat
			24s < a beat ok
			24s > b beat
			24s < b beat ok
			34s > a describe
			34s < a describe ok Empty type=consumer protocol=`},
		{"who joined and never syncs is out after the rebalance timeout", nil, `
			0s > a join v=3 rebalance=6s
			0s > b join v=3 rebalance=6s
			6s < a join ok gen=1 range leader=a members=a,b
			6s < b join ok gen=1 range leader=a
			6s > a sync a:x b:y
			6s < a sync ok x
			10s > b beat
			10s < b beat ok
			11s > a beat
			11s < a beat ok
			12s > b beat
			12s < b beat UNKNOWN_MEMBER_ID
			12s > a beat
			12s < a beat REBALANCE_IN_PROGRESS`},
		{"the leader leaves: the next one leads", nil, stableTwo + `
			7s > a leave
			7s < a leave ok ok
			7s > b beat
			7s < b beat REBALANCE_IN_PROGRESS
			7s > b join
			7s < b join ok gen=2 range leader=b members=b
			7s > b leave v=2
			7s < b leave ok
			7s > b describe
			7s < b describe ok Empty type=consumer protocol=`},
		{"leave in a batch, and errors one by one", nil, stableTwo + `
			7s > a leave b
			7s < a leave ok ok ok
			7s > a leave
			7s < a leave ok UNKNOWN_MEMBER_ID
			7s > a leave v=1
			7s < a leave UNKNOWN_MEMBER_ID
			7s > a leave group=other
			7s < a leave ok UNKNOWN_MEMBER_ID`},
		{"a lost answer can be asked for again", nil, stableTwo + `
			7s > b join v=3
			7s < b join ok gen=1 range leader=a
			7s > b sync
			7s < b sync ok two`},
		{"a lost answer in CompletingRebalance", nil, `
			0s > a join v=3
			3s < a join ok gen=1 range leader=a members=a
			3s > a join v=3
			3s < a join ok gen=1 range leader=a members=a`},
		{"a changed subscription rebalances", nil, stableTwo + `
			7s > b join topics=u
			7s > a beat
			7s < a beat REBALANCE_IN_PROGRESS
			7s > a join
			7s < a join ok gen=2 range leader=a members=a,b
			7s < b join ok gen=2 range leader=a`},
		{"votes choose the protocol, and a stranger to all is refused", nil, `
			0s > a join v=3 protocols=range,sticky
			0s > b join v=3 protocols=sticky,range
			0s > c join v=3 protocols=sticky,range
			0s > d join v=3 protocols=roundrobin
			0s < d join INCONSISTENT_GROUP_PROTOCOL
			0s > e join v=3 type=connect
			0s < e join INCONSISTENT_GROUP_PROTOCOL
			6s < a join ok gen=1 sticky leader=a members=a,b,c
			6s < b join ok gen=1 sticky leader=a
			6s < c join ok gen=1 sticky leader=a
			6s > a sync protocol=range
			6s < a sync INCONSISTENT_GROUP_PROTOCOL`},
		{"session timeout out of bounds, no group id, no such member", nil, `
			0s > a join session=5999ms
			0s < a join INVALID_SESSION_TIMEOUT
			0s > a join session=31m
			0s < a join INVALID_SESSION_TIMEOUT
			0s > a join group=
			0s < a join INVALID_GROUP_ID
			0s > a join id=stranger
			0s < a join UNKNOWN_MEMBER_ID
			0s > a sync id=stranger
			0s < a sync UNKNOWN_MEMBER_ID
			0s > a beat id=stranger
			0s < a beat UNKNOWN_MEMBER_ID
			0s > a beat group=
			0s < a beat INVALID_GROUP_ID`},
		{"group.max.size", map[string]string{"group.max.size": "1"}, `
			0s > a join v=3
			1s > b join v=3
			1s < b join GROUP_MAX_SIZE_REACHED
			3s < a join ok gen=1 range leader=a members=a
			3s > b join v=3
			3s < b join GROUP_MAX_SIZE_REACHED`},
		{"a member joins while the leader assigns", nil, `
			0s > a join v=3
			0s > b join v=3
			6s < a join ok gen=1 range leader=a members=a,b
			6s < b join ok gen=1 range leader=a
			6s > b sync
			6s > c join v=3
			6s < b sync REBALANCE_IN_PROGRESS
			6s > a sync a:1 b:2
			6s < a sync REBALANCE_IN_PROGRESS`},
		{"an assignment counts once it is committed", nil, `
			0s > a join v=3
			3s < a join ok gen=1 range leader=a members=a
			3s > storage hold
			3s > a sync a:all
			4s > a describe
			4s < a describe ok CompletingRebalance type=consumer protocol= a:
			5s > storage release
			5s < a sync ok all`},
		{"an assignment that cannot be committed rebalances", nil, `
			0s > a join v=3
			3s < a join ok gen=1 range leader=a members=a
			3s > storage fail 20
			3s > a sync a:all
			3s < a sync COORDINATOR_NOT_AVAILABLE
			3s > a beat
			3s < a beat REBALANCE_IN_PROGRESS
			3s > storage fail 0
			3s > a join v=3
			3s < a join ok gen=2 range leader=a members=a`},
		{"an assignment overtaken by a rebalance is dropped", nil, `
			0s > a join v=3
			3s < a join ok gen=1 range leader=a members=a
			3s > storage hold
			3s > a sync a:all
			3s > b join v=3
			3s < a sync REBALANCE_IN_PROGRESS
			3s > a join v=3
			3s < a join ok gen=2 range leader=a members=a,b
			3s < b join ok gen=2 range leader=a
			3s > storage release
			3s > a describe
			3s < a describe ok CompletingRebalance type=consumer protocol= a: b:`},
		{"static member comes back in a stable group, nobody notices", nil, `
			0s > a join instance=i
			3s < a join ok gen=1 range leader=i members=i
			3s > a sync a:one instance=i
			3s < a sync ok one
			4s > a2 join instance=i
			4s < a2 join ok gen=1 range leader=i
			4s > a2 sync instance=i
			4s < a2 sync ok one
			4s > a beat instance=i
			4s < a beat FENCED_INSTANCE_ID
			4s > a commit instance=i t/0:4
			4s < a commit t/0:FENCED_INSTANCE_ID
			4s > a2 commit instance=i t/0:4
			4s < a2 commit t/0:ok
			4s > a join instance=i
			4s < a join FENCED_INSTANCE_ID`},
		{"version 9 tells a returned static leader to skip the assignment", nil, `
			0s > a join instance=i v=9
			3s < a join ok gen=1 range leader=i members=i
			3s > a sync a:one instance=i
			3s < a sync ok one
			4s > b join instance=i v=9
			4s < b join ok gen=1 range leader=i members=i skip
			4s > b sync instance=i
			4s < b sync ok one`},
		{"static member is replaced while it waits", nil, `
			0s > a join instance=i
			1s > b join instance=i
			1s < a join FENCED_INSTANCE_ID
			3s < b join ok gen=1 range leader=i members=i
			3s > c join instance=i
			3s < c join ok gen=2 range leader=i members=i
			3s > b sync b:x
			3s < b sync UNKNOWN_MEMBER_ID`},
		{"a static member may be away longer than a rebalance, not than its session", nil, `
			0s > a join instance=i session=30s rebalance=5s
			0s > b join instance=j session=30s rebalance=5s
			5s < a join ok gen=1 range leader=i members=i,j
			5s < b join ok gen=1 range leader=i
			5s > b sync
			5s > a sync a:1 b:2
			5s < a sync ok 1
			5s < b sync ok 2
			6s > a join instance=i topics=x rebalance=5s session=30s
			11s < a join ok gen=2 range leader=i members=i,j
			11s > a sync a:1 b:2
			11s < a sync ok 1
			12s > b2 join instance=j session=30s rebalance=5s
			12s < b2 join ok gen=2 range leader=i
			12s > b2 sync
			12s < b2 sync ok 2`},
		{"a static member leaves by its instance", nil, `
			0s > a join instance=i
			3s < a join ok gen=1 range leader=i members=i
			3s > admin leave instance=i
			3s < admin leave ok ok
			3s > admin leave instance=i
			3s < admin leave ok UNKNOWN_MEMBER_ID
			3s > a beat instance=i
			3s < a beat UNKNOWN_MEMBER_ID`},
		{"offsets", nil, stableTwo + `
			7s > a fetch
			7s < a fetch ok
			7s > a fetch t/0
			7s < a fetch ok t/0:-1@-1
			7s > storage hold
			7s > a commit t/0:10 t/1:20 nowhere/0:1
			7s > a fetch t/0
			7s < a fetch ok t/0:-1@-1
			8s > storage release
			8s < a commit t/0:ok t/1:ok nowhere/0:UNKNOWN_TOPIC_OR_PARTITION
			8s > a fetch
			8s < a fetch ok t/0:10@7 t/1:20@7
			8s > a fetch v=1 t/1 t/2
			8s < a fetch ok t/1:20 t/2:-1
			8s > a fetch v=5
			8s < a fetch ok t/0:10 t/1:20
			8s > a commit metadata=4097 t/0:11
			8s < a commit t/0:OFFSET_METADATA_TOO_LARGE
			8s > storage fail 7
			8s > a commit t/0:11
			8s < a commit t/0:REQUEST_TIMED_OUT
			8s > storage fail 6
			8s > a commit t/0:11
			8s < a commit t/0:NOT_COORDINATOR
			8s > storage fail 19
			8s > a commit t/0:11
			8s < a commit t/0:COORDINATOR_NOT_AVAILABLE
			8s > a fetch t/0
			8s < a fetch ok t/0:10@7
			8s > storage fail 0
			8s > x commit t/0:99
			8s < x commit t/0:UNKNOWN_MEMBER_ID
			8s > a commit group=fresh gen=3 t/0:99
			8s < a commit t/0:ILLEGAL_GENERATION
			8s > x commit group=simple t/0:99
			8s < x commit t/0:ok
			8s > x fetch group=simple
			8s < x fetch ok t/0:99@7
			8s > x list
			8s < x list g:Stable simple:Empty
			8s > x list empty
			8s < x list simple:Empty`},
		{"fail-over keeps members, assignment and offsets", nil, stableTwo + `
			7s > a commit t/0:10
			7s < a commit t/0:ok
			8s > storage crash
			8s > a beat
			8s < a beat ok
			8s > b sync
			8s < b sync ok two
			8s > a fetch
			8s < a fetch ok t/0:10@7
			8s > a describe
			8s < a describe ok Stable type=consumer protocol=range a:one b:two
			17s > a commit t/0:11
			17s < a commit t/0:ok
			18s > a beat           # b has not been heard of by the new coordinator since its sync
			18s < a beat REBALANCE_IN_PROGRESS`},
		{"what was not committed is not there after a fail-over", nil, `
			0s > a join v=3
			3s < a join ok gen=1 range leader=a members=a
			3s > storage hold
			3s > a sync a:all
			4s > storage crash
			4s > a beat
			4s < a beat UNKNOWN_MEMBER_ID
			4s > a join v=3
			4s < a join UNKNOWN_MEMBER_ID`},
		{"unloading answers who waits", nil, stableTwo + `
			7s > a join topics=u
			7s > storage unload
			7s < a join NOT_COORDINATOR
			7s > b beat
			7s < b beat NOT_COORDINATOR
			7s > b sync
			7s < b sync NOT_COORDINATOR
			7s > b join
			7s < b join NOT_COORDINATOR
			7s > b commit t/0:3
			7s < b commit t/0:NOT_COORDINATOR
			7s > b fetch t/0
			7s < b fetch NOT_COORDINATOR
			7s > b fetch v=5 t/0
			7s < b fetch NOT_COORDINATOR t/0:-1
			7s > b leave
			7s < b leave NOT_COORDINATOR
			7s > b describe
			7s < b describe NOT_COORDINATOR - type= protocol=
			7s > b delete g
			7s < b delete g:NOT_COORDINATOR
			7s > b list
			7s < b list
			60s > b list             # no timer of the old groups is left
			60s < b list
			60s > storage load
			60s > b list
			60s < b list g:Stable`},
		{"deleting a group and its offsets", nil, stableTwo + `
			7s > a commit t/0:10 u/0:5
			7s < a commit t/0:ok u/0:ok
			7s > x delete g nobody
			7s < x delete g:NON_EMPTY_GROUP nobody:GROUP_ID_NOT_FOUND
			7s > x forget t/0 u/0
			7s < x forget ok t/0:GROUP_SUBSCRIBED_TO_TOPIC u/0:ok
			7s > x fetch
			7s < x fetch ok t/0:10@7
			8s > a leave b
			8s < a leave ok ok ok
			8s > x forget nowhere/0
			8s < x forget ok nowhere/0:UNKNOWN_TOPIC_OR_PARTITION
			8s > x forget group=nobody t/0
			8s < x forget GROUP_ID_NOT_FOUND
			8s > x delete g
			8s < x delete g:ok
			8s > x describe
			8s < x describe ok Dead type= protocol=
			8s > storage crash
			8s > x list
			8s < x list
			8s > x fetch t/0
			8s < x fetch ok t/0:-1@-1`},
		{"another kind of group keeps its offsets while it has members", nil, `
			0s > a join v=3 type=connect
			3s < a join ok gen=1 range leader=a members=a
			3s > x forget t/0
			3s < x forget NON_EMPTY_GROUP`},
		{"a new client that goes silent while it waits holds up nobody for long", nil, stableTwo + `
			7s > c join v=3       # waits for a and b, who do not come back
			15s > a beat
			15s < a beat REBALANCE_IN_PROGRESS
			16s > b beat          # b's session has ended
			16s < b beat UNKNOWN_MEMBER_ID
			17s > a join
			17s < a join ok gen=2 range leader=a members=a,c
			17s < c join ok gen=2 range leader=a`},
		{"a new client is kept for five minutes when others never come", nil, `
			0s > a join v=3 rebalance=20m session=20m
			3s < a join ok gen=1 range leader=a members=a
			3s > a sync a:1
			3s < a sync ok 1
			3s > b join v=3 session=6s
			303s < b join UNKNOWN_MEMBER_ID`},
	} {
		t.Run(tt.name, func(t *testing.T) { play(t, tt.config, tt.text) })
	}
}

// TestExpiry lets days pass.
func TestExpiry(t *testing.T) {
	for _, tt := range []struct{ name, text string }{
		{"a group that is empty for a week forgets all", stableTwo + `
			7s > a commit t/0:10
			7s < a commit t/0:ok
			8s > a leave b
			8s < a leave ok ok ok
			167h > x fetch
			167h < x fetch ok t/0:10@7
			168h20m > x list
			168h20m < x list
			168h20m > storage crash
			168h20m > x fetch t/0
			168h20m < x fetch ok t/0:-1@-1`},
		{"an offset without members goes by its own age", `
			0s > x commit t/0:1
			0s < x commit t/0:ok
			100h > x commit t/1:1
			100h < x commit t/1:ok
			168h20m > x fetch
			168h20m < x fetch ok t/1:1@7
			268h20m > x list
			268h20m < x list`},
		{"a retention of the request's own", `
			0s > x commit v=3 retention=1h t/0:1
			0s < x commit t/0:ok
			0s > storage crash
			50m > x fetch
			50m < x fetch ok t/0:1@-1
			70m > x fetch
			70m < x fetch ok`},
	} {
		t.Run(tt.name, func(t *testing.T) { play(t, nil, tt.text) })
	}
}

// TestExpiryOfTopics drops offsets of topics that a living group has left.
func TestExpiryOfTopics(t *testing.T) {
	w := newWorld(t, map[string]string{"offsets.retention.minutes": "60"})
	for _, line := range []string{
		"0s > a join v=3 session=30m",
		"3s > a sync a:x",
		"3s > a commit t/0:1 u/0:2",
	} {
		w.do(line)
	}
	for at := 10 * time.Minute; at <= 80*time.Minute; at += 10 * time.Minute {
		w.do(at.String() + " > a beat")
	}
	w.do("80m > a fetch")
	if got, want := w.out[len(w.out)-1], "1h20m0s < a fetch ok t/0:1@7"; got != want {
		t.Errorf("offsets after 80 minutes: got %q, want %q", got, want)
	}
}

// TestSameSeedSameIDs keeps runs reproducible.
func TestSameSeedSameIDs(t *testing.T) {
	ids := func() string {
		w := newWorld(t, nil)
		w.do("0s > a join")
		w.do("0s > b join")
		return w.client("a").id + " " + w.client("b").id
	}
	got, again := ids(), ids()
	if got != again {
		t.Errorf("member ids: got %s, then %s, want the same", got, again)
	}
	if a, b, _ := strings.Cut(got, " "); a == b || len(a) != len("a-")+36 {
		t.Errorf("member ids: got %s, want two different ones of 36 characters after the client id", got)
	}
}
