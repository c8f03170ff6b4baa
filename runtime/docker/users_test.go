package docker

import (
	"bytes"
	"encoding/base64"
	"os"
	"strings"
	"testing"

	"starfall/interp/plan"
	"starfall/runtime"
)

func secured(auth string, n int) *security {
	s := &security{mechanism: mechanismOf(auth), operator: runtime.Login{Mechanism: mechanismOf(auth), User: "operator", Password: `o"p\`}}
	for _, name := range []string{"alice", "bob"}[:n] {
		s.users = append(s.users, plan.User{Name: name, Cluster: "kafka", Password: name + " secret"})
	}
	return s
}

// TestSecureConfiguration holds the files of nodes of clusters with users to
// goldens; -update writes them anew.
func TestSecureConfiguration(t *testing.T) {
	for _, tt := range []struct {
		name    string
		cluster plan.Cluster
		id      int32
		secure  *security
	}{
		{"users-combined", combined(3), 1, secured("plain", 2)},
		{"users-broker", layout(2, 1, 0), 1, secured("scram-sha-256", 1)},
		{"users-controller", layout(2, 1, 0), 101, secured("scram-sha-512", 1)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := node{Node: *tt.cluster.Node(tt.id), cluster: &tt.cluster, label: tt.cluster.Label(tt.id)}
			got := n.configuration(settings{secure: tt.secure})
			sameAsKept(t, tt.name, got)
		})
	}
}

// TestScramRecord compares with what the format tool of Kafka 3.9.1 wrote for
// --add-scram 'SCRAM-SHA-256=[name=alice,salt="c3RhcmZhbGwtc2FsdC0xNg==",iterations=4096,password=alice-secret]'.
func TestScramRecord(t *testing.T) {
	want, err := os.ReadFile("testdata/scram-3.9.1.checkpoint")
	if err != nil {
		t.Fatal(err)
	}
	level, ok := metadataLevel(release{3, 9, 1})
	if !ok {
		t.Fatal("got no level of metadata.version for 3.9.1")
	}
	var salt [16]byte
	copy(salt[:], "starfall-salt-16")
	got := checkpoint([][]byte{level.record(), scramRecord("SCRAM-SHA-256", "alice", "alice-secret", salt)}, 0)
	if got, want := timeless(t, got), timeless(t, want); !bytes.Equal(got, want) {
		t.Errorf("got\n%x\nwant\n%x", got, want)
	}
}

// TestSalted uses the vectors of RFC 7677, section 3, and of SCRAM-SHA-512 by
// Kafka's own tool.
func TestSalted(t *testing.T) {
	salt, err := base64.StdEncoding.DecodeString("W22ZaJ0SNY7soEsUEjb6gQ==")
	if err != nil {
		t.Fatal(err)
	}
	h := hashOf("SCRAM-SHA-256")
	key := keyed(h, salted(h, "pencil", [16]byte(salt)), "Server Key")
	message := "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
	if got, want := base64.StdEncoding.EncodeToString(keyed(h, key, message)), "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="; got != want {
		t.Errorf("server signature: got %s, want %s", got, want)
	}
}

func TestAddScram(t *testing.T) {
	if got := secured("plain", 2).addScram("run", "kafka"); len(got) != 0 {
		t.Errorf("got %q, want nothing for PLAIN", got)
	}
	got := secured("scram-sha-256", 1).addScram("run", "kafka")
	if len(got) != 4 || got[2] != "--add-scram" || !strings.HasPrefix(got[3], `SCRAM-SHA-256=[name="alice",iterations=4096,salt="`) {
		t.Errorf("got %q, want the operator and alice", got)
	}
}

func TestJaasQuote(t *testing.T) {
	for _, tt := range []struct{ word, want string }{
		{"a b", `"a b"`},
		{`a"b\c`, `"a\"b\\c"`},
		{"a\nb\r", `"a\nb\r"`},
	} {
		if got := jaasQuote(tt.word); got != tt.want {
			t.Errorf("%q: got %s, want %s", tt.word, got, tt.want)
		}
	}
}

func TestRefuseUsers(t *testing.T) {
	pos := plan.Pos{File: "x.star", Line: 3, Col: 1}
	with := func(c plan.Cluster, auth, version string) *plan.Plan {
		c.Pos, c.Auth, c.Version = pos, auth, version
		return planOf(c)
	}
	for _, tt := range []struct {
		name string
		plan *plan.Plan
		want string
	}{
		{"plain", with(combined(1), "plain", "3.9.1"), ""},
		{"SCRAM", with(combined(1), "scram-sha-256", "3.9.1"), ""},
		{"SCRAM before it was there", with(combined(1), "scram-sha-256", "3.4.0"), "cluster kafka: for parameter auth: got scram-sha-256, want plain: Kafka 3.4.0 has no SCRAM in KRaft mode, 3.5 was the first (KIP-900)"},
		{"ZooKeeper", with(layout(2, 0, 1), "plain", "3.9.1"), "cluster kafka: for parameter auth: a cluster in ZooKeeper mode with users is not supported: leave zookeeper out"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Engine{}.Refuse(tt.plan)
			if tt.want == "" && len(got) > 0 || tt.want != "" && (len(got) != 1 || got[0].Message != tt.want || got[0].Pos != pos) {
				t.Errorf("got %+v, want %q at %s", got, tt.want, pos)
			}
		})
	}
}
