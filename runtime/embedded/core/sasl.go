package core

// This file defines how clients log in: SaslHandshake and SaslAuthenticate with PLAIN and
// SCRAM (RFC 5802), and where SCRAM's credentials are kept (KIP-554).

import (
	"bytes"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"hash"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// SASL mechanisms.
const (
	mechanismPlain     = "PLAIN"
	mechanismSCRAM256  = "SCRAM-SHA-256"
	mechanismSCRAM512  = "SCRAM-SHA-512"
	minSCRAMIterations = 4096
	maxSCRAMIterations = 16384
)

// SCRAMUser is a credential that a cluster begins with.
type SCRAMUser struct {
	Name, Password string
	Mechanism      string // SCRAM-SHA-256 or SCRAM-SHA-512
	Iterations     int    // 0 means 4096
}

// scramHash is the hash of a mechanism; number is how requests call it.
func scramHash(mechanism string) (h func() hash.Hash, number int8) {
	switch mechanism {
	case mechanismSCRAM256:
		return sha256.New, 1
	case mechanismSCRAM512:
		return sha512.New, 2
	}
	return nil, 0
}

func scramMechanism(number int8) string {
	switch number {
	case 1:
		return mechanismSCRAM256
	case 2:
		return mechanismSCRAM512
	}
	return ""
}

type scramKey struct{ user, mechanism string }

type scramCredential struct {
	salt, storedKey, serverKey []byte
	iterations                 int
}

func newSCRAMCredential(h func() hash.Hash, salt, salted []byte, iterations int) *scramCredential {
	stored := h()
	stored.Write(mac(h, salted, "Client Key"))
	return &scramCredential{salt, stored.Sum(nil), mac(h, salted, "Server Key"), iterations}
}

func mac(h func() hash.Hash, key []byte, text string) []byte {
	m := hmac.New(h, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

// formatSCRAM makes the credentials that a cluster begins with.
func (w *World) formatSCRAM(users []SCRAMUser) (map[scramKey]*scramCredential, error) {
	out := map[scramKey]*scramCredential{}
	for _, u := range users {
		h, _ := scramHash(u.Mechanism)
		if h == nil {
			return nil, fmt.Errorf("user %s: for parameter mechanism: got %q, want %s or %s", u.Name, u.Mechanism, mechanismSCRAM256, mechanismSCRAM512)
		}
		iterations := u.Iterations
		if iterations == 0 {
			iterations = minSCRAMIterations
		}
		if iterations < minSCRAMIterations || iterations > maxSCRAMIterations {
			return nil, fmt.Errorf("user %s: for parameter iterations: got %d, want %d to %d", u.Name, iterations, minSCRAMIterations, maxSCRAMIterations)
		}
		salt := w.randomBytes(18)
		salted, err := pbkdf2.Key(h, u.Password, salt, iterations, h().Size())
		if err != nil {
			return nil, fmt.Errorf("user %s: %w", u.Name, err)
		}
		out[scramKey{u.Name, u.Mechanism}] = newSCRAMCredential(h, salt, salted, iterations)
	}
	return out, nil
}

func (w *World) randomBytes(n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(w.rng.Uint32())
	}
	return out
}

// login is how far a connection has come on a listener that asks for SASL.
//
//	state         request                becomes        answer
//	(none)        ApiVersions            (none)         the versions
//	(none)        SaslHandshake          mechanism set  the mechanisms
//	(none)        SaslHandshake, unknown ended          UNSUPPORTED_SASL_MECHANISM and the mechanisms
//	mechanism     SaslAuthenticate       the same       a challenge (SCRAM)
//	mechanism     SaslAuthenticate       done           the last token
//	mechanism     SaslAuthenticate       ended          SASL_AUTHENTICATION_FAILED, after a delay
//	not done      anything else          ended          none
//	ended         anything               ended          none
//	done          SaslHandshake, -Authenticate  done    ILLEGAL_SASL_STATE
type login struct {
	mechanism string
	scram     *scramExchange
	principal string // set when done
	failed    bool
}

func (b *broker) mechanisms(from ClientConn) []string {
	if s := b.n.w.opts.Security; s != nil && s.Mechanisms != nil {
		return s.Mechanisms(from.Listener)
	}
	return nil
}

// authenticate takes the requests of logging in, and those of clients that have to log in
// first. It reports whether the request is dealt with; if not, from has its principal.
func (b *broker) authenticate(from *ClientConn, req kmsg.Request, reply func(kmsg.Response)) bool {
	from.principal = anonymous
	mechanisms := b.mechanisms(*from)
	l := b.logins[from.ID]
	done := len(mechanisms) == 0 || l != nil && l.principal != ""
	if l != nil && l.principal != "" {
		from.principal = l.principal
	}
	if l != nil && l.failed {
		b.refuse(*from, reply)
		return true
	}
	switch r := req.(type) {
	case *kmsg.SASLHandshakeRequest:
		resp := r.ResponseKind().(*kmsg.SASLHandshakeResponse)
		switch {
		case done:
			resp.ErrorCode = codeIllegalSASLState
		case l != nil:
			b.refuse(*from, reply)
			return true
		case !slices.Contains(mechanisms, r.Mechanism):
			resp.ErrorCode, resp.SupportedMechanisms = codeUnsupportedMechanism, mechanisms
			b.logins[from.ID] = &login{failed: true}
		default:
			resp.SupportedMechanisms = mechanisms
			b.logins[from.ID] = &login{mechanism: r.Mechanism}
		}
		reply(resp)
		return true
	case *kmsg.SASLAuthenticateRequest:
		resp := r.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		switch {
		case done:
			resp.ErrorCode = codeIllegalSASLState
			resp.ErrorMessage = kmsg.StringPtr("SaslAuthenticate request received after successful authentication")
			reply(resp)
		case l == nil:
			b.refuse(*from, reply)
		default:
			b.step(l, r.SASLAuthBytes, resp, reply)
		}
		return true
	case *kmsg.ApiVersionsRequest:
		if !done && l != nil {
			b.refuse(*from, reply)
			return true
		}
		return false
	}
	if !done {
		b.refuse(*from, reply)
		return true
	}
	return false
}

// refuse ends a connection without an answer.
func (b *broker) refuse(from ClientConn, reply func(kmsg.Response)) {
	b.n.w.opts.CloseConn(b.n.id, from.ID)
	reply(nil)
}

// step takes one token of the client. A refusal comes after
// connection.failed.authentication.delay.ms, and the shell ends the connection behind it.
func (b *broker) step(l *login, token []byte, resp *kmsg.SASLAuthenticateResponse, reply func(kmsg.Response)) {
	answer, user, err := b.token(l, token)
	if err != nil {
		l.failed = true
		resp.ErrorCode, resp.ErrorMessage = err.code, err.ptr()
		b.n.after(b.n.cfg.ms("connection.failed.authentication.delay.ms"), func() { reply(resp) })
		return
	}
	if user != "" {
		l.principal = "User:" + user
	}
	resp.SASLAuthBytes = answer
	if answer == nil {
		resp.SASLAuthBytes = []byte{}
	}
	reply(resp)
}

func (b *broker) token(l *login, token []byte) (answer []byte, user string, err *apiError) {
	if l.mechanism == mechanismPlain {
		user, err = b.plain(token)
		return nil, user, err
	}
	if l.scram == nil {
		l.scram = &scramExchange{}
		answer, err = l.scram.first(l.mechanism, token, b.image().scram, base64.RawStdEncoding.EncodeToString(b.n.w.randomBytes(18)))
		return answer, "", err
	}
	answer, err = l.scram.last(token)
	if err != nil {
		return nil, "", err
	}
	return answer, l.scram.user, nil
}

// plain checks a token of RFC 4616: authorization id, user and password with NULs between.
func (b *broker) plain(token []byte) (string, *apiError) {
	parts := bytes.Split(token, []byte{0})
	if len(parts) != 3 {
		return "", apiErrorf(codeSASLAuthentication, "Invalid SASL/PLAIN response: expected 3 tokens, got %d", len(parts))
	}
	as, user, password := string(parts[0]), string(parts[1]), string(parts[2])
	want, known := b.n.w.opts.Security.Passwords[user]
	switch {
	case user == "":
		return "", apiErrorf(codeSASLAuthentication, "Authentication failed: username not specified")
	case password == "":
		return "", apiErrorf(codeSASLAuthentication, "Authentication failed: password not specified")
	case !known || subtle.ConstantTimeCompare([]byte(want), []byte(password)) == 0:
		return "", apiErrorf(codeSASLAuthentication, "Authentication failed: Invalid username or password")
	case as != "" && as != user:
		return "", apiErrorf(codeSASLAuthentication, "Authentication failed: Client requested an authorization id that is different from username")
	}
	return user, nil
}

// scramExchange is one login by SCRAM.
type scramExchange struct {
	hash       func() hash.Hash
	user       string
	credential *scramCredential
	nonce      string
	auth       string // client's first message without header, server's first, client's last without proof
	header     string // what the client must repeat as channel binding
}

// scramRefused is what a client is told, whatever was wrong with user or password.
func scramRefused(mechanism string) *apiError {
	return apiErrorf(codeSASLAuthentication, "Authentication failed during authentication due to invalid credentials with SASL mechanism %s", mechanism)
}

// first answers the client's first message: n,,n=user,r=nonce.
func (x *scramExchange) first(mechanism string, token []byte, known map[scramKey]*scramCredential, nonce string) ([]byte, *apiError) {
	binding, rest, ok := strings.Cut(string(token), ",")
	as, bare, ok2 := strings.Cut(rest, ",")
	if !ok || !ok2 || binding != "n" && binding != "y" {
		return nil, scramRefused(mechanism)
	}
	fields := strings.Split(bare, ",")
	if len(fields) < 2 || !strings.HasPrefix(fields[0], "n=") || !strings.HasPrefix(fields[1], "r=") || len(fields[1]) < 3 {
		return nil, scramRefused(mechanism)
	}
	x.user = strings.NewReplacer("=2C", ",", "=3D", "=").Replace(fields[0][2:])
	if name, ok := strings.CutPrefix(as, "a="); as != "" && (!ok || name != fields[0][2:]) {
		return nil, apiErrorf(codeSASLAuthentication, "Authentication failed: Client requested an authorization id that is different from username")
	}
	x.hash, _ = scramHash(mechanism)
	x.credential = known[scramKey{x.user, mechanism}]
	if x.credential == nil {
		return nil, scramRefused(mechanism)
	}
	x.header = binding + "," + as + ","
	x.nonce = fields[1][2:] + nonce
	server := fmt.Sprintf("r=%s,s=%s,i=%d", x.nonce, base64.StdEncoding.EncodeToString(x.credential.salt), x.credential.iterations)
	x.auth = bare + "," + server
	return []byte(server), nil
}

// last checks the client's proof: c=header,r=nonce,p=proof.
func (x *scramExchange) last(token []byte) ([]byte, *apiError) {
	mechanism := mechanismSCRAM256
	if x.hash().Size() == sha512.Size {
		mechanism = mechanismSCRAM512
	}
	bare, proof64, ok := strings.Cut(string(token), ",p=")
	want := "c=" + base64.StdEncoding.EncodeToString([]byte(x.header)) + ",r=" + x.nonce
	proof, bad := base64.StdEncoding.DecodeString(proof64)
	if !ok || bad != nil || bare != want || len(proof) != x.hash().Size() {
		return nil, scramRefused(mechanism)
	}
	auth := x.auth + "," + bare
	clientKey := mac(x.hash, x.credential.storedKey, auth)
	subtle.XORBytes(clientKey, clientKey, proof)
	stored := x.hash()
	stored.Write(clientKey)
	if !hmac.Equal(stored.Sum(nil), x.credential.storedKey) {
		return nil, scramRefused(mechanism)
	}
	return []byte("v=" + base64.StdEncoding.EncodeToString(mac(x.hash, x.credential.serverKey, auth))), nil
}

// describeSCRAM lists users and mechanisms, never secrets.
func (b *broker) describeSCRAM(req *kmsg.DescribeUserSCRAMCredentialsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DescribeUserSCRAMCredentialsResponse)
	have := map[string][]kmsg.DescribeUserSCRAMCredentialsResponseResultCredentialInfo{}
	for _, number := range []int8{1, 2} {
		for key, c := range b.image().scram {
			if key.mechanism == scramMechanism(number) {
				info := kmsg.NewDescribeUserSCRAMCredentialsResponseResultCredentialInfo()
				info.Mechanism, info.Iterations = number, int32(c.iterations)
				have[key.user] = append(have[key.user], info)
			}
		}
	}
	count := map[string]int{}
	var users []string
	for _, u := range req.Users {
		if count[u.Name]++; count[u.Name] == 1 {
			users = append(users, u.Name)
		}
	}
	if len(req.Users) == 0 {
		users = slices.Sorted(maps.Keys(have))
	}
	for _, user := range users {
		out := kmsg.NewDescribeUserSCRAMCredentialsResponseResult()
		out.User = user
		switch {
		case count[user] > 1:
			out.ErrorCode, out.ErrorMessage = codeDuplicateResource, kmsg.StringPtr("Cannot describe SCRAM credentials for the same user twice in a single request: "+user)
		case have[user] == nil:
			out.ErrorCode, out.ErrorMessage = codeResourceNotFound, kmsg.StringPtr("Attempt to describe a user credential that does not exist: "+user)
		default:
			out.CredentialInfos = have[user]
		}
		resp.Results = append(resp.Results, out)
	}
	return resp
}

// alterSCRAM writes and removes credentials. A user may be named once; the passwords come
// salted and are not kept.
func (c *controller) alterSCRAM(req *kmsg.AlterUserSCRAMCredentialsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.AlterUserSCRAMCredentialsResponse)
	count := map[string]int{}
	for _, d := range req.Deletions {
		count[d.Name]++
	}
	for _, u := range req.Upsertions {
		count[u.Name]++
	}
	told := map[string]bool{}
	tell := func(user string, err *apiError) {
		if told[user] {
			return
		}
		told[user] = true
		out := kmsg.NewAlterUserSCRAMCredentialsResponseResult()
		out.User = user
		if err != nil {
			out.ErrorCode, out.ErrorMessage = err.code, err.ptr()
		}
		resp.Results = append(resp.Results, out)
	}
	check := func(user string, mechanism int8) *apiError {
		switch {
		case count[user] > 1:
			return apiErrorf(codeDuplicateResource, "A user credential cannot be altered twice in the same request")
		case user == "":
			return apiErrorf(codeUnacceptableCredential, "Username must not be empty")
		case scramMechanism(mechanism) == "":
			return apiErrorf(codeUnsupportedMechanism, "Unknown SCRAM mechanism")
		}
		return nil
	}
	for _, d := range req.Deletions {
		err := check(d.Name, d.Mechanism)
		key := scramKey{d.Name, scramMechanism(d.Mechanism)}
		if err == nil && c.image.scram[key] == nil {
			err = apiErrorf(codeResourceNotFound, "Attempt to delete a user credential that does not exist")
		}
		if err == nil {
			c.write(&scramRecord{key, nil})
		}
		tell(d.Name, err)
	}
	for _, u := range req.Upsertions {
		err := check(u.Name, u.Mechanism)
		switch {
		case err != nil:
		case u.Iterations < minSCRAMIterations:
			err = apiErrorf(codeUnacceptableCredential, "Too few iterations")
		case u.Iterations > maxSCRAMIterations:
			err = apiErrorf(codeUnacceptableCredential, "Too many iterations")
		default:
			mechanism := scramMechanism(u.Mechanism)
			h, _ := scramHash(mechanism)
			c.write(&scramRecord{scramKey{u.Name, mechanism}, newSCRAMCredential(h, bytes.Clone(u.Salt), u.SaltedPassword, int(u.Iterations))})
		}
		tell(u.Name, err)
	}
	return resp
}
