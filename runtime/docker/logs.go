package docker

// This file defines what of the nodes gets into the run folder: each node's
// configuration, what its Kafka made of it, and its log.

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

// collect fetches the nodes' logs into the run folder.
func (w *world) collect(ctx context.Context) {
	if w.o.Folder == "" {
		return
	}
	var fetched sync.WaitGroup
	for _, key := range w.order {
		s := w.servers[key]
		fetched.Go(func() {
			var text []byte
			for _, name := range []string{pathLog + ".1", pathLog} {
				part, err := s.box.agent.Read(ctx, name, maxServerLog)
				switch {
				case errors.Is(err, fs.ErrNotExist):
				case err != nil:
					text = fmt.Appendf(text, "%s cannot be read: %v\n", name, err)
				default:
					text = append(text, part...)
				}
			}
			if over := len(text) - maxServerLog; over > 0 {
				text = text[over:]
			}
			w.note(s.label+".log", text)
			if values := effective(string(text)); values != "" {
				w.note(s.label+".effective", []byte(values))
			}
		})
	}
	fetched.Wait()
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
