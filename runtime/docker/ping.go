// Package docker is the engine that runs real Kafka in containers: one for each
// node, one for the clients of each site, one for the control side, on a network
// of the run's own. In each an agent (package agent) is the first process;
// everything that happens to processes and the network goes through it, so that
// Docker is asked for containers only.
package docker

// This file defines Ping and how the engine is found.

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/docker/docker/client"
)

// Image is the image that runs Kafka when a scenario names none and no other
// with its version is there.
const Image = "apache/kafka:3.9.1"

// Options say how the Docker engine is looked for. The zero value looks as the
// docker command does in this process's environment.
type Options struct {
	Getenv func(string) string // nil: os.Getenv
	Home   string              // for ~/.docker; empty: the user's home
	Image  string              // empty: Image
}

// Status is what Ping found. Fields after Host are empty until the engine has
// answered.
type Status struct {
	Host     string // the endpoint asked
	Source   string // where Host came from: DOCKER_HOST, context NAME, or default
	Version  string // of the engine
	API      string // version agreed on
	System   string // linux/amd64
	Image    string // looked for; when any will do, the one found
	HasImage bool
	Images   []KafkaImage // all that are there by their usual names, the newest first
}

// ErrUnreachable is in the chain of Ping's error when no engine answers.
var ErrUnreachable = errors.New("no Docker engine answers")

// ErrPermission is in the chain of an error when the engine's socket is there
// but this user may not speak to it.
var ErrPermission = errors.New("no permission to speak to the Docker engine")

// Ping asks the Docker engine for its version and whether the Kafka image is
// there. DOCKER_HOST comes first, then DOCKER_CONTEXT, then the current context
// of the configuration folder, then the default socket: the docker command's
// own order.
func Ping(ctx context.Context, o Options) (Status, error) {
	h, err := open(ctx, o)
	if err != nil {
		return h.status, err
	}
	defer h.api.Close()
	s := h.status
	s.Image = o.Image
	if s.Image == "" {
		s.Image = Image
	}
	if s.Images, err = h.kafkaImages(ctx); err != nil {
		return s, err
	}
	if o.Image != "" {
		_, err := h.inspectImage(ctx, o.Image)
		s.HasImage = err == nil
		return s, nil
	}
	found, ok := newest(s.Images, defaultRelease)
	if s.HasImage = ok; ok {
		s.Image = found.Ref
	}
	return s, nil
}

// host is a Docker engine that answers.
type host struct {
	api    *client.Client
	status Status
}

// open connects to the engine. The status says where it was looked for, also
// beside an error.
func open(ctx context.Context, o Options) (host, error) {
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	if o.Home == "" {
		o.Home, _ = os.UserHomeDir()
	}
	var h host
	e, err := find(o)
	h.status.Host, h.status.Source = e.host, e.source
	if err != nil {
		return h, err
	}
	opts, err := e.options(o)
	if err != nil {
		return h, err
	}
	h.api, err = client.NewClientWithOpts(opts...)
	if err != nil {
		return h, fmt.Errorf("docker: endpoint %s: %w", e.host, err)
	}
	version, err := h.api.ServerVersion(ctx)
	if err != nil {
		h.api.Close()
		if errors.Is(err, fs.ErrPermission) || strings.Contains(err.Error(), "permission denied") {
			return h, fmt.Errorf("%w at %s (from %s)", ErrPermission, e.host, e.source)
		}
		if client.IsErrConnectionFailed(err) { // its text says no more than ours
			return h, fmt.Errorf("%w at %s (from %s)", ErrUnreachable, e.host, e.source)
		}
		return h, fmt.Errorf("%w at %s (from %s): %w", ErrUnreachable, e.host, e.source, err)
	}
	h.status.Version, h.status.API, h.status.System = version.Version, h.api.ClientVersion(), version.Os+"/"+version.Arch
	return h, nil
}

// endpoint is where the engine listens. certs is a folder with ca.pem,
// cert.pem and key.pem, or empty for a connection without TLS.
type endpoint struct {
	host, source, certs string
	skipVerify          bool
}

func find(o Options) (endpoint, error) {
	if host := o.Getenv("DOCKER_HOST"); host != "" {
		e := endpoint{host: host, source: "DOCKER_HOST"}
		if o.Getenv("DOCKER_TLS_VERIFY") != "" {
			e.certs = o.Getenv("DOCKER_CERT_PATH")
			if e.certs == "" {
				e.certs = configDir(o)
			}
		}
		return e, nil
	}
	name := o.Getenv("DOCKER_CONTEXT")
	if name == "" {
		b, err := os.ReadFile(filepath.Join(configDir(o), "config.json"))
		if err == nil {
			var config struct {
				CurrentContext string `json:"currentContext"`
			}
			if err := json.Unmarshal(b, &config); err != nil {
				return endpoint{}, fmt.Errorf("docker: %s: %w", filepath.Join(configDir(o), "config.json"), err)
			}
			name = config.CurrentContext
		}
	}
	if name == "" || name == "default" {
		return endpoint{host: client.DefaultDockerHost, source: "default"}, nil
	}
	return fromContext(o, name)
}

// fromContext reads an endpoint from the docker command's context store: a
// folder named by the SHA-256 of the context's name.
func fromContext(o Options, name string) (endpoint, error) {
	sum := sha256.Sum256([]byte(name))
	id := hex.EncodeToString(sum[:])
	e := endpoint{source: "context " + name}
	path := filepath.Join(configDir(o), "contexts", "meta", id, "meta.json")
	b, err := os.ReadFile(path)
	if err != nil {
		return e, fmt.Errorf("docker: context %s is not known: %w", name, err)
	}
	var meta struct {
		Endpoints map[string]struct {
			Host          string
			SkipTLSVerify bool
		}
	}
	if err := json.Unmarshal(b, &meta); err != nil {
		return e, fmt.Errorf("docker: context %s: %s: %w", name, path, err)
	}
	e.host, e.skipVerify = meta.Endpoints["docker"].Host, meta.Endpoints["docker"].SkipTLSVerify
	if e.host == "" {
		return e, fmt.Errorf("docker: context %s has no docker endpoint", name)
	}
	certs := filepath.Join(configDir(o), "contexts", "tls", id, "docker")
	if _, err := os.Stat(certs); err == nil {
		e.certs = certs
	}
	return e, nil
}

func configDir(o Options) string {
	if dir := o.Getenv("DOCKER_CONFIG"); dir != "" {
		return dir
	}
	return filepath.Join(o.Home, ".docker")
}

func (e endpoint) options(o Options) ([]client.Opt, error) {
	if strings.HasPrefix(e.host, "ssh://") {
		return nil, fmt.Errorf("docker: endpoint %s: ssh is not supported; forward the socket and set DOCKER_HOST to it", e.host)
	}
	opts := []client.Opt{client.WithHost(e.host), client.WithAPIVersionNegotiation()}
	if v := o.Getenv("DOCKER_API_VERSION"); v != "" {
		opts = append(opts, client.WithVersion(v))
	}
	if e.certs == "" && !e.skipVerify {
		return opts, nil
	}
	tls, err := e.tls()
	if err != nil {
		return nil, err
	}
	// The host comes after the client, whose transport it sets up.
	return append([]client.Opt{client.WithHTTPClient(&http.Client{Transport: &http.Transport{TLSClientConfig: tls}})}, opts...), nil
}
