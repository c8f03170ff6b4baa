package wire

// This file defines how the requests that brokers serve are laid out on the wire, so that
// a frame can be measured before it is decoded.

import "github.com/twmb/franz-go/pkg/kmsg"

// layouts lists the fields of requests in the order of the wire, in all their versions, as
// Kafka's message definitions have them. The second column is the first flexible version
// (KIP-482), or -1.
//
//	1 2 4 8 16     that many bytes
//	str str?       a string; one that may be null
//	bytes bytes?   bytes; bytes that may be null
//	[Name …]       an array of structs, or of one thing; Name is kmsg's, for the size of an element in memory
//	?[Name …]      an array that may be null
//	?{Name …}      a struct behind a byte that says whether it is there
//	#1{…}          the content of a tagged field that is a struct itself
//	@3+ @0-12      the versions that have the field; before its content where it has one
//
// Tagged fields end each struct of a flexible version; what they hold is not looked at,
// apart from those with #.
func layouts() []layoutText {
	return []layoutText{
		{kmsg.Produce, 9, "str?@3+ 2 4 [Topics str@0-12 16@13+ [Partitions 4 bytes?]]"},
		{kmsg.Fetch, 12, "4@0-14 4 4 4@3+ 1@4+ 4@7+ 4@7+ [Topics str@0-12 16@13+ [Partitions 4 4@9+ 8 4@12+ 8@5+ 4]] [ForgottenTopics@7+ str@7-12 16@13+ [Partitions 4]] str@11+ #1{4 8}"},
		{kmsg.ListOffsets, 6, "4 1@2+ [Topics str [Partitions 4 4@4+ 8 4@0-0]] 4@10+"},
		{kmsg.Metadata, 9, "?[Topics 16@10+ str@0-9 str?@10+] 1@4+ 1@8-10 1@8+"},
		{kmsg.OffsetCommit, 8, "str 4@1+ str@1+ str?@7+ 8@2-4 [Topics str@0-9 16@10+ [Partitions 4 8 8@1-1 4@6+ str?]]"},
		{kmsg.OffsetFetch, 6, "str@0-7 ?[Topics@0-7 str [Partitions 4]] [Groups@8+ str str?@9+ 4@9+ ?[Topics str@8-9 16@10+ [Partitions 4]]] 1@7+"},
		{kmsg.FindCoordinator, 3, "str@0-3 1@1+ [CoordinatorKeys@4+ str]"},
		{kmsg.JoinGroup, 6, "str 4 4@1+ str str?@5+ str [Protocols str bytes] str?@8+"},
		{kmsg.Heartbeat, 4, "str 4 str str?@3+"},
		{kmsg.LeaveGroup, 4, "str str@0-2 [Members@3+ str str? str?@5+]"},
		{kmsg.SyncGroup, 4, "str 4 str str?@3+ str?@5+ str?@5+ [GroupAssignment str bytes]"},
		{kmsg.DescribeGroups, 5, "[Groups str] 1@3+"},
		{kmsg.ListGroups, 3, "[StatesFilter@4+ str] [TypesFilter@5+ str]"},
		{kmsg.SASLHandshake, -1, "str"},
		{kmsg.ApiVersions, 3, "str@3+ str@3+ str?@5+ 4@5+"},
		{kmsg.CreateTopics, 5, "[Topics str 4 2 [ReplicaAssignment 4 [Replicas 4]] [Configs str str?]] 4 1@1+"},
		{kmsg.DeleteTopics, 4, "[TopicNames@0-5 str] [Topics@6+ str? 16] 4"},
		{kmsg.DeleteRecords, 2, "[Topics str [Partitions 4 8]] 4"},
		{kmsg.InitProducerID, 2, "str? 4 8@3+ 2@3+"},
		{kmsg.OffsetForLeaderEpoch, 4, "4@3+ [Topics str [Partitions 4 4@2+ 4]]"},
		{kmsg.DescribeACLs, 2, "1 str? 1@1+ str? str? 1 1"},
		{kmsg.CreateACLs, 2, "[Creations 1 str 1@1+ str str 1 1]"},
		{kmsg.DeleteACLs, 2, "[Filters 1 str? 1@1+ str? str? 1 1]"},
		{kmsg.AddPartitionsToTxn, 3, "str@0-3 8@0-3 2@0-3 [Topics@0-3 str [Partitions 4]] [Transactions@4+ str 8 2 1 [Topics str [Partitions 4]]]"},
		{kmsg.AddOffsetsToTxn, 3, "str 8 2 str"},
		{kmsg.EndTxn, 3, "str 8 2 1"},
		{kmsg.WriteTxnMarkers, 1, "[Markers 8 2 1 [Topics str [Partitions 4]] 4 1@2+]"},
		{kmsg.TxnOffsetCommit, 3, "str str 8 2 4@3+ str@3+ str?@3+ [Topics str@0-5 16@6+ [Partitions 4 8 4@2+ str?]]"},
		{kmsg.DescribeConfigs, 4, "[Resources 1 str ?[ConfigNames str]] 1@1+ 1@3+"},
		{kmsg.AlterConfigs, 2, "[Resources 1 str [Configs str str?]] 1"},
		{kmsg.AlterReplicaLogDirs, 2, "[Dirs str [Topics str [Partitions 4]]]"},
		{kmsg.DescribeLogDirs, 2, "?[Topics str [Partitions 4]]"},
		{kmsg.SASLAuthenticate, 2, "bytes"},
		{kmsg.CreatePartitions, 2, "[Topics str 4 ?[Assignment [Replicas 4]]] 4 1"},
		{kmsg.DeleteGroups, 2, "[Groups str]"},
		{kmsg.ElectLeaders, 2, "1@1+ ?[Topics str [Partitions 4]] 4"},
		{kmsg.IncrementalAlterConfigs, 1, "[Resources 1 str [Configs str 1 str?]] 1"},
		{kmsg.AlterPartitionAssignments, 0, "4 1@1+ [Topics str [Partitions 4 ?[Replicas 4]]]"},
		{kmsg.ListPartitionReassignments, 0, "4 ?[Topics str [Partitions 4]]"},
		{kmsg.OffsetDelete, -1, "str [Topics str [Partitions 4]]"},
		{kmsg.DescribeClientQuotas, 1, "[Components str 1 str?] 1"},
		{kmsg.DescribeUserSCRAMCredentials, 0, "?[Users str]"},
		{kmsg.AlterUserSCRAMCredentials, 0, "[Deletions str 1] [Upsertions str 1 4 bytes bytes]"},
		{kmsg.DescribeQuorum, 0, "[Topics str [Partitions 4]]"},
		{kmsg.DescribeCluster, 0, "1 1@1+ 1@2+"},
		{kmsg.DescribeTopicPartitions, 0, "[Topics str] 4 ?{Cursor str 4}"},
		{kmsg.DescribeProducers, 0, "[Topics str [Partitions 4]]"},
		{kmsg.DescribeTransactions, 0, "[TransactionalIDs str]"},
		{kmsg.ListTransactions, 0, "[StateFilters str] [ProducerIDFilters 8] 8@1+ str?@2+"},
	}
}

type layoutText struct {
	key      kmsg.Key
	flexible int16
	fields   string
}
