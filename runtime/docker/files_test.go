package docker

import (
	"bytes"
	"encoding/binary"
	"flag"
	"hash/crc32"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"starfall/interp/plan"
)

var update = flag.Bool("update", false, "write what tests compare anew")

func combined(n int) plan.Cluster {
	c := plan.Cluster{Name: "kafka"}
	for i := 1; i <= n; i++ {
		c.Nodes = append(c.Nodes, plan.Node{ID: int32(i), Role: plan.RoleCombined, Site: plan.ImpliedSite})
	}
	return c
}

// layout gives a cluster of brokers and other nodes.
func layout(brokers, controllers, zookeepers int) plan.Cluster {
	c := plan.Cluster{Name: "kafka"}
	for i := range brokers {
		c.Nodes = append(c.Nodes, plan.Node{ID: int32(i + 1), Role: plan.RoleBroker})
	}
	for i := range controllers {
		c.Nodes = append(c.Nodes, plan.Node{ID: int32(plan.FirstControllerID + i), Role: plan.RoleController})
	}
	for i := range zookeepers {
		c.Nodes = append(c.Nodes, plan.Node{ID: int32(plan.FirstZooKeeperID + i), Role: plan.RoleZooKeeper})
	}
	return c
}

// TestConfiguration holds the files of nodes to goldens; -update writes them
// anew.
func TestConfiguration(t *testing.T) {
	set := combined(3)
	set.Config = map[string]string{"replica.lag.time.max.ms": "1000", "log.dir": `C:\x`}
	set.Nodes[0].Rack, set.Nodes[0].Config = "a", map[string]string{"replica.lag.time.max.ms": "500"}
	single := combined(1)
	address := netip.MustParseAddrPort
	for _, tt := range []struct {
		name    string
		cluster plan.Cluster
		id      int32
		set     settings
	}{
		{"combined", set, 1, settings{}},
		{"combined-of-one", single, 1, settings{}},
		{"combined-outside", combined(3), 2, settings{
			sites: []siteListener{{9100, address("127.0.0.1:40001")}, {9101, address("127.0.0.1:40002")}},
			host:  netip.MustParseAddr("172.18.0.3"),
		}},
		{"broker", layout(2, 3, 0), 2, settings{}},
		{"controller", layout(2, 3, 0), 102, settings{}},
		{"broker-on-zookeeper", layout(2, 0, 3), 1, settings{}},
		{"zookeeper", layout(2, 0, 3), 202, settings{}},
		{"zookeeper-alone", layout(2, 0, 1), 201, settings{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := node{Node: *tt.cluster.Node(tt.id), cluster: &tt.cluster, label: tt.cluster.Label(tt.id)}
			got := n.configuration(tt.set)
			sameAsKept(t, tt.name, got)
		})
	}
}

// sameAsKept compares a configuration with the one that testdata has, which
// -update writes anew.
func sameAsKept(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".properties")
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
}

func TestPropertyLine(t *testing.T) {
	for _, tt := range []struct{ value, want string }{
		{"a b", "k=a b"},
		{" a", `k=\ a`},
		{`C:\x`, `k=C:\\x`},
		{"a\nb", `k=a\nb`},
		{"é€", `k=\u00e9\u20ac`},
		{"😀", `k=\ud83d\ude00`},
		{"", "k="},
	} {
		if got := propertyLine("k", tt.value); got != tt.want+"\n" {
			t.Errorf("%q: got %q, want %q", tt.value, got, tt.want)
		}
	}
}

// TestCheckpoint compares with the file that the format tool of Kafka 4.1.2
// wrote. Timestamps, and the checksums over them, are those of its run.
func TestCheckpoint(t *testing.T) {
	want, err := os.ReadFile("testdata/bootstrap-4.1.2.checkpoint")
	if err != nil {
		t.Fatal(err)
	}
	list, ok := features(release{4, 1, 2})
	if !ok {
		t.Fatal("the features of 4.1.2 are not known")
	}
	got := checkpoint(bootstrapRecords(list, release{4, 1, 2}, nil), 0)
	got, want = timeless(t, got), timeless(t, want)
	if !bytes.Equal(got, want) {
		t.Errorf("got\n%x\nwant\n%x", got, want)
	}
}

// timeless checks the checksum of each batch and blanks what depends on time.
func timeless(t *testing.T, file []byte) []byte {
	t.Helper()
	var out []byte
	for len(file) > 0 {
		size := 12 + int(binary.BigEndian.Uint32(file[8:]))
		if size > len(file) {
			t.Fatalf("got a batch of %d bytes, but %d are left", size, len(file))
		}
		b := bytes.Clone(file[:size])
		sum := crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli))
		if got := binary.BigEndian.Uint32(b[17:]); got != sum {
			t.Fatalf("checksum: got %x, want %x", got, sum)
		}
		clear(b[17:21])
		clear(b[27:43])
		out, file = append(out, b...), file[size:]
	}
	return out
}

func TestFeatures(t *testing.T) {
	for _, tt := range []struct {
		version string
		known   bool
		want    string
	}{
		{"3.2.0", false, ""},
		{"3.9.1", true, ""},
		{"4.0.0", true, "metadata.version=25 group.version=1 transaction.version=2"},
		{"4.3.1", true, "metadata.version=30 eligible.leader.replicas.version=1 group.version=1 share.version=1 streams.version=1 transaction.version=2"},
		{"4.4.0", false, ""},
	} {
		v, _ := parseRelease(tt.version)
		list, known := features(v)
		var got []string
		for _, f := range list {
			got = append(got, f.name+"="+strconv.Itoa(int(f.level)))
		}
		if known != tt.known || strings.Join(got, " ") != tt.want {
			t.Errorf("%s: got %v, %s, want %v, %s", tt.version, known, got, tt.known, tt.want)
		}
	}
}

func TestTelling(t *testing.T) {
	log := `[2026-11-24 10:00:00,000] INFO starting (kafka.server.KafkaServer)
[2026-11-24 10:00:01,000] ERROR Exiting Kafka due to fatal exception (kafka.Kafka$)
org.apache.kafka.common.config.ConfigException: Invalid value
	at org.apache.kafka.common.config.ConfigDef.parse(ConfigDef.java:1)
	... 3 more
`
	want := `[2026-11-24 10:00:01,000] ERROR Exiting Kafka due to fatal exception (kafka.Kafka$)
org.apache.kafka.common.config.ConfigException: Invalid value`
	if got := telling(log); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := telling("a\nb\n"); got != "a\nb" {
		t.Errorf("got %q, want the last lines", got)
	}
}

func TestEffective(t *testing.T) {
	log := "x KafkaConfig values: \n\ta = 0\nx\ny KafkaConfig values: \n\ta = 1\n\tb = null\n (kafka.server.KafkaConfig)\nz\n\tc = 2\n"
	if got, want := effective(log), "a = 1\nb = null\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := effective("nothing"); got != "" {
		t.Errorf("got %q, want nothing", got)
	}
}

func TestHosts(t *testing.T) {
	addr := netip.MustParseAddr
	names := map[string]netip.Addr{"kafka-2": addr("172.18.0.3"), "kafka-1": addr("172.18.0.2")}
	want := "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n172.18.0.2 kafka-1\n172.18.0.3 kafka-2\n"
	if got := hosts("kafka-1", addr("172.18.0.2"), names); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := hosts("control", addr("172.18.0.4"), names); !strings.Contains(got, "172.18.0.4 control\n") {
		t.Errorf("got\n%s\nwant the container itself", got)
	}
}

func TestLastAddress(t *testing.T) {
	for _, tt := range []struct{ prefix, want string }{
		{"172.18.0.2/16", "172.18.255.255"},
		{"192.168.80.5/20", "192.168.95.255"},
		{"10.0.0.1/30", "10.0.0.3"},
	} {
		if got := lastAddress(netip.MustParsePrefix(tt.prefix)); got.String() != tt.want {
			t.Errorf("%s: got %s, want %s", tt.prefix, got, tt.want)
		}
	}
}
