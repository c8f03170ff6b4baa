package docker

// This file defines what a cluster with users has in its configuration: who may
// log in, how its nodes trust each other, and who decides what is allowed. It is
// pure.
//
//	listener     who comes                  logs in by
//	SASL         clients, tools, mirrors    the cluster's mechanism
//	SITE1 …      programs on this host      the same
//	HOST         the same, of kept clusters the same
//	INTERNAL     other brokers              PLAIN, as the operator
//	CONTROLLER   brokers, controllers, the  PLAIN, as the operator
//	             inspection
//
// Nodes know each other by PLAIN whatever clients do: SCRAM's credentials are
// records of the metadata log, which a node that starts has yet to read. Where a
// controller's listener asks nobody, brokers are User:ANONYMOUS there and have no
// right to register.

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"hash"
	"slices"
	"strings"

	"starfall/interp/plan"
	"starfall/runtime"
)

// Kafka's names of mechanisms. Nodes know each other by PLAIN.
const (
	mechanismPlain    = "PLAIN"
	mechanismScram512 = "SCRAM-SHA-512"
)

// mechanismOf is Kafka's name of a value of cluster(auth).
func mechanismOf(auth string) string { return strings.ToUpper(auth) }

// security is a cluster with users; nil: nobody has to say who he is.
type security struct {
	mechanism string // of clients
	operator  runtime.Login
	users     []plan.User // of this cluster, by name
}

// securityOf gives the security of a cluster, nil for one without.
func (w *world) securityOf(c *plan.Cluster) (*security, error) {
	if c.Auth == "" {
		return nil, nil
	}
	out := &security{mechanism: mechanismOf(c.Auth), operator: w.o.Operators[c.Name]}
	if out.operator.User == "" {
		return nil, fmt.Errorf("cluster %s: it has users, but no operator is named", c.Name)
	}
	for _, u := range w.p.Users {
		if u.Cluster == c.Name {
			out.users = append(out.users, u)
		}
	}
	slices.SortFunc(out.users, func(a, b plan.User) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// protocol is the security protocol of a listener.
func (s *security) protocol() string {
	if s == nil {
		return "PLAINTEXT"
	}
	return "SASL_PLAINTEXT"
}

// clientsListener is the name of the listener for clients.
func (s *security) clientsListener() string {
	if s == nil {
		return "PLAINTEXT"
	}
	return "SASL"
}

// brokersListener is the name of the listener for other brokers.
func (s *security) brokersListener() string {
	if s == nil {
		return "PLAINTEXT"
	}
	return "INTERNAL"
}

// lines writes the settings of a node whose listeners, the controllers' that it
// only dials included, have these names.
func (s *security) lines(line func(name, value string), listeners []string) {
	if s == nil {
		return
	}
	line("sasl.mechanism.inter.broker.protocol", mechanismPlain)
	line("sasl.mechanism.controller.protocol", mechanismPlain)
	line("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer")
	line("super.users", "User:"+s.operator.User)
	line("allow.everyone.if.no.acl.found", "false")
	for _, name := range listeners {
		prefix := "listener.name." + strings.ToLower(name) + "."
		mechanism, users := s.mechanism, s.users
		if name == "INTERNAL" || name == "CONTROLLER" {
			mechanism, users = mechanismPlain, nil
		}
		text := jaasScram
		if mechanism == mechanismPlain {
			text = s.jaasPlain(users)
		}
		line(prefix+"sasl.enabled.mechanisms", mechanism)
		line(prefix+strings.ToLower(mechanism)+".sasl.jaas.config", text)
	}
}

// jaasScram lets a listener take SCRAM; who there is, the metadata log says.
const jaasScram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"

// jaasPlain lets a listener take PLAIN from the operator and some users, and
// logs the node itself in as the operator.
func (s *security) jaasPlain(users []plan.User) string {
	var b strings.Builder
	fmt.Fprintf(&b, "org.apache.kafka.common.security.plain.PlainLoginModule required username=%s password=%s", jaasQuote(s.operator.User), jaasQuote(s.operator.Password))
	fmt.Fprintf(&b, " %s=%s", jaasQuote("user_"+s.operator.User), jaasQuote(s.operator.Password))
	for _, u := range users {
		fmt.Fprintf(&b, " %s=%s", jaasQuote("user_"+u.Name), jaasQuote(u.Password))
	}
	return b.String() + ";"
}

// jaasClient logs a Java client in.
func jaasClient(l runtime.Login) string {
	module := "scram.ScramLoginModule"
	if l.Mechanism == mechanismPlain {
		module = "plain.PlainLoginModule"
	}
	return fmt.Sprintf("org.apache.kafka.common.security.%s required username=%s password=%s;", module, jaasQuote(l.User), jaasQuote(l.Password))
}

// loginLines are the settings by which a Java client says who it is; none for
// nobody.
func loginLines(l runtime.Login, line func(name, value string)) {
	if l.User == "" {
		return
	}
	line("security.protocol", "SASL_PLAINTEXT")
	line("sasl.mechanism", l.Mechanism)
	line("sasl.jaas.config", jaasClient(l))
}

// jaasQuote writes a word as JaasConfig reads it, which is Java's StreamTokenizer:
// a key may be quoted as a value may, and a line's end would end the word.
func jaasQuote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch r {
		case '"', '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case '\n':
			b.WriteString(`\n`)
		case '\r':
			b.WriteString(`\r`)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// scram gives the records of the metadata log by which users and the operator
// log in by SCRAM from the first moment on, as the format tool's --add-scram
// writes them (KIP-900); none for another mechanism.
func (s *security) scram(run, cluster string) [][]byte {
	if s == nil || s.mechanism == mechanismPlain {
		return nil
	}
	out := [][]byte{scramRecord(s.mechanism, s.operator.User, s.operator.Password, id16(run, cluster, s.operator.User))}
	for _, u := range s.users {
		out = append(out, scramRecord(s.mechanism, u.Name, u.Password, id16(run, cluster, u.Name)))
	}
	return out
}

// addScram are the same credentials as arguments of the format tool.
func (s *security) addScram(run, cluster string) []string {
	if s == nil || s.mechanism == mechanismPlain {
		return nil
	}
	var out []string
	add := func(user, password string) {
		// A password may hold what separates the tool's words; its digest does not.
		salt := id16(run, cluster, user)
		text := base64.StdEncoding.EncodeToString
		out = append(out, "--add-scram", fmt.Sprintf(`%s=[name="%s",iterations=%d,salt="%s",saltedpassword="%s"]`,
			s.mechanism, user, scramIterations, text(salt[:]), text(salted(hashOf(s.mechanism), password, salt))))
	}
	add(s.operator.User, s.operator.Password)
	for _, u := range s.users {
		add(u.Name, u.Password)
	}
	return out
}

// scramIterations is the least that Kafka takes (ScramMechanism).
const scramIterations = 4096

// scramRecord is a UserScramCredentialRecord (version 0). Kafka takes passwords
// as they are, without SASLprep (ScramFormatter.normalize).
func scramRecord(mechanism, user, password string, salt [16]byte) []byte {
	const credential = 11 // UserScramCredentialRecord
	kind, h := byte(1), hashOf(mechanism)
	if mechanism == mechanismScram512 {
		kind = 2
	}
	salted := salted(h, password, salt)
	client := keyed(h, salted, "Client Key")
	stored := h()
	stored.Write(client)
	v := []byte{1, credential, 0} // frame version, type, version
	v = appendCompact(v, []byte(user))
	v = append(v, kind)
	v = appendCompact(v, salt[:])
	v = appendCompact(v, stored.Sum(nil))
	v = appendCompact(v, keyed(h, salted, "Server Key"))
	v = append(v, 0, 0, scramIterations>>8, scramIterations&0xff)
	return append(v, 0)
}

func hashOf(mechanism string) func() hash.Hash {
	if mechanism == mechanismScram512 {
		return sha512.New
	}
	return sha256.New
}

// salted is the salted password of SCRAM (RFC 5802).
func salted(h func() hash.Hash, password string, salt [16]byte) []byte {
	out, err := pbkdf2.Key(h, password, salt[:], scramIterations, h().Size())
	if err != nil {
		panic(fmt.Sprintf("scram: %v", err)) // the lengths are fixed
	}
	return out
}

func keyed(h func() hash.Hash, key []byte, text string) []byte {
	m := hmac.New(h, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

// refuseUsers names what a cluster with users cannot be, whatever its version.
func refuseUsers(c *plan.Cluster) []runtime.Refusal {
	if c.Auth == "" || !zooKeeper(c) {
		return nil
	}
	return []runtime.Refusal{{Pos: c.Pos, Message: fmt.Sprintf("cluster %s: for parameter auth: a cluster in ZooKeeper mode with users is not supported: leave zookeeper out", c.Name)}}
}
