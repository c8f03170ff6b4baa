// A producer and a consumer for starfall's --client, with kafkajs.
//
//     node client.js produce | consume

const readline = require('node:readline')
const { Kafka, logLevel } = require('kafkajs')

const env = process.env
const say = (what) => process.stdout.write(JSON.stringify(what) + '\n')

// Errors after which a record is definitely in no log.
const refused = new Set(['MESSAGE_TOO_LARGE', 'TOPIC_AUTHORIZATION_FAILED', 'CLUSTER_AUTHORIZATION_FAILED', 'INVALID_REQUIRED_ACKS'])

function connect(bootstrap) {
  return new Kafka({
    clientId: 'own-client',
    brokers: bootstrap.split(','),
    logLevel: logLevel.ERROR,
    logCreator: () => ({ log }) => console.error(log.message, log.error || ''),
    retry: { retries: 1000, initialRetryTime: 50, maxRetryTime: 500 },
    sasl: env.KAFKA_USER && { mechanism: env.KAFKA_SASL_MECHANISM.toLowerCase(), username: env.KAFKA_USER, password: env.KAFKA_PASSWORD },
  })
}

async function produce() {
  const acks = { all: -1, 1: 1, 0: 0 }[env.ACKS || 'all']
  let topic = env.TOPIC
  let producer = connect(env.KAFKA_BOOTSTRAP).producer()
  await producer.connect()
  let queue = []
  let busy = false
  let ended = false

  // What has come in meanwhile goes out as one batch.
  async function flush() {
    if (busy) return
    busy = true
    while (queue.length > 0) {
      const batch = queue.splice(0, 1000)
      try {
        const results = await producer.send({ topic, acks, messages: batch.map((o) => ({ key: o.key, value: o.value })) })
        // kafkajs tells one base offset a partition, and not which record went where.
        const one = results.length === 1 && results[0].baseOffset !== undefined
        batch.forEach((o, i) => {
          const where = one ? { partition: results[0].partition, offset: Number(results[0].baseOffset) + i } : {}
          say({ acked: o.send, ...where })
        })
      } catch (err) {
        const fate = refused.has(err.type) ? 'failed' : 'unknown'
        batch.forEach((o) => say({ [fate]: o.send, reason: String(err.message) }))
      }
    }
    busy = false
    if (ended) {
      await producer.disconnect()
      process.exit(0)
    }
  }

  const lines = readline.createInterface({ input: process.stdin })
  lines.on('line', async (line) => {
    const order = JSON.parse(line)
    if (order.bootstrap) {
      const old = producer
      topic = order.topic || topic
      producer = connect(order.bootstrap).producer()
      await producer.connect()
      old.disconnect().catch((err) => console.error(err.message))
    } else {
      queue.push(order)
    }
    flush()
  })
  lines.on('close', () => {
    ended = true
    flush()
  })
}

async function consume() {
  let consumer

  async function start(bootstrap, topics) {
    const kafka = connect(bootstrap)
    consumer = kafka.consumer({ groupId: env.GROUP, sessionTimeout: Number(env.SESSION_MS || 30000), readUncommitted: env.ISOLATION !== 'read_committed' })
    consumer.on(consumer.events.GROUP_JOIN, () => say({ ready: true }))
    await consumer.connect()
    await consumer.subscribe({ topics: topics.split(','), fromBeginning: env.START !== 'latest' })
    await consumer.run({
      autoCommitInterval: 1000,
      eachMessage: async ({ topic, partition, message }) => {
        // This is where the work is done. Only then is it said.
        say({ got: message.value.toString(), topic, partition, offset: Number(message.offset) })
      },
    })
  }

  const lines = readline.createInterface({ input: process.stdin })
  lines.on('line', async (line) => {
    const order = JSON.parse(line)
    await consumer.disconnect().catch((err) => console.error(err.message))
    await start(order.bootstrap, order.topic)
  })
  lines.on('close', async () => {
    await consumer.disconnect().catch((err) => console.error(err.message))
    process.exit(0)
  })
  await start(env.KAFKA_BOOTSTRAP, env.TOPIC)
}

process.on('SIGTERM', () => {}) // stdin closes, too: that is the sign
const roles = { produce, consume }
roles[process.argv[2]]().catch((err) => {
  console.error(err)
  process.exit(1)
})
