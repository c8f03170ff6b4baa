package interp

import (
	"os"
	"starfall/scenarios"
	"testing"
)

func TestSmoke(t *testing.T) {
	f := os.Getenv("F")
	if f == "" {
		t.Skip()
	}
	p, err := Load(f, Options{Std: scenarios.Std(), Warn: func(p Problem) { t.Log(p) }})
	if err != nil {
		t.Fatal("\n" + err.Error())
	}
	if os.Getenv("J") != "" {
		b, _ := p.Canonical()
		t.Log(string(b))
	}
	for _, c := range p.Claims {
		t.Log(c.Text)
	}
	for _, c := range p.Events {
		t.Log(c.Name, c.Text)
	}
}
