package core

// This file defines Kafka's error codes that the core answers with.

const (
	codeOffsetOutOfRange         int16 = 1
	codeCorruptMessage           int16 = 2
	codeUnknownTopicOrPartition  int16 = 3
	codeLeaderNotAvailable       int16 = 5
	codeNotLeaderOrFollower      int16 = 6
	codeRequestTimedOut          int16 = 7
	codeMessageTooLarge          int16 = 10
	codeCoordinatorLoading       int16 = 14
	codeCoordinatorNotAvailable  int16 = 15
	codeInvalidTopic             int16 = 17
	codeNotEnoughReplicas        int16 = 19
	codeTopicAuthorization       int16 = 29
	codeGroupAuthorization       int16 = 30
	codeClusterAuthorization     int16 = 31
	codeInvalidTimestamp         int16 = 32
	codeUnsupportedMechanism     int16 = 33
	codeIllegalSASLState         int16 = 34
	codeNotEnoughReplicasAfter   int16 = 20
	codeInvalidRequiredAcks      int16 = 21
	codeUnsupportedVersion       int16 = 35
	codeTopicAlreadyExists       int16 = 36
	codeInvalidPartitions        int16 = 37
	codeInvalidReplicationFactor int16 = 38
	codeInvalidReplicaAssignment int16 = 39
	codeInvalidConfig            int16 = 40
	codeNotController            int16 = 41
	codeInvalidRequest           int16 = 42
	codeUnsupportedMessageFormat int16 = 43
	codeOutOfOrderSequence       int16 = 45
	codeInvalidProducerEpoch     int16 = 47
	codeTransactionalAuth        int16 = 53
	codeSecurityDisabled         int16 = 54
	codeStorage                  int16 = 56
	codeLogDirNotFound           int16 = 57
	codeSASLAuthentication       int16 = 58
	codeFetchSessionIDNotFound   int16 = 70
	codeInvalidFetchSessionEpoch int16 = 71
	codeFencedLeaderEpoch        int16 = 74
	codeUnknownLeaderEpoch       int16 = 75
	codeUnsupportedCompression   int16 = 76
	codeStaleBrokerEpoch         int16 = 77
	codeOffsetNotAvailable       int16 = 78
	codePreferredNotAvailable    int16 = 80
	codeEligibleNotAvailable     int16 = 83
	codeElectionNotNeeded        int16 = 84
	codeNoReassignment           int16 = 85
	codeInvalidRecord            int16 = 87
	codeResourceNotFound         int16 = 91
	codeDuplicateResource        int16 = 92
	codeUnacceptableCredential   int16 = 93
	codeInvalidUpdateVersion     int16 = 95
	codeUnknownTopicID           int16 = 100
	codeDuplicateBroker          int16 = 101
	codeBrokerIDNotRegistered    int16 = 102
	codeInconsistentTopicID      int16 = 103
	codeFetchSessionTopicID      int16 = 106
	codeIneligibleReplica        int16 = 107
	codeNewLeaderElected         int16 = 108
)
