package docker

// This file defines what of nodes and mirrors gets into the run folder: each
// node's configuration, what its Kafka made of it, and its log; each mirror's log.

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"errors"
)

// maxServerLog bounds the log of a node in the run folder, in bytes.
const maxServerLog = 8 << 20

// noteConfig writes a node's configuration into the run folder.
func (w *world) noteConfig(s *server, text string) {
	if w.o.Folder == "" {
		return
	}
	w.note(s.label+".properties", []byte(text))
}

// note writes a file into the run folder. That it cannot be written is told
// there where something is written that is judged; a log is no reason to end a
// run.
func (w *world) note(name string, text []byte) error {
	if err := os.MkdirAll(w.o.Folder, 0o777); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(w.o.Folder, name), text, 0o666)
}

// collect fetches the logs of nodes and mirrors into the run folder.
func (w *world) collect(ctx context.Context) {
	if w.o.Folder == "" {
		return
	}
	var fetched sync.WaitGroup
	for _, key := range w.order {
		s := w.servers[key]
		fetched.Go(func() {
			text := w.fetchLog(ctx, s.box, pathLog, s.label)
			if values := effective(text); values != "" {
				w.note(s.label+".effective", []byte(values))
			}
		})
	}
	for _, b := range w.mirrorBoxes() {
		fetched.Go(func() { w.fetchLog(ctx, b, pathMirrorLog, b.name) })
	}
	fetched.Wait()
}

// fetchLog fetches a log from a container into the run folder. One that was
// never begun is left out.
func (w *world) fetchLog(ctx context.Context, b *box, path, name string) string {
	var text []byte
	found := false
	for _, name := range []string{path + ".1", path} {
		part, err := b.agent.Read(ctx, name, maxServerLog)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			text = fmt.Appendf(text, "%s cannot be read: %v\n", name, err)
		default:
			text = append(text, part...)
		}
		found = true
	}
	if over := len(text) - maxServerLog; over > 0 {
		text = text[over:]
	}
	if found {
		w.note(name+".log", text)
	}
	return string(text)
}

// effective gives what Kafka says its configuration is: the lines after
// "KafkaConfig values:" in its log, the last time it says so.
func effective(log string) string {
	i := strings.LastIndex(log, "KafkaConfig values:")
	if i < 0 {
		return ""
	}
	var b strings.Builder
	lines := strings.SplitAfter(log[i:], "\n")
	for _, line := range lines[1:] {
		value, ok := strings.CutPrefix(line, "\t")
		if !ok {
			break
		}
		b.WriteString(value)
	}
	return b.String()
}
