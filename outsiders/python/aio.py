"""What aiokafka is seen to do. Driven by outsiders/run."""

import asyncio
import os

import aiokafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from lines import Deadline, fail, ok, same

BOOTSTRAP = os.environ["BOOTSTRAP"].split(",")


async def leader(admin):
    topic = (await admin.describe_topics(["survive"]))[0]
    return topic["partitions"][0]["leader"]


async def read(phase, topic, group, count, **settings):
    """Reads topic in a group until count records came and two seconds passed without one."""
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=BOOTSTRAP, group_id=group, auto_offset_reset="earliest",
                                enable_auto_commit=False, **settings)
    await consumer.start()
    got, limit = [], Deadline(phase, 45)
    try:
        while True:
            batch = await consumer.getmany(timeout_ms=2000)
            got += [r.value.decode() for records in batch.values() for r in records]
            if not batch and len(got) >= count and consumer.assignment():
                break
            limit.check(f"read {len(got)} of {count} records")
        if got:
            await consumer.commit()
    finally:
        await consumer.stop()
    return got


async def survive(admin):
    before = await leader(admin)
    producer = AIOKafkaProducer(bootstrap_servers=BOOTSTRAP, acks="all", enable_idempotence=True, request_timeout_ms=30000)
    await producer.start()
    acks, after, more, limit = [], before, 0, Deadline("survive", 75)
    while more < 20:
        limit.check(f"leader was {before} and is {after}")
        acks.append(await producer.send("survive", f"survive-{len(acks) + 1}".encode(), partition=0))
        if after != before and after > 0:
            more += 1
        elif len(acks) % 10 == 0:
            try:
                after = await asyncio.wait_for(leader(admin), 5)
            except (KafkaError, asyncio.TimeoutError):
                # The admin client asks the dead broker; another one asks the others.
                await admin.close()
                admin = AIOKafkaAdminClient(bootstrap_servers=BOOTSTRAP)
                await admin.start()
        await asyncio.sleep(0.1)
    await asyncio.gather(*acks)
    await producer.stop()
    await admin.close()
    want = [f"survive-{i}" for i in range(1, len(acks) + 1)]
    got = await read("survive", "survive", "aiokafka-survive", len(want))
    same("survive", got, want)
    if got != want:
        fail("survive", "records are out of order")
    ok("survive", f"{len(want)} records once each, in order, leader {before} to {after}")


async def produce():
    want = []
    for codec in (None, "gzip"):
        producer = AIOKafkaProducer(bootstrap_servers=BOOTSTRAP, acks="all", enable_idempotence=True, compression_type=codec)
        await producer.start()
        values = [f"{codec}-{i}" for i in range(500)]
        await asyncio.gather(*[await producer.send("orders", v.encode(), key=v.encode()) for v in values])
        await producer.stop()
        want += values
    ok("produce", "1000 records, idempotent, acks=all, gzip and none")
    return want


async def group(want):
    same("group", await read("group", "orders", "aiokafka-readers", len(want)), want)
    again = await read("group", "orders", "aiokafka-readers", 0)
    if again:
        fail("group", f"read {len(again)} records again after the commit")
    ok("group", f"{len(want)} records once, none again after the commit")


async def transact():
    producer = AIOKafkaProducer(bootstrap_servers=BOOTSTRAP, transactional_id="aiokafka-tx")
    await producer.start()
    want = []
    for kind in ("kept", "dropped", "after"):
        await producer.begin_transaction()
        values = [f"{kind}-{i}" for i in range(50)]
        await asyncio.gather(*[await producer.send("ledger", v.encode()) for v in values])
        if kind == "dropped":
            await producer.abort_transaction()
            continue
        await producer.send_offsets_to_transaction({TopicPartition("orders", 0): 7}, "aiokafka-offsets")
        await producer.commit_transaction()
        want += values
    await producer.stop()
    same("transact", await read("transact", "ledger", "aiokafka-committed", 100, isolation_level="read_committed"), want)
    everything = await read("transact", "ledger", "aiokafka-all", 150)
    if len(everything) != 150:
        fail("transact", f"read_uncommitted: got {len(everything)} records, want 150")
    ok("transact", "100 committed records read, 50 aborted ones hidden, offsets in the transaction")


async def configs(admin, topic):
    responses = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    return {entry[0]: entry[1] for response in responses for resource in response.resources for entry in resource[4]}


async def describe(admin):
    cluster = await admin.describe_cluster()
    if len(cluster["brokers"]) < 2:
        fail("describe", f"got {len(cluster['brokers'])} brokers")
    got = await configs(admin, "orders")
    if got.get("min.insync.replicas") != "2":
        fail("describe", f"min.insync.replicas: got {got.get('min.insync.replicas')}, want 2")
    ok("describe", f"cluster, {len(got)} configs of a topic")


async def alter(admin):
    await admin.create_topics([NewTopic("made", 2, 3)])
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, "made", configs={"retention.ms": "120000"})])
    limit = Deadline("alter", 20)
    while (got := (await configs(admin, "made")).get("retention.ms")) != "120000":
        limit.check(f"retention.ms: got {got}, want 120000")
        await asyncio.sleep(0.2)
    await admin.create_partitions({"made": NewPartitions(4)})
    while (got := len((await admin.describe_topics(["made"]))[0]["partitions"])) != 4:
        limit.check(f"partitions: got {got}, want 4")
        await asyncio.sleep(0.2)
    await admin.delete_topics(["made"])
    ok("alter", "topic created, config altered, partitions added, topic deleted")


async def main():
    print(f"version aiokafka {aiokafka.__version__}", flush=True)
    admin = AIOKafkaAdminClient(bootstrap_servers=BOOTSTRAP)
    await admin.start()
    await survive(admin)
    await group(await produce())
    await transact()
    admin = AIOKafkaAdminClient(bootstrap_servers=BOOTSTRAP)
    await admin.start()
    await describe(admin)
    await alter(admin)
    await admin.close()


asyncio.run(main())
