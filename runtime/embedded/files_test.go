package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"starfall/runtime"
)

func TestFileStore(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "deep", "down")
	s := newFileStore(folder)
	if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got a folder before there is anything in it: %v", err)
	}
	big := bytes.Repeat([]byte("x"), chunkSize*2/3)
	var places []int64
	for _, data := range [][]byte{[]byte("one"), []byte("two"), big, big, []byte("three")} {
		at, err := s.Put(data)
		if err != nil {
			t.Fatal(err)
		}
		places = append(places, at)
	}
	if distinct := slices.Compact(slices.Sorted(slices.Values(places))); len(distinct) != 5 {
		t.Errorf("got places %v, want five", places)
	}
	for i, want := range map[int]string{0: "one", 1: "two", 4: "three"} {
		got := make([]byte, len(want))
		if err := s.Get(places[i], got); err != nil || string(got) != want {
			t.Errorf("place %d: got %q and error %v, want %q", i, got, err, want)
		}
	}
	files := func() int {
		list, err := os.ReadDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	if n := files(); n != 2 {
		t.Errorf("got %d files, want 2", n)
	}
	s.Free(places[0], 3)
	s.Free(places[1], 3)
	if n := files(); n != 2 {
		t.Errorf("got %d files while one of the first is in use, want 2", n)
	}
	s.Free(places[2], len(big))
	if n := files(); n != 1 {
		t.Errorf("got %d files after all of the first is free, want 1", n)
	}
	if err := s.Get(places[0], make([]byte, 3)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is free: got error %v, want %v", err, fs.ErrNotExist)
	}
	if err := s.remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got the folder left behind: %v", err)
	}
	if err := os.WriteFile(folder, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := newFileStore(folder).Put([]byte("x")); err == nil {
		t.Error("where no folder can be: got no error")
	}
}

// TestLogsBeyondMemoryAreRead writes far more than may be in memory and reads it all.
func TestLogsBeyondMemoryAreRead(t *testing.T) {
	folder := t.TempDir()
	b := startIn(t, Engine{Memory: 8 << 10}, kafkaPlan(3, 0, nil), runtime.UpOptions{Speed: 10, Folder: folder})
	b.topic("t", 2, 3, nil)
	acked := b.produce(b.client(runtime.Place{}), "t", 2, 0, 5_000)
	list, err := os.ReadDir(filepath.Join(folder, "embedded-kafka"))
	if err != nil || len(list) == 0 {
		t.Fatalf("got files %v and error %v, want some", list, err)
	}
	if info, err := list[0].Info(); err != nil || info.Size() < 20_000 {
		t.Errorf("got a file of %v and error %v, want most of what was written", info, err)
	}
	got := b.read("t", 2)
	for p := range int32(2) {
		if !slices.Equal(got[p], acked[p]) {
			t.Errorf("partition %d: read %d records, want the %d acknowledged ones in order", p, len(got[p]), len(acked[p]))
		}
	}
	if err := b.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if list, err := os.ReadDir(folder); err != nil || len(list) != 0 {
		t.Errorf("after Close: got %v left behind, error %v", fmt.Sprint(list), err)
	}
}
