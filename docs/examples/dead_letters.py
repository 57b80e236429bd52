"""List the dead letters of a topic: where each stood, why it was put aside, and what it is.

python dead_letters.py booking.commands.v1
"""

import asyncio
import os
import sys

from aiokafka import AIOKafkaConsumer

KAFKA = "127.0.0.1:19092"


async def main() -> None:
    """Read the topic from its beginning to its present end, in no group."""
    consumer = AIOKafkaConsumer(
        f"{sys.argv[1]}.dlq",
        bootstrap_servers=KAFKA,
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_plain_username=os.environ["KAFKA_USERNAME"],
        sasl_plain_password=os.environ["KAFKA_PASSWORD"],
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        for partition, end in ends.items():
            while await consumer.position(partition) < end:
                record = await consumer.getone(partition)
                headers = {name: value.decode(errors="replace") for name, value in record.headers}
                print(headers["dlq_topic"], headers["dlq_partition"], headers["dlq_offset"], headers["dlq_time"])
                print("  ", headers["dlq_reason"])
                print("  ", headers.get("ce_type"), headers.get("ce_id"), "of tenant", (record.key or b"").decode())
    finally:
        await consumer.stop()


asyncio.run(main())
