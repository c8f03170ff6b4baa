package core

// This file defines how the active controller alters configs.

import (
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"starfall/internal/kafkaconf"
)

// checkConfig refuses names that Kafka does not have and values that it does not take.
func checkConfig(scope kafkaconf.Scope, name, value string) *apiError {
	e, ok := kafkaconf.Lookup(scope, name)
	if !ok {
		return apiErrorf(codeInvalidConfig, "Unknown %s config name: %s", scope, name)
	}
	if err := e.Check(value); err != nil {
		return apiErrorf(codeInvalidConfig, "Invalid value %s for configuration %s: %s", value, name, err)
	}
	return nil
}

// configTarget checks the resource and whether a name may be altered there at run time.
func (c *controller) configTarget(kind int8, name string) (configResource, kafkaconf.Scope, *apiError) {
	target := configResource{kind, name}
	switch kind {
	case resourceTopic:
		if c.image.topics[name] == nil {
			return target, "", apiErrorf(codeUnknownTopicOrPartition, "The topic '%s' does not exist.", name)
		}
		return target, kafkaconf.Topic, nil
	case resourceBroker:
		if name != "" {
			id, err := strconv.Atoi(name)
			if err != nil || c.image.brokers[int32(id)] == nil {
				return target, "", apiErrorf(codeInvalidRequest, "No broker with id %s found.", name)
			}
		}
		return target, kafkaconf.Broker, nil
	}
	return target, "", apiErrorf(codeInvalidRequest, "Unsupported resource type: %d", kind)
}

func checkDynamic(scope kafkaconf.Scope, target configResource, name string) *apiError {
	if scope != kafkaconf.Broker {
		return nil
	}
	e, ok := kafkaconf.Lookup(scope, name)
	switch {
	case ok && !e.Dynamic():
		return apiErrorf(codeInvalidRequest, "Cannot update these configs dynamically: %s", name)
	case ok && target.name == "" && e.Update == kafkaconf.PerBroker:
		return apiErrorf(codeInvalidRequest, "Cannot update per-broker configs dynamically as a cluster default: %s", name)
	}
	return nil
}

func (c *controller) incrementalAlterConfigs(req *kmsg.IncrementalAlterConfigsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.IncrementalAlterConfigsResponse)
	for i := range req.Resources {
		r := &req.Resources[i]
		out := kmsg.NewIncrementalAlterConfigsResponseResource()
		out.ResourceType, out.ResourceName = r.ResourceType, r.ResourceName
		if err := c.alterIncrementally(r, req.ValidateOnly); err != nil {
			out.ErrorCode, out.ErrorMessage = err.code, err.ptr()
		}
		resp.Resources = append(resp.Resources, out)
	}
	return resp
}

func (c *controller) alterIncrementally(r *kmsg.IncrementalAlterConfigsRequestResource, dry bool) *apiError {
	target, scope, err := c.configTarget(int8(r.ResourceType), r.ResourceName)
	if err != nil {
		return err
	}
	var records []*configRecord
	for _, kv := range r.Configs {
		if err := checkDynamic(scope, target, kv.Name); err != nil {
			return err
		}
		e, known := kafkaconf.Lookup(scope, kv.Name)
		if !known {
			return apiErrorf(codeInvalidConfig, "Unknown %s config name: %s", scope, kv.Name)
		}
		if kv.Op == kmsg.IncrementalAlterConfigOpDelete {
			records = append(records, &configRecord{target, kv.Name, nil})
			continue
		}
		if kv.Value == nil {
			return apiErrorf(codeInvalidRequest, "Null value not supported for : %s", kv.Name)
		}
		value := *kv.Value
		if kv.Op == kmsg.IncrementalAlterConfigOpAppend || kv.Op == kmsg.IncrementalAlterConfigOpSubtract {
			if e.Type != kafkaconf.List {
				return apiErrorf(codeInvalidConfig, "Can't %s to key %s because its type is not LIST.", map[bool]string{true: "append", false: "subtract"}[kv.Op == kmsg.IncrementalAlterConfigOpAppend], kv.Name)
			}
			value = c.editList(target, e, kv.Name, value, kv.Op == kmsg.IncrementalAlterConfigOpAppend)
		}
		if err := checkConfig(scope, kv.Name, value); err != nil {
			return err
		}
		records = append(records, &configRecord{target, kv.Name, &value})
	}
	if !dry {
		c.writeConfigs(target, records)
	}
	return nil
}

func (c *controller) editList(target configResource, e kafkaconf.Entry, name, value string, add bool) string {
	old, ok := c.image.configs[target][name]
	if !ok {
		old = e.Default
	}
	var list []string
	for _, v := range strings.Split(old, ",") {
		if v = strings.TrimSpace(v); v != "" {
			list = append(list, v)
		}
	}
	for _, v := range strings.Split(value, ",") {
		v = strings.TrimSpace(v)
		i := slices.Index(list, v)
		switch {
		case add && i < 0 && v != "":
			list = append(list, v)
		case !add && i >= 0:
			list = slices.Delete(list, i, i+1)
		}
	}
	return strings.Join(list, ",")
}

func (c *controller) alterConfigs(req *kmsg.AlterConfigsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.AlterConfigsResponse)
	for i := range req.Resources {
		r := &req.Resources[i]
		out := kmsg.NewAlterConfigsResponseResource()
		out.ResourceType, out.ResourceName = r.ResourceType, r.ResourceName
		if err := c.replaceConfigs(r, req.ValidateOnly); err != nil {
			out.ErrorCode, out.ErrorMessage = err.code, err.ptr()
		}
		resp.Resources = append(resp.Resources, out)
	}
	return resp
}

// replaceConfigs is the older request: what it does not name goes back to the default.
func (c *controller) replaceConfigs(r *kmsg.AlterConfigsRequestResource, dry bool) *apiError {
	target, scope, err := c.configTarget(int8(r.ResourceType), r.ResourceName)
	if err != nil {
		return err
	}
	var records []*configRecord
	named := map[string]bool{}
	for _, kv := range r.Configs {
		named[kv.Name] = true
		if err := checkDynamic(scope, target, kv.Name); err != nil {
			return err
		}
		if kv.Value == nil {
			return apiErrorf(codeInvalidRequest, "Null value not supported for : %s", kv.Name)
		}
		if err := checkConfig(scope, kv.Name, *kv.Value); err != nil {
			return err
		}
		records = append(records, &configRecord{target, kv.Name, kmsg.StringPtr(*kv.Value)})
	}
	for _, name := range sortedNames(c.image.configs[target]) {
		if !named[name] {
			records = append(records, &configRecord{target, name, nil})
		}
	}
	if !dry {
		c.writeConfigs(target, records)
	}
	return nil
}

func sortedNames(m map[string]string) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// writeConfigs writes and, where unclean elections have become allowed, elects at once.
func (c *controller) writeConfigs(target configResource, records []*configRecord) {
	unclean := false
	for _, r := range records {
		c.write(r)
		unclean = unclean || r.name == "unclean.leader.election.enable"
	}
	if unclean {
		c.electAll(func(p *PartitionState) bool {
			return p.Leader < 0 && (target.kind == resourceBroker || target.name == p.Topic)
		}, 0)
	}
}
