package report

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestIndex(t *testing.T) {
	dir := t.TempDir()
	if _, err := ReadIndex(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no index: got %v, want that there is none", err)
	}
	want := Index{Format: IndexFormat, Scenario: "s", Started: time.Date(2026, 11, 24, 7, 31, 0, 0, time.UTC), Ended: true, Runs: []IndexRun{
		{Folder: "1-acks=1", Params: []Param{{"acks", "1"}}, Repeat: 1, Ran: true, WallMS: 900, Exit: 1},
		{Folder: "2-acks=all", Params: []Param{{"acks", "all"}}, Repeat: 1, Exit: 4, Error: "up: no"},
	}}
	if err := SaveIndex(dir, want); err != nil {
		t.Fatal(err)
	}
	got, err := ReadIndex(dir)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v and %v, want %+v", got, err, want)
	}
	path := filepath.Join(dir, FileIndex)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(whole) - 1 {
		if err := os.WriteFile(path, whole[:n], 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadIndex(dir); !errors.Is(err, ErrIndexCut) {
			t.Errorf("cut at %d of %d: got %v, want that it is cut off", n, len(whole), err)
		}
	}
	for _, tt := range []struct{ was, is, want string }{
		{`"format": 1`, `"format": 2`, "sweep.json: got format 2, want 1: update starfall to read this sweep"},
		{`"1-acks=1"`, `"../other"`, `sweep.json: for folder: got "../other", want a folder below the sweep's`},
		{`"1-acks=1"`, `"/etc"`, `sweep.json: for folder: got "/etc", want a folder below the sweep's`},
		{`"1-acks=1"`, `"."`, `sweep.json: for folder: got ".", want a folder below the sweep's`},
	} {
		if err := os.WriteFile(path, []byte(strings.Replace(string(whole), tt.was, tt.is, 1)), 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadIndex(dir); err == nil || err.Error() != tt.want {
			t.Errorf("got %v, want %s", err, tt.want)
		}
	}
}
