package codec

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/compress/snappy"
)

func TestThereAndBack(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 200_000)
	words := []string{"in-sync ", "replicas ", "high-water ", "mark ", "epoch "}
	for i := 0; i < len(noise); {
		i += copy(noise[i:], words[rng.IntN(len(words))])
	}
	var c Codec
	for _, kind := range []Type{None, Gzip, Snappy, LZ4, Zstd} {
		for _, level := range []int{0, 1, 3, 9} {
			for _, data := range [][]byte{{}, []byte("a"), noise} {
				packed, err := c.Compress([]byte("head"), kind, level, bytes.NewReader(data), 1<<20)
				if err != nil || !bytes.HasPrefix(packed, []byte("head")) {
					t.Fatalf("compression %d level %d: got error %v, want the bytes after what was there", kind, level, err)
				}
				r, err := c.Reader(kind, packed[4:], MaxUnpacked)
				if err != nil {
					t.Fatalf("compression %d: %v", kind, err)
				}
				got, err := io.ReadAll(r)
				if err != nil || !bytes.Equal(got, data) {
					t.Errorf("compression %d level %d: got %d bytes and error %v, want the %d that were packed", kind, level, len(got), err, len(data))
				}
				if kind != None && len(data) > 1000 && len(packed) > len(data)*2/3 {
					t.Errorf("compression %d level %d: got %d bytes for %d, want fewer", kind, level, len(packed), len(data))
				}
			}
		}
	}
}

func TestSnappyWithoutFraming(t *testing.T) {
	var c Codec
	r, err := c.Reader(Snappy, snappy.Encode(nil, []byte("hello hello hello")), MaxUnpacked)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != "hello hello hello" {
		t.Errorf("got %q and error %v, want what was packed", got, err)
	}
}

func TestGarbageIsAnError(t *testing.T) {
	huge := binary.AppendUvarint(nil, 1<<31) // a block that says it is 2 GB long
	tests := []struct {
		name string
		kind Type
		data []byte
	}{
		{"gzip", Gzip, []byte("not gzip at all")},
		{"gzip cut short", Gzip, []byte{0x1f, 0x8b}},
		{"snappy", Snappy, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
		{"snappy that lies", Snappy, append(huge, 0, 0)},
		{"snappy frame cut short", Snappy, append(bytes.Clone(xerialMagic), 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 200, 1)},
		{"snappy header cut short", Snappy, bytes.Clone(xerialMagic)},
		{"lz4", LZ4, []byte("not lz4 at all")},
		{"zstd", Zstd, []byte("not zstd at all")},
		{"unknown", 6, []byte("x")},
	}
	var c Codec
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := c.Reader(tt.kind, tt.data, MaxUnpacked)
			if err == nil {
				_, err = io.ReadAll(r)
			}
			if err == nil {
				t.Error("got no error")
			}
		})
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]Type{"uncompressed": None, "gzip": Gzip, "snappy": Snappy, "lz4": LZ4, "zstd": Zstd} {
		if got, ok := Named(name); !ok || got != want {
			t.Errorf("%s: got %d %v, want %d", name, got, ok, want)
		}
	}
	if _, ok := Named("producer"); ok {
		t.Error("producer: got a compression of its own, want none")
	}
}
