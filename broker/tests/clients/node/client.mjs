// The Node.js client kafkajs: reads its plan on standard input, says how each case went on standard output.
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import kafkajs from 'kafkajs'
import snappy from 'kafkajs-snappy'

const { Kafka, CompressionTypes, CompressionCodecs, logLevel } = kafkajs
CompressionCodecs[CompressionTypes.Snappy] = snappy

const WAIT_MS = 40_000
// Most cases wait for a rebalance or a time-out, so some run at a time.
const AT_A_TIME = 4
const MECHANISMS = { PLAIN: 'plain', 'SCRAM-SHA-256': 'scram-sha-256', 'SCRAM-SHA-512': 'scram-sha-512' }

class Case {
  constructor(line) {
    for (const pair of line.split('\t')) {
      const equals = pair.indexOf('=')
      this[pair.slice(0, equals)] = pair.slice(equals + 1)
    }
    this.brokers = this.bootstrap.split(',')
  }

  // A line of the transcript: nothing in it may differ between two runs.
  trace(text) {
    this.say('trace', text)
  }

  say(kind, text) {
    process.stdout.write(`${kind}\t${this.id}\t${String(text).replace(/\s+/g, ' ')}\n`)
  }

  // Host-name verification stays on.
  kafka({ password = process.env.KAFKA_PASSWORD, trust = true, retries = 5 } = {}) {
    const settings = { brokers: this.brokers, logLevel: logLevel.NOTHING, retry: { retries }, connectionTimeout: 4000 }
    if (this.path === 'sasl-ssl') {
      settings.ssl = trust ? { ca: [readFileSync(this.ca, 'utf8')] } : true
      if (this.tls) Object.assign(settings.ssl, { minVersion: `TLSv${this.tls}`, maxVersion: `TLSv${this.tls}` })
      settings.sasl = { mechanism: MECHANISMS[this.mechanism], username: this.user, password }
    }
    return new Kafka(settings)
  }
}

function expect(holds, otherwise) {
  if (!holds) throw new Error(otherwise)
}

function equal(expected, found, what) {
  const [a, b] = [JSON.stringify(expected), JSON.stringify(found)]
  expect(a === b, `${what}: expected ${a.slice(0, 300)}, found ${b.slice(0, 300)}`)
}

async function until(what, holds) {
  const deadline = Date.now() + WAIT_MS
  while (!(await holds())) {
    expect(Date.now() < deadline, `not in time: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

async function withClient(client, use) {
  await client.connect()
  try {
    return await use(client)
  } finally {
    await client.disconnect()
  }
}

const send = (c, messages, { compression, ...settings } = {}) =>
  withClient(c.kafka().producer(settings), (producer) => producer.send({ topic: c.topic, messages, compression, acks: -1 }))

// Reads until `count` records are there; kafkajs has no way to read without a group.
async function read(c, count, { readUncommitted = true } = {}) {
  const groupId = `${c.topic}-${readUncommitted ? 'all' : 'committed'}`
  const records = []
  await withClient(c.kafka().consumer({ groupId, readUncommitted }), async (consumer) => {
    await consumer.subscribe({ topic: c.topic, fromBeginning: true })
    await consumer.run({ eachMessage: async ({ message }) => void records.push(message) })
    await until(`${count} records are read`, () => records.length >= count)
  })
  return records
}

const numbered = (count) => Array.from({ length: count }, (_, i) => ({ key: `key-${i}`, value: `value-${i}` }))

async function roundTrip(c) {
  await send(c, numbered(100).map((record, i) => ({ ...record, headers: { number: String(i) } })))
  const found = (await read(c, 100)).map((r) => [r.key.toString(), r.value.toString(), r.headers.number.toString()])
  equal(numbered(100).map((r, i) => [r.key, r.value, String(i)]), found, 'records')
  c.trace('100 records came back in order with keys, values and headers')
}

// lz4 and zstd are native add-ons here, and those are not built.
async function compression(c) {
  const value = 'compressible '.repeat(80)
  const codecs = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy }
  for (const [name, codec] of Object.entries(codecs)) {
    await send(c, Array(20).fill({ key: name, value }), { compression: codec })
  }
  const records = await read(c, 60)
  for (const name of Object.keys(codecs)) {
    const count = records.filter((r) => r.key.toString() === name && r.value.toString() === value).length
    c.trace(`${name}: ${count} records`)
    equal(20, count, name)
  }
}

async function idempotent(c) {
  await send(c, numbered(200), { idempotent: true, maxInFlightRequests: 1 })
  equal(numbered(200).map((r) => r.value), (await read(c, 200)).map((r) => r.value.toString()), 'records')
  c.trace('200 records, each once and in order')
}

async function transaction(c) {
  await withClient(c.kafka().producer({ transactionalId: c.topic, idempotent: true, maxInFlightRequests: 1 }), async (producer) => {
    for (const commit of [true, false, true]) {
      const transaction = await producer.transaction()
      await transaction.send({ topic: c.topic, messages: Array(10).fill({ value: commit ? 'kept' : 'aborted' }) })
      await (commit ? transaction.commit() : transaction.abort())
    }
  })
  equal(30, (await read(c, 30)).length, 'all records')
  const committed = await read(c, 20, { readUncommitted: false })
  equal(Array(20).fill('kept'), committed.map((r) => r.value.toString()), 'committed records')
  c.trace('read_committed saw 20 records, read_uncommitted 30')
}

class Member {
  constructor(c, seen) {
    this.consumer = c.kafka().consumer({ groupId: c.topic })
    this.partitions = 0
    this.consumer.on(this.consumer.events.GROUP_JOIN, ({ payload }) => {
      this.partitions = (payload.memberAssignment[c.topic] ?? []).length
    })
    this.start = async () => {
      await this.consumer.connect()
      await this.consumer.subscribe({ topic: c.topic, fromBeginning: true })
      await this.consumer.run({ eachMessage: async ({ message }) => void seen.add(message.value.toString()) })
    }
  }
}

async function shareAndResume(c) {
  const seen = new Set()
  const members = [new Member(c, seen), new Member(c, seen)]
  await Promise.all(members.map((m) => m.start()))
  try {
    await until('each member has a partition', () => members.every((m) => m.partitions === 1))
    c.trace('two members, a partition each')
    await sendToBoth(c, 0, 20)
    await until('all records are read', () => seen.size === 40)
  } finally {
    await Promise.all(members.map((m) => m.consumer.disconnect())) // commits what was read
  }
  await sendToBoth(c, 20, 25)
  const after = new Set()
  const third = new Member(c, after)
  await third.start()
  try {
    await until('the new records are read', () => after.size >= 10)
  } finally {
    await third.consumer.disconnect()
  }
  equal(10, after.size, 'records after the commit')
  expect([...after].every((value) => !seen.has(value)), 'a committed record was read again')
  c.trace('a later member resumed after 40 committed records with 10 new ones')
}

function sendToBoth(c, from, to) {
  const numbers = Array.from({ length: to - from }, (_, i) => from + i)
  return send(c, [0, 1].flatMap((partition) => numbers.map((i) => ({ partition, value: `${partition}/${i}` }))))
}

const admin = (c) =>
  withClient(c.kafka().admin(), async (client) => {
    const { brokers } = await client.describeCluster()
    equal([...c.brokers].sort(), brokers.map((b) => `${b.host}:${b.port}`).sort(), 'describe cluster')
    c.trace('describe cluster: every broker, at its address on this path')
    const topic = c.topic
    await client.createTopics({ topics: [{ topic, numPartitions: 2, configEntries: [{ name: 'retention.ms', value: '3600000' }] }] })
    const partitions = async () => (await client.fetchTopicMetadata({ topics: [topic] }).catch(() => ({ topics: [] }))).topics[0]?.partitions.length ?? 0
    await until('the topic has 2 partitions', async () => (await partitions()) === 2)
    c.trace('created a topic of 2 partitions')
    await client.createPartitions({ topicPartitions: [{ topic, count: 3 }] })
    await until('the topic has 3 partitions', async () => (await partitions()) === 3)
    c.trace('now 3 partitions')
    await client.listGroups()
    await client.deleteTopics({ topics: [topic] })
    await until('the topic is gone', async () => !(await client.listTopics()).includes(topic))
    c.trace('deleted')
  })

async function refusal(c, options) {
  const client = c.kafka({ ...options, retries: 1 }).admin()
  try {
    await client.connect()
    await client.describeCluster()
  } catch (refused) {
    return refused
  } finally {
    await client.disconnect()
  }
  throw new Error('was let in')
}

async function wrongPassword(c) {
  const refused = await refusal(c, { password: 'not-the-password' })
  expect(refused.name === 'KafkaJSSASLAuthenticationError', `refused by ${refused}`)
  c.trace(`wrong password: ${refused.name}`)
}

async function untrusted(c) {
  const refused = await refusal(c, { trust: false })
  expect(/certificate/.test(refused.message), `refused by ${refused}`)
  c.trace('unknown authority: certificate not trusted')
}

async function wrongPort(c) {
  await refusal(c)
  c.trace('wrong port: refused')
}

const SCENARIOS = {
  'round-trip': roundTrip, compression, idempotent, transaction, 'group-classic': shareAndResume, admin,
  'wrong-password': wrongPassword, untrusted, 'tls-on-plaintext': wrongPort, 'plaintext-on-tls': wrongPort,
}

async function run(c) {
  const began = Date.now()
  try {
    expect(SCENARIOS[c.scenario], 'this client does not know the scenario')
    await SCENARIOS[c.scenario](c)
    c.say('ok', Date.now() - began)
  } catch (failure) {
    console.error(c.id, failure)
    c.say('fail', `${failure.name}: ${failure.message}`)
  }
}

const cases = []
for await (const line of createInterface({ input: process.stdin })) cases.push(new Case(line))
const worker = async () => {
  for (let c = cases.shift(); c; c = cases.shift()) await run(c)
}
await Promise.all(Array.from({ length: AT_A_TIME }, worker))
process.exit(0)
