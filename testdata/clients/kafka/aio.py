"""The checks of README.md by aiokafka, which speaks the protocol by itself."""
import asyncio
import os
import sys

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

BASE = int(os.environ["BASE_MS"])
bootstrap, command, args = sys.argv[1], sys.argv[2], sys.argv[3:]
common = {"bootstrap_servers": bootstrap}
if os.environ.get("KAFKA_SASL"):
    common |= {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": os.environ["KAFKA_SASL"],
               "sasl_plain_username": os.environ["KAFKA_USER"], "sasl_plain_password": os.environ["KAFKA_PASSWORD"]}


def show(m):
    header = dict(m.headers or []).get("h", b"")
    key = m.key.decode() if m.key is not None else ""
    print(m.partition, m.offset, m.timestamp, key, m.value.decode(), header.decode(), sep="\t", flush=True)


async def write(p, topic, n, key=True):
    sent = []
    for i in range(n):
        sent.append(await p.send(topic, f"v{i}".encode(), f"k{i}".encode() if key else None, partition=0, timestamp_ms=BASE + i,
                                 headers=[("h", str(i).encode())]))
    await p.flush()
    for f in sent:
        await f


async def produce(topic, codec, n):
    async with AIOKafkaProducer(**common, acks="all", compression_type=None if codec == "none" else codec, linger_ms=5) as p:
        await write(p, topic, int(n))


async def consume(topic, start, n):
    async with AIOKafkaConsumer(**common, isolation_level="read_committed", auto_offset_reset="none", enable_auto_commit=False) as c:
        tp = TopicPartition(topic, 0)
        c.assign([tp])
        if start.startswith("t"):
            at = (await c.offsets_for_times({tp: int(start[1:])}))[tp].offset
        else:
            at = int(start)
        c.seek(tp, at)
        for _ in range(int(n)):
            show(await asyncio.wait_for(c.getone(), 900))


async def group(topic, name):
    async with AIOKafkaConsumer(topic, **common, group_id=name, auto_offset_reset="earliest", session_timeout_ms=6000,
                                heartbeat_interval_ms=500, auto_commit_interval_ms=200) as c:
        async for m in c:
            show(m)


async def txn(topic, n):
    async with AIOKafkaProducer(**common, transactional_id="tx-" + topic) as p:
        await p.begin_transaction()
        await write(p, topic, int(n), key=False)
        await p.abort_transaction()
        async with p.transaction():
            await write(p, topic, int(n))


async def admin(topic):
    a = AIOKafkaAdminClient(**common)
    await a.start()
    await a.create_topics([NewTopic(topic, 2, 1, topic_configs={"retention.ms": "86400000"})])
    assert len((await a.describe_topics([topic]))[0]["partitions"]) == 2
    resource = ConfigResource(ConfigResourceType.TOPIC, topic)
    got = await a.describe_configs([resource])
    assert ("retention.ms", "86400000") in [(c[0], c[1]) for c in got[0].resources[0][4]], got
    await a.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs={"retention.ms": "3600000"})])
    got = await a.describe_configs([resource])
    assert ("retention.ms", "3600000") in [(c[0], c[1]) for c in got[0].resources[0][4]], got
    await a.create_partitions({topic: NewPartitions(3)})
    await a.list_consumer_groups()
    await a.describe_cluster()
    await a.delete_topics([topic])
    await a.close()
    print("ok")


asyncio.run(globals()[command](*args))
