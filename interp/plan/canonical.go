// This file defines the canonical JSON of a plan and its digest.

package plan

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
)

// Canonical gives the plan as indented JSON. The same plan always gives the
// same bytes: fields are in the order of their declaration and maps sorted.
func (p *Plan) Canonical() ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(p); err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	return buf.Bytes(), nil
}

// Digest is the SHA-256 of the canonical JSON, in hex.
func (p *Plan) Digest() (string, error) {
	b, err := p.Canonical()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

// Read parses canonical JSON. It refuses unknown fields and newer formats.
func Read(r io.Reader) (*Plan, error) {
	dec := json.NewDecoder(r)
	dec.DisallowUnknownFields()
	var p Plan
	if err := dec.Decode(&p); err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	if p.Format != Format {
		return nil, fmt.Errorf("plan: got format %d, want %d: update starfall", p.Format, Format)
	}
	return &p, nil
}
