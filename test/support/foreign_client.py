"""Another client of the same topics: librdkafka with Confluent's Avro serializers and fastavro.

Reads one JSON object from the standard input and answers with one on the standard output.
The prefix stands in front of the topic at the cluster; subjects of the registry go by the topic.

  {"do": "produce", brokers, registry, prefix, topic, keySchema, batches: [{schema, commit, compression, records: [{key, value}]}]}
  {"do": "consume", brokers, registry, prefix, topic, count}
"""

import base64
import datetime
import json
import sys

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext


def produce(task, registry):
    topic = task["topic"]
    write_key = AvroSerializer(registry, json.dumps(task["keySchema"]))
    places = []
    for number, batch in enumerate(task["batches"]):
        write_value = AvroSerializer(registry, json.dumps(batch["schema"]))
        producer = Producer(
            {
                "bootstrap.servers": task["brokers"],
                "transactional.id": f"{task['prefix']}{topic}-{number}",
                "partitioner": "murmur2_random",
                "compression.type": batch["compression"],
            }
        )
        producer.init_transactions(30)
        producer.begin_transaction()

        def delivered(error, message):
            if error is not None:
                raise RuntimeError(str(error))
            places.append([message.partition(), message.offset()])

        for record in batch["records"]:
            producer.produce(
                task["prefix"] + topic,
                key=write_key(record["key"], SerializationContext(topic, MessageField.KEY)),
                value=write_value(record["value"], SerializationContext(topic, MessageField.VALUE)),
                timestamp=record["value"]["at"],
                headers=[("origin", b"python")],
                on_delivery=delivered,
            )
        producer.flush(30)
        if batch["commit"]:
            producer.commit_transaction(30)
        else:
            producer.abort_transaction(30)
    return {"delivered": len(places)}


def consume(task, registry):
    topic = task["topic"]
    read_key = AvroDeserializer(registry)
    read_value = AvroDeserializer(registry)
    consumer = Consumer(
        {
            "bootstrap.servers": task["brokers"],
            "group.id": task["prefix"] + "foreign",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
        }
    )
    name = task["prefix"] + topic
    partitions = consumer.list_topics(name, 30).topics[name].partitions
    consumer.assign([TopicPartition(name, partition, 0) for partition in partitions])
    records = []
    while len(records) < task["count"]:
        message = consumer.poll(20)
        if message is None:
            break
        if message.error():
            raise RuntimeError(str(message.error()))
        records.append(
            {
                "partition": message.partition(),
                "offset": message.offset(),
                "timestamp": message.timestamp()[1],
                "key": read_key(message.key(), SerializationContext(topic, MessageField.KEY)),
                "value": read_value(message.value(), SerializationContext(topic, MessageField.VALUE)),
            }
        )
    extra = consumer.poll(1)
    consumer.close()
    return {"records": records, "more": extra is not None}


def plain(value):
    if isinstance(value, datetime.datetime):
        return round(value.timestamp() * 1000)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(str(type(value)))


def main():
    task = json.load(sys.stdin)
    registry = SchemaRegistryClient({"url": task["registry"]})
    result = {"produce": produce, "consume": consume}[task["do"]](task, registry)
    json.dump(result, sys.stdout, default=plain)


main()
