package docker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/docker/docker/client"
)

// serve answers on a socket as a Docker engine does, as far as Ping asks.
func serve(t *testing.T, images ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "docker.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.41")
		w.Header().Set("Content-Type", "application/json")
		switch {
		case strings.HasSuffix(r.URL.Path, "/_ping"):
		case strings.HasSuffix(r.URL.Path, "/version"):
			fmt.Fprint(w, `{"Version":"20.10.24","ApiVersion":"1.41","Os":"linux","Arch":"amd64"}`)
		case strings.HasSuffix(r.URL.Path, "/images/json"):
			found := []string{}
			for _, name := range images {
				repo, _, _ := strings.Cut(name, ":")
				if strings.Contains(r.URL.Query().Get("filters"), `"`+repo+`"`) {
					found = append(found, `{"Id":"sha256:1","RepoTags":["`+name+`"]}`)
				}
			}
			fmt.Fprintf(w, "[%s]", strings.Join(found, ","))
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	})}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return "unix://" + path
}

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

// home makes a configuration folder whose current context leads to host.
func home(t *testing.T, current, host string) string {
	t.Helper()
	dir := t.TempDir()
	sum := sha256.Sum256([]byte("lab"))
	meta := filepath.Join(dir, ".docker", "contexts", "meta", hex.EncodeToString(sum[:]))
	if err := os.MkdirAll(meta, 0o755); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{
		filepath.Join(dir, ".docker", "config.json"): `{"currentContext": "` + current + `"}`,
		filepath.Join(meta, "meta.json"):             `{"Name":"lab","Endpoints":{"docker":{"Host":"` + host + `"}}}`,
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestPing(t *testing.T) {
	host := serve(t, Image)
	want := Status{Host: host, Source: "DOCKER_HOST", Version: "20.10.24", API: "1.41", System: "linux/amd64", Image: Image, HasImage: true, Images: []KafkaImage{{Image, "3.9.1", release{3, 9, 1}}}}
	got, err := Ping(context.Background(), Options{Getenv: env("DOCKER_HOST", host)})
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}

	got, err = Ping(context.Background(), Options{Getenv: env("DOCKER_HOST", serve(t))})
	if err != nil {
		t.Fatal(err)
	}
	if got.HasImage {
		t.Errorf("got the image %s, want none: the engine has no images", got.Image)
	}
}

func TestPingNobodyThere(t *testing.T) {
	host := "unix://" + filepath.Join(t.TempDir(), "none.sock")
	s, err := Ping(context.Background(), Options{Getenv: env("DOCKER_HOST", host)})
	if !errors.Is(err, ErrUnreachable) {
		t.Errorf("got error %v, want %v", err, ErrUnreachable)
	}
	if s.Host != host {
		t.Errorf("got host %s, want %s", s.Host, host)
	}
}

func TestFind(t *testing.T) {
	lab := home(t, "lab", "unix:///lab.sock")
	for _, tt := range []struct {
		name         string
		o            Options
		host, source string
		err          string
	}{
		{"nothing said", Options{Getenv: env(), Home: t.TempDir()}, client.DefaultDockerHost, "default", ""},
		{"current context", Options{Getenv: env(), Home: lab}, "unix:///lab.sock", "context lab", ""},
		{"variable before context", Options{Getenv: env("DOCKER_HOST", "tcp://a:1"), Home: lab}, "tcp://a:1", "DOCKER_HOST", ""},
		{"named context", Options{Getenv: env("DOCKER_CONTEXT", "lab"), Home: home(t, "default", "unix:///l2.sock")}, "unix:///l2.sock", "context lab", ""},
		{"default by name", Options{Getenv: env("DOCKER_CONTEXT", "default"), Home: lab}, client.DefaultDockerHost, "default", ""},
		{"unknown context", Options{Getenv: env("DOCKER_CONTEXT", "moon"), Home: lab}, "", "context moon", "context moon is not known"},
		{"other folder", Options{Getenv: env("DOCKER_CONFIG", filepath.Join(lab, ".docker")), Home: t.TempDir()}, "unix:///lab.sock", "context lab", ""},
	} {
		e, err := find(tt.o)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: got error %v, want %s", tt.name, err, tt.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if e.host != tt.host || e.source != tt.source {
			t.Errorf("%s: got %s from %s, want %s from %s", tt.name, e.host, e.source, tt.host, tt.source)
		}
	}
}

func TestPingRefusesSSH(t *testing.T) {
	_, err := Ping(context.Background(), Options{Getenv: env("DOCKER_HOST", "ssh://me@there")})
	if err == nil || !strings.Contains(err.Error(), "forward the socket") {
		t.Errorf("got error %v, want advice to forward the socket", err)
	}
}
