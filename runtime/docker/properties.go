package docker

// This file defines the configuration files of nodes. It is pure.

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"starfall/internal/kafkaconf"
	"starfall/interp/plan"
)

// siteListener is where strangers of a site reach a broker: through an address
// on the host, to a port inside of its own.
type siteListener struct {
	port    uint16         // inside
	address netip.AddrPort // as told to clients
}

// settings are what a node's configuration needs beside the plan.
type settings struct {
	version release
	sites   []siteListener // in the order of the plan's sites; none in a run
	host    netip.Addr     // advertised to programs on the host; zero: to none
	secure  *security      // nil: nobody has to say who he is
}

// configuration gives the properties file of a node. What the plan sets comes
// last and wins, except for the names that the language keeps to itself.
func (n node) configuration(s settings) string {
	if n.Role == plan.RoleZooKeeper {
		return n.zooKeeperConfiguration()
	}
	var b strings.Builder
	line := func(name, value string) { b.WriteString(propertyLine(name, value)) }
	set := kafkaconf.WithInternalTopics(n.cluster.Config, len(n.cluster.Brokers()))
	for name, value := range n.Config {
		set[name] = value
	}

	if zooKeeper(n.cluster) {
		line("broker.id", strconv.Itoa(int(n.ID)))
		line("zookeeper.connect", n.zooKeeperConnect())
	} else {
		roles := map[plan.Role]string{plan.RoleCombined: "broker,controller", plan.RoleBroker: "broker", plan.RoleController: "controller"}
		line("process.roles", roles[n.Role])
		line("node.id", strconv.Itoa(int(n.ID)))
		line("controller.quorum.voters", n.voters())
		line("controller.listener.names", "CONTROLLER")
	}
	var names, listeners, advertised, protocols []string
	know := func(name string) {
		names = append(names, name)
		protocols = append(protocols, name+":"+s.secure.protocol())
	}
	listen := func(name string, port uint16, told string) {
		listeners = append(listeners, fmt.Sprintf("%s://:%d", name, port))
		if told != "" {
			advertised = append(advertised, name+"://"+told)
		}
		know(name)
	}
	if !n.broker() {
		protocols = append(protocols, s.secure.clientsListener()+":"+s.secure.protocol())
	}
	if n.broker() {
		listen(s.secure.clientsListener(), portClients, fmt.Sprintf("%s:%d", n.label, portClients))
		if s.secure != nil {
			listen(s.secure.brokersListener(), portBrokers, fmt.Sprintf("%s:%d", n.label, portBrokers))
		}
		if s.host.IsValid() {
			listen("HOST", portHost, netip.AddrPortFrom(s.host, portHost).String())
		}
		for i, x := range s.sites {
			listen(fmt.Sprintf("SITE%d", i+1), x.port, x.address.String())
		}
	}
	if n.voter() {
		listen("CONTROLLER", portController, "")
	} else if !zooKeeper(n.cluster) {
		know("CONTROLLER")
	}
	line("listeners", strings.Join(listeners, ","))
	if n.broker() {
		line("advertised.listeners", strings.Join(advertised, ","))
		line("inter.broker.listener.name", s.secure.brokersListener())
	}
	line("listener.security.protocol.map", strings.Join(protocols, ","))
	s.secure.lines(line, names)
	line("log.dirs", dirData)
	if n.Rack != "" {
		line("broker.rack", n.Rack)
	}
	if len(set) > 0 {
		b.WriteString("\n")
	}
	for _, name := range sortedKeys(set) {
		line(name, set[name])
	}
	return b.String()
}

// voters is the quorum, as controller.quorum.voters has it.
func (n node) voters() string {
	var out []string
	for _, id := range n.voterIDs() {
		out = append(out, fmt.Sprintf("%d@%s:%d", id, n.cluster.Label(id), portController))
	}
	return strings.Join(out, ",")
}

func (n node) voterIDs() []int32 {
	var out []int32
	for _, x := range n.cluster.Nodes {
		if x.Role == plan.RoleCombined || x.Role == plan.RoleController {
			out = append(out, x.ID)
		}
	}
	return out
}

func (n node) zooKeepers() []plan.Node {
	return slices.DeleteFunc(slices.Clone(n.cluster.Nodes), func(x plan.Node) bool { return x.Role != plan.RoleZooKeeper })
}

func (n node) zooKeeperConnect() string {
	var out []string
	for _, x := range n.zooKeepers() {
		out = append(out, fmt.Sprintf("%s:%d", n.cluster.Label(x.ID), portZooKeeper))
	}
	return strings.Join(out, ",")
}

// zooKeeperConfiguration is zoo.cfg, with the values of the file that comes
// with Kafka and ZooKeeper's own for an ensemble.
func (n node) zooKeeperConfiguration() string {
	var b strings.Builder
	line := func(name, value string) { b.WriteString(propertyLine(name, value)) }
	line("dataDir", dirData)
	line("clientPort", strconv.Itoa(portZooKeeper))
	line("maxClientCnxns", "0")
	line("admin.enableServer", "false")
	line("4lw.commands.whitelist", "srvr")
	line("tickTime", "2000")
	line("initLimit", "10")
	line("syncLimit", "5")
	if ensemble := n.zooKeepers(); len(ensemble) > 1 {
		for _, x := range ensemble {
			line(fmt.Sprintf("server.%d", myID(x.ID)), fmt.Sprintf("%s:%d:%d", n.cluster.Label(x.ID), portPeers, portElection))
		}
	}
	return b.String()
}

// myID is a ZooKeeper node's number in its ensemble.
func myID(id int32) int32 { return id - plan.FirstZooKeeperID + 1 }

// propertyLine writes a line of a Java properties file: backslashes and what is
// not printable ASCII are escaped, and so is the blank that a value begins with.
func propertyLine(name, value string) string {
	var b strings.Builder
	b.WriteString(name)
	b.WriteByte('=')
	for i, r := range value {
		switch {
		case r == '\\':
			b.WriteString(`\\`)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == ' ' && i == 0:
			b.WriteString(`\ `)
		case r > 0xffff:
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		case r < 0x20 || r > 0x7e:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('\n')
	return b.String()
}

// The log configurations send everything to standard output, which the agent
// keeps within bounds: Log4j 1 for Kafka 3 and ZooKeeper, Log4j 2 for Kafka 4.
const (
	log4j1 = `log4j.rootLogger=INFO, stdout
log4j.appender.stdout=org.apache.log4j.ConsoleAppender
log4j.appender.stdout.layout=org.apache.log4j.PatternLayout
log4j.appender.stdout.layout.ConversionPattern=[%d] %p %m (%c)%n
log4j.logger.kafka.request.logger=WARN
log4j.logger.kafka.authorizer.logger=INFO
log4j.logger.org.apache.zookeeper=INFO
`
	log4j2 = `status=warn
appender.stdout.type=Console
appender.stdout.name=stdout
appender.stdout.layout.type=PatternLayout
appender.stdout.layout.pattern=[%d] %p %m (%c)%n
rootLogger.level=info
rootLogger.appenderRef.stdout.ref=stdout
logger.request.name=kafka.request.logger
logger.request.level=warn
`
)

// logOption tells the JVM where its log configuration is.
func logOption(version release) string {
	if version.before(4, 0) {
		return "-Dlog4j.configuration=file:" + pathLog4j1
	}
	return "-Dlog4j2.configurationFile=" + pathLog4j2
}
