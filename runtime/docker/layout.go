package docker

// This file defines what a plan becomes on this engine: a container for each
// node, what each is called, and where things lie inside. It is pure.

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"starfall/interp/plan"
)

// Ports inside. Every node has an address of its own, so that they can be the
// same everywhere.
const (
	portClients    = 9092 // listener PLAINTEXT: clients and other brokers; with users, SASL: clients
	portController = 9093 // listener CONTROLLER
	portHost       = 9094 // listener HOST, of kept clusters: programs on the host
	portBrokers    = 9095 // listener INTERNAL, of clusters with users: other brokers
	portSites      = 9100 // listeners SITE1, SITE2 …: strangers, by site
	portRelay      = 9200 // of a relay: one for each broker, in the plan's order
	portZooKeeper  = 2181
	portPeers      = 2888 // ZooKeeper: followers to the leader
	portElection   = 3888 // ZooKeeper: votes
)

// Places inside a container.
const (
	dirWork     = "/starfall"
	pathProgram = dirWork + "/starfall" // the agent
	pathConfig  = dirWork + "/server.properties"
	pathLog     = dirWork + "/server.log"
	dirData     = dirWork + "/data"
	pathLog4j1  = dirWork + "/log4j.properties"  // Kafka 3
	pathLog4j2  = dirWork + "/log4j2.properties" // Kafka 4
	dirKafka    = "/opt/kafka"
)

// process is what the agent calls the one process of a node.
const process = "server"

// node is one node of a cluster in its container.
type node struct {
	plan.Node
	cluster *plan.Cluster
	label   string // its host name, too
}

// nodes gives all nodes of a plan, cluster by cluster.
func nodes(p *plan.Plan) []node {
	var out []node
	for i := range p.Clusters {
		c := &p.Clusters[i]
		for _, n := range c.Nodes {
			out = append(out, node{Node: n, cluster: c, label: c.Label(n.ID)})
		}
	}
	return out
}

func (n node) broker() bool { return n.Role == plan.RoleBroker || n.Role == plan.RoleCombined }

// voter tells whether the node votes in the KRaft quorum.
func (n node) voter() bool { return n.Role == plan.RoleController || n.Role == plan.RoleCombined }

// port is where a node answers once it runs.
func (n node) port() uint16 {
	switch n.Role {
	case plan.RoleController:
		return portController
	case plan.RoleZooKeeper:
		return portZooKeeper
	}
	return portClients
}

// zooKeeper tells whether a cluster runs in ZooKeeper mode.
func zooKeeper(c *plan.Cluster) bool {
	return slices.ContainsFunc(c.Nodes, func(n plan.Node) bool { return n.Role == plan.RoleZooKeeper })
}

// clientSites are the sites in which clients of the plan stand, in the order of
// the plan's sites. Observers of mirrors stand on the control side.
func clientSites(p *plan.Plan) []string {
	var out []string
	for _, s := range p.Sites {
		if slices.ContainsFunc(p.Producers, func(x plan.Producer) bool { return x.Site == s.Name }) ||
			slices.ContainsFunc(p.Consumers, func(x plan.Consumer) bool { return x.Site == s.Name && x.Observes == "" }) {
			out = append(out, s.Name)
		}
	}
	return out
}

// siteOf gives the site of a client.
func siteOf(p *plan.Plan, client string) (string, error) {
	if x := p.Producer(client); x != nil {
		return x.Site, nil
	}
	if x := p.Consumer(client); x != nil && x.Observes == "" {
		return x.Site, nil
	}
	return "", fmt.Errorf("client %s: the plan has no such client", client)
}

// hosts is the content of /etc/hosts inside: the container's own entry first,
// then every node.
func hosts(own string, ownAddr netip.Addr, addrs map[string]netip.Addr) string {
	var b strings.Builder
	b.WriteString("127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n")
	if _, ok := addrs[own]; !ok {
		fmt.Fprintf(&b, "%s %s\n", ownAddr, own)
	}
	for _, name := range sortedKeys(addrs) {
		fmt.Fprintf(&b, "%s %s\n", addrs[name], name)
	}
	return b.String()
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	out := make([]K, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// classPath is the shell's part of starting a JVM: it puts the class path
// together as the class-data archive was made with, which is in the order of
// names, and finds java.
const classPath = `if [ -f ` + dirKafka + `/cds/classpath ]; then cp=$(cat ` + dirKafka + `/cds/classpath); else
LC_ALL=C; export LC_ALL
cp=
for jar in ` + dirKafka + `/libs/*.jar; do cp="$cp${cp:+:}$jar"; done
fi
PATH="${JAVA_HOME:+$JAVA_HOME/bin:}$PATH"
`

// command starts a node's server with options for the JVM.
func (n node) command(options []string) []string {
	main := "kafka.Kafka"
	if n.Role == plan.RoleZooKeeper {
		main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
	}
	return append([]string{"sh", "-c", classPath + `exec java "$@" -cp "$cp" ` + main + ` ` + pathConfig, "starfall"}, options...)
}
