package agent

// This file tests what a power failure takes, on hand-made segments.

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// batchOf makes a batch of n records from base on, as old as age at now.
func batchOf(now time.Time, base int64, n int, age time.Duration) []byte {
	b := make([]byte, batchHead+10*n)
	binary.BigEndian.PutUint64(b, uint64(base))
	binary.BigEndian.PutUint32(b[batchLengthAt:], uint32(len(b)-batchOverhead))
	b[batchMagicAt] = 2
	binary.BigEndian.PutUint32(b[batchDeltaAt:], uint32(n-1))
	binary.BigEndian.PutUint64(b[batchMaxTimeAt:], uint64(now.Add(-age).UnixMilli()))
	return b
}

// partition writes a partition's folder: segments by base offset, other files by name.
func partition(t *testing.T, dir, name string, segments map[int64][]byte, others ...string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
	for base, content := range segments {
		for _, suffix := range []string{".log", ".index", ".timeindex"} {
			write := content
			if suffix != ".log" {
				write = []byte("index")
			}
			if err := os.WriteFile(filepath.Join(path, fmt.Sprintf("%020d%s", base, suffix)), write, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, o := range others {
		if err := os.WriteFile(filepath.Join(path, o), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// left is the files of a folder, with the size of segments in bytes.
func left(t *testing.T, path string) string {
	t.Helper()
	entries, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		name := strings.TrimLeft(strings.TrimSuffix(e.Name(), ".log"), "0")
		if strings.HasSuffix(e.Name(), ".log") {
			info, err := e.Info()
			if err != nil {
				t.Fatal(err)
			}
			name = fmt.Sprintf("%s:%d", name, info.Size())
		}
		out = append(out, name)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func TestDiscard(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	// Batches of 10 records, so of 161 bytes each, at 0, 10, 20 and 30.
	four := func(ages ...time.Duration) []byte {
		var out []byte
		for i, age := range ages {
			out = append(out, batchOf(now, int64(10*i), 10, age)...)
		}
		return out
	}
	young := four(0, 0, 0, 0)
	second := time.Second
	tests := []struct {
		name     string
		points   string // of t 0; "" for no file
		flushing Flushing
		segments map[int64][]byte
		others   []string
		want     []Discarded
		left     string
	}{
		{"nothing was flushed", "", Flushing{}, map[int64][]byte{0: young}, nil,
			[]Discarded{{"t-0", 0, 644}}, ":0"},
		{"no entry", "0\n1\nother 0 40\n", Flushing{}, map[int64][]byte{0: young}, nil,
			[]Discarded{{"t-0", 0, 644}}, ":0"},
		{"an empty checkpoint", "\x00", Flushing{}, map[int64][]byte{0: young}, nil,
			[]Discarded{{"t-0", 0, 644}}, ":0"},
		{"recovery point at a border", "0\n1\nt 0 20\n", Flushing{}, map[int64][]byte{0: young}, nil,
			[]Discarded{{"t-0", 20, 322}}, ":322"},
		{"recovery point inside a batch", "0\n2\nother 3 7\nt 0 21\n", Flushing{}, map[int64][]byte{0: young}, nil,
			[]Discarded{{"t-0", 30, 161}}, ":483"},
		{"everything was flushed", "0\n1\nt 0 40\n", Flushing{}, map[int64][]byte{0: young}, []string{"00000000000000000040.snapshot"},
			nil, ".index .timeindex 40.snapshot :644"},
		{"the log was truncated below its recovery point", "0\n1\nt 0 400\n", Flushing{}, map[int64][]byte{0: young}, nil,
			nil, ".index .timeindex :644"},
		{"older segments are whole", "", Flushing{}, map[int64][]byte{0: young, 40: append(batchOf(now, 40, 10, 0), batchOf(now, 50, 10, 0)...)},
			[]string{"00000000000000000040.snapshot", "00000000000000000055.snapshot", "leader-epoch-checkpoint", "partition.metadata"},
			[]Discarded{{"t-0", 40, 322}}, ".index .timeindex 40.snapshot 40:0 :644 leader-epoch-checkpoint partition.metadata"},
		{"an empty active segment", "", Flushing{}, map[int64][]byte{0: young, 40: nil}, nil,
			nil, ".index .timeindex 40.index 40.timeindex 40:0 :644"},
		{"flush.messages 1", "", Flushing{Messages: 1}, map[int64][]byte{0: young}, nil,
			nil, ".index .timeindex :644"},
		{"flush.messages 20: after the second and the fourth", "", Flushing{Messages: 20}, map[int64][]byte{0: young[:483]}, nil,
			[]Discarded{{"t-0", 20, 161}}, ":322"},
		{"flush.messages from the recovery point on", "0\n1\nt 0 10\n", Flushing{Messages: 20}, map[int64][]byte{0: young}, nil,
			[]Discarded{{"t-0", 30, 161}}, ":483"},
		{"old pages were written", "", Flushing{Age: 30 * second}, map[int64][]byte{0: four(60*second, 30*second, 29*second, 0)}, nil,
			[]Discarded{{"t-0", 20, 322}}, ":322"},
		{"a young batch before an old one", "", Flushing{Age: 30 * second}, map[int64][]byte{0: four(0, 60*second, 0, 0)}, nil,
			[]Discarded{{"t-0", 20, 322}}, ":322"},
		{"a batch written in part", "0\n1\nt 0 99\n", Flushing{}, map[int64][]byte{0: young[:600]}, nil,
			[]Discarded{{"t-0", 30, 117}}, ":483"},
		{"room allocated before", "0\n1\nt 0 99\n", Flushing{}, map[int64][]byte{0: append(slices.Clone(young), make([]byte, 500)...)}, nil,
			[]Discarded{{"t-0", 40, 500}}, ":644"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			path := partition(t, dir, "t-0", tt.segments, tt.others...)
			// What it must not touch.
			partition(t, dir, "__cluster_metadata-0", map[int64][]byte{0: young})
			partition(t, dir, "t-1.6b2f-delete", map[int64][]byte{0: young})
			files := map[string]string{cleanShutdown: "x", "meta.properties": "x"}
			if tt.points == "\x00" {
				files[recoveryPoints] = ""
			} else if tt.points != "" {
				files[recoveryPoints] = tt.points
			}
			for name, content := range files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			got, err := discard(t.Context(), dir, Loss{Default: tt.flushing}, now)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			if got := left(t, path); got != tt.left {
				t.Errorf("left: got %q, want %q", got, tt.left)
			}
			for _, name := range []string{"__cluster_metadata-0", "t-1.6b2f-delete"} {
				if got, want := left(t, filepath.Join(dir, name)), ".index .timeindex :644"; got != want {
					t.Errorf("%s: got %q, want %q", name, got, want)
				}
			}
			if _, err := os.Stat(filepath.Join(dir, cleanShutdown)); err == nil {
				t.Error("the mark of a clean shutdown is there still")
			}
			// A second failure takes nothing more, but what the first had spared as too old to lose.
			again, err := discard(t.Context(), dir, Loss{Default: tt.flushing}, now)
			if err != nil || len(again) != 0 {
				t.Errorf("again: got %v and %v, want nothing", again, err)
			}
		})
	}
}

func TestDiscardByTopic(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	dir := t.TempDir()
	for _, name := range []string{"a-0", "a-b-12", "c-0"} {
		partition(t, dir, name, map[int64][]byte{0: batchOf(now, 0, 10, 0)})
	}
	got, err := discard(t.Context(), dir, Loss{Topics: map[string]Flushing{"a-b": {Messages: 1}}}, now)
	if want := []Discarded{{"a-0", 0, 161}, {"c-0", 0, 161}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v and %v, want %v", got, err, want)
	}
}

func TestDiscardRefuses(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	old := batchOf(now, 0, 10, 0)
	old[batchMagicAt] = 1
	tests := []struct {
		name, points string
		segment      []byte
		want         string
	}{
		{"another version", "1\n0\n", nil, `got version "1", want 0`},
		{"a wrong count", "0\n2\nt 0 1\n", nil, "the number of entries is not the number of lines"},
		{"no count", "0\n", nil, "the number of entries is not the number of lines"},
		{"a line too short", "0\n1\nt 0\n", nil, `got line "t 0", want topic, partition and offset`},
		{"no number", "0\n1\nt 0 x\n", nil, `line "t 0 x": strconv.ParseInt`},
		{"an older format", "0\n0\n", old, "at 0: got a batch of magic 1, want 2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			partition(t, dir, "t-0", map[int64][]byte{0: tt.segment})
			if err := os.WriteFile(filepath.Join(dir, recoveryPoints), []byte(tt.points), 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := discard(t.Context(), dir, Loss{}, now)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
	if _, err := discard(t.Context(), filepath.Join(t.TempDir(), "none"), Loss{}, now); err == nil {
		t.Error("no folder: got no error")
	}
}
