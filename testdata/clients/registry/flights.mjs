// Writes flights with @confluentinc/schemaregistry's serializers and reads a
// table back with its deserializers: flights.mjs URL FORMAT FLIGHTS, FORMAT
// being AVRO, PROTOBUF or JSON_SR. Exits with 1 and a word if anything is not
// as it should be.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

// The package is where KARST_NODE_MODULES says, or above this file.
const modules = process.env.KARST_NODE_MODULES;
const require = createRequire(modules ? join(modules, "x.js") : import.meta.url);
const sr = require("@confluentinc/schemaregistry");

const [url, format, path] = process.argv.slice(2);
const expected = { DFW: [1103, 10462, 298, 89], ORD: [1095, 8181, 259, 67], ATL: [846, 6611, 365, 134] };
const topic = `node_flights_${format}`.toLowerCase();
const stream = topic.toUpperCase();
const table = `NODE_ORIGINS_${format}`;
const client = new sr.SchemaRegistryClient({ baseURLs: [url] });

function fail(message) {
  console.log(`${format}: ${message}`);
  process.exit(1);
}

async function post(path, body) {
  const answer = await fetch(url + path, { method: "POST", body, headers: { "Content-Type": "application/json" } });
  const text = await answer.text();
  if (!answer.ok) fail(`${path}: ${answer.status} ${text}`);
  return text;
}

const ksql = (text) => post("/ksql", JSON.stringify({ ksql: text, streamsProperties: { "auto.offset.reset": "earliest" } }));

// A message's description, made without protoc.
function description(name, fields) {
  const { create, createFileRegistry } = require("@bufbuild/protobuf");
  const { FileDescriptorProtoSchema } = require("@bufbuild/protobuf/wkt");
  const file = create(FileDescriptorProtoSchema, {
    name: `${name.toLowerCase()}.proto`,
    syntax: "proto3",
    messageType: [{ name, field: fields.map(([field, type], i) => ({ name: field, number: i + 1, type, label: 1, jsonName: field })) }],
  });
  return createFileRegistry(file, () => undefined).getMessage(name);
}

async function serdes() {
  const value = sr.SerdeType.VALUE;
  if (format === "AVRO") {
    const schema = {
      type: "record",
      name: "Flight",
      fields: [
        { name: "date", type: "string" },
        { name: "delay", type: "int" },
        { name: "distance", type: "long" },
        { name: "origin", type: "string" },
        { name: "destination", type: ["null", "string"], default: null },
      ],
    };
    await client.register(`${topic}-value`, { schema: JSON.stringify(schema), schemaType: "AVRO" });
    // The union's values are wrapped by their type, as avsc has it by default.
    const out = new sr.AvroSerializer(client, value, { useLatestVersion: true });
    return [(f) => out.serialize(topic, f), new sr.AvroDeserializer(client, value, {})];
  }
  if (format === "JSON_SR") {
    const text = { type: "string" }, number = { type: "integer" };
    const schema = { type: "object", properties: { date: text, delay: number, distance: number, origin: text, destination: text } };
    await client.register(`${topic}-value`, { schema: JSON.stringify(schema), schemaType: "JSON" });
    const out = new sr.JsonSerializer(client, value, { useLatestVersion: true });
    return [(f) => out.serialize(topic, f), new sr.JsonDeserializer(client, value, {})];
  }
  const { create, createMutableRegistry } = require("@bufbuild/protobuf");
  const flight = description("Flight", [["date", 9], ["delay", 17], ["distance", 5], ["origin", 9], ["destination", 9]]);
  const registry = createMutableRegistry(flight);
  const out = new sr.ProtobufSerializer(client, value, { registry, autoRegisterSchemas: true });
  return [(f) => out.serialize(topic, create(flight, f)), new sr.ProtobufDeserializer(client, value, {})];
}

await ksql(`CREATE STREAM ${stream}_TOPIC (ignored INT) WITH (KAFKA_TOPIC='${topic}', PARTITIONS=2, VALUE_FORMAT='JSON');`);
const [serialize, deserializer] = await serdes();
const lines = [];
for (const line of readFileSync(path, "utf8").split("\n").filter((l) => l)) {
  lines.push(JSON.stringify({ valueBase64: (await serialize(JSON.parse(line))).toString("base64") }));
}
const acknowledged = JSON.parse((await post(`/topics/${topic}/records`, lines.join("\n"))).trim().split("\n").at(-1));
if (acknowledged.acknowledged !== lines.length) fail(`produced ${lines.length}: ${JSON.stringify(acknowledged)}`);

await ksql(`CREATE STREAM ${stream} WITH (KAFKA_TOPIC='${topic}', VALUE_FORMAT='${format}');`);
await ksql(
  `CREATE TABLE ${table} WITH (VALUE_FORMAT='${format}') AS SELECT origin, COUNT(*) AS n, SUM(CAST(delay AS BIGINT)) AS delays,
   MAX(CAST(delay AS INT)) AS worst, MIN(CAST(distance AS BIGINT)) AS nearest FROM ${stream} GROUP BY origin EMIT CHANGES;`,
);
for (const [origin, want] of Object.entries(expected)) {
  const answer = await post("/query-stream", JSON.stringify({ sql: `SELECT origin, n, delays, worst, nearest FROM ${table} WHERE origin = '${origin}';` }));
  const row = answer.trim().split("\n").map((l) => JSON.parse(l)).find((r) => Array.isArray(r));
  if (JSON.stringify(row) !== JSON.stringify([origin, ...want])) fail(`${origin}: the pull query says ${JSON.stringify(row)}, expected ${want}`);
}

const last = {};
const records = await (await fetch(`${url}/topics/${table}/records?from=beginning&exit=true`)).text();
for (const line of records.split("\n").filter((l) => l)) {
  const record = JSON.parse(line);
  const bytes = record.valueBase64 ? Buffer.from(record.valueBase64, "base64") : Buffer.from(record.value);
  last[record.key] = await deserializer.deserialize(table, bytes);
}
for (const [origin, want] of Object.entries(expected)) {
  const number = (x) => Number(x !== null && typeof x === "object" ? Object.values(x)[0] : x); // of a union
  const got = ["N", "DELAYS", "WORST", "NEAREST"].map((name) => number(last[origin][name]));
  if (JSON.stringify(got) !== JSON.stringify(want)) fail(`${origin}: the deserializer reads ${got}, expected ${want}`);
}
console.log(`${format}: ${lines.length} flights of ${Object.keys(last).length} origins`);
