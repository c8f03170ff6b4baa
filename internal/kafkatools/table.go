// This file defines the table itself. Classes were read from the scripts in
// Kafka's bin folder (3.9) and from the jars of 3.9.1 and 4.3.1; releases that
// took a tool away from Kafka's upgrade notes.

package kafkatools

// tools is sorted by name.
func tools() []Tool {
	const t = "org.apache.kafka.tools."
	return []Tool{
		{
			Name: "connect-mirror-maker", Purpose: "runs MirrorMaker 2, which copies topics from cluster to cluster (KIP-382)",
			Class3: "org.apache.kafka.connect.mirror.MirrorMaker", Class4: "org.apache.kafka.connect.mirror.MirrorMaker", Endless: true,
			Word:     "mirror(orders, to = west)",
			Scenario: "mirror",
		},
		{
			Name: "kafka-acls", Purpose: "lists, adds and removes access rights",
			Class3: "kafka.admin.AclCommand", Class4: t + "AclCommand",
			Word:     `allow(writer, "Read", events)`,
			Scenario: "tools-rights",
		},
		{
			Name: "kafka-broker-api-versions", Purpose: "shows which requests each broker understands",
			Class3: "kafka.admin.BrokerApiVersionsCommand", Class4: t + "BrokerApiVersionsCommand",
			Scenario: "tools",
		},
		{
			Name: "kafka-client-metrics", Purpose: "manages which metrics clients push to the brokers (KIP-714)",
			Class3: t + "ClientMetricsCommand", Class4: t + "ClientMetricsCommand",
		},
		{
			Name: "kafka-cluster", Purpose: "shows a cluster's id, lists its nodes and unregisters a broker",
			Class3: t + "ClusterTool", Class4: t + "ClusterTool",
			Scenario: "tools",
		},
		{
			Name: "kafka-configs", Purpose: "shows and changes the settings of topics, brokers, users and clients",
			Class3: "kafka.admin.ConfigCommand", Class4: "kafka.admin.ConfigCommand",
			Word:     `configure(orders, {"retention.ms": 60000})`,
			Scenario: "tools",
		},
		{
			Name: "kafka-console-consumer", Purpose: "prints the records of topics", Endless: true,
			Class3: t + "consumer.ConsoleConsumer", Class4: t + "consumer.ConsoleConsumer",
			Word:     `consumer(orders, group = "billing")`,
			Scenario: "tools",
		},
		{
			Name: "kafka-console-producer", Purpose: "sends each line that is typed as a record",
			Class3: "kafka.tools.ConsoleProducer", Class4: t + "ConsoleProducer",
			Word:     `send(orders, "hello")`,
			Scenario: "tools-offsets",
		},
		{
			Name: "kafka-console-share-consumer", Purpose: "prints the records that a share group is given (KIP-932)", Endless: true,
			Class4: t + "consumer.ConsoleShareConsumer",
		},
		{
			Name: "kafka-consumer-groups", Purpose: "shows groups with their members, positions and lag, and moves or deletes positions",
			Class3: t + "consumer.group.ConsumerGroupCommand", Class4: t + "consumer.group.ConsumerGroupCommand",
			Word:     `reset_offsets(billing, to = "earliest")`,
			Scenario: "sharing-groups-tool",
		},
		{
			Name: "kafka-consumer-offset-checker", Purpose: "showed the positions of a group in ZooKeeper, and its lag",
			Gone: "1.0", Instead: "kafka-consumer-groups", Word: "report(billing.lag)",
			Scenario: "sharing-groups-tool",
		},
		{
			Name: "kafka-consumer-perf-test", Purpose: "measures how fast a consumer reads",
			Class3: t + "ConsumerPerformance", Class4: t + "ConsumerPerformance",
			Word:     "report(billing.rate)",
			Scenario: "tools",
		},
		{
			Name: "kafka-delegation-tokens", Purpose: "makes, renews and ends delegation tokens",
			Class3: t + "DelegationTokenCommand", Class4: t + "DelegationTokenCommand",
		},
		{
			Name: "kafka-delete-records", Purpose: "deletes the records before an offset",
			Class3: t + "DeleteRecordsCommand", Class4: t + "DeleteRecordsCommand",
			Word:     "delete_records(orders, before = {0: 1000})",
			Scenario: "tools-offsets",
		},
		{
			Name: "kafka-dump-log", Purpose: "prints the batches and records in the files of a partition",
			Class3: "kafka.tools.DumpLogSegments", Class4: t + "DumpLogSegments",
		},
		{
			Name: "kafka-e2e-latency", Purpose: "measures the time from sending a record to reading it",
			Class3: t + "EndToEndLatency", Class4: t + "EndToEndLatency",
			Word: "report(billing.delay.p99)",
		},
		{
			Name: "kafka-features", Purpose: "shows and raises the feature levels of a cluster, such as metadata.version",
			Class3: t + "FeatureCommand", Class4: t + "FeatureCommand",
			Scenario: "tools",
		},
		{
			Name: "kafka-get-offsets", Purpose: "shows the first, last or timed offsets of partitions",
			Class3: t + "GetOffsetShell", Class4: t + "GetOffsetShell",
			Scenario: "tools",
		},
		{
			Name: "kafka-groups", Purpose: "lists the groups of every kind",
			Class4: t + "GroupsCommand",
		},
		{
			Name: "kafka-jmx", Purpose: "prints a broker's JMX metrics, where its JMX port is open", Endless: true,
			Class3: t + "JmxTool", Class4: t + "JmxTool",
			Word: "report(kafka.under_replicated)",
		},
		{
			Name: "kafka-leader-election", Purpose: "elects the preferred, or any, replica as the leader",
			Class3: t + "LeaderElectionCommand", Class4: t + "LeaderElectionCommand",
			Word:     "elect(orders)",
			Scenario: "tools",
		},
		{
			Name: "kafka-log-dirs", Purpose: "shows how much each replica takes on disk",
			Class3: t + "LogDirsCommand", Class4: t + "LogDirsCommand",
			Word:     "report(orders.size)",
			Scenario: "tools",
		},
		{
			Name: "kafka-metadata-quorum", Purpose: "shows the leader, the voters and the lag of a KRaft quorum",
			Class3: t + "MetadataQuorumCommand", Class4: t + "MetadataQuorumCommand",
			Word:     "report(kafka.active_controllers)",
			Scenario: "tools",
		},
		{
			Name: "kafka-mirror-maker", Purpose: "copies topics with a consumer and a producer: the first MirrorMaker", Endless: true,
			Class3: "kafka.tools.MirrorMaker",
			Gone:   "4.0", Instead: "connect-mirror-maker", Word: "mirror(orders, to = west)",
			Scenario: "mirror",
		},
		{
			Name: "kafka-preferred-replica-election", Purpose: "gave leadership back to the preferred replicas",
			Gone: "3.0", Instead: "kafka-leader-election", Word: "elect(orders)",
			Scenario: "tools",
		},
		{
			Name: "kafka-producer-perf-test", Purpose: "measures how fast a producer writes, and how late its acknowledgements come",
			Class3: t + "ProducerPerformance", Class4: t + "ProducerPerformance",
			Word:     `producer(orders, rate = "max")`,
			Scenario: "tools",
		},
		{
			Name: "kafka-reassign-partitions", Purpose: "moves replicas to other brokers",
			Class3: t + "reassign.ReassignPartitionsCommand", Class4: t + "reassign.ReassignPartitionsCommand",
			Word:     "move(orders, off = kafka.broker(1))",
			Scenario: "tools",
		},
		{
			Name: "kafka-replay-log-producer", Purpose: "read a topic and produced its records again to another",
			Gone: "2.0", Instead: "kafka-console-consumer piped into kafka-console-producer", Word: "replay(orders, to = copies)",
			Scenario: "tools-offsets",
		},
		{
			Name: "kafka-replica-verification", Purpose: "compares the batches that the replicas of partitions hold", Endless: true,
			Class3: t + "ReplicaVerificationTool", Class4: t + "ReplicaVerificationTool",
			Word:     "report(kafka.under_replicated)",
			Scenario: "node",
		},
		{
			Name: "kafka-run-class", Purpose: "starts a Java class with Kafka's class path, as the other scripts do",
			Script: true, Word: `tool("kafka-topics", "--describe", on = kafka)`,
			Scenario: "tools",
		},
		{
			Name: "kafka-server-start", Purpose: "starts a broker",
			Class3: "kafka.Kafka", Class4: "kafka.Kafka", Script: true, Word: "start(outage)",
			Scenario: "node",
		},
		{
			Name: "kafka-server-stop", Purpose: "shuts the brokers on this machine down in order",
			Script: true, Word: "stop(kafka.broker(1))",
			Scenario: "node-variants",
		},
		{
			Name: "kafka-share-groups", Purpose: "shows share groups with their members and positions (KIP-932)",
			Class4: t + "consumer.group.ShareGroupCommand",
		},
		{
			Name: "kafka-simple-consumer-shell", Purpose: "printed the records of one partition from an offset on",
			Gone: "2.0", Instead: "kafka-console-consumer --partition 0 --offset 0", Word: `consumer(orders, group = "billing")`,
			Scenario: "tools",
		},
		{
			Name: "kafka-storage", Purpose: "formats the folders of a KRaft node and makes cluster ids",
			Class3: "kafka.tools.StorageTool", Class4: "kafka.tools.StorageTool",
		},
		{
			Name: "kafka-streams-application-reset", Purpose: "puts the positions and internal topics of a Kafka Streams application back to the start",
			Class3: t + "StreamsResetter", Class4: t + "StreamsResetter",
			Word:     `reset_offsets(billing, to = "earliest")`,
			Scenario: "tools-offsets",
		},
		{
			Name: "kafka-streams-groups", Purpose: "shows streams groups with their members and positions (KIP-1071)",
			Class4: t + "streams.StreamsGroupCommand",
		},
		{
			Name: "kafka-topics", Purpose: "lists, describes, makes, grows and deletes topics",
			Class3: t + "TopicCommand", Class4: t + "TopicCommand",
			Word:     "topic(kafka, partitions = 6)",
			Scenario: "tools",
		},
		{
			Name: "kafka-transactions", Purpose: "shows transactions and aborts those that hang",
			Class3: t + "TransactionsCommand", Class4: t + "TransactionsCommand",
			Scenario: "tools",
		},
		{
			Name: "kafka-verifiable-consumer", Purpose: "reads a topic and prints all that happens to it as JSON, for tests", Endless: true,
			Class3: t + "VerifiableConsumer", Class4: t + "VerifiableConsumer",
			Word:     `consumer(orders, group = "billing")`,
			Scenario: "tools",
		},
		{
			Name: "kafka-verifiable-producer", Purpose: "sends numbered records and prints each acknowledgement as JSON, for tests", Endless: true,
			Class3: t + "VerifiableProducer", Class4: t + "VerifiableProducer",
			Word:     "producer(orders, rate = 1000)",
			Scenario: "tools",
		},
		{
			Name: "zookeeper-shell", Purpose: "looks into ZooKeeper's tree",
			Class3: "org.apache.zookeeper.ZooKeeperMainWithTlsSupportForKafka",
			Gone:   "4.0", Instead: "kafka-metadata-quorum, since KRaft keeps the metadata",
		},
	}
}
