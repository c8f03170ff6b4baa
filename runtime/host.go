// This file defines what a recording says about the machine, and where the
// clients' warnings go.

package runtime

import (
	"bufio"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

// runName is how logs and clients call the run.
func runName(folder string, p *plan.Plan) string {
	if folder == "" {
		return p.Name
	}
	return filepath.Base(folder)
}

// runID tells the records of this run from those of any other.
func runID(o Options) uint64 {
	if o.ID != 0 {
		return o.ID
	}
	h := fnv.New64a()
	fmt.Fprintf(h, "%s %d %d", o.Folder, time.Now().UnixNano(), os.Getpid())
	return h.Sum64()
}

// info gives the content of run.json.
func (r *run) info() record.Info {
	info := record.Info{
		ID: r.env.RunID, Started: time.Now(), Engine: r.o.Engine.Name(),
		Kafka: r.o.Kafka, Tool: r.o.Tool, Speed: r.o.Speed, Seed: r.o.Seed,
		Params: make(map[string]string, len(r.p.Params)), Images: r.o.Images,
		Host: record.Host{
			OS: goruntime.GOOS, Arch: goruntime.GOARCH, CPUs: goruntime.GOMAXPROCS(0),
			Memory: memory(), CPU: cpuModel(), Go: goruntime.Version(),
		},
	}
	for _, p := range r.p.Params {
		info.Params[p.Name] = p.Value
	}
	if x, ok := r.o.Engine.(Observant); ok {
		info.Elections = x.ReportsElections()
	}
	return info
}

// The facts below are of Linux; elsewhere they are left out.

// memory gives the machine's memory in bytes; 0: not known.
func memory() int64 {
	fields := strings.Fields(procValue("/proc/meminfo", "MemTotal:"))
	if len(fields) == 0 {
		return 0
	}
	kb, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		return 0
	}
	return kb << 10
}

func cpuModel() string {
	return strings.TrimLeft(procValue("/proc/cpuinfo", "model name"), "\t :")
}

// hostLoad says how busy the machine is, for the journal: what runs beside a
// run can spoil it.
func hostLoad() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	one, _, _ := strings.Cut(string(b), " ")
	return fmt.Sprintf("load average %s on %d processors", one, goruntime.GOMAXPROCS(0))
}

// procValue gives what follows a name at the start of a line.
func procValue(file, name string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if v, ok := strings.CutPrefix(s.Text(), name); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// maxLog bounds the log of the clients' warnings, in bytes.
const maxLog = 1 << 20

// logFile is logs/clients.log of a run folder.
type logFile struct {
	mu     sync.Mutex
	folder string
	f      *os.File
	size   int
	err    error
}

func newLogFile() *logFile { return &logFile{} }

// open sets the run folder; without it lines are dropped.
func (l *logFile) open(folder string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.folder = filepath.Join(folder, record.DirLogs)
}

// dir is where others may log; "" for nowhere.
func (l *logFile) dir() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.folder
}

// line writes a line; the file is made at the first. Past maxLog the rest is
// dropped, and the file says so.
func (l *logFile) line(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.folder == "" || l.err != nil || l.size > maxLog {
		return
	}
	if l.f == nil {
		if l.f, l.err = os.Create(filepath.Join(l.folder, "clients.log")); l.err != nil {
			return
		}
	}
	text = time.Now().Format("15:04:05.000 ") + strings.TrimRight(text, "\n") + "\n"
	if l.size += len(text); l.size > maxLog {
		text = "the rest is left out: the log is full\n"
	}
	_, l.err = l.f.WriteString(text)
}

func (l *logFile) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.folder = ""
	if l.f == nil {
		return l.err
	}
	err := l.f.Close()
	if l.err != nil {
		return l.err
	}
	return err
}
