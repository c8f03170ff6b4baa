package core

// This file defines elections and reassignments as administrators ask for them.

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func (c *controller) electLeaders(req *kmsg.ElectLeadersRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ElectLeadersResponse)
	unclean := req.ElectionType == 1
	topics := req.Topics
	all := topics == nil
	if all {
		for _, name := range c.image.topicNames() {
			t := kmsg.NewElectLeadersRequestTopic()
			t.Topic = name
			for _, p := range c.image.topics[name].partitions {
				t.Partitions = append(t.Partitions, p.Partition)
			}
			topics = append(topics, t)
		}
	}
	for _, t := range topics {
		out := kmsg.NewElectLeadersResponseTopic()
		out.Topic = t.Topic
		for _, id := range t.Partitions {
			err := c.elect(partitionKey{t.Topic, id}, unclean)
			if all && err != nil && err.code == codeElectionNotNeeded {
				continue
			}
			rp := kmsg.NewElectLeadersResponseTopicPartition()
			rp.Partition = id
			if err != nil {
				rp.ErrorCode, rp.ErrorMessage = err.code, err.ptr()
			}
			out.Partitions = append(out.Partitions, rp)
		}
		if len(out.Partitions) > 0 {
			resp.Topics = append(resp.Topics, out)
		}
	}
	return resp
}

func (c *controller) elect(key partitionKey, unclean bool) *apiError {
	p := c.image.partition(key)
	switch {
	case p == nil:
		return apiErrorf(codeUnknownTopicOrPartition, "No such topic as %s", key.topic)
	case unclean && p.Leader >= 0, !unclean && p.Leader == p.Replicas[0]:
		return apiErrorf(codeElectionNotNeeded, "Leader election not needed for topic partition.")
	}
	next := c.change(p, partitionChange{preferred: !unclean, unclean: unclean})
	switch {
	case unclean && next.Leader < 0:
		return apiErrorf(codeEligibleNotAvailable, "Eligible topic partition leaders are not available.")
	case !unclean && next.Leader != next.Replicas[0]:
		return apiErrorf(codePreferredNotAvailable, "The preferred leader was not available.")
	}
	return nil
}

func (c *controller) reassign(req *kmsg.AlterPartitionAssignmentsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.AlterPartitionAssignmentsResponse)
	for i := range req.Topics {
		t := &req.Topics[i]
		out := kmsg.NewAlterPartitionAssignmentsResponseTopic()
		out.Topic = t.Topic
		for j := range t.Partitions {
			rp := kmsg.NewAlterPartitionAssignmentsResponseTopicPartition()
			rp.Partition = t.Partitions[j].Partition
			if err := c.reassignOne(partitionKey{t.Topic, rp.Partition}, t.Partitions[j].Replicas); err != nil {
				rp.ErrorCode, rp.ErrorMessage = err.code, err.ptr()
			}
			out.Partitions = append(out.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

// reassignOne begins, replaces or, with no target, cancels a reassignment (KIP-455).
func (c *controller) reassignOne(key partitionKey, target []int32) *apiError {
	p := c.image.partition(key)
	if p == nil {
		return apiErrorf(codeUnknownTopicOrPartition, "Unable to find a topic named %s.", key.topic)
	}
	// What the partition had before a reassignment that is under way.
	original := slices.DeleteFunc(slices.Clone(p.Replicas), func(id int32) bool { return slices.Contains(p.Adding, id) })
	if target == nil {
		if len(p.Adding) == 0 && len(p.Removing) == 0 {
			return apiErrorf(codeNoReassignment, "No partition reassignment is in progress.")
		}
		isr := slices.DeleteFunc(slices.Clone(p.ISR), func(id int32) bool { return !slices.Contains(original, id) })
		if len(isr) == 0 {
			return apiErrorf(codeInvalidReplicaAssignment, "The partition cannot go back: none of its former replicas is in sync.")
		}
		c.change(p, partitionChange{replicas: original, isr: isr})
		return nil
	}
	if err := c.checkAssignment(target, len(target)); err != nil {
		return err
	}
	var adding, removing []int32
	for _, id := range target {
		if !slices.Contains(original, id) {
			adding = append(adding, id)
		}
	}
	for _, id := range original {
		if !slices.Contains(target, id) {
			removing = append(removing, id)
		}
	}
	if len(adding) == 0 && len(removing) == 0 {
		// Only the order is new: that holds at once.
		c.change(p, partitionChange{replicas: slices.Clone(target)})
		return nil
	}
	replicas := slices.Concat(target, removing)
	isr := slices.DeleteFunc(slices.Clone(p.ISR), func(id int32) bool { return !slices.Contains(replicas, id) })
	c.change(p, partitionChange{replicas: replicas, adding: adding, removing: removing, isr: isr})
	return nil
}

func (c *controller) listReassignments(req *kmsg.ListPartitionReassignmentsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ListPartitionReassignmentsResponse)
	wanted := map[partitionKey]bool{}
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			wanted[partitionKey{t.Topic, p}] = true
		}
	}
	c.image.each(func(p *PartitionState) {
		if len(p.Adding) == 0 && len(p.Removing) == 0 || req.Topics != nil && !wanted[partitionKey{p.Topic, p.Partition}] {
			return
		}
		rp := kmsg.NewListPartitionReassignmentsResponseTopicPartition()
		rp.Partition, rp.Replicas, rp.AddingReplicas, rp.RemovingReplicas = p.Partition, p.Replicas, p.Adding, p.Removing
		if n := len(resp.Topics); n == 0 || resp.Topics[n-1].Topic != p.Topic {
			t := kmsg.NewListPartitionReassignmentsResponseTopic()
			t.Topic = p.Topic
			resp.Topics = append(resp.Topics, t)
		}
		t := &resp.Topics[len(resp.Topics)-1]
		t.Partitions = append(t.Partitions, rp)
	})
	return resp
}
