package kafka

// This file tests the client's side of SCRAM with the exchange that RFC 7677
// gives as its example.

import (
	"crypto/sha256"
	"strings"
	"testing"
)

func TestScramExample(t *testing.T) {
	const (
		first  = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
		proof  = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
		verify = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
	)
	begin := func() *scram {
		s := &scram{hash: sha256.New}
		s.start("user", "pencil", "rOprNGfwEbeRWgbNEkqO")
		return s
	}
	s := begin()
	for _, x := range []struct{ in, want string }{{"", "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"}, {first, proof}, {verify, ""}} {
		if s.Done() {
			t.Fatalf("done before %q", x.in)
		}
		got, err := s.Step(x.in)
		if err != nil || got != x.want {
			t.Fatalf("Step(%q): got %q and error %v, want %q", x.in, got, err, x.want)
		}
	}
	if !s.Done() {
		t.Error("not done after the server's signature")
	}

	for _, x := range []struct {
		name, first, final, want string
	}{
		{"another nonce", strings.Replace(first, "r=rO", "r=xO", 1), "", "nonce"},
		{"only the client's nonce", "r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", "", "nonce"},
		{"no salt", "r=rOprNGfwEbeRWgbNEkqOx,i=1", "", "fields"},
		{"damaged salt", "r=rOprNGfwEbeRWgbNEkqOx,s=%,i=1", "", "salt"},
		{"no iterations", "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=0", "", "iterations"},
		{"wrong signature", first, "v=AAAA", "signature"},
		{"refusal", first, "e=invalid-proof", "invalid-proof"},
	} {
		s := begin()
		s.Step("")
		_, err := s.Step(x.first)
		if err == nil && x.final != "" {
			_, err = s.Step(x.final)
		}
		if err == nil || !strings.Contains(err.Error(), x.want) || s.Done() {
			t.Errorf("%s: got error %v, want one with %q", x.name, err, x.want)
		}
	}
}

func TestScramEscapesNames(t *testing.T) {
	s := &scram{hash: sha256.New}
	s.start("a=b,c", "x", "n")
	if got, want := s.bare, "n=a=3Db=2Cc,r=n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
