// The checks of README.md by kafkajs.
'use strict'
const { Kafka, CompressionTypes, CompressionCodecs, logLevel, ConfigResourceTypes } = require('kafkajs')
CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy')
CompressionCodecs[CompressionTypes.LZ4] = new (require('kafkajs-lz4'))().codec
const codecs = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy, lz4: CompressionTypes.LZ4 }
try {
  const zstd = require('@mongodb-js/zstd')
  CompressionCodecs[CompressionTypes.ZSTD] = () => ({ compress: e => zstd.compress(e.buffer), decompress: b => zstd.decompress(b) })
  codecs.zstd = CompressionTypes.ZSTD
} catch (e) {
  if (e.code !== 'MODULE_NOT_FOUND') throw e
}

const BASE = Number(process.env.BASE_MS)
const [bootstrap, command, ...args] = process.argv.slice(2)
const { KAFKA_SASL, KAFKA_USER, KAFKA_PASSWORD } = process.env
const sasl = KAFKA_SASL && { mechanism: KAFKA_SASL.toLowerCase(), username: KAFKA_USER, password: KAFKA_PASSWORD }
const kafka = new Kafka({ clientId: 'kafkajs', brokers: [bootstrap], logLevel: logLevel.ERROR, sasl })

const records = (n, keys = true) => Array.from({ length: n }, (_, i) => ({
  key: keys ? `k${i}` : null, value: `v${i}`, partition: 0, headers: { h: String(i) }, timestamp: String(BASE + i),
}))

function show (partition, m) {
  const header = m.headers && m.headers.h ? m.headers.h.toString() : ''
  console.log([partition, m.offset, m.timestamp, m.key ? m.key.toString() : '', m.value.toString(), header].join('\t'))
}

async function send (producer, topic, list, compression) {
  for (let i = 0; i < list.length; i += 500) {
    await producer.send({ topic, acks: -1, compression, messages: list.slice(i, i + 500) })
  }
}

const commands = {
  async produce (topic, codec, n) {
    if (!(codec in codecs)) process.exit(77)
    const producer = kafka.producer()
    await producer.connect()
    await send(producer, topic, records(Number(n)), codecs[codec])
    await producer.disconnect()
  },

  async consume (topic, from, n) {
    let offset = from
    if (from.startsWith('t')) {
      const admin = kafka.admin()
      await admin.connect()
      offset = (await admin.fetchTopicOffsetsByTimestamp(topic, Number(from.slice(1)))).find(p => p.partition === 0).offset
      await admin.disconnect()
    }
    const consumer = kafka.consumer({ groupId: 'kafkajs-' + topic + '-' + process.pid, readUncommitted: false })
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    let left = Number(n)
    await new Promise((resolve, reject) => {
      setTimeout(() => reject(new Error(`${left} records are missing`)), 900000).unref()
      consumer.run({
        autoCommit: false,
        eachMessage: async ({ partition, message }) => {
          if (partition !== 0 || BigInt(message.offset) < BigInt(offset) || left <= 0) return
          show(partition, message)
          if (--left === 0) resolve()
        },
      })
      consumer.seek({ topic, partition: 0, offset })
    })
    await consumer.disconnect()
  },

  async group (topic, groupId) {
    const consumer = kafka.consumer({ groupId, sessionTimeout: 6000, heartbeatInterval: 500 })
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    consumer.on(consumer.events.GROUP_JOIN, e => console.log('assigned', ...(e.payload.memberAssignment[topic] || [])))
    await consumer.run({ autoCommitInterval: 200, eachMessage: async ({ partition, message }) => show(partition, message) })
    await new Promise(() => {})
  },

  async txn (topic, n) {
    const producer = kafka.producer({ transactionalId: 'tx-' + topic, maxInFlightRequests: 1, idempotent: true })
    await producer.connect()
    let t = await producer.transaction()
    await send(t, topic, records(Number(n), false))
    await t.abort()
    t = await producer.transaction()
    await send(t, topic, records(Number(n)))
    await t.commit()
    await producer.disconnect()
  },

  async admin (topic) {
    const admin = kafka.admin()
    await admin.connect()
    const made = () => admin.createTopics({ waitForLeaders: true, topics: [{ topic, numPartitions: 2, configEntries: [{ name: 'retention.ms', value: '86400000' }] }] })
    check(await made(), 'the topic was not made')
    check(!await made(), 'a topic was made twice')
    const retention = async () => (await admin.describeConfigs({ includeSynonyms: false, resources: [{ type: ConfigResourceTypes.TOPIC, name: topic }] }))
      .resources[0].configEntries.find(e => e.configName === 'retention.ms').configValue
    check(await retention() === '86400000', 'retention.ms')
    await admin.alterConfigs({ resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries: [{ name: 'retention.ms', value: '39000000' }] }] })
    check(await retention() === '39000000', 'retention.ms after the change')
    await admin.createPartitions({ topicPartitions: [{ topic, count: 3 }] })
    check((await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length === 3, 'partitions')
    await admin.listGroups()
    check((await admin.describeCluster()).brokers.length === 1, 'brokers')
    await admin.deleteTopics({ topics: [topic] })
    check(!(await admin.listTopics()).includes(topic), 'the topic was not deleted')
    await admin.disconnect()
    console.log('ok')
  },
}

function check (ok, what) {
  if (!ok) throw new Error(what)
}

commands[command](...args).then(() => process.stdout.write('', () => process.exit(0)), e => {
  console.error(e)
  process.exit(1)
})
