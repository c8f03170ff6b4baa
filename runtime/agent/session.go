package agent

// This file defines how a session begins and what a call looks like on the
// stream, for both sides.
//
// A session begins with one line each way, the host's first:
//
//	{"starfall":"agent","protocol":1,"build":"v1.2.3"}
//
// and goes on as a yamux session in which only the host opens streams. Every
// call has a stream of its own: one line of request, one of answer, then, for
// the calls that carry more, raw bytes. A host that gives up closes its side,
// which the agent takes as the end of the call's context.

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"runtime/debug"
	"time"

	"github.com/hashicorp/yamux"
)

// protocol is raised whenever the two sides of an older build could not talk.
const protocol = 1

// magic is what the first line calls itself.
const magic = "agent"

// lineLimit bounds a line of request or answer, helloLimit the first one.
const (
	lineLimit  = 4 << 20
	helloLimit = 4 << 10
)

// backlog is how many calls may be on their way to the agent at once; more wait.
const backlog = 1024

// stuck is how long one write may wait for the transport. It is long because a
// stopped laptop must not end a run; a transport that is dead is found by the
// host's keepalive, which is patient in another way (see Agent.watch).
const stuck = 10 * time.Minute

type hello struct {
	Starfall string `json:"starfall"`
	Protocol int    `json:"protocol"`
	Build    string `json:"build"`
	Error    string `json:"error,omitempty"` // why the agent will not talk
}

// Build identifies this program, as BuildOf does.
func Build() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return BuildOf(info)
}

// BuildOf identifies a program: its module version, and the revision that a
// checkout was built from. The host and the agent must have the same.
func BuildOf(info *debug.BuildInfo) string {
	build := info.Main.Version
	if build == "" {
		build = "(devel)"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" || s.Key == "vcs.modified" && s.Value == "true" {
			build += " " + s.Key[len("vcs."):] + " " + s.Value
		}
	}
	return build
}

// check says why the two sides cannot talk, nil when they can.
func (h hello) check(peer string, build string) error {
	switch {
	case h.Starfall != magic:
		return fmt.Errorf("%w: the %s is not starfall's", ErrMismatch, peer)
	case h.Error != "":
		return fmt.Errorf("%w: the %s says: %s", ErrMismatch, peer, h.Error)
	case h.Protocol != protocol:
		return fmt.Errorf("%w: the %s speaks protocol %d, this side protocol %d: both must be of one build", ErrMismatch, peer, h.Protocol, protocol)
	case h.Build != build:
		return fmt.Errorf("%w: the %s is of build %q, this side of build %q: both must be of one build", ErrMismatch, peer, h.Build, build)
	}
	return nil
}

// readLine reads a line of at most limit bytes, without its end.
func readLine(r *bufio.Reader, limit int) ([]byte, error) {
	var line []byte
	for {
		b, err := r.ReadByte()
		switch {
		case err == io.EOF && len(line) > 0:
			return nil, io.ErrUnexpectedEOF
		case err != nil:
			return nil, err
		case b == '\n':
			return line, nil
		case len(line) == limit:
			return nil, fmt.Errorf("a line is longer than %d bytes", limit)
		}
		line = append(line, b)
	}
}

// readHello reads the first line of the other side.
func readHello(r *bufio.Reader) (hello, error) {
	line, err := readLine(r, helloLimit)
	if err != nil {
		return hello{}, err
	}
	var h hello
	if err := json.Unmarshal(line, &h); err != nil {
		return hello{}, fmt.Errorf("%w: got %q for the first line", ErrMismatch, clip(line, 64))
	}
	return h, nil
}

func clip(b []byte, n int) []byte { return b[:min(len(b), n)] }

// writeLine writes v as one line, in one write.
func writeLine(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(b) >= lineLimit {
		return invalid(fmt.Sprintf("the line is %d bytes long, at most %d are possible", len(b), lineLimit))
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// request is the line that opens a call.
type request struct {
	Op string `json:"op"`
	// Wait is how long the agent may take, in milliseconds; 0: as long as the
	// stream is open. It lets the agent say what it waited for in vain.
	Wait int64           `json:"wait,omitempty"`
	Body json.RawMessage `json:"body,omitempty"`
}

// answer is the line that answers it.
type answer struct {
	Error string          `json:"error,omitempty"`
	Kind  Kind            `json:"kind,omitempty"` // set exactly when the call failed
	Body  json.RawMessage `json:"body,omitempty"`
}

// mux is the configuration of yamux on both sides. What it has to say goes to w.
func mux(w io.Writer) *yamux.Config {
	c := yamux.DefaultConfig()
	c.AcceptBacklog = backlog
	c.EnableKeepAlive = false
	c.ConnectionWriteTimeout = stuck
	c.StreamOpenTimeout = 0  // it would end the session of a host that was stopped
	c.StreamCloseTimeout = 0 // a connection may be half closed for as long as it likes
	c.LogOutput = nil
	c.Logger = log.New(w, "", 0)
	return c
}

// transport reads through the buffer that the first line was read with.
type transport struct {
	*bufio.Reader
	io.Writer
	close func() error
}

func (t *transport) Close() error { return t.close() }

// The bodies of requests and answers that are not types of their own.
type (
	fileHead struct {
		Path string `json:"path"`
		Mode uint32 `json:"mode"`
		Size int64  `json:"size"`
	}
	writeRequest struct {
		Files []fileHead `json:"files"`
	}
	readRequest struct {
		Path string `json:"path"`
		Tail int64  `json:"tail"`
	}
	readAnswer struct {
		Size int64 `json:"size"` // bytes that follow
	}
	pathRequest struct {
		Paths []string `json:"paths"`
	}
	nameRequest struct {
		Name string `json:"name"`
	}
	signalRequest struct {
		Name   string `json:"name"`
		Signal string `json:"signal"`
	}
	awaitRequest struct {
		Name string `json:"name"`
		Port int    `json:"port"`
	}
	abortRequest struct {
		ID uint32 `json:"id"`
	}
	discardRequest struct {
		Dir  string `json:"dir"`
		Loss Loss   `json:"loss"`
	}
	dialRequest struct {
		Local   string `json:"local,omitempty"`
		Address string `json:"address"`
	}
	dialAnswer struct {
		Local  string `json:"local"`
		Remote string `json:"remote"`
	}
	openRequest struct {
		Service string          `json:"service"`
		Request json.RawMessage `json:"request"`
	}
)
