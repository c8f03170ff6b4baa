package kafkaconf

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func mustLookup(t *testing.T, scope Scope, name string) Entry {
	t.Helper()
	e, ok := Lookup(scope, name)
	if !ok {
		t.Fatalf("Lookup(%s, %s): not found", scope, name)
	}
	return e
}

// The numbers in each release are what the definitions in its jars held.
func TestCounts(t *testing.T) {
	for _, tt := range []struct {
		scope        Scope
		all          int
		in39, in40   int
		in41, dyn39  int
		internalIn39 int
	}{
		{Broker, 384, 331, 309, 339, 92, 14},
		{Topic, 37, 36, 33, 34, 36, 0},
		{Producer, 113, 95, 95, 112, 0, 0},
		{Consumer, 116, 98, 98, 115, 0, 2},
		{Admin, 91, 74, 74, 90, 0, 0},
	} {
		got := map[string]int{}
		dyn, internal := 0, 0
		for _, name := range Names(tt.scope) {
			e := mustLookup(t, tt.scope, name)
			for _, release := range []string{"3.9.1", "4.0.0", "4.1.0"} {
				in, err := e.In(release)
				if err != nil {
					t.Fatal(err)
				}
				if in {
					got[release]++
				}
				if in && release == "3.9.1" {
					if e.Dynamic() {
						dyn++
					}
					if e.Internal {
						internal++
					}
				}
			}
		}
		if n := len(Names(tt.scope)); n != tt.all {
			t.Errorf("%s: got %d names, want %d", tt.scope, n, tt.all)
		}
		if got["3.9.1"] != tt.in39 || got["4.0.0"] != tt.in40 || got["4.1.0"] != tt.in41 {
			t.Errorf("%s: got %v names by release, want %d, %d, %d", tt.scope, got, tt.in39, tt.in40, tt.in41)
		}
		if dyn != tt.dyn39 || internal != tt.internalIn39 {
			t.Errorf("%s: got %d dynamic and %d internal names in 3.9.1, want %d and %d", tt.scope, dyn, internal, tt.dyn39, tt.internalIn39)
		}
	}
}

func TestDefaults(t *testing.T) {
	for _, tt := range []struct {
		scope  Scope
		name   string
		typ    Type
		want   string
		unit   Unit
		update Update
	}{
		{Broker, "auto.leader.rebalance.enable", Boolean, "true", "", ReadOnly},
		{Broker, "broker.heartbeat.interval.ms", Int, "2000", Milliseconds, ReadOnly},
		{Broker, "broker.session.timeout.ms", Int, "9000", Milliseconds, ReadOnly},
		{Broker, "controller.quorum.election.timeout.ms", Int, "1000", Milliseconds, ReadOnly},
		{Broker, "controller.quorum.fetch.timeout.ms", Int, "2000", Milliseconds, ReadOnly},
		{Broker, "group.initial.rebalance.delay.ms", Int, "3000", Milliseconds, ReadOnly},
		{Broker, "leader.imbalance.check.interval.seconds", Long, "300", Seconds, ReadOnly},
		{Broker, "leader.replication.throttled.rate", Long, "9223372036854775807", BytesPerSecond, ClusterWide},
		{Broker, "log.retention.hours", Int, "168", Hours, ReadOnly},
		{Broker, "min.insync.replicas", Int, "1", "", ClusterWide},
		{Broker, "num.network.threads", Int, "3", "", ClusterWide},
		{Broker, "offsets.topic.num.partitions", Int, "50", "", ReadOnly},
		{Broker, "replica.fetch.wait.max.ms", Int, "500", Milliseconds, ReadOnly},
		{Broker, "replica.lag.time.max.ms", Long, "30000", Milliseconds, ReadOnly},
		{Broker, "ssl.keystore.location", String, "null", "", PerBroker},
		{Broker, "unclean.leader.election.enable", Boolean, "false", "", ClusterWide},
		{Broker, "zookeeper.session.timeout.ms", Int, "18000", Milliseconds, ReadOnly},
		{Topic, "cleanup.policy", List, "delete", "", ""},
		{Topic, "max.message.bytes", Int, "1048588", Bytes, ""},
		{Topic, "min.insync.replicas", Int, "1", "", ""},
		{Topic, "retention.ms", Long, "604800000", Milliseconds, ""},
		{Producer, "acks", String, "all", "", ""},
		{Producer, "batch.size", Int, "16384", Bytes, ""},
		{Producer, "buffer.memory", Long, "33554432", Bytes, ""},
		{Producer, "delivery.timeout.ms", Int, "120000", Milliseconds, ""},
		{Producer, "enable.idempotence", Boolean, "true", "", ""},
		{Producer, "linger.ms", Long, "0", Milliseconds, ""},
		{Producer, "max.in.flight.requests.per.connection", Int, "5", "", ""},
		{Producer, "metadata.max.age.ms", Long, "300000", Milliseconds, ""},
		{Producer, "request.timeout.ms", Int, "30000", Milliseconds, ""},
		{Producer, "retries", Int, "2147483647", "", ""},
		{Consumer, "auto.offset.reset", String, "latest", "", ""},
		{Consumer, "isolation.level", String, "read_uncommitted", "", ""},
		{Consumer, "max.poll.records", Int, "500", "", ""},
		{Consumer, "partition.assignment.strategy", List, "org.apache.kafka.clients.consumer.RangeAssignor,org.apache.kafka.clients.consumer.CooperativeStickyAssignor", "", ""},
		{Consumer, "session.timeout.ms", Int, "45000", Milliseconds, ""},
		{Admin, "default.api.timeout.ms", Int, "60000", Milliseconds, ""},
	} {
		e := mustLookup(t, tt.scope, tt.name)
		if e.Type != tt.typ || e.Default != tt.want || e.Unit != tt.unit || e.Update != tt.update {
			t.Errorf("%s %s: got %s %q %q %q, want %s %q %q %q", tt.scope, tt.name,
				e.Type, e.Default, e.Unit, e.Update, tt.typ, tt.want, tt.unit, tt.update)
		}
	}
}

// TestTables holds every row against what all rows must keep.
func TestTables(t *testing.T) {
	for _, scope := range Scopes() {
		names := Names(scope)
		if !slices.IsSorted(names) {
			t.Errorf("%s: names are not sorted", scope)
		}
		if n := len(slices.Compact(slices.Clone(names))); n != len(names) {
			t.Errorf("%s: %d names are there twice", scope, len(names)-n)
		}
		for _, name := range names {
			e := mustLookup(t, scope, name)
			checkRow(t, e)
		}
	}
}

func checkRow(t *testing.T, e Entry) {
	t.Helper()
	if e.Name == "" || strings.TrimSpace(e.Name) != e.Name {
		t.Errorf("%s: got name %q", e.Scope, e.Name)
	}
	if e.Null != (e.Default == "null") || e.Required && e.Default != "" {
		t.Errorf("%s %s: got default %q with Null %t, Required %t", e.Scope, e.Name, e.Default, e.Null, e.Required)
	}
	defaults := []string{}
	if !e.Null && !e.Required {
		defaults = append(defaults, e.Default)
	}
	last := e.Since
	for _, c := range e.Later {
		if _, err := parseRelease(c.Since); err != nil || c.Since <= last {
			t.Errorf("%s %s: got change since %q after %q", e.Scope, e.Name, c.Since, last)
		}
		last = c.Since
		if !c.Required {
			defaults = append(defaults, c.Default)
		}
	}
	for _, d := range defaults {
		if err := e.Check(d); err != nil {
			t.Errorf("%s: default: %v", e.Scope, err)
		}
	}
	for _, release := range []string{e.Since, e.Until} {
		if release == "" {
			continue
		}
		if _, err := parseRelease(release); err != nil {
			t.Errorf("%s %s: %v", e.Scope, e.Name, err)
		}
	}
	numeric := slices.Contains([]Type{Int, Long, Short, Double}, e.Type)
	for _, bound := range []string{e.Min, e.Max, e.Or} {
		if _, ok := parseDouble(bound); bound != "" && (!numeric || !ok) {
			t.Errorf("%s %s: got bound %q for %s", e.Scope, e.Name, bound, e.Type)
		}
	}
	if e.Unit != "" && !numeric {
		t.Errorf("%s %s: got unit %s for %s", e.Scope, e.Name, e.Unit, e.Type)
	}
	if numeric && strings.HasSuffix(e.Name, ".ms") && !e.IsDuration() {
		t.Errorf("%s %s: got no duration", e.Scope, e.Name)
	}
	if (e.Update == "") == (e.Scope == Broker) {
		t.Errorf("%s %s: got update mode %q", e.Scope, e.Name, e.Update)
	}
	for _, server := range e.Server {
		b, ok := Lookup(Broker, server)
		if !ok || b.Type != e.Type && !b.IsDuration() {
			t.Errorf("topic %s: got server name %s of type %q, want a broker's name of type %s", e.Name, server, b.Type, e.Type)
		}
	}
}

func TestCheck(t *testing.T) {
	type row struct {
		scope Scope
		name  string
		value string
		want  string // the error, empty for none
	}
	for _, tt := range []row{
		{Topic, "min.insync.replicas", "2", ""},
		{Topic, "min.insync.replicas", " +2 ", ""},
		{Topic, "min.insync.replicas", "two", `for config min.insync.replicas: got "two", want int, at least 1`},
		{Topic, "min.insync.replicas", "0", `for config min.insync.replicas: got "0", want int, at least 1`},
		{Topic, "min.insync.replicas", "1.5", `for config min.insync.replicas: got "1.5", want int, at least 1`},
		{Topic, "min.insync.replicas", "2147483648", `for config min.insync.replicas: got "2147483648", want int, at least 1`},
		{Topic, "min.insync.replicas", "", `for config min.insync.replicas: got "", want int, at least 1`},
		{Topic, "retention.ms", "-1", ""},
		{Topic, "retention.ms", "9223372036854775807", ""},
		{Topic, "retention.ms", "9223372036854775808", `for config retention.ms: got "9223372036854775808", want long, at least -1`},
		{Topic, "retention.ms", "-2", `for config retention.ms: got "-2", want long, at least -1`},
		{Topic, "retention.bytes", "-7", ""}, // Kafka sets no bound
		{Topic, "min.cleanable.dirty.ratio", "0.25", ""},
		{Topic, "min.cleanable.dirty.ratio", "1e-1", ""},
		{Topic, "min.cleanable.dirty.ratio", "1.01", `for config min.cleanable.dirty.ratio: got "1.01", want double, 0 to 1`},
		{Topic, "min.cleanable.dirty.ratio", "NaN", `for config min.cleanable.dirty.ratio: got "NaN", want double, 0 to 1`},
		{Topic, "min.cleanable.dirty.ratio", "0x1p-2", `for config min.cleanable.dirty.ratio: got "0x1p-2", want double, 0 to 1`},
		{Topic, "cleanup.policy", "compact,delete", ""},
		{Topic, "cleanup.policy", " compact , delete ", ""},
		{Topic, "cleanup.policy", "compact,", `for config cleanup.policy: got "compact,", want list, each of compact or delete`},
		{Topic, "cleanup.policy", "Compact", `for config cleanup.policy: got "Compact", want list, each of compact or delete`},
		{Topic, "compression.type", "zstd", ""},
		{Topic, "compression.type", "none", `for config compression.type: got "none", want string, one of uncompressed, zstd, lz4, snappy, gzip or producer`},
		{Topic, "compression.gzip.level", "-1", ""},
		{Topic, "compression.gzip.level", "9", ""},
		{Topic, "compression.gzip.level", "0", `for config compression.gzip.level: got "0", want int, 1 to 9, or -1`},
		{Topic, "message.format.version", "3.9", ""},
		{Topic, "message.format.version", "3.9.1", ""},
		{Topic, "message.format.version", "0.10.2-IV0", ""},
		{Topic, "message.format.version", "0.9.0", ""},
		{Topic, "message.format.version", "0.10", `for config message.format.version: got "0.10", want string, a Kafka release such as 3.9 or 3.9-IV0`},
		{Topic, "message.format.version", "3.9-IV9", `for config message.format.version: got "3.9-IV9", want string, a Kafka release such as 3.9 or 3.9-IV0`},
		{Topic, "message.format.version", "0.8.0 0.8.1", `for config message.format.version: got "0.8.0 0.8.1", want string, a Kafka release such as 3.9 or 3.9-IV0`},
		{Topic, "leader.replication.throttled.replicas", "*", ""},
		{Topic, "leader.replication.throttled.replicas", "", ""},
		{Topic, "leader.replication.throttled.replicas", "0:1,1:2", ""},
		{Topic, "leader.replication.throttled.replicas", "0:1,*", `for config leader.replication.throttled.replicas: got "0:1,*", want list, * or each as partition:broker`},
		{Broker, "unclean.leader.election.enable", "TRUE", ""},
		{Broker, "unclean.leader.election.enable", "yes", `for config unclean.leader.election.enable: got "yes", want boolean, true or false`},
		{Broker, "broker.session.timeout.ms", "9s", `for config broker.session.timeout.ms: got "9s", want int`},
		{Broker, "offsets.topic.replication.factor", "32768", `for config offsets.topic.replication.factor: got "32768", want short, at least 1`},
		{Broker, "controller.quorum.voters", "1@a:9093,2@[::1]:9093", ""},
		{Broker, "controller.quorum.voters", "a:9093", `for config controller.quorum.voters: got "a:9093", want list, each as id@host:port`},
		{Broker, "controller.quorum.bootstrap.servers", "a:9093", ""},
		{Broker, "controller.quorum.bootstrap.servers", "a:70000", `for config controller.quorum.bootstrap.servers: got "a:70000", want list, each as host:port`},
		{Broker, "remote.log.metadata.manager.class.name", " ", `for config remote.log.metadata.manager.class.name: got " ", want string, not empty`},
		{Broker, "security.inter.broker.protocol", "ssl", `for config security.inter.broker.protocol: got "ssl", want string, one of PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL`},
		{Producer, "security.protocol", "ssl", ""},
		{Producer, "acks", "-1", ""},
		{Producer, "acks", "2", `for config acks: got "2", want string, one of all, -1, 0 or 1`},
		{Producer, "key.serializer", "", `for config key.serializer: got "", want class, the name of one`},
		{Producer, "sasl.jaas.config", "anything; at all", ""},
		{Consumer, "client.id", "", ""},
	} {
		got := ""
		if err := mustLookup(t, tt.scope, tt.name).Check(tt.value); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s %s %q:\ngot  %s\nwant %s", tt.scope, tt.name, tt.value, got, tt.want)
		}
	}
}

func TestCheckAtBounds(t *testing.T) {
	for _, scope := range Scopes() {
		for _, name := range Names(scope) {
			e := mustLookup(t, scope, name)
			lo, err := strconv.ParseInt(e.Min, 10, 64)
			if err != nil || e.Type == Double {
				continue
			}
			if err := e.Check(e.Min); err != nil {
				t.Errorf("%s: at its minimum: %v", scope, err)
			}
			below := strconv.FormatInt(lo-1, 10)
			if e.Check(below) == nil && below != e.Or {
				t.Errorf("%s %s: got no error for %s, want one below %s", scope, name, below, e.Min)
			}
		}
	}
}

func TestLookup(t *testing.T) {
	for _, tt := range []struct {
		scope Scope
		name  string
	}{
		{Topic, "min.insync.replica"},
		{Topic, "MIN.INSYNC.REPLICAS"},
		{Topic, "log.retention.ms"},
		{Broker, "retention.ms"},
		{Producer, "session.timeout.ms"},
		{Topic, ""},
		{"cluster", "min.insync.replicas"},
	} {
		if e, ok := Lookup(tt.scope, tt.name); ok || e.Name != "" {
			t.Errorf("Lookup(%q, %q) = %q, %t, want none", tt.scope, tt.name, e.Name, ok)
		}
	}
	if got := Names("cluster"); len(got) != 0 {
		t.Errorf("Names(cluster) = %q, want none", got)
	}
}

func TestLookupGivesACopy(t *testing.T) {
	e := mustLookup(t, Topic, "cleanup.policy")
	e.Values[0], e.Server[0] = "x", "x"
	if got := mustLookup(t, Topic, "cleanup.policy"); got.Values[0] == "x" || got.Server[0] == "x" {
		t.Errorf("got %v after a change to an earlier answer", got)
	}
}

func TestDynamic(t *testing.T) {
	for _, tt := range []struct {
		scope Scope
		name  string
		want  bool
	}{
		{Broker, "broker.session.timeout.ms", false},
		{Broker, "replica.lag.time.max.ms", false},
		{Broker, "log.cleaner.threads", true},
		{Broker, "ssl.keystore.location", true},
		{Broker, "follower.replication.throttled.rate", true},
		{Topic, "retention.ms", true},
		{Producer, "acks", false},
		{Consumer, "session.timeout.ms", false},
	} {
		if got := mustLookup(t, tt.scope, tt.name).Dynamic(); got != tt.want {
			t.Errorf("%s %s: got dynamic %t, want %t", tt.scope, tt.name, got, tt.want)
		}
	}
}

func TestServer(t *testing.T) {
	for name, want := range map[string][]string{
		"retention.ms":          {"log.retention.ms", "log.retention.minutes", "log.retention.hours"},
		"max.message.bytes":     {"message.max.bytes"},
		"min.insync.replicas":   {"min.insync.replicas"},
		"remote.storage.enable": nil,
	} {
		if got := mustLookup(t, Topic, name).Server; !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func TestReleases(t *testing.T) {
	for _, tt := range []struct {
		scope    Scope
		name     string
		release  string
		in       bool
		value    string
		has      bool
		errorful bool
	}{
		{Producer, "linger.ms", "3.9.1", true, "0", true, false},
		{Producer, "linger.ms", "4.0.0", true, "5", true, false},
		{Producer, "linger.ms", "10.2", true, "5", true, false},
		{Producer, "linger.ms", "2.8.1", true, "0", true, false},
		{Broker, "zookeeper.connect", "3.9.1", true, "", false, false},
		{Broker, "zookeeper.connect", "4.0.0", false, "", false, false},
		{Broker, "group.streams.session.timeout.ms", "4.0.1", false, "45000", true, false},
		{Broker, "group.streams.session.timeout.ms", "4.1", true, "45000", true, false},
		{Broker, "share.coordinator.append.linger.ms", "4.0", true, "10", true, false},
		{Broker, "share.coordinator.append.linger.ms", "4.1", true, "5", true, false},
		{Broker, "node.id", "3.9", true, "-1", true, false},
		{Broker, "node.id", "4.0", true, "", false, false},
		{Producer, "linger.ms", "4", false, "", false, true},
		{Producer, "linger.ms", "latest", false, "", false, true},
		{Producer, "linger.ms", "", false, "", false, true},
		{Producer, "linger.ms", "-3.9", false, "", false, true},
	} {
		e := mustLookup(t, tt.scope, tt.name)
		in, err := e.In(tt.release)
		if in != tt.in || (err != nil) != tt.errorful {
			t.Errorf("%s in %q: got %t, %v, want %t, error %t", tt.name, tt.release, in, err, tt.in, tt.errorful)
		}
		value, has, err := e.DefaultIn(tt.release)
		if value != tt.value || has != tt.has || (err != nil) != tt.errorful {
			t.Errorf("default of %s in %q: got %q, %t, %v, want %q, %t, error %t", tt.name, tt.release, value, has, err, tt.value, tt.has, tt.errorful)
		}
	}
}

func TestDuration(t *testing.T) {
	for _, tt := range []struct {
		scope Scope
		name  string
		value string
		want  time.Duration
		err   string
	}{
		{Broker, "replica.lag.time.max.ms", "30000", 30 * time.Second, ""},
		{Broker, "log.retention.hours", "168", 7 * 24 * time.Hour, ""},
		{Broker, "log.retention.minutes", " 5 ", 5 * time.Minute, ""},
		{Broker, "leader.imbalance.check.interval.seconds", "300", 5 * time.Minute, ""},
		{Topic, "retention.ms", "-1", -time.Millisecond, ""},
		{Topic, "flush.ms", "9223372036854775807", 1<<63 - 1, ""},
		{Broker, "log.retention.hours", "-2147483648", -1 << 63, ""},
		{Topic, "flush.ms", "-1", 0, `for config flush.ms: got "-1", want long, at least 0`},
		{Topic, "min.insync.replicas", "1", 0, "for config min.insync.replicas: not a duration"},
		{Topic, "segment.bytes", "1000", 0, "for config segment.bytes: not a duration"},
	} {
		got, err := mustLookup(t, tt.scope, tt.name).Duration(tt.value)
		msg := ""
		if err != nil {
			msg = err.Error()
		}
		if got != tt.want || msg != tt.err {
			t.Errorf("%s %q: got %v, %q, want %v, %q", tt.name, tt.value, got, msg, tt.want, tt.err)
		}
	}
}
