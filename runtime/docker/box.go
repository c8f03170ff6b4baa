package docker

// This file defines a box: a container of a run with the agent in it.

import (
	"archive/tar"
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"

	"starfall/runtime/agent"
	agentnet "starfall/runtime/agent/network"
)

// box is a container of a run.
type box struct {
	name   string // what it is for: kafka-1, control, clients of oslo
	site   string // "": of no site
	id     string // Docker's
	addr   netip.Addr
	prefix netip.Prefix // of the run's network
	agent  *agent.Agent
	errs   *tail // what the agent wrote to standard error
}

// boxSpec is what a box is made from.
type boxSpec struct {
	name     string
	host     string // its host name
	site     string
	image    imageInfo
	labels   map[string]string
	network  string // id
	prefix   string // of container names
	program  program
	memory   int64 // bytes that it may use; 0: no limit
	announce func(id string)
	reach    func(step string) // of coming up
}

// launch makes a container with the agent in it, starts it and returns when the
// agent answers. announce gets the container's id as soon as there is one, also
// when what follows fails.
//
// Where the engine may see the program's file, the container gets that, read-only,
// which takes nothing; its proof is that the agent answers, and that it is of this
// build. Where it does not, another container is made and gets a copy, and so do
// all that follow: a path can be another host's, or lead to what may not be run
// there.
func (h host) launch(ctx context.Context, s boxSpec) (*box, error) {
	if s.program.shown != "" && !s.program.unseen.Load() {
		b, id, err := h.launchOnce(ctx, s, true)
		if err == nil || ctx.Err() != nil || !errors.As(err, new(*unseenError)) {
			return b, err
		}
		s.program.unseen.Store(true)
		s.reach("starfall is not shown there, but copied: " + oneLine(err.Error()))
		if id != "" {
			if err := h.remove(ctx, id); err != nil {
				return nil, fmt.Errorf("container %s: %w", s.name, err)
			}
		}
	}
	b, _, err := h.launchOnce(ctx, s, false)
	return b, err
}

// unseenError is what may come of a program that the engine does not see, or may
// not run where it does.
type unseenError struct{ error }

func (e *unseenError) Unwrap() error { return e.error }

// oneLine makes a line of a text.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// launchOnce launches with the program's file shown or copied. It gives the
// container's id also beside an error.
func (h host) launchOnce(ctx context.Context, s boxSpec, shown bool) (_ *box, id string, err error) {
	b := &box{name: s.name, site: s.site}
	defer func() { id = b.id }()
	maybeUnseen := func(err error) error {
		if shown {
			return &unseenError{err}
		}
		return err
	}
	var mounts []mount.Mount
	if shown {
		mounts = []mount.Mount{{Type: mount.TypeBind, Source: s.program.shown, Target: pathProgram, ReadOnly: true}}
	}
	labels := map[string]string{labelPart: s.name}
	for k, v := range s.labels {
		labels[k] = v
	}
	// A volume of the image would be one on the host; in memory there is none.
	tmpfs := map[string]string{}
	for _, dir := range s.image.volumes {
		tmpfs[dir] = ""
	}
	// Nobody can take a request back that Docker is already at: so that no
	// container is made of which nobody knows, it is waited for.
	making, cancel := context.WithTimeout(context.WithoutCancel(ctx), makeLimit)
	defer cancel()
	created, err := h.api.ContainerCreate(making, &container.Config{
		Image: s.image.id, Hostname: s.host, User: "0:0", Labels: labels,
		Entrypoint: []string{pathProgram, "agent"}, Cmd: []string{},
		OpenStdin: true, StdinOnce: true, AttachStdin: true, AttachStdout: true, AttachStderr: true,
		Healthcheck: &container.HealthConfig{Test: []string{"NONE"}},
		StopSignal:  "SIGTERM",
	}, &container.HostConfig{
		AutoRemove: true, CapAdd: []string{"NET_ADMIN"}, NetworkMode: container.NetworkMode(s.network),
		LogConfig: container.LogConfig{Type: "none"}, Tmpfs: tmpfs, Mounts: mounts,
		Resources: container.Resources{Memory: s.memory},
	}, &network.NetworkingConfig{}, nil, s.prefix+s.name)
	if err != nil {
		err = fmt.Errorf("container %s: %w", s.name, err)
		if errdefs.IsInvalidArgument(err) { // there is no such file, says the engine
			err = maybeUnseen(err)
		}
		return nil, "", err
	}
	b.id = created.ID
	s.announce(b.id)
	s.reach("container made")
	if ctx.Err() != nil {
		return nil, "", fmt.Errorf("container %s: %w", s.name, context.Cause(ctx))
	}
	fail := func(what string, err error) (*box, string, error) {
		return nil, "", fmt.Errorf("container %s: %s: %w", s.name, what, err)
	}
	stream, err := h.api.ContainerAttach(ctx, b.id, container.AttachOptions{Stream: true, Stdin: true, Stdout: true, Stderr: true})
	if err != nil {
		return fail("attach", err)
	}
	link := newAttached(stream)
	b.errs = link.errs
	if !shown {
		if err := h.put(ctx, b.id, s.program.path); err != nil {
			link.Close()
			return fail("copy of starfall", err)
		}
		s.reach("starfall copied")
	}
	if err := h.api.ContainerStart(ctx, b.id, container.StartOptions{}); err != nil {
		link.Close()
		return fail("start", maybeUnseen(err))
	}
	s.reach("container started")
	answer, forgo := ctx, func() {}
	if shown {
		answer, forgo = context.WithTimeout(ctx, shownAnswers)
	}
	b.agent, err = agent.Connect(answer, link, agent.ConnectOptions{Build: s.program.build})
	forgo()
	if err != nil {
		if text := b.errs.String(); text != "" {
			err = fmt.Errorf("%w: %s", err, text)
		}
		return fail("agent", maybeUnseen(err))
	}
	s.reach("agent answers")
	info, err := h.api.ContainerInspect(ctx, b.id)
	if err != nil {
		b.agent.Close()
		return fail("inspect", err)
	}
	for _, n := range info.NetworkSettings.Networks {
		if b.addr, err = netip.ParseAddr(n.IPAddress); err == nil {
			b.prefix, err = b.addr.Prefix(n.IPPrefixLen)
		}
	}
	if err == nil && !b.addr.IsValid() {
		err = errors.New("it has none")
	}
	if err != nil {
		b.agent.Close()
		return fail("address", err)
	}
	return b, "", nil
}

// shownAnswers is how long an agent that was shown may take to answer: a file that
// is no agent may run and say nothing.
const shownAnswers = 10 * time.Second

// makeLimit is how long Docker may take to make a container or a network.
const makeLimit = time.Minute

// prime has the kernel make what shaping needs, so that the first change of the
// network is as quick as the others.
func (b *box) prime(ctx context.Context) error {
	if _, err := b.agent.Shape(ctx, agentnet.State{}); err != nil {
		return fmt.Errorf("network of %s: %w", b.name, err)
	}
	return nil
}

// put copies the program into a container.
func (h host) put(ctx context.Context, id, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	content, size := io.Reader(f), info.Size()
	if head, end, ok := loaded(f); ok && end <= size {
		content = io.MultiReader(bytes.NewReader(head), io.NewSectionReader(f, int64(len(head)), end-int64(len(head))))
		size = end
	}
	r, w := io.Pipe()
	go func() {
		t := tar.NewWriter(w)
		name := strings.TrimPrefix(pathProgram, "/")
		err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: strings.TrimPrefix(dirWork, "/") + "/", Mode: 0o755})
		if err == nil {
			err = t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o755, Size: size, ModTime: info.ModTime()})
		}
		if err == nil {
			_, err = io.Copy(t, content)
		}
		w.CloseWithError(errors.Join(err, t.Close()))
	}()
	err = h.api.CopyToContainer(ctx, id, "/", r, container.CopyToContainerOptions{})
	r.CloseWithError(errors.New("not wanted any more"))
	return err
}

// loaded gives what of a program runs: where that ends in the file, and the header
// of a file that ends there. Behind it are symbols and the sections that a debugger
// reads, a third of the file. ok is false for what is no 64-bit program of the
// byte order that all containers have here: it is copied whole.
func loaded(f io.ReaderAt) (header []byte, end int64, ok bool) {
	header = make([]byte, elfHeader)
	if _, err := f.ReadAt(header, 0); err != nil || string(header[:6]) != elf.ELFMAG+"\x02\x01" {
		return nil, 0, false
	}
	x, err := elf.NewFile(f)
	if err != nil {
		return nil, 0, false
	}
	for _, p := range x.Progs {
		if p.Type != elf.PT_NULL && p.Filesz > 0 {
			end = max(end, int64(p.Off+p.Filesz))
		}
	}
	clear(header[40:48]) // where the list of sections is
	clear(header[60:64]) // how many there are, and which has their names
	return header, end, end >= elfHeader
}

// elfHeader is the size of the header of a 64-bit ELF file.
const elfHeader = 64

// remove removes a container and returns when it is gone. One that is not there,
// or is being removed already, is no error.
func (h host) remove(ctx context.Context, id string) error {
	for {
		err := h.api.ContainerRemove(ctx, id, container.RemoveOptions{Force: true, RemoveVolumes: true})
		switch {
		case err == nil, errdefs.IsNotFound(err):
			return nil
		case !strings.Contains(err.Error(), "already in progress"):
			return fmt.Errorf("remove container %.12s: %w", id, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("remove container %.12s: %w", id, context.Cause(ctx))
		case <-time.After(20 * time.Millisecond):
		}
	}
}
