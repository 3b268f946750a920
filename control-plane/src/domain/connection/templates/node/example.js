// Writes one message to the topic and reads it back. The password is read from KAFKA_PASSWORD.
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import kafkajs from "kafkajs";

const { Kafka, logLevel } = kafkajs;
const topic = "{{topic}}";
const password = process.env.KAFKA_PASSWORD;
if (!password) {
  console.error("set KAFKA_PASSWORD to the password of the Kafka user {{user}}");
  process.exit(1);
}

const kafka = new Kafka({
  brokers: "{{bootstrap}}".split(","),
  // The certificate and the host name are verified: rejectUnauthorized stays at its default, true.
  ssl: { ca: [readFileSync("{{ca_file}}", "utf8")] },
  sasl: { mechanism: "{{mechanism_lower}}", username: "{{user}}", password },
  logLevel: logLevel.ERROR,
});

async function createTopic() {
  const admin = kafka.admin();
  await admin.connect();
  // Partitions and replicas as the instance has them by default.
  if (!(await admin.listTopics()).includes(topic)) {
    await admin.createTopics({ topics: [{ topic, numPartitions: -1, replicationFactor: -1 }], waitForLeaders: true });
  }
  await admin.disconnect();
}

async function produce(message) {
  const producer = kafka.producer();
  await producer.connect();
  const [written] = await producer.send({ topic, acks: -1, messages: [{ key: "example", value: message }] });
  console.log(`produced: ${message} to ${topic}-${written.partition}@${written.baseOffset}`);
  await producer.disconnect();
}

async function consume(message) {
  const consumer = kafka.consumer({ groupId: `example-${randomUUID()}` });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  let timer;
  try {
    await new Promise((resolve, reject) => {
      timer = setTimeout(() => reject(new Error("the message was not read back within 60 seconds")), 60_000);
      consumer
        .run({
          eachMessage: async (record) => {
            if (record.message.value?.toString() === message) resolve();
          },
        })
        .catch(reject);
    });
    console.log(`consumed: ${message}`);
  } finally {
    clearTimeout(timer);
    await consumer.disconnect();
  }
}

const message = `hello ${randomUUID()}`;
await createTopic();
await produce(message);
await consume(message);
