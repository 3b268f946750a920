"""Writes one message to the topic and reads it back. The password is read from KAFKA_PASSWORD."""

import os
import sys
import time
import uuid

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

TOPIC = "{{topic}}"

if "KAFKA_PASSWORD" not in os.environ:
    sys.exit("set KAFKA_PASSWORD to the password of the Kafka user {{user}}")

CONNECTION = {
    "bootstrap.servers": "{{bootstrap}}",
    "security.protocol": "SASL_SSL",
    "sasl.mechanisms": "{{mechanism}}",
    "sasl.username": "{{user}}",
    "sasl.password": os.environ["KAFKA_PASSWORD"],
    "ssl.ca.location": "{{ca_file}}",
    "ssl.endpoint.identification.algorithm": "https",
}


def create_topic():
    # Partitions and replicas as the instance has them by default.
    new_topic = NewTopic(TOPIC, num_partitions=-1, replication_factor=-1)
    admin = AdminClient(CONNECTION)
    try:
        admin.create_topics([new_topic])[TOPIC].result()
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise


def produce(message):
    outcome = []
    producer = Producer({**CONNECTION, "enable.idempotence": True})
    producer.produce(TOPIC, key="example", value=message, callback=lambda *args: outcome.append(args))
    producer.flush(60)
    if not outcome:
        sys.exit("the message was not acknowledged within 60 seconds")
    error, written = outcome[0]
    if error:
        raise KafkaException(error)
    print(f"produced: {message} to {written.topic()}-{written.partition()}@{written.offset()}")


def consume(message):
    consumer = Consumer({**CONNECTION, "group.id": f"example-{uuid.uuid4()}", "auto.offset.reset": "earliest"})
    consumer.subscribe([TOPIC])
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            record = consumer.poll(1)
            if record is None:
                continue
            if record.error():
                raise KafkaException(record.error())
            if record.value().decode() == message:
                print(f"consumed: {message}")
                return
    finally:
        consumer.close()
    sys.exit("the message was not read back within 60 seconds")


if __name__ == "__main__":
    text = f"hello {uuid.uuid4()}"
    create_topic()
    produce(text)
    consume(text)
