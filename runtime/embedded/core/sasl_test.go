package core

// This file tests logging in.

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// door is a broker that asks for SASL.
type door struct {
	t     *testing.T
	w     *World
	ended []ConnID
	next  ConnID
}

func newDoor(t *testing.T) *door {
	d := &door{t: t}
	d.w = newWorld(t, Options{
		Brokers:   1,
		CloseConn: func(_ int32, id ConnID) { d.ended = append(d.ended, id) },
		Security: &Security{
			Mechanisms: func(listener string) []string {
				if listener == "open" {
					return nil
				}
				return []string{mechanismPlain, mechanismSCRAM256, mechanismSCRAM512}
			},
			Passwords: map[string]string{"ann": "secret"},
			SCRAM:     []SCRAMUser{{Name: "bob", Password: "pw", Mechanism: mechanismSCRAM256}},
		},
	})
	settle(t, d.w)
	return d
}

// conn sends requests over one connection; a nil answer is an end without one.
func (d *door) conn(listener string) (ConnID, func(kmsg.Request) kmsg.Response) {
	d.next++
	id := d.next
	return id, func(req kmsg.Request) kmsg.Response {
		var got kmsg.Response
		answered := false
		d.w.Request(1, ClientConn{ID: id, Listener: listener}, req, func(r kmsg.Response) { got, answered = r, true })
		d.w.Advance(d.w.Now() + 2*sec)
		if !answered {
			d.t.Fatalf("%s: got no answer", kmsg.NameForKey(req.Key()))
		}
		return got
	}
}

func handshake(mechanism string) *kmsg.SASLHandshakeRequest {
	req := at(kmsg.NewPtrSASLHandshakeRequest())
	req.Mechanism = mechanism
	return req
}

func token(s string) *kmsg.SASLAuthenticateRequest {
	req := at(kmsg.NewPtrSASLAuthenticateRequest())
	req.SASLAuthBytes = []byte(s)
	return req
}

func TestPlain(t *testing.T) {
	tests := []struct {
		name, token string
		code        int16
		message     string
	}{
		{"good", "\x00ann\x00secret", 0, ""},
		{"as oneself", "ann\x00ann\x00secret", 0, ""},
		{"wrong password", "\x00ann\x00Secret", 58, "Authentication failed: Invalid username or password"},
		{"unknown user", "\x00eve\x00secret", 58, "Authentication failed: Invalid username or password"},
		{"as another", "bob\x00ann\x00secret", 58, "Authentication failed: Client requested an authorization id that is different from username"},
		{"no user", "\x00\x00secret", 58, "Authentication failed: username not specified"},
		{"two parts", "ann\x00secret", 58, "Invalid SASL/PLAIN response: expected 3 tokens, got 2"},
		{"nothing", "", 58, "Invalid SASL/PLAIN response: expected 3 tokens, got 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newDoor(t)
			id, send := d.conn("")
			versions := at(kmsg.NewPtrApiVersionsRequest())
			versions.ClientSoftwareName, versions.ClientSoftwareVersion = "test", "1"
			if r := send(versions).(*kmsg.ApiVersionsResponse); r.ErrorCode != 0 {
				t.Errorf("versions before logging in: got error %d", r.ErrorCode)
			}
			if r := send(handshake(mechanismPlain)).(*kmsg.SASLHandshakeResponse); r.ErrorCode != 0 || len(r.SupportedMechanisms) != 3 {
				t.Fatalf("handshake: got error %d and %v", r.ErrorCode, r.SupportedMechanisms)
			}
			r := send(token(tt.token)).(*kmsg.SASLAuthenticateResponse)
			if r.ErrorCode != tt.code || r.ErrorMessage != nil && *r.ErrorMessage != tt.message || (r.ErrorMessage == nil) != (tt.message == "") {
				t.Errorf("got error %d %v, want %d %q", r.ErrorCode, r.ErrorMessage, tt.code, tt.message)
			}
			if tt.code != 0 {
				if r := send(token("\x00ann\x00secret")); r != nil || !slices.Contains(d.ended, id) {
					t.Errorf("another try on that connection: got %v, want it ended without an answer", r)
				}
			}
			if tt.code == 0 {
				if r := send(at(kmsg.NewPtrMetadataRequest())); r == nil {
					t.Error("after logging in: got no answer")
				}
				if r := send(handshake(mechanismPlain)).(*kmsg.SASLHandshakeResponse); r.ErrorCode != codeIllegalSASLState {
					t.Errorf("a second handshake: got error %d, want %d", r.ErrorCode, codeIllegalSASLState)
				}
			}
		})
	}
}

func TestDoorsThatStayShut(t *testing.T) {
	tests := []struct {
		name     string
		listener string
		reqs     []kmsg.Request
		code     int16 // of the last answer, -1 for none
		ended    bool
	}{
		{"no login", "", []kmsg.Request{at(kmsg.NewPtrMetadataRequest())}, -1, true},
		{"token before handshake", "", []kmsg.Request{token("\x00ann\x00secret")}, -1, true},
		{"something else after the handshake", "", []kmsg.Request{handshake(mechanismPlain), at(kmsg.NewPtrMetadataRequest())}, -1, true},
		{"versions after the handshake", "", []kmsg.Request{handshake(mechanismPlain), at(kmsg.NewPtrApiVersionsRequest())}, -1, true},
		{"two handshakes", "", []kmsg.Request{handshake(mechanismPlain), handshake(mechanismPlain)}, -1, true},
		{"unknown mechanism", "", []kmsg.Request{handshake("GSSAPI")}, codeUnsupportedMechanism, false},
		{"again after an unknown mechanism", "", []kmsg.Request{handshake("GSSAPI"), handshake(mechanismPlain)}, -1, true},
		{"again after a refusal", "", []kmsg.Request{handshake(mechanismPlain), token("x"), token("\x00ann\x00secret")}, -1, true},
		{"handshake where none is asked for", "open", []kmsg.Request{handshake(mechanismPlain)}, codeIllegalSASLState, false},
		{"token where none is asked for", "open", []kmsg.Request{token("\x00ann\x00secret")}, codeIllegalSASLState, false},
		{"a reader of SCRAM with PLAIN's password", "", []kmsg.Request{handshake(mechanismSCRAM256), token("n,,n=ann,r=abc")}, 58, false},
		{"garbage", "", []kmsg.Request{handshake(mechanismSCRAM512), token("what is this")}, 58, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newDoor(t)
			id, send := d.conn(tt.listener)
			var last kmsg.Response
			for _, req := range tt.reqs {
				last = send(req)
			}
			code := int16(-1)
			switch r := last.(type) {
			case *kmsg.SASLHandshakeResponse:
				code = r.ErrorCode
			case *kmsg.SASLAuthenticateResponse:
				code = r.ErrorCode
			}
			if code != tt.code || slices.Contains(d.ended, id) != tt.ended {
				t.Errorf("got error %d and the connection ended: %v, want %d and %v", code, slices.Contains(d.ended, id), tt.code, tt.ended)
			}
		})
	}
	d := newDoor(t)
	_, send := d.conn("open")
	if r := send(at(kmsg.NewPtrMetadataRequest())); r == nil {
		t.Error("a listener without SASL: got no answer")
	}
}

// TestSCRAMVector is the exchange of RFC 7677.
func TestSCRAMVector(t *testing.T) {
	salt, _ := base64.StdEncoding.DecodeString("W22ZaJ0SNY7soEsUEjb6gQ==")
	salted, err := pbkdf2.Key(sha256.New, "pencil", salt, 4096, 32)
	if err != nil {
		t.Fatal(err)
	}
	known := map[scramKey]*scramCredential{{"user", mechanismSCRAM256}: newSCRAMCredential(sha256.New, salt, salted, 4096)}
	x := &scramExchange{}
	first, bad := x.first(mechanismSCRAM256, []byte("n,,n=user,r=rOprNGfwEbeRWgbNEkqO"), known, "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
	if bad != nil || string(first) != "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096" {
		t.Fatalf("got %q and %v", first, bad)
	}
	last, bad := x.last([]byte("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="))
	if bad != nil || string(last) != "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=" {
		t.Errorf("got %q and %v, want the signature of RFC 7677", last, bad)
	}
}

// scram logs in as a client does and gives the code of the last answer.
func scram(send func(kmsg.Request) kmsg.Response, user, password string) int16 {
	send(handshake(mechanismSCRAM256))
	bare := "n=" + user + ",r=clientnonce"
	r := send(token("n,," + bare)).(*kmsg.SASLAuthenticateResponse)
	if r.ErrorCode != 0 {
		return r.ErrorCode
	}
	var nonce, salt64 string
	var iterations int
	for _, f := range strings.Split(string(r.SASLAuthBytes), ",") {
		switch f[:2] {
		case "r=":
			nonce = f[2:]
		case "s=":
			salt64 = f[2:]
		case "i=":
			fmt.Sscan(f[2:], &iterations)
		}
	}
	salt, _ := base64.StdEncoding.DecodeString(salt64)
	salted, _ := pbkdf2.Key(sha256.New, password, salt, iterations, 32)
	key := mac(sha256.New, salted, "Client Key")
	stored := sha256.Sum256(key)
	final := "c=biws,r=" + nonce
	signature := mac(sha256.New, stored[:], bare+","+string(r.SASLAuthBytes)+","+final)
	for i := range key {
		key[i] ^= signature[i]
	}
	r = send(token(final + ",p=" + base64.StdEncoding.EncodeToString(key))).(*kmsg.SASLAuthenticateResponse)
	if r.ErrorCode != 0 {
		return r.ErrorCode
	}
	want := mac(sha256.New, mac(sha256.New, salted, "Server Key"), bare+","+"r="+nonce+",s="+salt64+fmt.Sprintf(",i=%d", iterations)+","+final)
	if got, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(string(r.SASLAuthBytes), "v=")); !hmac.Equal(got, want) {
		return -1
	}
	return 0
}

func TestSCRAMUsers(t *testing.T) {
	d := newDoor(t)
	login := func(user, password string) int16 {
		_, send := d.conn("")
		return scram(send, user, password)
	}
	if got := login("bob", "pw"); got != 0 {
		t.Errorf("a user of the format: got error %d", got)
	}
	if got := login("bob", "PW"); got != codeSASLAuthentication {
		t.Errorf("wrong password: got error %d, want %d", got, codeSASLAuthentication)
	}
	_, open := d.conn("open")
	alter := func(ups []kmsg.AlterUserSCRAMCredentialsRequestUpsertion, dels []kmsg.AlterUserSCRAMCredentialsRequestDeletion) string {
		req := at(kmsg.NewPtrAlterUserSCRAMCredentialsRequest())
		req.Upsertions, req.Deletions = ups, dels
		out := ""
		for _, r := range open(req).(*kmsg.AlterUserSCRAMCredentialsResponse).Results {
			out += fmt.Sprintf("%s:%d ", r.User, r.ErrorCode)
		}
		return out
	}
	up := func(user string, iterations int32) kmsg.AlterUserSCRAMCredentialsRequestUpsertion {
		salted, _ := pbkdf2.Key(sha256.New, "new", []byte("salt"), int(iterations), 32)
		return kmsg.AlterUserSCRAMCredentialsRequestUpsertion{Name: user, Mechanism: 1, Iterations: iterations, Salt: []byte("salt"), SaltedPassword: salted}
	}
	del := func(user string, mechanism int8) kmsg.AlterUserSCRAMCredentialsRequestDeletion {
		return kmsg.AlterUserSCRAMCredentialsRequestDeletion{Name: user, Mechanism: mechanism}
	}
	type ups = []kmsg.AlterUserSCRAMCredentialsRequestUpsertion
	type dels = []kmsg.AlterUserSCRAMCredentialsRequestDeletion
	if got, want := alter(ups{up("eve", 4096), up("low", 100), up("high", 20000), up("", 4096), up("two", 4096), up("two", 5000)}, dels{del("bob", 2), del("cat", 9)}),
		"bob:91 cat:33 eve:0 low:93 high:93 :93 two:92 "; got != want {
		t.Errorf("got results %q, want %q", got, want)
	}
	if got := login("eve", "new"); got != 0 {
		t.Errorf("a new user: got error %d", got)
	}
	describe := func(users ...string) string {
		req := at(kmsg.NewPtrDescribeUserSCRAMCredentialsRequest())
		for _, u := range users {
			req.Users = append(req.Users, kmsg.DescribeUserSCRAMCredentialsRequestUser{Name: u})
		}
		out := ""
		for _, r := range open(req).(*kmsg.DescribeUserSCRAMCredentialsResponse).Results {
			out += fmt.Sprintf("%s:%d:%d ", r.User, r.ErrorCode, len(r.CredentialInfos))
		}
		return out
	}
	if got, want := describe(), "bob:0:1 eve:0:1 "; got != want {
		t.Errorf("describe all: got %q, want %q", got, want)
	}
	if got, want := describe("eve", "cat", "bob", "bob"), "eve:0:1 cat:91:0 bob:92:0 "; got != want {
		t.Errorf("describe some: got %q, want %q", got, want)
	}
	if got := alter(nil, dels{del("bob", 1)}); got != "bob:0 " {
		t.Errorf("delete: got %q", got)
	}
	if got := login("bob", "pw"); got != codeSASLAuthentication {
		t.Errorf("a deleted user: got error %d, want %d", got, codeSASLAuthentication)
	}
	for _, bad := range []SCRAMUser{{Name: "x", Mechanism: "PLAIN"}, {Name: "x", Mechanism: mechanismSCRAM512, Iterations: 10}} {
		if _, err := New(Options{Security: &Security{SCRAM: []SCRAMUser{bad}}}); err == nil || !strings.Contains(err.Error(), "user x: for parameter") {
			t.Errorf("%+v: got error %v, want one about the user", bad, err)
		}
	}
}
