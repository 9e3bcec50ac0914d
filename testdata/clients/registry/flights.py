"""Writes flights with confluent-kafka's serializers and reads a table back with
its deserializers: flights.py URL FORMAT FLIGHTS, FORMAT being AVRO, PROTOBUF or
JSON_SR. Exits with 1 and a word if anything is not as it should be."""

import base64
import json
import sys
import urllib.request

from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.serialization import MessageField, SerializationContext

url, fmt, path = sys.argv[1:]
# What the same queries give over JSON: flights, delays summed, greatest delay
# and least distance, by origin.
EXPECTED = {
    "DFW": [1103, 10462, 298, 89],
    "ORD": [1095, 8181, 259, 67],
    "ATL": [846, 6611, 365, 134],
}
ORIGINS = 220
topic, stream, table = f"flights_{fmt}".lower(), f"flights_{fmt}", f"origins_{fmt}"
registry = SchemaRegistryClient({"url": url})
context = SerializationContext(topic, MessageField.VALUE)


def fail(message):
    print(f"{fmt}: {message}")
    sys.exit(1)


def post(path, body):
    request = urllib.request.Request(url + path, data=body.encode(), headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as e:
        fail(f"{path}: {e.code} {e.read().decode()}")


def ksql(text):
    return post("/ksql", json.dumps({"ksql": text, "streamsProperties": {"auto.offset.reset": "earliest"}}))


def message_class(name, fields):
    """A generated message class, without protoc."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name=f"{name.lower()}.proto", syntax="proto3")
    message = file.message_type.add(name=name)
    for number, (field, kind) in enumerate(fields, 1):
        message.field.add(name=field, number=number, type=kind, label=1)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))


if fmt == "AVRO":
    from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer

    schema = {
        "type": "record",
        "name": "Flight",
        "namespace": "org.example",
        "fields": [
            {"name": "date", "type": "string"},
            {"name": "delay", "type": ["null", "int"], "default": None},
            {"name": "distance", "type": "int"},
            {"name": "origin", "type": "string"},
            {"name": "destination", "type": {"type": "string", "avro.java.string": "String"}},
        ],
    }
    serialize = AvroSerializer(registry, json.dumps(schema))
    deserialize = AvroDeserializer(registry)
elif fmt == "JSON_SR":
    from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer

    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Flight",
        "type": "object",
        "properties": {
            "date": {"type": "string"},
            "delay": {"type": "integer"},
            "distance": {"type": "integer"},
            "origin": {"type": "string"},
            "destination": {"type": "string"},
        },
        "required": ["date", "origin"],
    }
    serialize = JSONSerializer(json.dumps(schema), registry)
    deserialize = JSONDeserializer(None, schema_registry_client=registry)
else:
    from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
    from google.protobuf.descriptor_pb2 import FieldDescriptorProto as F

    Flight = message_class(
        "Flight",
        [("date", F.TYPE_STRING), ("delay", F.TYPE_SINT32), ("distance", F.TYPE_UINT32), ("origin", F.TYPE_STRING), ("destination", F.TYPE_STRING)],
    )
    Origin = message_class("ConnectDefault1", [("N", F.TYPE_INT64), ("DELAYS", F.TYPE_INT64), ("WORST", F.TYPE_INT32), ("NEAREST", F.TYPE_INT64)])
    proto = ProtobufSerializer(Flight, registry, {"use.deprecated.format": False})

    def serialize(flight, context):
        return proto(Flight(**flight), context)

    unproto = ProtobufDeserializer(Origin, {"use.deprecated.format": False})

    def deserialize(value, context):
        message = unproto(value, context)
        return message and {f.name: getattr(message, f.name) for f in Origin.DESCRIPTOR.fields}


# The topic is made by a stream that declares a column; what the serializers
# register is then found by another one that declares none.
ksql(f"CREATE STREAM {stream}_topic (ignored INT) WITH (KAFKA_TOPIC='{topic}', PARTITIONS=2, VALUE_FORMAT='JSON');")
lines = []
with open(path) as flights:
    for line in flights:
        value = serialize(json.loads(line), context)
        lines.append(json.dumps({"valueBase64": base64.b64encode(value).decode()}))
acknowledged = json.loads(post(f"/topics/{topic}/records", "\n".join(lines)).splitlines()[-1])
if acknowledged.get("acknowledged") != len(lines):
    fail(f"produced {len(lines)}: {acknowledged}")

ksql(f"CREATE STREAM {stream} WITH (KAFKA_TOPIC='{topic}', VALUE_FORMAT='{fmt}');")
ksql(
    f"CREATE TABLE {table} WITH (VALUE_FORMAT='{fmt}') AS SELECT origin, COUNT(*) AS n, SUM(CAST(delay AS BIGINT)) AS delays, "
    f"MAX(CAST(delay AS INT)) AS worst, MIN(CAST(distance AS BIGINT)) AS nearest FROM {stream} GROUP BY origin EMIT CHANGES;"
)


def pull(where):
    answer = post("/query-stream", json.dumps({"sql": f"SELECT origin, n, delays, worst, nearest FROM {table}{where};"}))
    rows = [json.loads(line.strip().strip("[],")) if line.startswith("{") else json.loads(line) for line in answer.splitlines() if line.strip()]
    return [row for row in rows if isinstance(row, list)]


for origin, want in EXPECTED.items():
    got = pull(f" WHERE origin = '{origin}'")
    if got != [[origin] + want]:
        fail(f"{origin}: the pull query says {got}, expected {want}")
if len(pull("")) != ORIGINS:
    fail(f"{len(pull(''))} origins, expected {ORIGINS}")

# The table's topic, read by the deserializers: the last value of each key.
sink = SerializationContext(table.upper(), MessageField.VALUE)
last = {}
with urllib.request.urlopen(f"{url}/topics/{table.upper()}/records?from=beginning&exit=true") as records:
    for line in records:
        record = json.loads(line)
        value = base64.b64decode(record["valueBase64"]) if "valueBase64" in record else record["value"].encode()
        last[record["key"]] = deserialize(value, sink)
for origin, want in EXPECTED.items():
    got = [last[origin][name] for name in ("N", "DELAYS", "WORST", "NEAREST")]
    if got != want:
        fail(f"{origin}: the deserializer reads {got}, expected {want}")

# The rest of what clients ask a registry.
subject = f"{topic}-value"
latest = registry.get_latest_version(subject)
if registry.get_version(subject, latest.version).schema_id != latest.schema_id or subject not in registry.get_subjects():
    fail("the versions of the subject")
if registry.lookup_schema(subject, registry.get_schema(latest.schema_id)).version != latest.version:
    fail("looking the schema up")
if not registry.test_compatibility(subject, latest.schema):
    fail("a schema is not compatible with itself")
registry.set_compatibility(subject_name=subject, level="FULL")
if registry.get_compatibility(subject_name=subject) != "FULL":
    fail("the compatibility level")
if registry.delete_subject(subject) != [1] or registry.delete_subject(subject, permanent=True) != [1]:
    fail("deleting the subject")
print(f"{fmt}: {len(lines)} flights of {len(last)} origins")
