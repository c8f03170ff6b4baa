package core

// This file defines admin requests as a broker sees them: forwarded to the active
// controller (KIP-590), with an answer whatever happens, and DescribeConfigs and
// DeleteRecords, which brokers answer themselves.

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"starfall/internal/kafkaconf"
)

type (
	// forwarded is a client's request on its way to the controller.
	forwarded     struct{ req kmsg.Request }
	forwardAnswer struct{ resp kmsg.Response }
)

// forward passes a request to the active controller. No controller within
// request.timeout.ms is answered with REQUEST_TIMED_OUT.
func (b *broker) forward(req kmsg.Request, reply func(kmsg.Response)) {
	b.toController(chanForward, &forwarded{req}, 500, b.n.cfg.requestTimeout, func(resp any) {
		if a, ok := resp.(*forwardAnswer); ok {
			reply(a.resp)
			return
		}
		reply(errorResponse(req, codeRequestTimedOut, "The request timed out: the active controller did not answer"))
	})
}

func unsupported(req kmsg.Request) kmsg.Response {
	return errorResponse(req, codeUnsupportedVersion, "The version of API is not supported.")
}

// errorResponse answers every part of a request with one error.
func errorResponse(req kmsg.Request, code int16, message string) kmsg.Response {
	resp := req.ResponseKind()
	msg := kmsg.StringPtr(message)
	switch r := req.(type) {
	case *kmsg.CreateTopicsRequest:
		out := resp.(*kmsg.CreateTopicsResponse)
		for i := range r.Topics {
			t := kmsg.NewCreateTopicsResponseTopic()
			t.Topic, t.ErrorCode, t.ErrorMessage, t.NumPartitions, t.ReplicationFactor = r.Topics[i].Topic, code, msg, -1, -1
			out.Topics = append(out.Topics, t)
		}
	case *kmsg.DeleteTopicsRequest:
		out := resp.(*kmsg.DeleteTopicsResponse)
		for _, name := range r.TopicNames {
			t := kmsg.NewDeleteTopicsResponseTopic()
			t.Topic, t.ErrorCode, t.ErrorMessage = kmsg.StringPtr(name), code, msg
			out.Topics = append(out.Topics, t)
		}
		for _, rt := range r.Topics {
			t := kmsg.NewDeleteTopicsResponseTopic()
			t.Topic, t.TopicID, t.ErrorCode, t.ErrorMessage = rt.Topic, rt.TopicID, code, msg
			out.Topics = append(out.Topics, t)
		}
	case *kmsg.CreatePartitionsRequest:
		out := resp.(*kmsg.CreatePartitionsResponse)
		for i := range r.Topics {
			t := kmsg.NewCreatePartitionsResponseTopic()
			t.Topic, t.ErrorCode, t.ErrorMessage = r.Topics[i].Topic, code, msg
			out.Topics = append(out.Topics, t)
		}
	case *kmsg.AlterConfigsRequest:
		out := resp.(*kmsg.AlterConfigsResponse)
		for i := range r.Resources {
			t := kmsg.NewAlterConfigsResponseResource()
			t.ResourceType, t.ResourceName, t.ErrorCode, t.ErrorMessage = r.Resources[i].ResourceType, r.Resources[i].ResourceName, code, msg
			out.Resources = append(out.Resources, t)
		}
	case *kmsg.IncrementalAlterConfigsRequest:
		out := resp.(*kmsg.IncrementalAlterConfigsResponse)
		for i := range r.Resources {
			t := kmsg.NewIncrementalAlterConfigsResponseResource()
			t.ResourceType, t.ResourceName, t.ErrorCode, t.ErrorMessage = r.Resources[i].ResourceType, r.Resources[i].ResourceName, code, msg
			out.Resources = append(out.Resources, t)
		}
	case *kmsg.DescribeConfigsRequest:
		out := resp.(*kmsg.DescribeConfigsResponse)
		for i := range r.Resources {
			t := kmsg.NewDescribeConfigsResponseResource()
			t.ResourceType, t.ResourceName, t.ErrorCode, t.ErrorMessage = r.Resources[i].ResourceType, r.Resources[i].ResourceName, code, msg
			out.Resources = append(out.Resources, t)
		}
	case *kmsg.ElectLeadersRequest:
		out := resp.(*kmsg.ElectLeadersResponse)
		out.ErrorCode = code
		for _, rt := range r.Topics {
			t := kmsg.NewElectLeadersResponseTopic()
			t.Topic = rt.Topic
			for _, p := range rt.Partitions {
				rp := kmsg.NewElectLeadersResponseTopicPartition()
				rp.Partition, rp.ErrorCode, rp.ErrorMessage = p, code, msg
				t.Partitions = append(t.Partitions, rp)
			}
			out.Topics = append(out.Topics, t)
		}
	case *kmsg.AlterPartitionAssignmentsRequest:
		out := resp.(*kmsg.AlterPartitionAssignmentsResponse)
		out.ErrorCode, out.ErrorMessage = code, msg
	case *kmsg.ListPartitionReassignmentsRequest:
		out := resp.(*kmsg.ListPartitionReassignmentsResponse)
		out.ErrorCode, out.ErrorMessage = code, msg
	case *kmsg.ProduceRequest:
		out := resp.(*kmsg.ProduceResponse)
		for _, rt := range r.Topics {
			t := kmsg.NewProduceResponseTopic()
			t.Topic = rt.Topic
			for _, p := range rt.Partitions {
				rp := kmsg.NewProduceResponseTopicPartition()
				rp.Partition, rp.ErrorCode, rp.BaseOffset = p.Partition, code, -1
				t.Partitions = append(t.Partitions, rp)
			}
			out.Topics = append(out.Topics, t)
		}
	default:
		if !eachError(req, resp, code, msg) {
			setErrorCode(resp, code)
		}
	}
	return resp
}

// setErrorCode sets the one error code of answers that have it at their top.
func setErrorCode(resp kmsg.Response, code int16) {
	switch r := resp.(type) {
	case *kmsg.FetchResponse:
		r.ErrorCode = code
	case *kmsg.FindCoordinatorResponse:
		r.ErrorCode = code
	case *kmsg.JoinGroupResponse:
		r.ErrorCode = code
	case *kmsg.SyncGroupResponse:
		r.ErrorCode = code
	case *kmsg.HeartbeatResponse:
		r.ErrorCode = code
	case *kmsg.LeaveGroupResponse:
		r.ErrorCode = code
	case *kmsg.OffsetFetchResponse:
		r.ErrorCode = code
	case *kmsg.OffsetDeleteResponse:
		r.ErrorCode = code
	case *kmsg.ListGroupsResponse:
		r.ErrorCode = code
	case *kmsg.InitProducerIDResponse:
		r.ErrorCode = code
	case *kmsg.AddPartitionsToTxnResponse:
		r.ErrorCode = code
	case *kmsg.AddOffsetsToTxnResponse:
		r.ErrorCode = code
	case *kmsg.EndTxnResponse:
		r.ErrorCode = code
	case *kmsg.ListTransactionsResponse:
		r.ErrorCode = code
	case *kmsg.DescribeClusterResponse:
		r.ErrorCode = code
	case *kmsg.ApiVersionsResponse:
		r.ErrorCode = code
	case *kmsg.DescribeLogDirsResponse:
		r.ErrorCode = code
	case *kmsg.DescribeACLsResponse:
		r.ErrorCode = code
	case *kmsg.DescribeUserSCRAMCredentialsResponse:
		r.ErrorCode = code
	case *kmsg.DescribeClientQuotasResponse:
		r.ErrorCode = code
	case *kmsg.DescribeQuorumResponse:
		r.ErrorCode = code
	case *kmsg.SASLHandshakeResponse:
		r.ErrorCode = code
	case *kmsg.SASLAuthenticateResponse:
		r.ErrorCode = code
	}
}

// describeConfigs answers from this broker's metadata; a broker's configs only about itself.
func (b *broker) describeConfigs(req *kmsg.DescribeConfigsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DescribeConfigsResponse)
	for i := range req.Resources {
		r := &req.Resources[i]
		out := kmsg.NewDescribeConfigsResponseResource()
		out.ResourceType, out.ResourceName = r.ResourceType, r.ResourceName
		fail := func(code int16, message string) {
			out.ErrorCode, out.ErrorMessage = code, kmsg.StringPtr(message)
		}
		id, err := strconv.Atoi(r.ResourceName)
		switch {
		case int8(r.ResourceType) == resourceTopic && b.image().topics[r.ResourceName] == nil:
			fail(codeUnknownTopicOrPartition, "This server does not host this topic-partition.")
		case int8(r.ResourceType) == resourceTopic:
			b.describeEach(&out, r.ConfigNames, req.IncludeSynonyms, kafkaconf.Topic, r.ResourceName)
		case int8(r.ResourceType) == resourceBroker && r.ResourceName == "":
			b.describeDefaults(&out, r.ConfigNames)
		case int8(r.ResourceType) == resourceBroker && (err != nil || int32(id) != b.n.id):
			fail(codeInvalidRequest, "Unexpected broker id, expected "+strconv.Itoa(int(b.n.id))+" or empty string, but received "+r.ResourceName)
		case int8(r.ResourceType) == resourceBroker:
			b.describeEach(&out, r.ConfigNames, req.IncludeSynonyms, kafkaconf.Broker, r.ResourceName)
		default:
			fail(codeInvalidRequest, "Unsupported resource type: "+strconv.Itoa(int(r.ResourceType)))
		}
		resp.Resources = append(resp.Resources, out)
	}
	return resp
}

func (b *broker) describeEach(out *kmsg.DescribeConfigsResponseResource, wanted []string, synonyms bool, scope kafkaconf.Scope, name string) {
	for _, config := range kafkaconf.Names(scope) {
		if wanted != nil && !slices.Contains(wanted, config) {
			continue
		}
		e, _ := kafkaconf.Lookup(scope, config)
		if e.Internal {
			continue
		}
		var value string
		var source int8
		var ok bool
		if scope == kafkaconf.Topic {
			value, source, ok = b.image().topicConfig(b.n.cfg, b.n.id, name, config)
		} else {
			value, source, ok = b.image().brokerConfig(b.n.cfg, b.n.id, config)
		}
		c := kmsg.NewDescribeConfigsResponseResourceConfig()
		c.Name, c.Source, c.IsDefault = config, kmsg.ConfigSource(source), source == sourceDefault
		c.ReadOnly = !e.Dynamic()
		c.IsSensitive = e.Type == kafkaconf.Password
		c.ConfigType = configType(e.Type)
		if ok && !c.IsSensitive {
			c.Value = kmsg.StringPtr(value)
		}
		if synonyms && ok {
			s := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
			s.Name, s.Value, s.Source = config, c.Value, c.Source
			c.ConfigSynonyms = append(c.ConfigSynonyms, s)
		}
		out.Configs = append(out.Configs, c)
	}
}

// describeDefaults lists what was altered for all brokers.
func (b *broker) describeDefaults(out *kmsg.DescribeConfigsResponseResource, wanted []string) {
	kv := b.image().configs[configResource{resourceBroker, ""}]
	for _, name := range slices.Sorted(maps.Keys(kv)) {
		if wanted != nil && !slices.Contains(wanted, name) {
			continue
		}
		e, _ := kafkaconf.Lookup(kafkaconf.Broker, name)
		c := kmsg.NewDescribeConfigsResponseResourceConfig()
		c.Name, c.Source = name, kmsg.ConfigSource(sourceDynamicBrokerDefault)
		c.ConfigType = configType(e.Type)
		if c.IsSensitive = e.Type == kafkaconf.Password; !c.IsSensitive {
			c.Value = kmsg.StringPtr(kv[name])
		}
		out.Configs = append(out.Configs, c)
	}
}

func configType(t kafkaconf.Type) kmsg.ConfigType {
	switch t {
	case kafkaconf.Boolean:
		return kmsg.ConfigTypeBoolean
	case kafkaconf.String:
		return kmsg.ConfigTypeString
	case kafkaconf.Int:
		return kmsg.ConfigTypeInt
	case kafkaconf.Short:
		return kmsg.ConfigTypeShort
	case kafkaconf.Long:
		return kmsg.ConfigTypeLong
	case kafkaconf.Double:
		return kmsg.ConfigTypeDouble
	case kafkaconf.List:
		return kmsg.ConfigTypeList
	case kafkaconf.Class:
		return kmsg.ConfigTypeClass
	case kafkaconf.Password:
		return kmsg.ConfigTypePassword
	}
	return 0
}

// deleteRecords moves log start offsets (KIP-107) and answers when every replica that is
// alive has followed, or the timeout is over.
func (b *broker) deleteRecords(req *kmsg.DeleteRecordsRequest, reply func(kmsg.Response)) {
	resp := req.ResponseKind().(*kmsg.DeleteRecordsResponse)
	for i := range req.Topics {
		t := kmsg.NewDeleteRecordsResponseTopic()
		t.Topic = req.Topics[i].Topic
		for _, p := range req.Topics[i].Partitions {
			rp := kmsg.NewDeleteRecordsResponseTopicPartition()
			rp.Partition, rp.LowWatermark = p.Partition, -1
			r, code := b.leaderOf(partitionKey{t.Topic, p.Partition})
			to := p.Offset
			if code == 0 && to == -1 {
				to = r.hw
			}
			switch {
			case code == codeUnknownTopicOrPartition:
			case internalTopic(t.Topic):
				code = codeInvalidTopic
			case code != 0:
			case to < 0 || to > r.hw:
				code = codeOffsetOutOfRange
			default:
				r.startAt(to)
				rp.LowWatermark = r.log.start
			}
			rp.ErrorCode = code
			t.Partitions = append(t.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, t)
	}
	// The followers learn the new start with their next fetch, which is half a second
	// away at most.
	b.n.after(min(b.n.cfg.replicaFetchWait, time.Duration(max(0, req.TimeoutMillis))*time.Millisecond), func() { reply(resp) })
}
