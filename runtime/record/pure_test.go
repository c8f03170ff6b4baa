package record

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"
)

// The values are those of Kafka's own test of this hash.
func TestMurmur2(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want int32
	}{
		{"21", -973932308},
		{"foobar", -790332482},
		{"a-little-bit-long-string", -985981536},
		{"a-little-bit-longer-string", -1486304829},
		{"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
		{"abc", 479470107},
	} {
		if got := int32(murmur2([]byte(tt.in))); got != tt.want {
			t.Errorf("murmur2(%q): got %d, want %d", tt.in, got, tt.want)
		}
	}
}

func TestIdentity(t *testing.T) {
	id := Identity{Run: 0xfeedface12345678, Producer: 3, Member: 12, Seq: 1 << 40}
	for _, size := range []int{0, IdentitySize, 29, 100, 1000} {
		value := Encode([]byte("x"), id, size)[1:]
		if want := max(size, IdentitySize); len(value) != want {
			t.Errorf("size %d: got %d bytes, want %d", size, len(value), want)
		}
		if got, ok := Decode(value); !ok || got != id {
			t.Errorf("size %d: got %+v, %v, want %+v", size, got, ok, id)
		}
		for i := range IdentitySize {
			bad := bytes.Clone(value)
			bad[i] ^= 1
			if got, ok := Decode(bad); ok {
				t.Errorf("byte %d flipped: got %+v, want no identity", i, got)
			}
		}
	}
	for _, bad := range []string{"", "hello", string(make([]byte, 100))} {
		if got, ok := Decode([]byte(bad)); ok {
			t.Errorf("got %+v of %q, want no identity", got, bad)
		}
	}
}

func TestSegment(t *testing.T) {
	s := Segment{First: 100, At: time.Second, Rate: 3}
	for _, tt := range []struct {
		seq  uint64
		want time.Duration
	}{{100, time.Second}, {103, 2 * time.Second}, {101, time.Second + 333333333}} {
		if got := s.Due(tt.seq); got != tt.want {
			t.Errorf("record %d: got due at %v, want %v", tt.seq, got, tt.want)
		}
	}
	for _, tt := range []struct {
		at   time.Duration
		want uint64
	}{{0, 100}, {time.Second, 101}, {2*time.Second - 1, 103}, {2 * time.Second, 104}} {
		if got := s.NextAfter(tt.at); got != tt.want {
			t.Errorf("at %v: got next %d, want %d", tt.at, got, tt.want)
		}
	}
	for seq := uint64(100); seq < 5000; seq++ {
		if got := s.NextAfter(s.Due(seq)); got != seq+1 {
			t.Fatalf("got next %d after record %d is due", got, seq)
		}
	}
	all := Schedule{{0, 0, 10, 1}, {10, time.Second, 0, 1}, {20, 2 * time.Second, 10, 1}}
	for _, tt := range []struct {
		seq  uint64
		want time.Duration
	}{{9, 900 * time.Millisecond}, {10, time.Second}, {19, time.Second}, {25, 2500 * time.Millisecond}} {
		if got, ok := all.Due(tt.seq); !ok || got != tt.want {
			t.Errorf("record %d: got due at %v, want %v", tt.seq, got, tt.want)
		}
	}
	if _, ok := (Schedule{{5, 0, 1, 1}}).Due(4); ok {
		t.Error("got a due time before the first segment")
	}
}

func TestPartitioner(t *testing.T) {
	robin := NewPartitioner("round_robin", 1, 0, 2, 2, 0)
	for seq, want := range []int32{3, 4, 5, 0, 1, 2, 3} {
		if got := robin.Partition(uint64(seq), 6); got != want {
			t.Errorf("round_robin: record %d: got partition %d, want %d", seq, got, want)
		}
	}
	hash := NewPartitioner("hash", 1, 0, 1, 1, 50)
	byKey := map[int]int32{}
	for seq := range uint64(1000) {
		key := KeyOf(1, 0, 1, seq, 50)
		got := hash.Partition(seq, 6)
		if was, ok := byKey[key]; ok && was != got {
			t.Fatalf("hash: key %d: got partitions %d and %d", key, was, got)
		}
		byKey[key] = got
	}
	if len(byKey) != 50 {
		t.Errorf("got %d keys, want 50", len(byKey))
	}
	random := NewPartitioner("random", 1, 0, 1, 1, 0)
	var count [6]int
	for seq := range uint64(60000) {
		count[random.Partition(seq, 6)]++
	}
	for p, n := range count {
		if n < 9500 || n > 10500 {
			t.Errorf("random: partition %d: got %d of 60000", p, n)
		}
	}
}

func TestFileName(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"shop", "shop"},
		{"shop-2", "shop-2"},
		{"../../etc", "______etc-"},
		{"a/b", "a_b-"},
		{"", ""},
	} {
		got := fileName(tt.in)
		if len(got) < len(tt.want) || got[:len(tt.want)] != tt.want || got != tt.want && len(got) != len(tt.want)+8 {
			t.Errorf("%q: got %q, want %q", tt.in, got, tt.want)
		}
	}
	if a, b := fileName("a/b"), fileName("a:b"); a == b {
		t.Errorf("got %s for both a/b and a:b", a)
	}
}

// TestColumn reads back values of all sizes, so many that they come from
// several fills, and finds a column's end and a damaged one's.
func TestColumn(t *testing.T) {
	var want []uint64
	var b []byte
	for i := range uint64(1000) {
		v := i % 0x80 // one byte, in rows of eight and more
		if i%37 == 0 || i > 900 {
			v = i << (i % 50)
		}
		want = append(want, v)
		b = binary.AppendUvarint(b, v)
	}
	for _, tt := range []struct {
		name string
		b    []byte
	}{{"whole", b}, {"damaged at the end", append(b[:len(b):len(b)], 0x80)}} {
		c := column{b: tt.b}
		for i, v := range want {
			if got := c.next(); got != v || c.bad {
				t.Fatalf("%s: value %d: got %d (bad %v), want %d", tt.name, i, got, c.bad, v)
			}
		}
		if got := c.next(); got != 0 || !c.bad {
			t.Errorf("%s: behind the last value: got %d (bad %v), want 0 (bad true)", tt.name, got, c.bad)
		}
	}
}
