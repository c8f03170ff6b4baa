package group

// This file tests offsets in transactions, as transcripts.

import "testing"

func TestTransactionalOffsets(t *testing.T) {
	for _, tt := range []struct{ name, text string }{
		{"an offset holds from the commit on", `
			0s > a txn t/0:5
			0s < a txn t/0:ok
			0s > a fetch t/0
			0s < a fetch ok t/0:-1@-1
			0s > a fetch stable=yes t/0
			0s < a fetch ok t/0:UNSTABLE_OFFSET_COMMIT
			1s > storage commit 1
			1s > a fetch stable=yes t/0
			1s < a fetch ok t/0:5@7`},
		{"an aborted one never", `
			0s > a txn t/0:5
			0s < a txn t/0:ok
			1s > storage abort 1
			1s > a fetch stable=yes t/0
			1s < a fetch ok t/0:-1@-1`},
		{"each producer's own", `
			0s > a txn pid=1 t/0:5
			0s < a txn t/0:ok
			0s > b txn pid=2 t/1:6
			0s < b txn t/1:ok
			1s > storage commit 2
			1s > a fetch stable=yes t/1
			1s < a fetch ok t/1:6@7
			1s > a fetch stable=yes t/0
			1s < a fetch ok t/0:UNSTABLE_OFFSET_COMMIT`},
		{"what was committed after it stays", `
			0s > a txn t/0:5
			0s < a txn t/0:ok
			1s > a commit t/0:9
			1s < a commit t/0:ok
			2s > storage commit 1
			2s > a fetch t/0
			2s < a fetch ok t/0:9@7`},
		{"pending offsets survive a fail-over", `
			0s > a txn t/0:5
			0s < a txn t/0:ok
			1s > storage crash
			1s > a fetch stable=yes t/0
			1s < a fetch ok t/0:UNSTABLE_OFFSET_COMMIT
			2s > storage commit 1
			2s > a fetch stable=yes t/0
			2s < a fetch ok t/0:5@7
			3s > storage crash
			3s > a fetch stable=yes t/0
			3s < a fetch ok t/0:5@7`},
		{"what could not be written is not pending", `
			0s > storage fail 19
			0s > a txn t/0:5
			0s < a txn t/0:COORDINATOR_NOT_AVAILABLE
			0s > a fetch stable=yes t/0
			0s < a fetch ok t/0:-1@-1`},
		{"what is refused leaves alone what is pending", `
			0s > a txn t/0:5
			0s < a txn t/0:ok
			1s > storage fail 47
			1s > b txn t/0:9
			1s < b txn t/0:code 47
			1s > a fetch stable=yes t/0
			1s < a fetch ok t/0:UNSTABLE_OFFSET_COMMIT
			2s > storage commit 1
			2s > a fetch stable=yes t/0
			2s < a fetch ok t/0:5@7`},
		{"pending before it is written", `
			0s > storage hold
			0s > a txn t/0:5
			1s > a fetch stable=yes t/0
			1s < a fetch ok t/0:UNSTABLE_OFFSET_COMMIT
			1s > storage release
			1s < a txn t/0:ok`},
		{"what does not exist is the broker's to answer", `
			0s > storage unload
			0s > a txn t/0:5 nowhere/0:5
			0s < a txn t/0:NOT_COORDINATOR nowhere/0:UNKNOWN_TOPIC_OR_PARTITION
			0s > a commit t/0:5 nowhere/0:5
			0s < a commit t/0:NOT_COORDINATOR nowhere/0:UNKNOWN_TOPIC_OR_PARTITION
			0s > a commit nowhere/0:5
			0s < a commit nowhere/0:UNKNOWN_TOPIC_OR_PARTITION`},
		{"a member of an old generation is fenced", stableTwo + `
			7s > a txn gen=0 t/0:1
			7s < a txn t/0:ILLEGAL_GENERATION
			7s > x txn id=x gen=1 t/0:1
			7s < x txn t/0:UNKNOWN_MEMBER_ID
			7s > a txn t/0:1
			7s < a txn t/0:ok
			7s > b txn id=none gen=-1 t/1:1
			7s < b txn t/1:ok`},
	} {
		t.Run(tt.name, func(t *testing.T) { play(t, nil, tt.text) })
	}
}
