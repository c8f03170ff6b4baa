//go:build unix

package main

import (
	"context"
	"flag"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"starfall/runtime/docker"
)

var kills = flag.Int("kills", 3, "how often TestDockerKilled kills a run, each at a random moment")

// onDocker is a short run on real Kafka in which a broker dies.
const onDocker = `"""On Docker"""
scenario(run_for = "8s", warmup = "1s", drain = "60s")
kafka = cluster(brokers = 3, config = {"broker.session.timeout.ms": 2000, "broker.heartbeat.interval.ms": 500})
orders = topic(kafka, partitions = 3, replicas = 3, min_insync = 2)
shop = producer(orders, rate = 100)
billing = consumer(orders, group = "billing")
outage = at("3s", kill(orders.leader(partition = 0), restart_after = "2s"))
expect(billing.missing.none())
`

// needDocker skips a test where there is no Docker engine or no image.
func needDocker(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("it starts containers: leave -short out")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	s, err := docker.Ping(ctx, docker.Options{})
	if err != nil {
		t.Skipf("%v: start Docker", err)
	}
	if !s.HasImage {
		t.Skip("no image of Kafka 3.9: type images/kafka/build.sh 3.9.1, or docker pull apache/kafka:3.9.1")
	}
}

// remains lists containers and networks of runs of this test's scenario, which
// is called as its folder.
func remains(t *testing.T, name string) []string {
	t.Helper()
	var out []string
	for _, args := range [][]string{
		{"ps", "--all", "--format", "{{.Names}}"}, {"network", "ls", "--format", "{{.Name}}"},
	} {
		b, err := exec.Command("docker", append(args, "--filter", "label=starfall.name="+name)...).Output()
		if err != nil {
			t.Fatalf("docker %s: %v", args[0], err)
		}
		out = append(out, strings.Fields(string(b))...)
	}
	return out
}

// dockerRun starts a scenario under a name that no other run on this host has.
func dockerRun(t *testing.T, scenario string, args ...string) (*process, string) {
	t.Helper()
	if _, err := exec.LookPath("docker"); err != nil {
		t.Skip("the docker command, which shows what is left, is not in PATH")
	}
	name := "test-" + strings.ToLower(filepath.Base(t.TempDir())) + "-" + time.Now().Format("150405.000")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name+".star"), []byte(scenario), 0o666); err != nil {
		t.Fatal(err)
	}
	p := startIn(t, dir, exec.Command("starfall", append([]string{"run", name + ".star", "--engine", "docker"}, args...)...))
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		deadline := time.Now().Add(30 * time.Second)
		left := remains(t, name)
		for len(left) > 0 && time.Now().Before(deadline) {
			time.Sleep(200 * time.Millisecond)
			left = remains(t, name)
		}
		if len(left) > 0 {
			t.Errorf("left behind: %s", strings.Join(left, ", "))
		}
	})
	return p, dir
}

// TestDockerRun runs a scenario on real Kafka, with the brokers' logs in the run
// folder. A busy machine may offer records late; that is not what is tested.
func TestDockerRun(t *testing.T) {
	needDocker(t)
	p, dir := dockerRun(t, onDocker)
	<-p.done
	p.cmd.Wait()
	if code := p.cmd.ProcessState.ExitCode(); code != 0 && !(code == 3 && strings.Contains(p.stdout.String(), tooBusy)) {
		t.Fatalf("got exit code %d, want 0\n%s%s", code, p.stdout.String(), p.errors())
	}
	for _, want := range []string{"docker · kafka 3.9", "process gone, port refuses", "registered after", "0 of 800"} {
		if !strings.Contains(p.stdout.String(), want) {
			t.Errorf("got\n%s\nwant %q in it", p.stdout.String(), want)
		}
	}
	for _, name := range []string{"kafka-1.log", "kafka-2.properties", "kafka-3.effective"} {
		found, err := filepath.Glob(filepath.Join(dir, "runs", "*", "logs", name))
		if err != nil || len(found) != 1 {
			t.Errorf("%s: got %v, %v, want it in the run folder", name, found, err)
		}
	}
}

// TestDockerInterrupted sends one Ctrl-C in the run.
func TestDockerInterrupted(t *testing.T) {
	needDocker(t)
	p, _ := dockerRun(t, onDocker)
	p.await("phase: run")
	p.signal(os.Interrupt)
	p.exit(130)
}

// TestDockerKilled kills the command with SIGKILL at random moments: nothing is
// left, by the end of the test (dockerRun).
func TestDockerKilled(t *testing.T) {
	needDocker(t)
	for range *kills {
		after := time.Duration(rand.Int64N(int64(12 * time.Second)))
		t.Run(after.Round(time.Millisecond).String(), func(t *testing.T) {
			p, _ := dockerRun(t, onDocker, "--quiet")
			select {
			case <-p.done:
				t.Fatalf("it ended by itself\n%s", p.errors())
			case <-time.After(after):
			}
			p.signal(os.Kill)
			<-p.done
		})
	}
}

// TestDockerClients runs the client in Go of examples/clients in the place of a
// producer and a consumer, on real Kafka with users: it reaches the brokers by
// addresses of this host and logs in there, and it reads what a built-in
// producer writes inside.
func TestDockerClients(t *testing.T) {
	needDocker(t)
	shop := filepath.Join(t.TempDir(), "shop")
	if out, err := exec.Command("go", "build", "-o", shop, repoRoot(t)+"/examples/clients/go").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	p, _ := dockerRun(t, `"""On Docker"""
scenario(run_for = "5s", warmup = "1s", drain = "30s")
kafka = cluster(brokers = 1, controllers = 1, auth = "plain")
orders = topic(kafka, partitions = 2)
alice = user(kafka, password = "secret of alice", produces = [orders])
bob = user(kafka, password = "secret of bob", consumes = [orders])
shop = producer(orders, rate = 50, user = alice)
kiosk = producer(orders, rate = 50, user = alice)
billing = consumer(orders, group = "billing", user = bob)
expect(orders.lost.none())
expect(billing.missing.none())
expect(billing.phantoms.none())
expect(billing.duplicates.none())
expect(shop.rate.at_least(25))
`, "--client", "shop="+shop+" produce", "--client", "billing="+shop+" consume")
	<-p.done
	p.cmd.Wait()
	if code := p.cmd.ProcessState.ExitCode(); code != 0 && !(code == 3 && strings.Contains(p.stdout.String(), tooBusy)) {
		t.Fatalf("got exit code %d, want 0\n%s%s", code, p.stdout.String(), p.errors())
	}
	if !strings.Contains(p.stdout.String(), "0 of 500") {
		t.Errorf("got\n%s\nwant %q in it: nothing is missing of what both producers wrote", p.stdout.String(), "0 of 500")
	}
}
