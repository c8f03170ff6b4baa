// This file defines which reasons of failed records are refusals for want of
// rights.

package record

import (
	"regexp"
	"strconv"
)

// The codes of Kafka's errors (org.apache.kafka.common.protocol.Errors) that
// refuse for want of rights, or because the client is not who he says.
const (
	topicAuthorizationFailed           = 29
	groupAuthorizationFailed           = 30
	clusterAuthorizationFailed         = 31
	transactionalIDAuthorizationFailed = 53
	saslAuthenticationFailed           = 58
)

var kafkaError = regexp.MustCompile(`\berror (\d+):`)

// Denied tells whether the reason of a failed record is a refusal for want of
// rights. A reason in Kafka's words holds "error N: ", N being the code of the
// error, whatever else it says: "delivery timeout: error 58: …" is one too.
func Denied(reason string) bool {
	for _, m := range kafkaError.FindAllStringSubmatch(reason, -1) {
		switch code, _ := strconv.Atoi(m[1]); code {
		case topicAuthorizationFailed, groupAuthorizationFailed, clusterAuthorizationFailed,
			transactionalIDAuthorizationFailed, saslAuthenticationFailed:
			return true
		}
	}
	return false
}
