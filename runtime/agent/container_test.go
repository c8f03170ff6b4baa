//go:build linux

package agent

// This file tests the agent where it belongs: as PID 1 of a container.

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"starfall/interp/plan"
	"starfall/runtime"
	"starfall/runtime/agent/network"
)

// containerImage is the image of images/kafka/build.sh; any with sh would do.
const containerImage = "starfall/kafka:3.9.1"

// docker runs the docker command and gives its output.
func docker(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("docker", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// contained starts an agent as PID 1 of a container, with the docker command
// as its host.
func contained(t *testing.T) (*Agent, *exec.Cmd, string) {
	t.Helper()
	if testing.Short() {
		t.Skip("a container takes seconds")
	}
	if err := exec.Command("docker", "image", "inspect", containerImage).Run(); err != nil {
		t.Skipf("no Docker, or no image %s: type images/kafka/build.sh", containerImage)
	}
	bin := filepath.Join(t.TempDir(), "agent")
	build := exec.Command("go", "test", "-c", "-o", bin, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	id := docker(t, "create", "-i", "--rm", "--cap-add", "NET_ADMIN", "--log-driver", "local", "-e", role+"=agent", "-e", "BUILD=v1", "--entrypoint", "/agent", containerImage)
	t.Cleanup(func() { exec.Command("docker", "rm", "-f", id).Run() })
	docker(t, "cp", bin, id+":/agent")
	cmd := exec.Command("docker", "start", "-ai", id)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	a, err := Connect(ctx, &pair{out, in}, ConnectOptions{Build: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	return a, cmd, id
}

// gone waits until a container is removed and gives how long that took.
func gone(t *testing.T, id string) time.Duration {
	t.Helper()
	begin := time.Now()
	soon(t, "the container is gone", func() bool { return exec.Command("docker", "inspect", id).Run() != nil })
	return time.Since(begin)
}

func TestContainer(t *testing.T) {
	a, cmd, id := contained(t)
	ctx := t.Context()
	script := strings.ReplaceAll(treeScript, "sleep 0.01", "sleep 0.1")
	if err := a.Write(ctx, File{Path: "/etc/hosts", Content: []byte("127.0.0.1 localhost\n10.9.8.7 kafka-1\n")}, File{Path: "/scratch/tree.sh", Content: []byte(script)}); err != nil {
		t.Fatal(err)
	}
	if b, err := a.Read(ctx, "/etc/hosts", 9); err != nil || string(b) != " kafka-1\n" {
		t.Errorf("got %q and %v", b, err)
	}
	if _, err := a.Start(ctx, Process{Name: "x", Args: []string{"sh", "/scratch/tree.sh", "/scratch/pids"}}); err != nil {
		t.Fatal(err)
	}
	soon(t, "the tree is there", func() bool { _, err := a.Read(ctx, "/scratch/pids", 0); return err == nil })
	if s := signalled(t, a, "x", runtime.SignalPause); s.State != Paused {
		t.Errorf("got %+v, want it paused", s)
	}
	if s := signalled(t, a, "x", runtime.SignalKill); s.State != Exited {
		t.Errorf("got %+v, want it exited", s)
	}
	list, err := a.List(ctx, "/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if e.Name[0] >= '2' && e.Name[0] <= '9' || len(e.Name) > 1 && e.Name[0] == '1' {
			b, _ := a.Read(ctx, "/proc/"+e.Name+"/stat", 0)
			t.Errorf("a process is left: %s", b)
		}
	}

	support, err := a.Support(ctx)
	if err != nil || support.Cut != "" {
		t.Fatalf("got %+v and %v", support, err)
	}
	gateway := netip.MustParseAddr(docker(t, "inspect", "-f", "{{.NetworkSettings.Gateway}}", id))
	probe := []network.Probe{{Peer: netip.AddrPortFrom(gateway, 1), Wait: 200 * time.Millisecond}}
	for _, tt := range []struct {
		state network.State
		want  network.Answer
	}{
		{network.State{}, network.Refused},
		{network.State{Rules: []network.Rule{{Peer: gateway, Condition: plan.Condition{Cut: true}}}}, network.Silent},
		{network.State{}, network.Refused},
	} {
		if _, err := a.Shape(ctx, tt.state); err != nil {
			t.Fatal(err)
		}
		if got, err := a.Reach(ctx, probe); err != nil || got[0].Answer != tt.want {
			t.Errorf("with %+v: got %+v and %v, want %s", tt.state, got, err, tt.want)
		}
	}
	begin := time.Now()
	const n = 500
	for range n {
		if err := a.Ping(ctx); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("a round trip through the docker command: %v", time.Since(begin)/n)

	if _, err := a.Start(ctx, Process{Name: "x", Args: []string{"sh", "/scratch/tree.sh", "/scratch/pids2"}}); err != nil {
		t.Fatal(err)
	}
	cmd.Process.Kill()
	t.Logf("from kill -9 of the host to no container: %v", gone(t, id))
}

func TestContainerIsStopped(t *testing.T) {
	a, _, id := contained(t)
	if _, err := a.Start(t.Context(), Process{Name: "x", Args: []string{"sh", "-c", "trap '' TERM; while :; do sleep 1000; done"}}); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	docker(t, "stop", "-t", "10", id)
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("docker stop took %v: the agent did not hear SIGTERM", took)
	}
	<-a.Done()
	gone(t, id)
}

func TestContainerIsKept(t *testing.T) {
	a, cmd, id := contained(t)
	if err := a.Keep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Start(t.Context(), Process{Name: "x", Args: []string{"sleep", "1000"}}); err != nil {
		t.Fatal(err)
	}
	cmd.Process.Kill()
	<-a.Done()
	soon(t, "the agent notices", func() bool { return strings.Contains(docker(t, "logs", id), "staying, as it was told") })
	if top := docker(t, "top", id); !strings.Contains(top, "sleep 1000") {
		t.Errorf("got %s, want the process", top)
	}
	docker(t, "stop", id)
	gone(t, id)
}
