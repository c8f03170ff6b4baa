package docker

// This file defines what pins the image of a cluster: its digest, or where it has
// none, its id.

import (
	"context"
	"strings"

	"starfall/interp/plan"
)

// Pin says which image a cluster runs on. Digest is that of the image's registry, the
// same on every machine; an image that was made here has none. ID is the digest of its
// configuration, which names the image on this platform alone.
type Pin struct {
	Cluster  string
	Ref      string // repository:tag
	Digest   string // sha256:…
	ID       string // sha256:…
	Platform string // linux/amd64
}

// Pins gives the images that the engine would take for the clusters of a plan, in
// their order. An image that is not there is a NoImageError.
func (e Engine) Pins(ctx context.Context, p *plan.Plan) ([]Pin, error) {
	h, err := open(ctx, e.Options)
	if err != nil {
		return nil, err
	}
	defer h.api.Close()
	var out []Pin
	for i := range p.Clusters {
		c := &p.Clusters[i]
		info, err := h.imageOf(ctx, c, e.Image)
		if err != nil {
			return nil, err
		}
		x, err := h.api.ImageInspect(ctx, info.ref)
		if err != nil {
			return nil, err
		}
		out = append(out, Pin{
			Cluster: c.Name, Ref: info.ref, ID: x.ID, Platform: x.Os + "/" + x.Architecture,
			Digest: repoDigest(info.ref, x.RepoDigests),
		})
	}
	return out, nil
}

// repoDigest gives the digest that an image has in the repository of its name. One
// that was retagged from another repository has the digests of both.
func repoDigest(ref string, all []string) string {
	repo := ref
	if name, digest, ok := strings.Cut(ref, "@"); ok {
		if strings.HasPrefix(digest, "sha256:") {
			return digest
		}
		repo = name
	} else if i := strings.LastIndexByte(ref, ':'); i > strings.LastIndexByte(ref, '/') {
		repo = ref[:i]
	}
	for _, x := range all {
		if name, digest, ok := strings.Cut(x, "@"); ok && name == repo {
			return digest
		}
	}
	return ""
}
