"""A producer and a consumer for starfall's --client, with confluent-kafka.

    client.py produce | consume
"""

import json
import os
import signal
import sys
import threading
import time

from confluent_kafka import Consumer, KafkaError, Producer

# Errors after which the record is definitely in no log.
REFUSED = {
    KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED, KafkaError.INVALID_REQUIRED_ACKS,
    KafkaError._PURGE_QUEUE,
}

printing = threading.Lock()


def say(**what):
    with printing:
        print(json.dumps(what), flush=True)


def settings(bootstrap):
    conf = {"bootstrap.servers": bootstrap}
    if "KAFKA_USER" in os.environ:
        conf.update({
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": os.environ["KAFKA_SASL_MECHANISM"],
            "sasl.username": os.environ["KAFKA_USER"],
            "sasl.password": os.environ["KAFKA_PASSWORD"],
        })
    return conf


def produce():
    topic = os.environ["TOPIC"]
    waiting = {}  # id to key and value, in the order in which they were given
    lock = threading.Lock()

    def connect(bootstrap):
        return Producer({**settings(bootstrap), "acks": os.environ.get("ACKS", "all"), "linger.ms": 5})

    def send(producer, ident, key, value):
        def delivered(err, msg):
            if err is not None and err.code() == KafkaError._PURGE_QUEUE and producer is not current[0]:
                return  # sent again at the new cluster
            with lock:
                waiting.pop(ident, None)
            if err is None:
                say(acked=ident, partition=msg.partition(), offset=msg.offset())
            elif err.code() in REFUSED:
                say(failed=ident, reason=err.str())
            else:
                say(unknown=ident, reason=err.str())

        while True:
            try:
                producer.produce(topic, value=value, key=key, on_delivery=delivered)
                return
            except BufferError:  # the buffer is full: so is the pipe behind us, soon
                producer.poll(0.1)

    current = [connect(os.environ["KAFKA_BOOTSTRAP"])]

    def listen():
        while True:
            current[0].poll(0.1)

    threading.Thread(target=listen, daemon=True).start()
    for line in sys.stdin:
        order = json.loads(line)
        if "bootstrap" in order:
            old, topic = current[0], order.get("topic", topic)
            current[0] = connect(order["bootstrap"])
            old.purge()
            with lock:
                again = list(waiting.items())
            for ident, (key, value) in again:
                send(current[0], ident, key, value)
            continue
        ident, key, value = order["send"], order.get("key"), order["value"]
        with lock:
            waiting[ident] = (key, value)
        send(current[0], ident, key, value)
    current[0].flush(9)


def consume():
    moves, leave = [], threading.Event()

    def listen():
        for line in sys.stdin:
            moves.append(json.loads(line))
        leave.set()

    threading.Thread(target=listen, daemon=True).start()
    place = {"bootstrap": os.environ["KAFKA_BOOTSTRAP"], "topic": os.environ["TOPIC"]}
    while not leave.is_set():
        consumer = Consumer({
            **settings(place["bootstrap"]),
            "group.id": os.environ["GROUP"],
            "auto.offset.reset": os.environ.get("START", "earliest"),
            "isolation.level": os.environ.get("ISOLATION", "read_uncommitted"),
            "session.timeout.ms": int(os.environ.get("SESSION_MS", "45000")),
            "enable.auto.commit": False,
        })
        consumer.subscribe(place["topic"].split(","), on_assign=lambda *_: say(ready=True))
        committed = time.monotonic()
        while not leave.is_set() and not moves:
            msg = consumer.poll(0.1)
            if msg is not None and msg.error() is None:
                # This is where the work is done. Only then is it said, and committed.
                say(got=msg.value().decode(), topic=msg.topic(), partition=msg.partition(), offset=msg.offset())
            if time.monotonic() - committed >= 1:
                committed = time.monotonic()
                commit(consumer)
        commit(consumer)
        consumer.close()
        if moves:
            place = moves.pop(0)


def commit(consumer):
    try:
        consumer.commit(asynchronous=False)
    except Exception as err:  # nothing to commit, or a rebalance: the next one will do
        print(err, file=sys.stderr)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: None)  # stdin closes, too: that is the sign
    {"produce": produce, "consume": consume}[sys.argv[1]]()
