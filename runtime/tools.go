// This file defines how Kafka's own tools are run, and where what they print
// goes.

package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

// How much of a tool's output is kept, in bytes: in its file and in the
// journal. A tool that does not end by itself is ended toolGrace of real time
// after run_for.
const (
	maxToolFile   = 1 << 20
	maxToolOutput = 2 << 10
	toolGrace     = 10 * time.Second
	dirTools      = "tools"
)

// tool runs one of Kafka's own tools. Its exit code is a result, whatever it is.
// Of one that was ended there is none; what it printed until then is kept.
func (r *run) tool(ctx context.Context, e *effect) (Proof, error) {
	box, ok := r.world.(Toolbox)
	if !ok {
		return Proof{}, errors.New("this engine has none of Kafka's tools")
	}
	if len(e.act.Targets) != 1 {
		return Proof{}, errors.New("it names no cluster")
	}
	cluster := e.act.Targets[0].Name
	res, ended := box.Tool(ctx, cluster, e.act.Tool, e.act.Args)
	if ended != nil && len(res.Output) == 0 {
		return Proof{}, ended
	}
	at := time.Now()
	entry := e.entry(record.KindTool)
	entry.Cluster = cluster
	how := fmt.Sprintf("exit code %d", res.Code)
	if ended != nil {
		entry.Error = ended.Error()
		how = "no exit code: " + entry.Error
	} else {
		entry.Exit = res.Code
	}
	entry.Output = beginning(res.Output, maxToolOutput)
	var err error
	entry.File, err = r.keepOutput(e.act, res, how)
	r.journal.add(at, entry)
	if err = errors.Join(ended, err); err != nil {
		return Proof{}, err
	}
	return Proof{OK: true, At: at, Text: how}, nil
}

// keepOutput writes a tool's output, and how the tool ended, into the run folder,
// and tells the file.
func (r *run) keepOutput(a plan.Action, res ToolResult, how string) (string, error) {
	if r.rec == nil {
		return "", nil
	}
	r.mu.Lock()
	r.tools++
	n := r.tools
	r.mu.Unlock()
	name := path.Join(record.DirLogs, dirTools, fmt.Sprintf("%02d-%s.txt", n, filepath.Base(a.Tool)))
	file := filepath.Join(r.o.Folder, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		return "", err
	}
	out, cut := res.Output, res.Cut
	if len(out) > maxToolFile {
		out, cut = out[:maxToolFile], true
	}
	text := strings.Join(append([]string{"$ " + a.Tool}, a.Args...), " ") + "\n" + string(out)
	if cut {
		text += "\nthe rest is left out: it is more than is kept\n"
	}
	text += "\n" + how + "\n"
	return name, os.WriteFile(file, []byte(text), 0o666)
}

// beginning gives the first n bytes of a text, and no half of a character.
func beginning(b []byte, n int) string {
	if len(b) > n {
		for n > 0 && !utf8.RuneStart(b[n]) {
			n--
		}
		b = b[:n]
	}
	return strings.ToValidUTF8(string(b), "\uFFFD")
}

// toolContext ends some time after the run is over.
func (r *run) toolContext() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(r.hard)
	stop := context.AfterFunc(r.soft, func() {
		if sleep(ctx, toolGrace) {
			cancel(errors.New("the run is over and it has not ended by itself"))
		}
	})
	return ctx, func() { stop(); cancel(nil) }
}
