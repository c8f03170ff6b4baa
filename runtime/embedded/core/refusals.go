package core

// This file defines answers that refuse parts of a request, and how they become part of
// the answer about the rest.

import "github.com/twmb/franz-go/pkg/kmsg"

// refusedParts answers the parts of a request that the client has no right to; nil when
// there are none.
func (b *broker) refusedParts(req kmsg.Request) kmsg.Response {
	empty := false
	code, message := codeTopicAuthorization, "Topic authorization failed."
	switch r := req.(type) {
	case *kmsg.ProduceRequest:
		empty = len(r.Topics) == 0
	case *kmsg.ListOffsetsRequest:
		empty = len(r.Topics) == 0
	case *kmsg.OffsetForLeaderEpochRequest:
		empty = len(r.Topics) == 0
	case *kmsg.OffsetCommitRequest:
		empty = len(r.Topics) == 0
	case *kmsg.OffsetDeleteRequest:
		empty = len(r.Topics) == 0
	case *kmsg.CreatePartitionsRequest:
		empty = len(r.Topics) == 0
	case *kmsg.DeleteRecordsRequest:
		empty = len(r.Topics) == 0
	case *kmsg.CreateTopicsRequest:
		empty, message = len(r.Topics) == 0, "Authorization failed."
	case *kmsg.DescribeGroupsRequest:
		empty, code = len(r.Groups) == 0, codeGroupAuthorization
	case *kmsg.DeleteGroupsRequest:
		empty, code = len(r.Groups) == 0, codeGroupAuthorization
	case *kmsg.TxnOffsetCommitRequest:
		empty = len(r.Topics) == 0
	case *kmsg.DescribeProducersRequest:
		empty = len(r.Topics) == 0
	case *kmsg.DescribeTransactionsRequest:
		empty, code, message = len(r.TransactionalIDs) == 0, codeTxnIDAuthorization, "Transactional Id authorization failed."
	case *kmsg.DescribeConfigsRequest:
		empty = len(r.Resources) == 0
	case *kmsg.AlterConfigsRequest:
		empty = len(r.Resources) == 0
	case *kmsg.IncrementalAlterConfigsRequest:
		empty = len(r.Resources) == 0
	}
	if empty {
		return nil
	}
	resp := errorResponse(req, code, message)
	config := func(kind kmsg.ConfigResourceType, code *int16, message **string) {
		if kind != kmsg.ConfigResourceTypeTopic {
			*code, *message = codeClusterAuthorization, kmsg.StringPtr("Cluster authorization failed.")
		}
	}
	switch r := resp.(type) {
	case *kmsg.DescribeConfigsResponse:
		for i := range r.Resources {
			config(r.Resources[i].ResourceType, &r.Resources[i].ErrorCode, &r.Resources[i].ErrorMessage)
		}
	case *kmsg.AlterConfigsResponse:
		for i := range r.Resources {
			config(r.Resources[i].ResourceType, &r.Resources[i].ErrorCode, &r.Resources[i].ErrorMessage)
		}
	case *kmsg.IncrementalAlterConfigsResponse:
		for i := range r.Resources {
			config(r.Resources[i].ResourceType, &r.Resources[i].ErrorCode, &r.Resources[i].ErrorMessage)
		}
	}
	return resp
}

// joined adds the parts of one answer to another of the same kind.
func joined(resp, more kmsg.Response) kmsg.Response {
	switch r := resp.(type) {
	case *kmsg.ProduceResponse:
		r.Topics = append(r.Topics, more.(*kmsg.ProduceResponse).Topics...)
	case *kmsg.ListOffsetsResponse:
		r.Topics = append(r.Topics, more.(*kmsg.ListOffsetsResponse).Topics...)
	case *kmsg.OffsetForLeaderEpochResponse:
		r.Topics = append(r.Topics, more.(*kmsg.OffsetForLeaderEpochResponse).Topics...)
	case *kmsg.OffsetCommitResponse:
		r.Topics = append(r.Topics, more.(*kmsg.OffsetCommitResponse).Topics...)
	case *kmsg.OffsetDeleteResponse:
		r.Topics = append(r.Topics, more.(*kmsg.OffsetDeleteResponse).Topics...)
	case *kmsg.CreatePartitionsResponse:
		r.Topics = append(r.Topics, more.(*kmsg.CreatePartitionsResponse).Topics...)
	case *kmsg.DeleteRecordsResponse:
		r.Topics = append(r.Topics, more.(*kmsg.DeleteRecordsResponse).Topics...)
	case *kmsg.CreateTopicsResponse:
		r.Topics = append(r.Topics, more.(*kmsg.CreateTopicsResponse).Topics...)
	case *kmsg.DescribeGroupsResponse:
		r.Groups = append(r.Groups, more.(*kmsg.DescribeGroupsResponse).Groups...)
	case *kmsg.DeleteGroupsResponse:
		r.Groups = append(r.Groups, more.(*kmsg.DeleteGroupsResponse).Groups...)
	case *kmsg.TxnOffsetCommitResponse:
		r.Topics = append(r.Topics, more.(*kmsg.TxnOffsetCommitResponse).Topics...)
	case *kmsg.DescribeProducersResponse:
		r.Topics = append(r.Topics, more.(*kmsg.DescribeProducersResponse).Topics...)
	case *kmsg.DescribeTransactionsResponse:
		r.TransactionStates = append(r.TransactionStates, more.(*kmsg.DescribeTransactionsResponse).TransactionStates...)
	case *kmsg.DescribeConfigsResponse:
		r.Resources = append(r.Resources, more.(*kmsg.DescribeConfigsResponse).Resources...)
	case *kmsg.AlterConfigsResponse:
		r.Resources = append(r.Resources, more.(*kmsg.AlterConfigsResponse).Resources...)
	case *kmsg.IncrementalAlterConfigsResponse:
		r.Resources = append(r.Resources, more.(*kmsg.IncrementalAlterConfigsResponse).Resources...)
	}
	return resp
}

// eachError answers every part of requests that have no one place for an error; false for
// all others.
func eachError(req kmsg.Request, resp kmsg.Response, code int16, message *string) bool {
	switch r := req.(type) {
	case *kmsg.ListOffsetsRequest:
		out := resp.(*kmsg.ListOffsetsResponse)
		for _, t := range r.Topics {
			rt := kmsg.NewListOffsetsResponseTopic()
			rt.Topic = t.Topic
			for _, p := range t.Partitions {
				rp := kmsg.NewListOffsetsResponseTopicPartition()
				rp.Partition, rp.ErrorCode, rp.Timestamp, rp.Offset, rp.LeaderEpoch = p.Partition, code, -1, -1, -1
				rt.Partitions = append(rt.Partitions, rp)
			}
			out.Topics = append(out.Topics, rt)
		}
	case *kmsg.OffsetForLeaderEpochRequest:
		out := resp.(*kmsg.OffsetForLeaderEpochResponse)
		for _, t := range r.Topics {
			rt := kmsg.NewOffsetForLeaderEpochResponseTopic()
			rt.Topic = t.Topic
			for _, p := range t.Partitions {
				rp := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
				rp.Partition, rp.ErrorCode, rp.LeaderEpoch, rp.EndOffset = p.Partition, code, -1, -1
				rt.Partitions = append(rt.Partitions, rp)
			}
			out.Topics = append(out.Topics, rt)
		}
	case *kmsg.OffsetCommitRequest:
		out := resp.(*kmsg.OffsetCommitResponse)
		for _, t := range r.Topics {
			rt := kmsg.NewOffsetCommitResponseTopic()
			rt.Topic = t.Topic
			for _, p := range t.Partitions {
				rp := kmsg.NewOffsetCommitResponseTopicPartition()
				rp.Partition, rp.ErrorCode = p.Partition, code
				rt.Partitions = append(rt.Partitions, rp)
			}
			out.Topics = append(out.Topics, rt)
		}
	case *kmsg.OffsetFetchRequest:
		out := resp.(*kmsg.OffsetFetchResponse)
		out.ErrorCode = code
		for _, g := range r.Groups {
			rg := kmsg.NewOffsetFetchResponseGroup()
			rg.Group, rg.ErrorCode = g.Group, code
			out.Groups = append(out.Groups, rg)
		}
		if r.Version < 2 { // no place for the whole
			for _, t := range r.Topics {
				rt := kmsg.NewOffsetFetchResponseTopic()
				rt.Topic = t.Topic
				for _, p := range t.Partitions {
					rp := kmsg.NewOffsetFetchResponseTopicPartition()
					rp.Partition, rp.Offset, rp.ErrorCode, rp.Metadata = p, -1, code, kmsg.StringPtr("")
					rt.Partitions = append(rt.Partitions, rp)
				}
				out.Topics = append(out.Topics, rt)
			}
		}
	case *kmsg.OffsetDeleteRequest:
		out := resp.(*kmsg.OffsetDeleteResponse)
		if code != codeTopicAuthorization {
			out.ErrorCode = code
			return true
		}
		for _, t := range r.Topics {
			rt := kmsg.NewOffsetDeleteResponseTopic()
			rt.Topic = t.Topic
			for _, p := range t.Partitions {
				rp := kmsg.NewOffsetDeleteResponseTopicPartition()
				rp.Partition, rp.ErrorCode = p.Partition, code
				rt.Partitions = append(rt.Partitions, rp)
			}
			out.Topics = append(out.Topics, rt)
		}
	case *kmsg.DeleteRecordsRequest:
		out := resp.(*kmsg.DeleteRecordsResponse)
		for _, t := range r.Topics {
			rt := kmsg.NewDeleteRecordsResponseTopic()
			rt.Topic = t.Topic
			for _, p := range t.Partitions {
				rp := kmsg.NewDeleteRecordsResponseTopicPartition()
				rp.Partition, rp.LowWatermark, rp.ErrorCode = p.Partition, -1, code
				rt.Partitions = append(rt.Partitions, rp)
			}
			out.Topics = append(out.Topics, rt)
		}
	case *kmsg.DescribeGroupsRequest:
		out := resp.(*kmsg.DescribeGroupsResponse)
		for _, g := range r.Groups {
			rg := kmsg.NewDescribeGroupsResponseGroup()
			rg.Group, rg.ErrorCode, rg.AuthorizedOperations = g, code, noOperations
			out.Groups = append(out.Groups, rg)
		}
	case *kmsg.DeleteGroupsRequest:
		out := resp.(*kmsg.DeleteGroupsResponse)
		for _, g := range r.Groups {
			rg := kmsg.NewDeleteGroupsResponseGroup()
			rg.Group, rg.ErrorCode = g, code
			out.Groups = append(out.Groups, rg)
		}
	case *kmsg.AlterReplicaLogDirsRequest:
		out := resp.(*kmsg.AlterReplicaLogDirsResponse)
		for _, d := range r.Dirs {
			for _, t := range d.Topics {
				rt := kmsg.NewAlterReplicaLogDirsResponseTopic()
				rt.Topic = t.Topic
				for _, p := range t.Partitions {
					rp := kmsg.NewAlterReplicaLogDirsResponseTopicPartition()
					rp.Partition, rp.ErrorCode = p, code
					rt.Partitions = append(rt.Partitions, rp)
				}
				out.Topics = append(out.Topics, rt)
			}
		}
	case *kmsg.CreateACLsRequest:
		out := resp.(*kmsg.CreateACLsResponse)
		for range r.Creations {
			res := kmsg.NewCreateACLsResponseResult()
			res.ErrorCode, res.ErrorMessage = code, message
			out.Results = append(out.Results, res)
		}
	case *kmsg.DeleteACLsRequest:
		out := resp.(*kmsg.DeleteACLsResponse)
		for range r.Filters {
			res := kmsg.NewDeleteACLsResponseResult()
			res.ErrorCode, res.ErrorMessage = code, message
			out.Results = append(out.Results, res)
		}
	case *kmsg.AlterUserSCRAMCredentialsRequest:
		out := resp.(*kmsg.AlterUserSCRAMCredentialsResponse)
		seen := map[string]bool{}
		user := func(name string) {
			if !seen[name] {
				seen[name] = true
				res := kmsg.NewAlterUserSCRAMCredentialsResponseResult()
				res.User, res.ErrorCode, res.ErrorMessage = name, code, message
				out.Results = append(out.Results, res)
			}
		}
		for _, d := range r.Deletions {
			user(d.Name)
		}
		for _, u := range r.Upsertions {
			user(u.Name)
		}
	case *kmsg.TxnOffsetCommitRequest:
		out := resp.(*kmsg.TxnOffsetCommitResponse)
		for _, t := range r.Topics {
			rt := kmsg.NewTxnOffsetCommitResponseTopic()
			rt.Topic = t.Topic
			for _, p := range t.Partitions {
				rp := kmsg.NewTxnOffsetCommitResponseTopicPartition()
				rp.Partition, rp.ErrorCode = p.Partition, code
				rt.Partitions = append(rt.Partitions, rp)
			}
			out.Topics = append(out.Topics, rt)
		}
	case *kmsg.AddPartitionsToTxnRequest:
		out := resp.(*kmsg.AddPartitionsToTxnResponse)
		out.ErrorCode = code // from version 4
		for _, t := range r.Topics {
			rt := kmsg.NewAddPartitionsToTxnResponseTopic()
			rt.Topic = t.Topic
			for _, p := range t.Partitions {
				rp := kmsg.NewAddPartitionsToTxnResponseTopicPartition()
				rp.Partition, rp.ErrorCode = p, code
				rt.Partitions = append(rt.Partitions, rp)
			}
			out.Topics = append(out.Topics, rt)
		}
	case *kmsg.DescribeProducersRequest:
		out := resp.(*kmsg.DescribeProducersResponse)
		for _, t := range r.Topics {
			rt := kmsg.NewDescribeProducersResponseTopic()
			rt.Topic = t.Topic
			for _, p := range t.Partitions {
				rp := kmsg.NewDescribeProducersResponseTopicPartition()
				rp.Partition, rp.ErrorCode, rp.ErrorMessage = p, code, message
				rt.Partitions = append(rt.Partitions, rp)
			}
			out.Topics = append(out.Topics, rt)
		}
	case *kmsg.DescribeTransactionsRequest:
		out := resp.(*kmsg.DescribeTransactionsResponse)
		for _, id := range r.TransactionalIDs {
			s := kmsg.NewDescribeTransactionsResponseTransactionState()
			s.TransactionalID, s.ErrorCode = id, code
			out.TransactionStates = append(out.TransactionStates, s)
		}
	case *kmsg.WriteTxnMarkersRequest:
		out := resp.(*kmsg.WriteTxnMarkersResponse)
		for _, m := range r.Markers {
			rm := kmsg.NewWriteTxnMarkersResponseMarker()
			rm.ProducerID = m.ProducerID
			for _, t := range m.Topics {
				rt := kmsg.NewWriteTxnMarkersResponseMarkerTopic()
				rt.Topic = t.Topic
				for _, p := range t.Partitions {
					rp := kmsg.NewWriteTxnMarkersResponseMarkerTopicPartition()
					rp.Partition, rp.ErrorCode = p, code
					rt.Partitions = append(rt.Partitions, rp)
				}
				rm.Topics = append(rm.Topics, rt)
			}
			out.Markers = append(out.Markers, rm)
		}
	default:
		return false
	}
	return true
}
