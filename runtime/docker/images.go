package docker

// This file defines which image runs a cluster.

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"

	"starfall/interp/plan"
)

// The repositories in which an image is looked for by version, in order: the
// Apache project's own, and what images/kafka/build.sh makes.
const (
	repoApache = "apache/kafka"
	repoOwn    = "starfall/kafka"
)

// KafkaImage is an image whose name tells that it is of Kafka.
type KafkaImage struct {
	Ref     string // repository:tag
	Version string
	release release
}

// NoImageError says that no image is there for a cluster.
type NoImageError struct {
	Cluster string
	Image   string       // wanted by name; "" when by version
	Version string       // wanted; "" when by name
	Any     bool         // the scenario asks for no version: another would do
	Have    []KafkaImage // the newest first
}

func (e *NoImageError) Error() string {
	if e.Image != "" {
		return fmt.Sprintf("cluster %s: there is no image %s", e.Cluster, e.Image)
	}
	text := fmt.Sprintf("cluster %s: there is no image of Kafka %s", e.Cluster, e.Version)
	if len(e.Have) == 0 {
		return text
	}
	var have []string
	for _, x := range e.Have {
		have = append(have, x.Ref)
	}
	return text + "; there is " + strings.Join(have, ", ")
}

// defaultRelease is the version of a cluster that asks for none: any patch of
// it, the newest first.
var defaultRelease = release{3, 9, -1}

// kafkaImages lists the images of the usual repositories.
func (h host) kafkaImages(ctx context.Context) ([]KafkaImage, error) {
	list, err := h.api.ImageList(ctx, image.ListOptions{
		Filters: filters.NewArgs(filters.Arg("reference", repoApache), filters.Arg("reference", repoOwn)),
	})
	if err != nil {
		return nil, fmt.Errorf("images: %w", err)
	}
	var out []KafkaImage
	for _, x := range list {
		for _, ref := range x.RepoTags {
			repo, tag, _ := strings.Cut(ref, ":")
			if r, ok := parseRelease(tag); ok && (repo == repoApache || repo == repoOwn) {
				out = append(out, KafkaImage{ref, tag, r})
			}
		}
	}
	slices.SortFunc(out, func(a, b KafkaImage) int {
		if c := b.release.compare(a.release); c != 0 {
			return c
		}
		return strings.Compare(a.Ref, b.Ref) // apache before starfall
	})
	return out, nil
}

// newest gives the first image of a version.
func newest(have []KafkaImage, want release) (KafkaImage, bool) {
	i := slices.IndexFunc(have, func(x KafkaImage) bool { return x.release.is(want) })
	if i < 0 {
		return KafkaImage{}, false
	}
	return have[i], true
}

// imageInfo is an image that is there.
type imageInfo struct {
	ref     string
	id      string
	volumes []string // folders that Docker would make a volume for
}

func (h host) inspectImage(ctx context.Context, ref string) (imageInfo, error) {
	x, err := h.api.ImageInspect(ctx, ref)
	if err != nil {
		return imageInfo{}, err
	}
	out := imageInfo{ref: ref, id: x.ID}
	if x.Config != nil {
		out.volumes = sortedKeys(x.Config.Volumes)
	}
	return out, nil
}

// imageOf finds the image of a cluster: the one that it names, else the one
// that the command line names, else one of its version.
func (h host) imageOf(ctx context.Context, c *plan.Cluster, flag string) (imageInfo, error) {
	ref := c.Image
	if ref == "" {
		ref = flag
	}
	if ref != "" {
		info, err := h.inspectImage(ctx, ref)
		if errdefs.IsNotFound(err) {
			have, _ := h.kafkaImages(ctx)
			return info, &NoImageError{Cluster: c.Name, Image: ref, Have: have}
		}
		return info, err
	}
	want := defaultRelease
	if c.Version != "" {
		var ok bool
		if want, ok = parseRelease(c.Version); !ok {
			return imageInfo{}, fmt.Errorf("cluster %s: for parameter version: got %q, want a version such as 3.9.1", c.Name, c.Version)
		}
	}
	have, err := h.kafkaImages(ctx)
	if err != nil {
		return imageInfo{}, err
	}
	found, ok := newest(have, want)
	if !ok {
		version := c.Version
		if version == "" {
			version = strings.TrimPrefix(Image, repoApache+":")
		}
		return imageInfo{}, &NoImageError{Cluster: c.Name, Version: version, Any: c.Version == "", Have: have}
	}
	info, err := h.inspectImage(ctx, found.Ref)
	if err != nil {
		return info, errors.Join(fmt.Errorf("image %s", found.Ref), err)
	}
	return info, nil
}
