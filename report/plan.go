// This file defines how a plan is printed: what stands where, what happens
// when, and what must hold, each with its place in the source.

package report

import (
	"fmt"
	"io"
	"sort"
	"strconv"
	"strings"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/judge"
)

// Plan writes a plan for people.
func Plan(w io.Writer, p *plan.Plan) error {
	title := p.Title
	if title == "" {
		title = p.Name
	}
	spread(w, title, fmt.Sprintf("plan · %s · seed %d", p.Scenario.RunFor, p.Scenario.Seed))
	if p.Doc != "" {
		fmt.Fprintln(w)
		paragraphs(w, 1, strings.TrimSpace(p.Doc))
	}
	sections := []struct {
		name    string
		columns []column
		rows    [][]string
	}{
		{"PARAMETERS", []column{{}, {wrap: true}, {wrap: true}}, paramRows(p)},
		{"TOPOLOGY", []column{{}, {wrap: true}, {}}, topologyRows(p)},
		{"LOAD", []column{{}, {wrap: true}, {}}, loadRows(p)},
		{"TIMELINE", []column{{right: true}, {wrap: true}, {}}, eventRows(p)},
		{"ALARMS", []column{{}, {wrap: true}, {}}, alarmRows(p)},
		{"CLAIMS", []column{{}, {wrap: true}, {}}, claimRows(p)},
	}
	for _, s := range sections {
		if len(s.rows) == 0 {
			continue
		}
		fmt.Fprintf(w, "\n %s\n", s.name)
		if err := grid(w, 3, s.columns, s.rows); err != nil {
			return err
		}
	}
	return nil
}

func paramRows(p *plan.Plan) [][]string {
	var rows [][]string
	for _, x := range p.Params {
		value := x.Value
		if x.Value != x.Default {
			value += " (default " + x.Default + ")"
		}
		help := x.Help
		if len(x.Choices) > 0 {
			if help != "" {
				help += "; "
			}
			help += "one of " + strings.Join(x.Choices, ", ")
		}
		rows = append(rows, []string{x.Name, value, help})
	}
	return rows
}

func topologyRows(p *plan.Plan) [][]string {
	var rows [][]string
	for _, s := range p.Sites {
		if !s.Implied {
			rows = append(rows, []string{"site " + s.Name, "", s.Pos.Short()})
		}
	}
	for _, l := range p.Links {
		rows = append(rows, []string{"link " + l.A + " – " + l.B, condition(l.Condition), l.Pos.Short()})
	}
	for i := range p.Clusters {
		c := &p.Clusters[i]
		text := nodes(c, len(p.Sites) > 1)
		if c.Version != "" {
			text += "; Kafka " + c.Version
		}
		if s := settings(c.Config); s != "" {
			text += "; " + s
		}
		rows = append(rows, []string{"cluster " + c.Name, text, c.Pos.Short()})
	}
	for _, t := range p.Topics {
		if t.Origin != plan.Declared {
			continue // its mirror's row tells
		}
		text := fmt.Sprintf("on %s: %s, %s, min.insync.replicas %d",
			t.Cluster, count(t.Partitions, "partition"), count(t.Replicas, "replica"), t.MinInsync)
		if s := settings(t.Config); s != "" {
			text += "; " + s
		}
		if s := placement(t.Placement); s != "" {
			text += "; " + s
		}
		rows = append(rows, []string{"topic " + t.Name, text, t.Pos.Short()})
	}
	for i := range p.Mirrors {
		rows = append(rows, []string{"mirror " + p.Mirrors[i].Name, mirror(p, &p.Mirrors[i], len(p.Sites) > 1), p.Mirrors[i].Pos.Short()})
	}
	for _, u := range p.Users {
		rows = append(rows, []string{"user " + u.Name, "of " + u.Cluster + rights(u.Rights), u.Pos.Short()})
	}
	return rows
}

// mirror tells what a mirror copies, under which names, and where else clients
// write that fail over to it.
func mirror(p *plan.Plan, m *plan.Mirror, sites bool) string {
	var names []string
	for _, topic := range m.Topics {
		name := topic
		if t := p.Copy(m.Name, topic); t != nil {
			name += " as " + t.KafkaName()
		}
		if t := p.FailOverTopic(m.Name, topic); t != nil && t.Origin == plan.FailedTo {
			name += " (fail-over to " + t.KafkaName() + ")"
		}
		names = append(names, name)
	}
	text := fmt.Sprintf("%s to %s: %s", m.From, m.To, strings.Join(names, ", "))
	if m.SyncOffsetsEvery > 0 {
		text += "; group offsets every " + m.SyncOffsetsEvery.String()
	}
	if sites {
		text += ", in " + m.Site
	}
	return text
}

// rights tells the rights that a user has from the start, in Kafka's words.
func rights(list []plan.ACL) string {
	var parts []string
	for _, a := range list {
		name := a.Name
		if a.Prefix {
			name += "*"
		}
		parts = append(parts, fmt.Sprintf("%s on %s %s", a.Operation, a.Resource, name))
	}
	if len(parts) == 0 {
		return ", without rights"
	}
	return ": " + strings.Join(parts, ", ")
}

// nodes tells the nodes of a cluster by role, with their sites when there are
// several sites.
func nodes(c *plan.Cluster, sites bool) string {
	var parts []string
	for _, r := range []struct {
		role plan.Role
		name string
	}{
		{plan.RoleCombined, "broker and controller"},
		{plan.RoleBroker, "broker"},
		{plan.RoleController, "controller"},
		{plan.RoleZooKeeper, "ZooKeeper node"},
	} {
		n, where := 0, map[string][]string{}
		var order []string
		for _, node := range c.Nodes {
			if node.Role != r.role {
				continue
			}
			n++
			if where[node.Site] == nil {
				order = append(order, node.Site)
			}
			where[node.Site] = append(where[node.Site], c.Label(node.ID))
		}
		if n == 0 {
			continue
		}
		text := count(n, r.name)
		if r.role == plan.RoleCombined && n > 1 {
			text = strconv.Itoa(n) + " combined brokers and controllers"
		}
		if sites {
			var at []string
			for _, site := range order {
				at = append(at, strings.Join(where[site], " ")+" in "+site)
			}
			text += " (" + strings.Join(at, ", ") + ")"
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}

func loadRows(p *plan.Plan) [][]string {
	sites := len(p.Sites) > 1
	in := func(site string) string {
		if sites {
			return ", in " + site
		}
		return ""
	}
	var rows [][]string
	for _, x := range p.Producers {
		rate := judge.Quantity(x.Rate, plan.UnitRate)
		if x.MaxRate {
			rate = "as fast as possible"
		}
		text := fmt.Sprintf("%s to %s, acks %s", rate, x.Topic, x.Acks)
		switch {
		case x.Transaction > 0:
			text += ", in transactions of " + count(x.Transaction, "record")
		case x.Idempotent:
			text += ", idempotent"
		}
		if x.Members > 1 {
			text += ", " + count(x.Members, "member")
		}
		if x.Keys > 0 {
			text += ", " + count(x.Keys, "key")
		}
		text += fmt.Sprintf(", %d bytes each, %s", x.Size, x.Partitioner)
		if x.Owns {
			text += " among partitions of its own"
		}
		text += in(x.Site)
		if x.User != "" {
			text += ", as " + x.User
		}
		if s := settings(x.Config); s != "" {
			text += "; " + s
		}
		rows = append(rows, []string{"producer " + x.Name, text, x.Pos.Short()})
	}
	for _, x := range p.Consumers {
		if x.Observes != "" {
			continue // nobody's client
		}
		text := fmt.Sprintf("%s of group %s from %s, %s, starts at %s, commits %s",
			count(x.Members, "member"), x.Group, strings.Join(x.Topics, " "), x.Assignor, x.Start, commits(x)) + in(x.Site)
		if x.Isolation != "" {
			text += ", " + x.Isolation
		}
		if d := x.Dedup; d != nil {
			text += ", drops what it had by " + d.Kind
			if d.Per != "" {
				text += " per " + d.Per
			}
		}
		if x.User != "" {
			text += ", as " + x.User
		}
		if x.Work > 0 {
			text += ", works " + x.Work.String() + " a record"
		}
		if s := settings(x.Config); s != "" {
			text += "; " + s
		}
		rows = append(rows, []string{"consumer " + x.Name, text, x.Pos.Short()})
	}
	return rows
}

func commits(c plan.Consumer) string {
	switch c.Commit {
	case "after":
		return "after the work, every " + c.CommitEvery.String()
	case "before":
		return "before the work"
	case "none":
		return "nothing"
	}
	return "automatically, every " + c.CommitEvery.String()
}

// eventRows gives the events in the order in which they are planned, those
// whose moment is not known beforehand after the others.
func eventRows(p *plan.Plan) [][]string {
	type row struct {
		at    time.Duration
		known bool
		cells []string
	}
	var rows []row
	for _, e := range p.Events {
		r := row{cells: []string{"", e.Text, e.Pos.Short()}}
		switch e.Trigger.Kind {
		case plan.TriggerWhen:
			r.cells[0] = "when"
		case plan.TriggerEvery:
			r.at, r.known = e.Trigger.At.Offset.Std(), e.Trigger.At.Event == ""
			r.cells[0] = instant(e.Trigger.At) + " …"
		default:
			r.at, r.known = e.Trigger.At.Offset.Std(), e.Trigger.At.Event == ""
			r.cells[0] = instant(e.Trigger.At)
		}
		rows = append(rows, r)
	}
	sort.SliceStable(rows, func(i, j int) bool {
		a, b := rows[i], rows[j]
		if a.known != b.known {
			return a.known
		}
		return a.known && a.at < b.at
	})
	var out [][]string
	for _, r := range rows {
		out = append(out, r.cells)
	}
	return out
}

func instant(i plan.Instant) string {
	if i.Event == "" {
		return judge.Clock(i.Offset.Std())
	}
	s := i.Event + "." + string(i.Edge)
	switch {
	case i.Offset > 0:
		s += " + " + i.Offset.String()
	case i.Offset < 0:
		s += " - " + plan.Duration(-i.Offset).String()
	}
	return s
}

func alarmRows(p *plan.Plan) [][]string {
	var rows [][]string
	for _, a := range p.Alarms {
		text := a.Text + " broken for " + a.Lasting.String()
		rows = append(rows, []string{a.Name, text, a.Pos.Short()})
	}
	return rows
}

func claimRows(p *plan.Plan) [][]string {
	var rows [][]string
	for _, c := range p.Claims {
		text := c.Text
		if c.ID != "" {
			text = c.ID + ": " + text
		}
		rows = append(rows, []string{string(c.Kind), text, c.Pos.Short()})
	}
	return rows
}

func condition(c plan.Condition) string {
	var parts []string
	if c.Cut {
		parts = append(parts, "cut")
	}
	if c.Latency > 0 {
		parts = append(parts, "latency "+c.Latency.String())
	}
	if c.Jitter > 0 {
		parts = append(parts, "± "+c.Jitter.String())
	}
	if c.Loss > 0 {
		parts = append(parts, "loss "+strconv.FormatFloat(c.Loss*100, 'g', 3, 64)+" %")
	}
	if c.Bandwidth > 0 {
		parts = append(parts, judge.Quantity(c.Bandwidth, plan.UnitBytes)+"/s")
	}
	if len(parts) == 0 {
		return "unimpaired"
	}
	return strings.Join(parts, ", ")
}

func settings(config map[string]string) string {
	var parts []string
	for k, v := range config {
		parts = append(parts, k+"="+v)
	}
	sort.Strings(parts)
	return strings.Join(parts, ", ")
}

func placement(p map[int][]int32) string {
	var keys []int
	for k := range p {
		keys = append(keys, k)
	}
	sort.Ints(keys)
	var parts []string
	for _, k := range keys {
		parts = append(parts, fmt.Sprintf("partition %d on %s", k, strings.Trim(fmt.Sprint(p[k]), "[]")))
	}
	return strings.Join(parts, ", ")
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}
