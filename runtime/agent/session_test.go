//go:build linux

package agent

import (
	"context"
	"testing"
)

func TestPing(t *testing.T) {
	a, p := connected(t)
	if err := a.Ping(context.Background()); err != nil {
		t.Fatalf("got %v; log:\n%s", err, p.log())
	}
	s, err := a.Start(t.Context(), Process{Name: "x", Args: []string{"sleep", "100"}})
	t.Log(s, err)
	s, err = a.Signal(t.Context(), "x", "pause")
	t.Log(s, err)
	s, err = a.Signal(t.Context(), "x", "kill")
	t.Log(s, err)
}

func beHost() {}
