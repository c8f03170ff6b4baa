package docker

import "testing"

func TestRepoDigest(t *testing.T) {
	for _, tt := range []struct {
		name string
		ref  string
		all  []string
		want string
	}{
		{"pulled", "apache/kafka:3.9.1", []string{"apache/kafka@sha256:aa"}, "sha256:aa"},
		{"made here", "starfall/kafka:3.9.1", nil, ""},
		{"retagged", "starfall/kafka:3.9.1", []string{"apache/kafka@sha256:aa"}, ""},
		{"both", "lab:5000/kafka:3.9.1", []string{"apache/kafka@sha256:aa", "lab:5000/kafka@sha256:bb"}, "sha256:bb"},
		{"no tag", "lab:5000/kafka", []string{"lab:5000/kafka@sha256:bb"}, "sha256:bb"},
		{"by digest", "apache/kafka@sha256:cc", []string{"apache/kafka@sha256:aa"}, "sha256:cc"},
	} {
		if got := repoDigest(tt.ref, tt.all); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}
