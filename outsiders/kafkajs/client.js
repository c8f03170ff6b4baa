// What kafkajs is seen to do. Driven by outsiders/run, which sets BOOTSTRAP and
// NODE_PATH.
'use strict'
const { Kafka, logLevel, CompressionTypes, ConfigResourceTypes } = require('kafkajs')

const kafka = new Kafka({
  clientId: 'outsider', brokers: process.env.BOOTSTRAP.split(','), logLevel: logLevel.NOTHING,
  retry: { initialRetryTime: 200, maxRetryTime: 1000, retries: 60 },
})
const admin = kafka.admin()
const ok = (phase, text) => console.log(`ok ${phase}: ${text}`)
const fail = (phase, text) => { console.log(`FAILED ${phase}: ${text}`); process.exit(1) }
const sleep = ms => new Promise(done => setTimeout(done, ms))

function same(phase, got, want) {
  const g = [...got].sort(), w = [...want].sort()
  if (g.length !== w.length || g.some((v, i) => v !== w[i])) {
    const first = g.findIndex((v, i) => v !== w[i])
    fail(phase, `got ${g.length} records, want ${w.length}; sorted, record ${first} is ${g[first]}, want ${w[first]}`)
  }
}

// Reads topic in a group until count records came, and a little longer for
// records that should not come.
async function read(phase, topic, groupId, count, options = {}) {
  const consumer = kafka.consumer({ groupId, sessionTimeout: 10000, ...options })
  const got = []
  let joined = false
  consumer.on(consumer.events.GROUP_JOIN, () => { joined = true })
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  await consumer.run({ eachMessage: async ({ message }) => { got.push(message.value.toString()) } })
  const end = Date.now() + 45000
  while (got.length < count || !joined) {
    if (Date.now() > end) fail(phase, `read ${got.length} of ${count} records after 45 s`)
    await sleep(100)
  }
  await sleep(1500)
  await consumer.stop()
  await consumer.disconnect()
  return got
}

async function leader() {
  const { topics } = await admin.fetchTopicMetadata({ topics: ['survive'] })
  return topics[0].partitions[0].leader
}

async function survive() {
  const before = await leader()
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  const end = Date.now() + 75000
  const want = []
  let after = before
  for (let more = 0; more < 20; ) {
    if (Date.now() > end) fail('survive', `leader was ${before} and is ${after} after 75 s`)
    const value = `survive-${want.length + 1}`
    want.push(value)
    await producer.send({ topic: 'survive', acks: -1, messages: [{ value, partition: 0 }] })
    if (after !== before && after > 0) more++
    else if (want.length % 10 === 0) after = await leader()
    await sleep(100)
  }
  await producer.disconnect()
  same('survive', await read('survive', 'survive', 'kafkajs-survive', want.length), want)
  ok('survive', `${want.length} records once each, leader ${before} to ${after}`)
}

async function produce() {
  const want = []
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  for (const compression of ['None', 'GZIP']) {
    const values = Array.from({ length: 500 }, (_, i) => `${compression}-${i}`)
    await producer.send({
      topic: 'orders', acks: -1, compression: CompressionTypes[compression],
      messages: values.map((value, i) => ({ key: String(i), value })),
    })
    want.push(...values)
  }
  await producer.disconnect()
  ok('produce', '1000 records, idempotent, acks=all, gzip and none')
  return want
}

async function group(want) {
  same('group', await read('group', 'orders', 'kafkajs-readers', want.length), want)
  const again = await read('group', 'orders', 'kafkajs-readers', 0)
  if (again.length) fail('group', `read ${again.length} records again after the commit`)
  const listed = (await admin.listGroups()).groups.map(g => g.groupId)
  if (!listed.includes('kafkajs-readers')) fail('group', `not listed: ${listed}`)
  ok('group', `${want.length} records once, none again after the commit; listed`)
}

async function transact() {
  const producer = kafka.producer({ transactionalId: 'kafkajs-tx', idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  const want = []
  for (const kind of ['kept', 'dropped', 'after']) {
    const tx = await producer.transaction()
    const values = Array.from({ length: 50 }, (_, i) => `${kind}-${i}`)
    await tx.send({ topic: 'ledger', acks: -1, messages: values.map(value => ({ value })) })
    if (kind === 'dropped') { await tx.abort(); continue }
    await tx.sendOffsets({
      consumerGroupId: 'kafkajs-offsets', topics: [{ topic: 'orders', partitions: [{ partition: 0, offset: '7' }] }],
    })
    await tx.commit()
    want.push(...values)
  }
  await producer.disconnect()
  const [offsets] = await admin.fetchOffsets({ groupId: 'kafkajs-offsets', topics: ['orders'] })
  const got = offsets.partitions.find(p => p.partition === 0).offset
  if (got !== '7') fail('transact', `offset sent in a transaction: got ${got}, want 7`)
  same('transact', await read('transact', 'ledger', 'kafkajs-committed', 100), want)
  const all = await read('transact', 'ledger', 'kafkajs-all', 150, { readUncommitted: true })
  if (all.length !== 150) fail('transact', `read uncommitted: got ${all.length} records, want 150`)
  ok('transact', '100 committed records read, 50 aborted ones hidden, offsets in the transaction')
}

async function configs(topic) {
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false, resources: [{ type: ConfigResourceTypes.TOPIC, name: topic }],
  })
  return Object.fromEntries(resources[0].configEntries.map(e => [e.configName, e.configValue]))
}

async function describe() {
  const cluster = await admin.describeCluster()
  if (cluster.brokers.length < 2) fail('describe', `got ${cluster.brokers.length} brokers`)
  const got = await configs('orders')
  if (got['min.insync.replicas'] !== '2') fail('describe', `min.insync.replicas: got ${got['min.insync.replicas']}, want 2`)
  ok('describe', `cluster, ${Object.keys(got).length} configs of a topic`)
}

async function partitions(topic) {
  return (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length
}

// Waits for what a broker may learn a little after the controller.
async function until(what, holds) {
  const end = Date.now() + 20000
  for (let last = ''; Date.now() < end; await sleep(200)) {
    try {
      if (await holds()) return
    } catch (error) { last = error.message }
    if (Date.now() + 300 > end) fail('alter', `not so after 20 s: ${what} ${last}`)
  }
}

async function alter() {
  // waitForLeaders gives up when a broker does not know the topic yet, which with
  // KRaft is usual for some milliseconds; so this waits by itself.
  await admin.createTopics({ waitForLeaders: false, topics: [{ topic: 'made', numPartitions: 2, replicationFactor: 3 }] })
  await until('the topic is known', async () => (await partitions('made')) === 2)
  await admin.alterConfigs({
    validateOnly: false,
    resources: [{ type: ConfigResourceTypes.TOPIC, name: 'made', configEntries: [{ name: 'retention.ms', value: '120000' }] }],
  })
  await until('retention.ms is 120000', async () => (await configs('made'))['retention.ms'] === '120000')
  await admin.createPartitions({ topicPartitions: [{ topic: 'made', count: 4 }] })
  await until('there are 4 partitions', async () => (await partitions('made')) === 4)
  await admin.deleteTopics({ topics: ['made'] })
  ok('alter', 'topic created, config altered, partitions added, topic deleted')
}

async function main() {
  console.log(`version kafkajs ${require('kafkajs/package.json').version}, node ${process.version}`)
  await admin.connect()
  await survive()
  await group(await produce())
  await transact()
  await describe()
  await alter()
  await admin.disconnect()
}

main().then(() => process.exit(0), error => { console.log(`FAILED kafkajs: ${error.stack}`); process.exit(1) })
