// This file defines what an error says about the record that met it.

package kafka

import (
	"errors"
	"fmt"

	"github.com/IBM/sarama"
)

// verdict is what an error means for a record.
type verdict int

// The verdicts on an error.
//
//	verdict   the record                                       what the lane does
//	again     may or may not be in the log, worth another try  sends it again until its timeout
//	definite  is not in the log by this attempt                failed, if no earlier attempt is in doubt
//	doubtful  nobody knows, and another try is refused         unknown
const (
	again verdict = iota
	definite
	doubtful
)

// verdicts lists the errors that are not doubtful. The brokers check for the
// definite ones before they append (ReplicaManager, UnifiedLog and LogValidator
// of Kafka 3.9); those worth another try are RetriableException in the Java
// client. What is not listed is doubtful.
var verdicts = map[sarama.KError]verdict{
	sarama.ErrInvalidMessage:                     again, // CORRUPT_MESSAGE: damaged on the way
	sarama.ErrUnknownTopicOrPartition:            again,
	sarama.ErrLeaderNotAvailable:                 again,
	sarama.ErrNotLeaderForPartition:              again,
	sarama.ErrRequestTimedOut:                    again,
	sarama.ErrReplicaNotAvailable:                again,
	sarama.ErrNetworkException:                   again,
	sarama.ErrNotEnoughReplicas:                  again,
	sarama.ErrNotEnoughReplicasAfterAppend:       again,
	sarama.ErrKafkaStorageError:                  again,
	sarama.ErrFencedLeaderEpoch:                  again,
	sarama.ErrUnknownLeaderEpoch:                 again,
	sarama.ErrBrokerNotAvailable:                 again,
	sarama.ErrThrottlingQuotaExceeded:            again,
	sarama.ErrMessageSizeTooLarge:                definite,
	sarama.ErrMessageSetSizeTooLarge:             definite,
	sarama.ErrInvalidTopic:                       definite,
	sarama.ErrInvalidRequiredAcks:                definite,
	sarama.ErrTopicAuthorizationFailed:           definite,
	sarama.ErrClusterAuthorizationFailed:         definite,
	sarama.ErrInvalidTimestamp:                   definite,
	sarama.ErrUnsupportedForMessageFormat:        definite,
	sarama.ErrUnsupportedVersion:                 definite,
	sarama.ErrPolicyViolation:                    definite,
	sarama.ErrInvalidRecord:                      definite,
	sarama.ErrUnsupportedCompressionType:         definite,
	sarama.ErrTransactionalIDAuthorizationFailed: definite,
	sarama.ErrGroupAuthorizationFailed:           definite,
	sarama.ErrSASLAuthenticationFailed:           definite,
}

// judgeError tells what err means for a record. Errors that sarama makes up
// itself, because it ran out of retries or its circuit breaker opened, and
// those of the connection are worth another try; a record that sarama refuses
// to take (too large, not encodable) was never handed to a broker.
func judgeError(err error) verdict {
	var k sarama.KError
	if errors.As(err, &k) {
		if v, ok := verdicts[k]; ok {
			return v
		}
		return doubtful
	}
	if errors.Is(err, sarama.ErrSASLAuthenticationFailed) {
		return definite
	}
	var refused sarama.ConfigurationError
	var encoding sarama.PacketEncodingError
	if errors.As(err, &refused) || errors.As(err, &encoding) {
		return definite
	}
	return again
}

// refusals are the answers that deny the client something, or that do not take
// it for who it says it is. As the Java client does, records that meet one fail,
// and what the client needs for itself (metadata, a producer id, its group) it
// asks for again: rights may come later.
var refusals = []sarama.KError{
	sarama.ErrTopicAuthorizationFailed, sarama.ErrGroupAuthorizationFailed, sarama.ErrClusterAuthorizationFailed,
	sarama.ErrTransactionalIDAuthorizationFailed, sarama.ErrSASLAuthenticationFailed,
}

// refusalIn finds a refusal in an error, nil when there is none.
func refusalIn(err error) error {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range many.Unwrap() {
			if no := refusalIn(e); no != nil {
				return no
			}
		}
		return nil
	}
	for _, k := range refusals {
		if !errors.Is(err, k) {
			continue
		}
		// What the broker says beside the login's code is in the error around it.
		for k == sarama.ErrSASLAuthenticationFailed {
			inner := errors.Unwrap(err)
			if inner == nil || !errors.Is(inner, k) {
				return err
			}
			err = inner
		}
		return k
	}
	return nil
}

// reason is an error as the recording shows it, in Kafka's own words when it is
// one of Kafka's.
func reason(err error) string {
	var k sarama.KError
	if errors.As(err, &k) {
		return fmt.Sprintf("error %d: %v", int16(k), k)
	}
	if k = sarama.ErrSASLAuthenticationFailed; errors.Is(err, k) {
		return fmt.Sprintf("error %d: %v", int16(k), err)
	}
	return err.Error()
}
