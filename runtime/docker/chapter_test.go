package docker

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"starfall/internal/kafkatools"
	"starfall/interp/plan"
	"starfall/runtime"
	"starfall/runtime/agent/network"
)

// TestMirrorProperties holds MirrorMaker's configuration to goldens; -update
// writes them anew.
func TestMirrorProperties(t *testing.T) {
	for _, tt := range []struct {
		name      string
		rename    string
		sync      plan.Duration
		operators map[string]runtime.Login
	}{
		{"mirror-default", plan.RenameDefault, 5e9, nil},
		{"mirror-identity", plan.RenameIdentity, 3e8, map[string]runtime.Login{"west": {Mechanism: "SCRAM-SHA-256", User: "op", Password: `p"\`}}},
		{"mirror-no-positions", plan.RenameDefault, 0, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := mirrored(tt.rename)
			s := runtime.MirrorSpec{Mirror: p.Mirrors[0], From: []string{"east-1:9092", "east-2:9092"}, To: []string{"west-1:9092"}}
			s.Operators = tt.operators
			s.Mirror.SyncOffsetsEvery = tt.sync
			for _, name := range s.Mirror.Topics {
				s.Topics, s.Copies = append(s.Topics, *p.Topic(name)), append(s.Copies, *p.Copy("m", name))
			}
			got := mirrorProperties(s, p.Cluster("east"), p.Cluster("west"))
			path := filepath.Join("testdata", tt.name+".properties")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestNotReplicated(t *testing.T) {
	topics := []plan.Topic{{Name: "orders", Partitions: 2}, {Name: "east/pay.ments", Kafka: "pay.ments", Partitions: 1}}
	const start = "[2026-11-24 14:00:00,000] INFO [MirrorSourceConnector|task-0] task-thread-MirrorSourceConnector-0 replicating "
	for _, tt := range []struct{ name, log, want string }{
		{"nothing", "INFO Kafka MirrorMaker starting\n", "no task replicates orders/0"},
		{"a part", start + "2 topic-partitions east->west: [orders-0, orders-1].\n", "no task replicates east/pay.ments/0"},
		{"all", start + "3 topic-partitions east->west: [pay.ments-0, orders-1, orders-0]. (org.apache.kafka.connect.mirror.MirrorSourceTask:111)\n", ""},
		{"two tasks", start + "2 topic-partitions east->west: [orders-0, orders-1].\n" + start + "1 topic-partitions east->west: [pay.ments-0].\n", ""},
	} {
		if got := notReplicated(tt.log, topics); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestNotCopied(t *testing.T) {
	copies := []plan.Topic{{Name: "west/east.orders", Kafka: "east.orders", Partitions: 2}}
	state := func(leaders ...int32) (s runtime.State) {
		for i, l := range leaders {
			s.Partitions = append(s.Partitions, runtime.PartitionState{Topic: "east.orders", Partition: int32(i), Leader: l})
		}
		return s
	}
	for _, tt := range []struct {
		name  string
		state runtime.State
		want  string
	}{
		{"none", state(), "the copy west/east.orders has 0 of 2 partitions with a leader"},
		{"no leader yet", state(1, -1), "the copy west/east.orders has 1 of 2 partitions with a leader"},
		{"whole", state(1, 1), ""},
	} {
		if got := notCopied(tt.state, copies); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestStands(t *testing.T) {
	p := mirrored(plan.RenameDefault)
	reroute := plan.Action{Verb: plan.Reroute, Via: "far"}
	p.Events = []plan.Event{{Actions: []plan.Action{reroute, {Verb: plan.Note}}}, {Actions: []plan.Action{reroute}}}
	want := []stand{{"m", "mirror-m", "far", "west"}, {"relay/far", "relay-far", "far", "east"}}
	if got := stands(p); !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	p.Consumers = []plan.Consumer{{Name: "m", Observes: "m", Site: plan.ImpliedSite}}
	if got := clientSites(p); len(got) != 0 {
		t.Errorf("sites of clients: got %q, want none for an observer", got)
	}
	if _, err := siteOf(p, "m"); err == nil {
		t.Error("the observer's site: got no error, want one: it stands on the control side")
	}
}

// TestForms wants each form to be of a tool that there is, and every tool that
// asks a cluster to have one.
func TestForms(t *testing.T) {
	list := forms()
	if !slices.IsSortedFunc(list, func(a, b form) int { return strings.Compare(a.tool, b.tool) }) {
		t.Error("the forms are not sorted")
	}
	without := []string{"connect-mirror-maker", "kafka-dump-log", "kafka-e2e-latency", "kafka-jmx", "kafka-mirror-maker", "kafka-run-class", "kafka-storage", "zookeeper-shell"}
	for _, name := range kafkatools.Names() {
		formed := slices.ContainsFunc(list, func(f form) bool { return f.tool == name })
		if formed == slices.Contains(without, name) {
			t.Errorf("%s: got a form %v, want it either to have one or to be among those without", name, formed)
		}
	}
	for _, f := range list {
		if _, ok := kafkatools.Lookup(f.tool); !ok {
			t.Errorf("%s: there is no such tool", f.tool)
		}
	}
}

func TestComplete(t *testing.T) {
	brokers := []string{"a:9092", "b:9092"}
	login := runtime.Login{Mechanism: "SCRAM-SHA-256", User: "op", Password: "pw"}
	for _, tt := range []struct {
		name string
		tool string
		args string
		as   runtime.Login
		want string
		file string // a line of it
	}{
		{"server put in", "kafka-topics", "--list", runtime.Login{}, "--bootstrap-server a:9092,b:9092 --list", ""},
		{"server named", "kafka-topics", "--list --bootstrap-server=c:1", runtime.Login{}, "--list --bootstrap-server=c:1", ""},
		{"help", "kafka-topics", "--help", login, "--help", ""},
		{"operator", "kafka-acls", "--list", login, "--bootstrap-server a:9092,b:9092 --command-config F --list", "sasl.mechanism=SCRAM-SHA-256"},
		{"own settings", "kafka-acls", "--list --command-config mine", login, "--bootstrap-server a:9092,b:9092 --list --command-config mine", ""},
		{"options first", "kafka-metadata-quorum", "describe --status", runtime.Login{}, "--bootstrap-server a:9092,b:9092 describe --status", ""},
		{"options after", "kafka-cluster", "cluster-id", login, "cluster-id --bootstrap-server a:9092,b:9092 --config F", "sasl.mechanism=SCRAM-SHA-256"},
		{"controllers", "kafka-metadata-quorum", "--bootstrap-controller c:9093 describe --status", login, "--command-config F --bootstrap-controller c:9093 describe --status", "sasl.mechanism=PLAIN"},
		{"server in the file", "kafka-producer-perf-test", "--topic t", runtime.Login{}, "--producer.config F --topic t", "bootstrap.servers=a:9092,b:9092"},
		{"server in properties", "kafka-producer-perf-test", "--topic t --producer-props bootstrap.servers=c:1", runtime.Login{}, "--topic t --producer-props bootstrap.servers=c:1", ""},
		{"brokers by number", "kafka-log-dirs", "--describe --broker-list 1,2", runtime.Login{}, "--bootstrap-server a:9092,b:9092 --describe --broker-list 1,2", ""},
		{"no settings", "kafka-replica-verification", "--topics-include x", login, "--broker-list a:9092,b:9092 --topics-include x", ""},
		{"asks nobody", "kafka-storage", "random-uuid", login, "random-uuid", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, file := complete(tt.tool, strings.Fields(tt.args), brokers, tt.as, "F")
			if strings.Join(got, " ") != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if !strings.Contains(file, tt.file) || tt.file == "" && file != "" {
				t.Errorf("got a file %q, want %q in it", file, tt.file)
			}
		})
	}
}

func TestToolClass(t *testing.T) {
	for _, tt := range []struct {
		name, version string
		args          []string
		class, err    string
	}{
		{"kafka-topics", "3.9.1", nil, "org.apache.kafka.tools.TopicCommand", ""},
		{"kafka-acls", "3.9.1", nil, "kafka.admin.AclCommand", ""},
		{"kafka-acls", "4.3.1", nil, "org.apache.kafka.tools.AclCommand", ""},
		{"kafka-run-class", "3.9.1", []string{"x.Y", "z"}, "x.Y", ""},
		{"kafka-run-class", "3.9.1", nil, "", "kafka-run-class: want the name of a class as its first argument"},
		{"kafka-topic", "3.9.1", nil, "", "Kafka has no tool kafka-topic"},
		{"kafka-replay-log-producer", "3.9.1", nil, "", "kafka-replay-log-producer is gone since Kafka 3.0"},
	} {
		class, rest, err := toolClass(tt.name, tt.version, tt.args)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if class != tt.class || got != tt.err && !(tt.err != "" && strings.HasPrefix(got, "kafka-replay-log-producer is gone")) || err == nil && tt.name == "kafka-run-class" && !slices.Equal(rest, []string{"z"}) {
			t.Errorf("%s %s: got %q, %q, %v, want %q, %s", tt.name, tt.version, class, rest, err, tt.class, tt.err)
		}
	}
}

// TestProbesOfRelayed wants nothing proved of a way that is not used, and the
// way to the relay proved instead.
func TestProbesOfRelayed(t *testing.T) {
	addr := netip.MustParseAddr
	member := spot{addr: addr("10.0.0.9"), label: "shop-1", led: true}
	broker := spot{addr: addr("10.0.0.2"), label: "kafka-1", server: &server{}, listens: netip.MustParseAddrPort("10.0.0.2:9092")}
	by := standSpot("relay/london", &box{addr: addr("10.0.0.3")}, true)
	conds := conditions{
		route{member.addr, broker.addr}: {Cut: true}, route{broker.addr, member.addr}: {Cut: true},
		route{member.addr, by.addr}: {Cut: true}, route{by.addr, member.addr}: {Cut: true},
	}
	list, skipped := probes([]spot{member, broker, by}, conds, nil)
	if len(list) != 1 || skipped != 1 || list[0].from.label != "shop-1" || list[0].to.label != "relay/london" || !list[0].cut {
		t.Errorf("got %+v and %d left out, want the way to the relay", list, skipped)
	}
	if got, want := list[0].probe.Peer, netip.AddrPortFrom(by.addr, portRelay); got != want {
		t.Errorf("got %s dialled, want %s", got, want)
	}
}

// TestRedirects wants every broker of every cluster to have a port at the relay,
// for the members of relayed clients only.
func TestRedirects(t *testing.T) {
	addr := netip.MustParseAddr
	p := mirrored(plan.RenameDefault)
	p.Producers = []plan.Producer{{Name: "shop", Site: "far"}, {Name: "other", Site: "far"}, {Name: "near", Site: plan.ImpliedSite}}
	w := &world{p: p, servers: map[runtime.NodeKey]*server{}, via: map[string]string{"shop": "london", "near": "london"},
		stands:  map[string]*box{"relay/london": {addr: addr("10.0.0.8")}},
		members: map[runtime.Place]netip.Addr{{Client: "shop", Member: 1}: addr("10.0.0.101"), {Client: "other", Member: 1}: addr("10.0.0.102"), {Client: "near", Member: 1}: addr("10.0.0.103")}}
	for i, n := range nodes(p) {
		key := runtime.NodeKey{Cluster: n.cluster.Name, ID: n.ID}
		w.order = append(w.order, key)
		w.servers[key] = &server{node: n, box: &box{addr: netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)})}}
	}
	var want []network.Redirect
	for i := range 4 {
		want = append(want, network.Redirect{
			Local: addr("10.0.0.101"), Peer: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), portClients),
			To: netip.AddrPortFrom(addr("10.0.0.8"), uint16(portRelay+i)),
		})
	}
	if got := w.redirects("far"); !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
