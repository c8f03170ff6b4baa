"""What confluent-kafka (librdkafka) is seen to do. Driven by outsiders/run."""

import os
import time

import confluent_kafka
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource,
                                   NewPartitions, NewTopic, ResourceType)

from lines import Deadline, fail, ok, same

BOOTSTRAP = os.environ["BOOTSTRAP"]
quiet = {"bootstrap.servers": BOOTSTRAP, "log_level": 0}
admin = AdminClient(quiet)


def leader():
    return admin.list_topics("survive", timeout=10).topics["survive"].partitions[0].leader


def sender(acked, phase):
    def delivered(err, msg):
        if err is not None:
            fail(phase, f"a record was refused: {err}")
        acked.append(msg.value().decode())
    return delivered


def read(phase, topic, group, want, **settings):
    """Reads topic to its end in a group, commits, and returns the values."""
    consumer = Consumer({**quiet, "group.id": group, "auto.offset.reset": "earliest",
                         "enable.auto.commit": False, "enable.partition.eof": True, **settings})
    consumer.subscribe([topic])
    partitions = len(admin.list_topics(topic, timeout=10).topics[topic].partitions)
    got, ended, limit = [], set(), Deadline(phase, 45)
    while len(ended) < partitions:
        limit.check(f"read {len(got)} of {want} records")
        msg = consumer.poll(0.5)
        if msg is None:
            continue
        if msg.error():
            if msg.error().code() != KafkaError._PARTITION_EOF:
                fail(phase, msg.error())
            ended.add(msg.partition())
            continue
        got.append(msg.value().decode())
    if got:
        consumer.commit(asynchronous=False)
    consumer.close()
    return got


def survive():
    before, acked, i = leader(), [], 0
    producer = Producer({**quiet, "acks": "all", "enable.idempotence": True, "linger.ms": 5})
    limit, moved, sent_after, after = Deadline("survive", 75), False, 0, before
    looked = time.monotonic()
    while sent_after < 20:
        limit.check(f"leader was {before} and is {after}, {len(acked)} of {i} acknowledged")
        i += 1
        producer.produce("survive", f"survive-{i}", partition=0, on_delivery=sender(acked, "survive"))
        producer.poll(0.1)
        if moved:
            sent_after += 1
        elif time.monotonic() - looked > 1:
            looked = time.monotonic()
            try:
                after = leader()
            except confluent_kafka.KafkaException:
                continue
            moved = after > 0 and after != before
    if producer.flush(60):
        fail("survive", f"{len(acked)} of {i} acknowledged")
    want = [f"survive-{n}" for n in range(1, i + 1)]
    got = read("survive", "survive", "confluent-survive", i)
    same("survive", got, want)
    if got != want:
        fail("survive", "records are out of order")
    ok("survive", f"{i} records once each, in order, leader {before} to {after}")


def produce():
    want = []
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        acked = []
        producer = Producer({**quiet, "acks": "all", "enable.idempotence": True, "compression.type": codec})
        for i in range(200):
            want.append(f"{codec}-{i}")
            producer.produce("orders", want[-1], key=str(i), on_delivery=sender(acked, "produce"))
        if producer.flush(30) or len(acked) != 200:
            fail("produce", f"{codec}: {len(acked)} of 200 acknowledged")
    ok("produce", "1000 records, idempotent, acks=all, five compressions")
    return want


def group(want):
    same("group", read("group", "orders", "confluent-readers", len(want)), want)
    again = read("group", "orders", "confluent-readers", 0)
    if again:
        fail("group", f"read {len(again)} records again after the commit")
    listed = [g.group_id for g in admin.list_consumer_groups(request_timeout=10).result().valid]
    if "confluent-readers" not in listed:
        fail("group", f"not listed: {listed}")
    described = admin.describe_consumer_groups(["confluent-readers"])["confluent-readers"].result()
    ok("group", f"{len(want)} records once, none again after the commit; listed, {described.state.name.lower()}")


def transact():
    producer = Producer({**quiet, "transactional.id": "confluent-tx"})
    producer.init_transactions(30)
    want = []
    source = Consumer({**quiet, "group.id": "confluent-tx-source", "auto.offset.reset": "earliest"})
    source.subscribe(["orders"])
    limit = Deadline("transact", 30)
    while (msg := source.poll(1)) is None or msg.error():
        limit.check("nothing to read")
    position = [TopicPartition("orders", msg.partition(), msg.offset() + 1)]
    for keep in (True, False, True):
        producer.begin_transaction()
        for i in range(50):
            value = f"{'kept' if keep else 'dropped'}-{len(want)}-{i}"
            producer.produce("ledger", value)
            if keep:
                want.append(value)
        if keep:
            producer.send_offsets_to_transaction(position, source.consumer_group_metadata(), 30)
            producer.commit_transaction(30)
        else:
            producer.flush(30)
            producer.abort_transaction(30)
    committed = source.committed([TopicPartition("orders", msg.partition())], timeout=10)[0].offset
    source.close()
    if committed != msg.offset() + 1:
        fail("transact", f"offset sent in a transaction: got {committed}, want {msg.offset() + 1}")
    same("transact", read("transact", "ledger", "confluent-committed", 100, **{"isolation.level": "read_committed"}), want)
    everything = read("transact", "ledger", "confluent-all", 150, **{"isolation.level": "read_uncommitted"})
    if len(everything) != 150:
        fail("transact", f"read_uncommitted: got {len(everything)} records, want 150")
    # Another producer with the same id fences this one.
    Producer({**quiet, "transactional.id": "confluent-tx"}).init_transactions(30)
    try:
        producer.begin_transaction()
        producer.produce("ledger", "fenced")
        producer.commit_transaction(30)
        fail("transact", "a fenced producer committed")
    except confluent_kafka.KafkaException as error:
        if error.args[0].code() not in (KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH):
            fail("transact", f"a fenced producer got {error}")
    ok("transact", "100 committed records read, 50 aborted ones hidden, offsets in the transaction, the older producer fenced")


def describe():
    cluster = admin.describe_cluster(request_timeout=10).result()
    if len(cluster.nodes) < 2:
        fail("describe", f"got {len(cluster.nodes)} nodes")
    resource = ConfigResource(ResourceType.TOPIC, "orders")
    configs = admin.describe_configs([resource], request_timeout=10)[resource].result()
    if configs["min.insync.replicas"].value != "2":
        fail("describe", f"min.insync.replicas: got {configs['min.insync.replicas'].value}, want 2")
    ok("describe", f"cluster, {len(configs)} configs of a topic")


def alter():
    admin.create_topics([NewTopic("made", 2, 3, config={"retention.ms": "60000"})], operation_timeout=10)["made"].result(20)
    resource = ConfigResource(ResourceType.TOPIC, "made", incremental_configs=[
        ConfigEntry("retention.ms", "120000", incremental_operation=AlterConfigOpType.SET)])
    admin.incremental_alter_configs([resource], request_timeout=10)[resource].result(20)
    limit = Deadline("alter", 20)
    plain = ConfigResource(ResourceType.TOPIC, "made")
    while (got := admin.describe_configs([plain])[plain].result(20)["retention.ms"].value) != "120000":
        limit.check(f"retention.ms: got {got}, want 120000")
        time.sleep(0.2)
    admin.create_partitions([NewPartitions("made", 4)], request_timeout=10)["made"].result(20)
    while (got := len(admin.list_topics("made", timeout=10).topics["made"].partitions)) != 4:
        limit.check(f"partitions: got {got}, want 4")
        time.sleep(0.2)
    admin.delete_topics(["made"], operation_timeout=10)["made"].result(20)
    ok("alter", "topic created, config altered, partitions added, topic deleted")


print(f"version confluent-kafka {confluent_kafka.__version__}, librdkafka {confluent_kafka.libversion()[0]}", flush=True)
survive()
group(produce())
transact()
describe()
alter()
