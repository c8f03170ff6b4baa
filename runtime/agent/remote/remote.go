// Package remote runs the Kafka clients of a run in another process and brings
// their recording back: inside, a Server carries out runtime/kafka's Load and
// Control; outside, a Session is runtime's Load, Admin and Auditor by asking
// it. It knows nothing of what lies between: the outside is given a function
// that opens a stream, the inside each stream that was opened.
//
// A run may have several servers. A member lives in one of them for all its
// lives, and all members of a client live in the same one.
//
// What is promised of the recording:
//
//   - The inside records with a Writer of its own and sends what it has twenty
//     times a second; the outside puts the parts of all servers together as one
//     Writer would have cut them (record.Feed).
//   - When Stop or Crash of a member, or Audit, returns outside, everything that
//     they recorded is in.
//   - When a server ends, does not answer, or sends what cannot be read, the
//     session has failed and says so (runtime.Health), which ends the run:
//     nothing is missing without a word. What came until then stays.
//   - Times are scenario time by a clock inside that is set by the run's. They
//     are apart by at most half the shortest round trip seen (Session.Slack),
//     on one machine well under a millisecond. A better estimate moves the
//     clock inside by a hundredth of the time that passes, never back.
//
// This file defines what crosses the streams.
package remote

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"starfall/interp/plan"
	"starfall/runtime"
	"starfall/runtime/record"
)

// protocol is the version of everything below; both ends are of one build.
const protocol = 1

// A stream begins with an opening from outside, which says what it is for. Then
// both sides send frames: four bytes of length (big endian, of what follows),
// one of kind, and the body.
//
//	stream    from outside           from inside
//	session   opening, leave         ready, cut, line, denied,  one a session; its end is the session's
//	                                 gone
//	clock     opening, ping, zero    pong                       one a session
//	call      opening, ask, cancel   answer                     one a call
//	member    opening, ask, cancel   answer                     one a member's life
//
// What is asked on one stream is done one after the other, except that nothing
// waits for a redirect.
const (
	frameOpening byte = iota + 1
	frameReady        // reply
	frameCut          // number of the cut, time through which it goes, payload of a record.Feed
	frameLine         // a line for the log
	frameLeave        // nothing: end everything and say gone
	frameGone         // nothing
	frameDenied       // denial
	framePing         // nothing
	framePong         // nanoseconds since the session began inside
	frameZero         // the same, of the moment when scenario time is zero
	frameAsk          // request
	frameCancel       // cancellation
	frameAnswer       // reply
)

// The largest frame: a cut holds what one twentieth of a second, or an agent
// that was held up, has recorded.
const maxFrame = 256 << 20

const (
	kindSession = "session"
	kindClock   = "clock"
	kindCall    = "call"
)

// opening is the first frame of a stream.
type opening struct {
	Version int    `json:"version"`
	Session uint64 `json:"session"`
	Kind    string `json:"kind"`
	// Of a session:
	Plan   json.RawMessage `json:"plan,omitempty"` // canonical
	Info   record.Info     `json:"info,omitzero"`
	Run    string          `json:"run,omitempty"`
	RunID  uint64          `json:"run_id,omitempty"`
	Seed   int64           `json:"seed,omitempty"`
	Speed  float64         `json:"speed,omitempty"`
	Record bool            `json:"record,omitempty"`
	// Controllers: they are named in each question for a cluster's state.
	Controllers bool `json:"controllers,omitempty"`
	// Operators are of Env. The stream is between this process and its own agents.
	Operators map[string]runtime.Login `json:"operators,omitempty"`
	// TextKey is of Env: so records are signed that go to a client that knows text only.
	TextKey []byte `json:"text_key,omitempty"`
}

// denial is what Env.Denied is told.
type denial struct {
	Client  string `json:"client"`
	Member  int    `json:"member"`
	Cluster string `json:"cluster"`
	Text    string `json:"text"`
}

// request asks for something to be done.
type request struct {
	ID uint64 `json:"id"`
	Op string `json:"op"`
	// Left is the time until the caller's deadline; nil for none.
	Left *time.Duration  `json:"left,omitempty"`
	Args json.RawMessage `json:"args,omitempty"`
}

// cancellation ends the context of a request.
type cancellation struct {
	ID    uint64   `json:"id"`
	Cause *failure `json:"cause"`
}

// reply answers a request.
type reply struct {
	ID    uint64          `json:"id"`
	Error *failure        `json:"error,omitempty"`
	Value json.RawMessage `json:"value,omitempty"`
	// Cuts is how many cuts hold what the request recorded.
	Cuts uint64 `json:"cuts,omitempty"`
}

// What can be asked, with the arguments and the value.
const (
	opProducer    = "producer"    // producerArgs
	opConsumer    = "consumer"    // consumerArgs
	opBegin       = "begin"       // beginArgs
	opRate        = "rate"        // share: float64
	opStop        = "stop"        //
	opCrash       = "crash"       //
	opRedirect    = "redirect"    // runtime.Destination
	opCreate      = "create"      // adminArgs
	opDo          = "do"          // adminArgs: proof
	opCoordinator = "coordinator" // adminArgs: int32
	opConfigs     = "configs"     // adminArgs: map[string]*string
	opRestore     = "restore"     // adminArgs: proof
	opAudit       = "audit"       // adminArgs
	opGroup       = "group"       // adminArgs: runtime.Group
	opInspect     = "inspect"     // adminArgs: runtime.State
	opGrant       = "grant"       // adminArgs: proof
	opCompare     = "compare"     // compareArgs: []runtime.Comparison
)

type producerArgs struct {
	Producer  plan.Producer `json:"producer"`
	Index     int           `json:"index"`
	Topic     plan.Topic    `json:"topic"`
	Member    int           `json:"member"`
	Members   int           `json:"members"`
	Bootstrap []string      `json:"bootstrap"`
	Login     runtime.Login `json:"login,omitzero"`
	Until     time.Duration `json:"until"`
	Local     netip.Addr    `json:"local"`
}

type consumerArgs struct {
	Consumer  plan.Consumer `json:"consumer"`
	Index     int           `json:"index"`
	Topics    []plan.Topic  `json:"topics"`
	Member    int           `json:"member"`
	Bootstrap []string      `json:"bootstrap"`
	Login     runtime.Login `json:"login,omitzero"`
	Local     netip.Addr    `json:"local"`
}

type beginArgs struct {
	At    time.Duration `json:"at"`
	Share float64       `json:"share"`
	Zero  time.Duration `json:"zero"` // as frameZero
}

type adminArgs struct {
	Cluster   string             `json:"cluster"`
	Bootstrap []string           `json:"bootstrap"`         // from the control side
	Control   []string           `json:"control,omitempty"` // the controllers, of inspect
	Topics    []plan.Topic       `json:"topics,omitempty"`
	Action    *plan.Action       `json:"action,omitempty"`
	Group     string             `json:"group,omitempty"`
	Target    plan.Ref           `json:"target,omitzero"`
	Names     []string           `json:"names,omitempty"`
	Values    map[string]*string `json:"values,omitempty"`
	Topic     string             `json:"topic,omitempty"`
	Ends      map[int32]int64    `json:"ends,omitempty"`
	User      string             `json:"user,omitempty"`
	Rights    []plan.ACL         `json:"rights,omitempty"`
}

// compareArgs is a mirror to be compared, with what its clusters' brokers are
// from the control side.
type compareArgs struct {
	Mirror    plan.Mirror                `json:"mirror"`
	Topics    []plan.Topic               `json:"topics"`
	Copies    []plan.Topic               `json:"copies"`
	Ends      map[string]map[int32]int64 `json:"ends"`
	Groups    []string                   `json:"groups,omitempty"`
	Bootstrap map[string][]string        `json:"bootstrap"`
}

// proof is a runtime.Proof with its moment by the clock inside.
type proof struct {
	OK      bool              `json:"ok"`
	At      *time.Duration    `json:"at,omitempty"` // since the session began inside
	Text    string            `json:"text,omitempty"`
	Wrote   *runtime.Written  `json:"wrote,omitempty"`
	Deleted []runtime.Written `json:"deleted,omitempty"`
}

// shut closes a stream and lets what waits on it return: a multiplexer's may
// close the way out only and go on reading.
func shut(c net.Conn) {
	c.Close()
	c.SetDeadline(time.Unix(1, 0))
}

// writeFrame writes one frame in one Write.
func writeFrame(w io.Writer, kind byte, body ...[]byte) error {
	n := 1
	for _, b := range body {
		n += len(b)
	}
	if n > maxFrame {
		return fmt.Errorf("frame: got %d bytes, want at most %d", n, maxFrame)
	}
	out := make([]byte, 0, 4+n)
	out = binary.BigEndian.AppendUint32(out, uint32(n))
	out = append(out, kind)
	for _, b := range body {
		out = append(out, b...)
	}
	_, err := w.Write(out)
	return err
}

func writeJSON(w io.Writer, kind byte, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return writeFrame(w, kind, b)
}

// readFrame reads one frame into buf, which grows as needed and is given back.
func readFrame(r io.Reader, buf []byte) (kind byte, body, _ []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, buf, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < 1 || n > maxFrame {
		return 0, nil, buf, fmt.Errorf("frame: got %d bytes, want 1 to %d", n, maxFrame)
	}
	// What is allocated grows with what comes, not with what the head claims.
	const step = 1 << 20
	buf = buf[:0]
	for left := int(n) - 1; left > 0; {
		k := min(left, step)
		at := len(buf)
		buf = append(buf, make([]byte, k)...)
		if _, err := io.ReadFull(r, buf[at:]); err != nil {
			return 0, nil, buf, noEOF(err)
		}
		left -= k
	}
	return head[4], buf, buf, nil
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// readJSON reads a frame that must be of one kind.
func readJSON(r io.Reader, want byte, v any) error {
	kind, body, _, err := readFrame(r, nil)
	if err != nil {
		return err
	}
	if kind != want {
		return fmt.Errorf("frame: got kind %d, want %d", kind, want)
	}
	return json.Unmarshal(body, v)
}

// writeTime and readTime are for frames that hold a moment.
func writeTime(w io.Writer, kind byte, at time.Duration) error {
	return writeFrame(w, kind, binary.BigEndian.AppendUint64(nil, uint64(at)))
}

func readTime(body []byte) (time.Duration, error) {
	if len(body) != 8 {
		return 0, fmt.Errorf("frame: got %d bytes, want the 8 of a moment", len(body))
	}
	return time.Duration(binary.BigEndian.Uint64(body)), nil
}

// cutHead is what stands before the payload in frameCut.
const cutHead = 16

func appendCutHead(n uint64, through time.Duration) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, n), uint64(through))
}

func readCut(body []byte) (n uint64, through time.Duration, payload []byte, err error) {
	if len(body) < cutHead {
		return 0, 0, nil, fmt.Errorf("cut: got %d bytes, want at least %d", len(body), cutHead)
	}
	return binary.BigEndian.Uint64(body), time.Duration(binary.BigEndian.Uint64(body[8:])), body[cutHead:], nil
}
