package docker

// This file defines where the agent's program comes from: this very program
// when it can run in the containers, else one that is built once and kept.

import (
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"sync/atomic"

	"starfall/runtime/agent"
)

// command is the package that has the agent in it.
const command = "starfall/cmd/starfall"

// program is the agent's program on the host.
type program struct {
	path   string
	build  string       // as the agent tells it; "" as this program
	shown  string       // where the Docker engine may see it; "": it does not
	unseen *atomic.Bool // it was found out that it does not
}

// show gives the path under which a Docker engine may see a program: one that is
// reached by a socket in the file system is likely to be on this host.
func show(endpoint, path string) string {
	if !strings.HasPrefix(endpoint, "unix://") {
		return ""
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return ""
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return ""
	}
	return path
}

// NoProgramError says that there is no program that could run in the
// containers.
type NoProgramError struct {
	System string // of the containers: linux/amd64
	Why    string // this program cannot
	Build  error  // why another could not be built
}

func (e *NoProgramError) Error() string {
	return fmt.Sprintf("no starfall for the containers (%s): %s, and another cannot be built: %v", e.System, e.Why, e.Build)
}

// Program gives a file that runs as the agent in containers of a system such as
// linux/amd64: the running program, or one built by the Go toolchain and kept in
// the user's cache.
func Program(ctx context.Context, system string) (string, error) {
	exe, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("the running program: %w", err)
	}
	why := unfit(exe, system)
	if why == "" {
		return exe, nil
	}
	path, err := BuildProgram(ctx, exe, system)
	if err != nil {
		return "", &NoProgramError{System: system, Why: why, Build: err}
	}
	return path, nil
}

// unfit says why a file cannot be the agent on a system, "" when it can.
func unfit(path, system string) string {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return "this program does not say how it was built"
	}
	if info.Path != command {
		return "this program is " + info.Path
	}
	var goos, goarch string
	for _, s := range info.Settings {
		switch s.Key {
		case "GOOS":
			goos = s.Value
		case "GOARCH":
			goarch = s.Value
		}
	}
	if own := goos + "/" + goarch; own != system {
		return "this one is for " + own
	}
	f, err := elf.Open(path)
	if err != nil {
		return "this one is not an ELF file"
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return "this one needs a C library (it was built with CGO_ENABLED=1)"
		}
	}
	return ""
}

// BuildProgram builds the agent for a system from the module's source, which is
// that of the current folder or the one that exe was compiled from. It is kept
// under the digest of exe, so that it is built once for each build of starfall.
func BuildProgram(ctx context.Context, exe, system string) (string, error) {
	goos, goarch, _ := strings.Cut(system, "/")
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	key, err := digest(exe)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "starfall", "agents")
	path := filepath.Join(dir, fmt.Sprintf("%s-%s-%s", goos, goarch, key))
	if unfit(path, system) == "" {
		return path, nil
	}
	tool, err := exec.LookPath("go")
	if err != nil {
		return "", errors.New("there is no Go toolchain in PATH")
	}
	source, err := sourceFolder(ctx, tool)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	next, err := os.CreateTemp(dir, "building-*")
	if err != nil {
		return "", err
	}
	next.Close()
	defer os.Remove(next.Name())
	cmd := exec.CommandContext(ctx, tool, "build", "-ldflags=-s -w", "-o", next.Name(), command)
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+goos, "GOARCH="+goarch, "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build %s: %w: %s", command, err, strings.TrimSpace(string(out)))
	}
	if err := os.Chmod(next.Name(), 0o755); err != nil {
		return "", err
	}
	if why := unfit(next.Name(), system); why != "" {
		return "", fmt.Errorf("go build %s: %s", command, why)
	}
	if err := os.Rename(next.Name(), path); err != nil {
		return "", err
	}
	forget(dir, path)
	return path, nil
}

// forget deletes agents of older builds; a few are left for runs that go on.
func forget(dir, but string) {
	const keep = 4
	names, err := filepath.Glob(filepath.Join(dir, "*-*-*"))
	if err != nil || len(names) <= keep {
		return
	}
	for len(names) > keep {
		oldest, at := -1, int64(0)
		for i, name := range names {
			info, err := os.Stat(name)
			if err == nil && name != but && (oldest < 0 || info.ModTime().UnixNano() < at) {
				oldest, at = i, info.ModTime().UnixNano()
			}
		}
		if oldest < 0 {
			return
		}
		os.Remove(names[oldest])
		names = append(names[:oldest], names[oldest+1:]...)
	}
}

// sourceFolder finds the module's source.
func sourceFolder(ctx context.Context, tool string) (string, error) {
	var dirs []string
	if wd, err := os.Getwd(); err == nil {
		dirs = append(dirs, wd)
	}
	// With -trimpath this is no path of a file system, and go list fails there.
	if _, file, _, ok := goruntime.Caller(0); ok && filepath.IsAbs(file) {
		dirs = append(dirs, filepath.Dir(file))
	}
	for _, dir := range dirs {
		cmd := exec.CommandContext(ctx, tool, "list", "-f", "{{.Dir}}", command)
		cmd.Dir = dir
		if out, err := cmd.Output(); err == nil {
			return strings.TrimSpace(string(out)), nil
		}
	}
	return "", errors.New("the source of starfall is not found from here")
}

// digest is the SHA-256 of a file, shortened.
func digest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)[:12]), nil
}

// buildOf gives how a program calls its build.
func buildOf(path string) (string, error) {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return agent.BuildOf(info), nil
}
