// This file defines what is kept of a run's claims, and the files.

package kept

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"starfall/runtime/judge"
)

// Claim is one row of a verdict.
type Claim struct {
	Kind     string   `json:"kind"`
	ID       string   `json:"id,omitempty"`
	Text     string   `json:"text"`
	Outcome  string   `json:"outcome"`
	Measured string   `json:"measured"`
	Value    *float64 `json:"value"`
	Unit     string   `json:"unit,omitempty"`
	First    string   `json:"first,omitempty"` // the first record that speaks against it
}

// Claims takes what is kept from a verdict.
func Claims(v *judge.Verdict) []Claim {
	var out []Claim
	for _, c := range v.Claims {
		k := Claim{
			Kind: string(c.Kind), ID: c.ID, Text: c.Text, Outcome: string(c.Outcome), Measured: c.Measured, Value: c.Value, Unit: string(c.Unit),
		}
		if len(c.Witnesses) > 0 && c.Outcome == judge.Broken {
			k.First = c.Witnesses[0].String()
		}
		out = append(out, k)
	}
	return out
}

// Load reads a file by scenario; none yet is no error.
func Load[T any](path string) (map[string]T, error) {
	b, err := os.ReadFile(path)
	kept := map[string]T{}
	if errors.Is(err, fs.ErrNotExist) {
		return kept, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, &kept); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return kept, nil
}

// Save writes a file by scenario, and its folder.
func Save[T any](path string, kept map[string]T) error {
	b, err := json.MarshalIndent(kept, "", " ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}
