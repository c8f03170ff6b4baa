// This file defines what the words for things do: scenario, param, site, link,
// cluster, topic, producer, consumer and alarm.

package builtins

import (
	"math"
	"regexp"
	"strconv"
	"strings"

	"go.starlark.net/starlark"

	"starfall/internal/spell"
	"starfall/interp/plan"
)

var versionPattern = regexp.MustCompile(`^\d+\.\d+(\.\d+)?$`)

func runScenario(c *call) starlark.Value {
	if c.env.seen.scenario {
		c.errorAt(c.at.pos, "said a second time", "the first is at "+c.env.plan.Scenario.Pos.String())
		return starlark.None
	}
	c.env.seen.scenario = true
	if c.has("run_for") && c.dur("run_for") == 0 {
		c.errorAt(c.raw("run_for").pos, "for parameter run_for: got 0s, want a longer duration", "")
	}
	c.env.plan.Scenario = plan.Scenario{
		Pos: c.at.pos, RunFor: c.dur("run_for"), Warmup: c.dur("warmup"), Drain: c.dur("drain"), Seed: int64(c.int("seed")),
	}
	if c.env.opts.Seed != nil {
		c.env.plan.Scenario.Seed = *c.env.opts.Seed
	}
	return starlark.None
}

func runParam(c *call) starlark.Value {
	name, def := c.str("name"), c.raw("default").value
	if c.env.params[name] {
		c.errorAt(c.raw("name").pos, "a second parameter "+quote(name), "a value used in several places goes into a global")
		return standIn{}
	}
	c.env.params[name] = true
	switch def.(type) {
	case starlark.Int, starlark.Float, starlark.Bool, starlark.String, Duration:
	default:
		c.wrong(c.param("default"), c.raw("default"), "got "+shown(def)+", want int, float, bool, string or duration", "")
		return standIn{}
	}
	p := plan.Param{Pos: c.at.pos, Name: name, Default: source(def), Help: c.str("help")}
	choices := c.choices(def, &p)
	value := def
	if text, set := c.env.opts.Set[name]; set {
		v, want := readAs(def, text)
		if want != "" {
			c.errorAt(c.at.pos, "--set "+name+": got "+quote(text)+", want "+want, "")
			return def
		}
		value = v
	}
	if choices != nil && !among(value, choices) {
		_, set := c.env.opts.Set[name]
		pos, what := c.raw("default").pos, "for parameter default"
		if set {
			pos, what = c.at.pos, "--set "+name
		}
		suggestion := ""
		if s, ok := value.(starlark.String); ok {
			if near, ok := spell.Nearest(string(s), stringsOf(choices)); ok {
				suggestion = "did you mean " + near + "?"
			}
		}
		c.errorAt(pos, what+": got "+source(value)+", want "+spell.List(p.Choices), suggestion)
		return def
	}
	p.Value = source(value)
	c.env.plan.Params = append(c.env.plan.Params, p)
	return value
}

// choices reads the parameter's legal values, each of the default's type.
func (c *call) choices(def starlark.Value, p *plan.Param) []starlark.Value {
	a := c.raw("choices")
	if a.value == nil || a.value == starlark.None {
		return nil
	}
	items, ok := c.elements(c.param("choices"), a)
	if !ok {
		return nil
	}
	var out []starlark.Value
	for _, item := range items {
		if item.value.Type() != def.Type() {
			c.wrong(c.param("choices"), item, "got "+shown(item.value)+", want "+def.Type()+" like the default", "")
			return nil
		}
		out = append(out, item.value)
		p.Choices = append(p.Choices, source(item.value))
	}
	return out
}

func among(v starlark.Value, list []starlark.Value) bool {
	for _, x := range list {
		if eq, err := starlark.Equal(v, x); err == nil && eq {
			return true
		}
	}
	return false
}

func stringsOf(list []starlark.Value) []string {
	var out []string
	for _, v := range list {
		if s, ok := starlark.AsString(v); ok {
			out = append(out, s)
		}
	}
	return out
}

// source writes a parameter's value as a Starlark literal. A duration becomes
// the string that stands for it.
func source(v starlark.Value) string {
	if d, ok := v.(Duration); ok {
		return strconv.Quote(d.String())
	}
	return v.String()
}

// readAs reads the text of --set as the default's type; want says what that
// is when the text does not fit.
func readAs(def starlark.Value, text string) (v starlark.Value, want string) {
	switch def.(type) {
	case starlark.Int:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, "int, as its default is"
		}
		return starlark.MakeInt64(n), ""
	case starlark.Float:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, "float, as its default is"
		}
		return starlark.Float(f), ""
	case starlark.Bool:
		switch text {
		case "true", "True":
			return starlark.True, ""
		case "false", "False":
			return starlark.False, ""
		}
		return nil, "true or false"
	case Duration:
		d, err := parseDuration(text)
		if err != nil {
			return nil, `a duration such as "90s", as its default is`
		}
		return Duration(d), ""
	}
	return starlark.String(text), ""
}

// checkSet records the parameters of --set that the scenario has not.
func (e *Env) checkSet(file string) {
	var names []string
	for _, p := range e.plan.Params {
		names = append(names, p.Name)
	}
	for _, name := range sortedKeys(e.opts.Set) {
		if e.params[name] {
			continue
		}
		suggestion := "the scenario has no parameters"
		if len(names) > 0 {
			suggestion = "it has " + spell.List(names)
		}
		if near, ok := spell.Nearest(name, names); ok {
			suggestion = "did you mean " + near + "?"
		}
		e.Report(plan.Pos{File: file}, "--set "+name+": there is no such parameter", suggestion)
	}
}

func runSite(c *call) starlark.Value {
	t := c.newThing(plan.RefSite)
	c.env.plan.Sites = append(c.env.plan.Sites, plan.Site{Pos: c.at.pos, Name: t.id})
	return t
}

func runLink(c *call) starlark.Value {
	c.env.limit(c.at.pos)
	c.env.plan.Links = append(c.env.plan.Links, plan.Link{
		Pos: c.at.pos, A: c.thing("a").id, B: c.thing("b").id,
		Condition: plan.Condition{
			Latency: c.dur("latency"), Jitter: c.dur("jitter"), Loss: c.num("loss"), Bandwidth: c.num("bandwidth"),
		},
	})
	return starlark.None
}

func runCluster(c *call) starlark.Value {
	t := c.newThing(plan.RefCluster)
	t.brokers = c.int("brokers")
	if v := c.str("version"); c.has("version") && !versionPattern.MatchString(v) {
		c.wrong(c.param("version"), c.raw("version"), "got "+quote(v)+`, want a Kafka release such as "3.9.1"`, "")
	}
	sites := []string{plan.ImpliedSite}
	switch {
	case c.has("site") && c.has("spread"):
		c.errorAt(c.raw("spread").pos, "got both site and spread, want one of them", "spread = [a, b] deals the nodes among sites")
	case c.has("site"):
		sites = []string{c.thing("site").id}
	case c.has("spread"):
		sites = nil
		for _, s := range c.things("spread") {
			sites = append(sites, s.id)
		}
	}
	racks, _ := c.arg("racks").([]string)
	role := plan.RoleCombined
	if c.int("controllers") > 0 || c.int("zookeeper") > 0 {
		role = plan.RoleBroker
	}
	if c.int("zookeeper") > 0 {
		switch major, _, _ := strings.Cut(c.str("version"), "."); {
		case c.int("controllers") > 0:
			c.errorAt(c.raw("zookeeper").pos, "got both controllers and zookeeper, want one of them", "controllers = 3 is a KRaft quorum, zookeeper = 3 an ensemble that brokers of Kafka 3 can use instead")
		case len(major) > 1 || major >= "4":
			c.errorAt(c.raw("zookeeper").pos, "got zookeeper with version "+quote(c.str("version"))+", want a version below 4: Kafka 4 has no ZooKeeper mode (KIP-833)", `version = "3.9.1"`)
		}
	}
	cl := plan.Cluster{
		Pos: c.at.pos, Name: t.id, Version: c.str("version"), Image: c.str("image"), Auth: c.str("auth"),
		Config: c.config("config", brokerScope),
	}
	single := c.brokerConfigs("broker_config", c.int("brokers"))
	for i := range c.int("brokers") {
		n := plan.Node{ID: int32(i + 1), Role: role, Site: sites[i%len(sites)]}
		n.Config = single[n.ID]
		if len(racks) > 0 {
			n.Rack = racks[i%len(racks)]
		}
		cl.Nodes = append(cl.Nodes, n)
	}
	for i := range c.int("controllers") {
		cl.Nodes = append(cl.Nodes, plan.Node{ID: int32(plan.FirstControllerID + i), Role: plan.RoleController, Site: sites[i%len(sites)]})
	}
	for i := range c.int("zookeeper") {
		cl.Nodes = append(cl.Nodes, plan.Node{ID: int32(plan.FirstZooKeeperID + i), Role: plan.RoleZooKeeper, Site: sites[i%len(sites)]})
	}
	c.env.plan.Clusters = append(c.env.plan.Clusters, cl)
	return t
}

func runTopic(c *call) starlark.Value {
	t := c.newThing(plan.RefTopic)
	t.partitions = c.int("partitions")
	placement, _ := c.arg("placement").(map[int][]int32)
	c.env.plan.Topics = append(c.env.plan.Topics, plan.Topic{
		Pos: c.at.pos, Name: t.id, Cluster: c.thing("cluster").id,
		Partitions: c.int("partitions"), Replicas: c.int("replicas"), MinInsync: c.int("min_insync"),
		Config: c.config("config", topicScope), Placement: placement,
	})
	return t
}

func (c *call) siteName() string {
	if c.has("site") {
		return c.thing("site").id
	}
	return plan.ImpliedSite
}

func runProducer(c *call) starlark.Value {
	t := c.newThing(plan.RefProducer)
	p := plan.Producer{
		Pos: c.at.pos, Name: t.id, Topic: c.thing("topic").id,
		Rate: c.num("rate"), Members: c.int("members"), Acks: c.str("acks"), Idempotent: c.bool("idempotent"),
		Keys: c.int("keys"), Size: int(c.num("size")), Partitioner: c.str("partitioner"),
		Timeout: c.dur("timeout"), Buffer: int64(c.num("buffer")), Compression: c.str("compression"),
		Owns: c.bool("owns"), Site: c.siteName(), User: c.thing("user").id, Config: c.config("config", producerScope),
	}
	if c.has("transaction") {
		p.Transaction = c.int("transaction")
		if i := c.index("idempotent"); c.args[i].given && !p.Idempotent {
			c.wrong(c.param("idempotent"), c.raw("idempotent"), "got False, want True with transaction", "leave it out: transaction makes the producer idempotent")
		}
		p.Idempotent = true
	}
	if math.IsInf(p.Rate, 1) {
		p.Rate, p.MaxRate = 0, true
	} else if c.has("rate") && p.Rate == 0 {
		c.wrong(c.param("rate"), c.raw("rate"), "got 0, want more than 0", "to send nothing, leave the producer out")
	}
	if c.has("timeout") && p.Timeout == 0 {
		c.wrong(c.param("timeout"), c.raw("timeout"), "got 0s, want a longer duration", "")
	}
	c.env.plan.Producers = append(c.env.plan.Producers, p)
	return t
}

func runConsumer(c *call) starlark.Value {
	t := c.newThing(plan.RefConsumer)
	x := plan.Consumer{
		Pos: c.at.pos, Name: t.id, Group: c.str("group"), Members: c.int("members"),
		Start: c.str("start"), Commit: c.str("commit"), CommitEvery: c.dur("commit_every"),
		Assignor: c.str("assignor"), Work: c.dur("work"), SessionTimeout: c.dur("session_timeout"),
		Site: c.siteName(), User: c.thing("user").id, Config: c.config("config", consumerScope),
	}
	t.group = x.Group
	if how, ok := c.arg("dedup").(plan.Dedup); ok {
		x.Dedup = &how
	}
	if level := c.str("isolation"); level != "read_uncommitted" {
		x.Isolation = level
	}
	for _, name := range []string{"commit_every", "session_timeout"} {
		if c.has(name) && c.dur(name) == 0 {
			c.wrong(c.param(name), c.raw(name), "got 0s, want a longer duration", "")
		}
	}
	for _, topic := range c.things("topic") {
		x.Topics = append(x.Topics, topic.id)
	}
	c.env.plan.Consumers = append(c.env.plan.Consumers, x)
	return t
}

func runAlarm(c *call) starlark.Value {
	t := c.newThing(plan.RefAlarm)
	a := plan.Alarm{Pos: c.at.pos, Name: t.id, Lasting: c.dur("lasting"), Log: c.str("log")}
	if x, ok := c.arg("claim").(*claim); ok {
		a.Claim, a.Text = x.expr, x.text
	}
	c.env.plan.Alarms = append(c.env.plan.Alarms, a)
	return t
}
