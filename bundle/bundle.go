// Package bundle makes an experiment something that can be handed on: a scenario
// with all that it is made of, locked, and the results that runs of it gave.
//
// A bundle is an OCI artifact, so that it can lie in a registry, in an image
// layout folder, or in one tar file of such a layout:
//
//	manifest    artifact type        config           layers, by their title
//	experiment  TypeExperiment       experiment.lock  plan.json, files/…, std/…
//	result      TypeResult           {}               the files of a run folder
//
// A result names its experiment as its subject, which makes it a referrer of it.
// Nothing is compressed, archived or linked within: what a bundle holds is what its
// descriptors say, and every byte has a digest.
//
// What is read from elsewhere is taken for hostile until it has been checked: see
// Limits and read.
//
// This file defines Bundle and Result.
package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"starfall/interp/plan"
	"starfall/runtime/judge"
	"starfall/runtime/record"
)

// The media types of what a bundle is made of.
const (
	TypeExperiment = "application/vnd.starfall.experiment.v1"
	TypeResult     = "application/vnd.starfall.result.v1"
	typeLock       = "application/vnd.starfall.lock.v1+json"
	typeFile       = "application/vnd.starfall.file.v1"
)

// Where things lie in an experiment, and in the folder that Unpack makes of it.
const (
	FileLock   = "experiment.lock"
	DirFiles   = "files"   // the scenario, its modules and its clients, as below their root
	DirStd     = "std"     // the modules of @std// as they were
	DirResults = "results" // of the folder only: a run folder each, numbered
)

// File is a file with its slash path below the folder that it belongs to.
type File struct {
	Path       string
	Data       []byte
	Executable bool // only of a client's sources
}

// Bundle is an experiment with its results. One that Read gives has been checked.
type Bundle struct {
	Lock    *Lock
	Plan    *plan.Plan
	Files   []File // below DirFiles, by path
	Std     []File // below DirStd, by path
	Results []Result

	store *store
}

// Result is what one run of the experiment gave.
type Result struct {
	Files   []File // of the run folder, by path
	Info    record.Info
	Verdict *judge.Verdict
	Digest  string // of its manifest
}

// Digest is that of the experiment's manifest: two bundles with the same one are
// of the same experiment.
func (b *Bundle) Digest() string { return b.store.experiment.Digest.String() }

// Size is how many bytes all that it holds has.
func (b *Bundle) Size() int64 {
	var n int64
	for _, x := range b.store.blobs {
		n += int64(len(x))
	}
	return n
}

// New makes the bundle of a plan. The lock's tool, dialect, engine, Kafka, speed,
// images, clients and environment are the caller's to say; what follows from the plan
// is put here. Sources are client programs and whatever else belongs to the
// experiment, below the scenario's root.
func New(p *plan.Plan, lock Lock, sources []File) (*Bundle, error) {
	canonical, err := p.Canonical()
	if err != nil {
		return nil, err
	}
	if lock, err = LockOf(p, lock); err != nil {
		return nil, err
	}
	lock.Sources = nil
	b := &Bundle{Plan: p, Lock: &lock}
	for _, f := range p.Files {
		if rest, ok := strings.CutPrefix(f.Path, stdPrefix); ok {
			b.Std = append(b.Std, File{Path: rest, Data: []byte(f.Text)})
			continue
		}
		b.Files = append(b.Files, File{Path: f.Path, Data: []byte(f.Text)})
	}
	for _, f := range sources {
		if i := slices.IndexFunc(b.Files, func(x File) bool { return x.Path == f.Path }); i >= 0 {
			if !bytes.Equal(b.Files[i].Data, f.Data) {
				return nil, refuse(f.Path, "it has changed since the scenario was read", "pack again")
			}
			continue
		}
		b.Files = append(b.Files, f)
		lock.Sources = append(lock.Sources, Source{Path: f.Path, SHA256: sumOf(f.Data), Executable: f.Executable})
	}
	slices.SortFunc(lock.Sources, func(a, b Source) int { return strings.Compare(a.Path, b.Path) })
	byPath(b.Files)
	byPath(b.Std)
	if err := lock.validate(); err != nil {
		return nil, err
	}
	for _, files := range [][]File{b.Files, b.Std} {
		for _, f := range files {
			if err := checkPath(f.Path); err != nil {
				return nil, err
			}
		}
	}
	text, err := lock.Canonical()
	if err != nil {
		return nil, err
	}
	b.store = newStore()
	b.store.addExperiment(text, canonical, b.Files, b.Std, p.Title)
	return b, nil
}

// Attach adds a result to the experiment. It must be one of this experiment: of the
// same plan, on the same engine. One that is attached already is not added again.
func (b *Bundle) Attach(r Result) error {
	of, err := r.planDigest()
	if err != nil {
		return err
	}
	if of != b.Lock.Plan {
		return refuse("", "the run is not one of this experiment: its plan is another", "")
	}
	if r.Info.Engine != b.Lock.Engine {
		return refuse("", fmt.Sprintf("the run is not one of this experiment: it ran on the %s engine, and the experiment is locked to %s", r.Info.Engine, b.Lock.Engine), "")
	}
	byPath(r.Files)
	r.Digest = b.store.addResult(r.Files)
	if !slices.ContainsFunc(b.Results, func(x Result) bool { return x.Digest == r.Digest }) {
		b.Results = append(b.Results, r)
		sortResults(b.Results)
	}
	return nil
}

// sortResults puts the oldest first.
func sortResults(list []Result) {
	slices.SortFunc(list, func(a, b Result) int {
		if c := a.Info.Started.Compare(b.Info.Started); c != 0 {
			return c
		}
		return strings.Compare(a.Digest, b.Digest)
	})
}

// file gives a file of a result.
func (r *Result) file(path string) ([]byte, bool) {
	for _, f := range r.Files {
		if f.Path == path {
			return f.Data, true
		}
	}
	return nil, false
}

func (r *Result) planDigest() (string, error) {
	text, ok := r.file(record.FilePlan)
	if !ok {
		return "", refuse(record.FilePlan, "the result has no plan", "")
	}
	return sumOf(text), nil
}

// newResult reads what a run folder's files say. The verdict is the one that the run
// kept.
func newResult(files []File) (Result, error) {
	r := Result{Files: files}
	for _, x := range []struct {
		name  string
		limit int
		into  any
	}{{record.FileInfo, maxInfo, &r.Info}, {record.FileVerdict, maxVerdict, &r.Verdict}} {
		text, ok := r.file(x.name)
		if !ok {
			return r, refuse(x.name, "the result has no such file", "")
		}
		if len(text) > x.limit {
			return r, tooLarge(x.name, int64(len(text)), int64(x.limit))
		}
		if err := json.Unmarshal(text, x.into); err != nil {
			return r, refuse(x.name, "it cannot be read: "+err.Error(), "")
		}
	}
	if r.Verdict == nil {
		return r, refuse(record.FileVerdict, "it holds no verdict", "")
	}
	return r, nil
}

func byPath(files []File) {
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
}

func sumOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Sum is the digest of a file as the lock has it: SHA-256, in hex.
func Sum(b []byte) string { return sumOf(b) }
