"""The checks of README.md by confluent-kafka (librdkafka)."""
import os
import sys
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic, ResourceType

BASE = int(os.environ["BASE_MS"])
bootstrap, command, args = sys.argv[1], sys.argv[2], sys.argv[3:]
common = {"bootstrap.servers": bootstrap}
if os.environ.get("KAFKA_SASL"):
    common |= {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": os.environ["KAFKA_SASL"],
               "sasl.username": os.environ["KAFKA_USER"], "sasl.password": os.environ["KAFKA_PASSWORD"]}


def show(m):
    header = dict(m.headers() or []).get("h", b"")
    key = m.key().decode() if m.key() is not None else ""
    print(m.partition(), m.offset(), m.timestamp()[1], key, m.value().decode(), header.decode(), sep="\t", flush=True)


def wrong(err, _):
    if err is not None:
        raise KafkaException(err)


def write(p, topic, n, key=True):
    for i in range(n):
        while True:
            try:
                p.produce(topic, f"v{i}".encode(), f"k{i}".encode() if key else None, partition=0,
                          headers={"h": str(i).encode()}, timestamp=BASE + i, on_delivery=wrong)
                break
            except BufferError:
                p.poll(0.1)
        p.poll(0)


def produce(topic, codec, n):
    p = Producer(common | {"compression.type": codec, "linger.ms": 5})
    write(p, topic, int(n))
    assert p.flush(900) == 0


def consume(topic, start, n):
    c = Consumer(common | {"group.id": "none", "enable.auto.commit": False,
                  "isolation.level": "read_committed", "auto.offset.reset": "error"})
    at = TopicPartition(topic, 0, int(start.lstrip("t")))
    if start.startswith("t"):
        at = c.offsets_for_times([at], timeout=900)[0]
    c.assign([at])
    left, deadline = int(n), time.time() + 900
    while left > 0:
        m = c.poll(1.0)
        if m is None:
            assert time.time() < deadline, f"{left} records are missing"
            continue
        if m.error():
            raise KafkaException(m.error())
        show(m)
        left -= 1
    c.close()


def group(topic, name):
    c = Consumer(common | {"group.id": name, "auto.offset.reset": "earliest",
                  "session.timeout.ms": 6000, "auto.commit.interval.ms": 200})
    c.subscribe([topic], on_assign=lambda _, ps: print("assigned", *[p.partition for p in ps], flush=True))
    while True:
        m = c.poll(1.0)
        if m is not None and not m.error():
            show(m)


def txn(topic, n):
    p = Producer(common | {"transactional.id": "tx-" + topic})
    p.init_transactions(900)
    p.begin_transaction()
    write(p, topic, int(n), key=False)
    p.flush(900)
    p.abort_transaction(900)
    p.begin_transaction()
    write(p, topic, int(n))
    p.commit_transaction(900)


def done(futures):
    for f in futures.values():
        f.result(900)


def admin(topic):
    a = AdminClient(common)
    done(a.create_topics([NewTopic(topic, 2, 1, config={"retention.ms": "86400000"})]))
    try:
        done(a.create_topics([NewTopic(topic, 2, 1)]))
        raise AssertionError("a topic was made twice")
    except KafkaException as e:
        assert e.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS, e
    assert len(a.list_topics(topic, 900).topics[topic].partitions) == 2
    resource = ConfigResource(ResourceType.TOPIC, topic)
    assert list(a.describe_configs([resource]).values())[0].result(900)["retention.ms"].value == "86400000"
    resource.add_incremental_config(ConfigEntry("retention.ms", "3600000", incremental_operation=AlterConfigOpType.SET))
    done(a.incremental_alter_configs([resource]))
    resource = ConfigResource(ResourceType.TOPIC, topic)
    assert list(a.describe_configs([resource]).values())[0].result(900)["retention.ms"].value == "3600000"
    done(a.create_partitions([NewPartitions(topic, 3)]))
    deadline = time.time() + 900
    while len(a.list_topics(topic, 900).topics[topic].partitions) != 3:
        assert time.time() < deadline, "partitions were not added"
    a.list_consumer_groups().result(900)
    assert len(a.describe_cluster().result(900).nodes) == 1
    done(a.delete_topics([topic]))
    print("ok")


globals()[command](*args)
