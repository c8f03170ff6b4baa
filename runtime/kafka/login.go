// This file defines how clients say who they are: SASL's PLAIN, and the client's
// side of SCRAM (RFC 5802 and 7677).

package kafka

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"

	"github.com/IBM/sarama"

	"starfall/runtime"
)

// logIn lets the connections of a configuration begin with a login. The zero
// Login leaves it as it is.
func logIn(c *sarama.Config, l runtime.Login) {
	if l.Mechanism == "" {
		return
	}
	sasl := &c.Net.SASL
	sasl.Enable, sasl.Handshake, sasl.Version = true, true, sarama.SASLHandshakeV1
	sasl.Mechanism, sasl.User, sasl.Password = sarama.SASLMechanism(l.Mechanism), l.User, l.Password
	switch l.Mechanism {
	case sarama.SASLTypeSCRAMSHA256:
		sasl.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &scram{hash: sha256.New} }
	case sarama.SASLTypeSCRAMSHA512:
		sasl.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &scram{hash: sha512.New} }
	}
}

// scram is one SCRAM exchange.
//
//	step  the server said           the client says
//	1     nothing                   n,,n=USER,r=NONCE
//	2     r=NONCE…,s=SALT,i=ROUNDS  c=biws,r=NONCE…,p=PROOF
//	3     v=SIGNATURE               nothing: done when the signature is right
//
// Names and passwords are taken as they are: what SASLprep would change in them
// is no printable ASCII.
type scram struct {
	hash     func() hash.Hash
	nonce    string // drawn by Begin
	password string
	bare     string // the first message without its header
	verify   []byte // the signature that the server owes
	step     int
}

var _ sarama.SCRAMClient = (*scram)(nil)

// nonceBytes is how many random bytes a nonce has, before its encoding.
const nonceBytes = 18

var escapeName = strings.NewReplacer("=", "=3D", ",", "=2C")

// Begin implements sarama.SCRAMClient. Nobody acts for another here, so an
// authorization identity is refused.
func (s *scram) Begin(user, password, authzID string) error {
	if authzID != "" {
		return errors.New("an authorization identity is not supported")
	}
	raw := make([]byte, nonceBytes)
	if _, err := rand.Read(raw); err != nil {
		return err
	}
	s.start(user, password, base64.StdEncoding.EncodeToString(raw))
	return nil
}

func (s *scram) start(user, password, nonce string) {
	s.password, s.nonce, s.step = password, nonce, 0
	s.bare = "n=" + escapeName.Replace(user) + ",r=" + nonce
}

// Done implements sarama.SCRAMClient.
func (s *scram) Done() bool { return s.step == 3 }

// Step implements sarama.SCRAMClient.
func (s *scram) Step(challenge string) (string, error) {
	switch s.step {
	case 0:
		s.step = 1
		return "n,," + s.bare, nil
	case 1:
		answer, err := s.prove(challenge)
		if err != nil {
			return "", fmt.Errorf("SCRAM: %w", err)
		}
		s.step = 2
		return answer, nil
	case 2:
		if got, ok := strings.CutPrefix(challenge, "e="); ok {
			return "", fmt.Errorf("SCRAM: the server says %s", got)
		}
		want := "v=" + base64.StdEncoding.EncodeToString(s.verify)
		got, _, _ := strings.Cut(challenge, ",")
		if subtle.ConstantTimeCompare([]byte(got), []byte(want)) != 1 {
			return "", errors.New("SCRAM: the server does not know the password: its signature is wrong")
		}
		s.step = 3
		return "", nil
	}
	return "", errors.New("SCRAM: the exchange is over")
}

// prove answers the server's first message.
func (s *scram) prove(challenge string) (string, error) {
	fields := strings.SplitN(challenge, ",", 4)
	if len(fields) < 3 {
		return "", fmt.Errorf("got %d fields, want nonce, salt and iterations", len(fields))
	}
	nonce, okNonce := strings.CutPrefix(fields[0], "r=")
	salt64, okSalt := strings.CutPrefix(fields[1], "s=")
	rounds64, okRounds := strings.CutPrefix(fields[2], "i=")
	if !okNonce || !okSalt || !okRounds {
		return "", errors.New("the first message is malformed")
	}
	if !strings.HasPrefix(nonce, s.nonce) || len(nonce) == len(s.nonce) {
		return "", errors.New("the server's nonce does not go on from the client's")
	}
	salt, err := base64.StdEncoding.DecodeString(salt64)
	if err != nil {
		return "", fmt.Errorf("salt: %w", err)
	}
	rounds, err := strconv.Atoi(rounds64)
	if err != nil || rounds < 1 {
		return "", fmt.Errorf("iterations: got %q, want a number from 1", rounds64)
	}
	salted, err := pbkdf2.Key(s.hash, s.password, salt, rounds, s.hash().Size())
	if err != nil {
		return "", err
	}
	final := "c=biws,r=" + nonce
	message := s.bare + "," + challenge + "," + final
	client := s.mac(salted, "Client Key")
	stored := s.hash()
	stored.Write(client)
	proof := make([]byte, len(client))
	subtle.XORBytes(proof, client, s.mac(stored.Sum(nil), message))
	s.verify = s.mac(s.mac(salted, "Server Key"), message)
	return final + ",p=" + base64.StdEncoding.EncodeToString(proof), nil
}

func (s *scram) mac(key []byte, text string) []byte {
	m := hmac.New(s.hash, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}
