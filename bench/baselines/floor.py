"""The floor of latency: bare hops through Kafka with aiokafka, and one commit; nothing is checked, decided or answered.

``python -m bench.baselines.floor relay --port N`` passes records on: what it reads from the first topic it commits to
PostgreSQL, one transaction for what came together, and writes to the second; with three topics it then also passes on
from the second to the third. ``python -m bench.baselines.floor ask`` writes to the first topic at random moments and
reads from the last: it prints how long each record took. Settings are those of the services: ``acks=all``, idempotent,
no lingering.
"""

import argparse
import asyncio
import gc
import os
import random
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from itertools import pairwise
from typing import Any, Final

import asyncpg
import orjson
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from local_stack.port import HOST

_LAST_SECONDS: Final = 30.0
_INSERT: Final = "insert into floor (body) select unnest($1::bytea[])"

Pass = Callable[[list[ConsumerRecord]], Awaitable[None]]


def _options() -> dict[str, Any]:
    options: dict[str, Any] = orjson.loads(os.environ["FLOOR_KAFKA"])
    return options


def _topics() -> list[str]:
    return os.environ["FLOOR_TOPICS"].split(",")


def _producer() -> AIOKafkaProducer:
    return AIOKafkaProducer(**_options(), acks="all", enable_idempotence=True)


async def _consumer(topic: str) -> AIOKafkaConsumer:
    """Read all partitions of a topic from now on, in no group."""
    consumer = AIOKafkaConsumer(**_options(), auto_offset_reset="latest", enable_auto_commit=False)
    await consumer.start()
    while not (partitions := consumer.partitions_for_topic(topic)):
        await consumer._client.force_metadata_update()  # noqa: SLF001 - there is no other way to wait for it
    consumer.assign([TopicPartition(topic, partition) for partition in sorted(partitions)])
    for partition in consumer.assignment():
        await consumer.position(partition)
    return consumer


async def relay(port: int) -> None:
    """Pass records on, for ever."""
    async with AsyncExitStack() as stack:
        producer = _producer()
        await producer.start()
        stack.push_async_callback(producer.stop)
        pool = await asyncpg.create_pool(os.environ["FLOOR_DATABASE"], min_size=1, max_size=1)
        stack.push_async_callback(pool.close)

        async def commit(records: list[ConsumerRecord]) -> None:
            async with pool.acquire() as connection, connection.transaction():
                await connection.execute(_INSERT, [record.value for record in records])

        async def nothing(records: list[ConsumerRecord]) -> None:
            del records

        topics = _topics()
        hops = []
        for number, (source, target) in enumerate(pairwise(topics)):
            consumer = await _consumer(source)
            stack.push_async_callback(consumer.stop)
            hops.append(_pass_on(consumer, producer, target, commit if number == 0 else nothing))
        server = await asyncio.start_server(_say_ready, HOST, port)
        stack.push_async_callback(server.wait_closed)
        stack.callback(server.close)
        await asyncio.gather(*hops)


async def _say_ready(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
    writer.close()


async def _pass_on(consumer: AIOKafkaConsumer, producer: AIOKafkaProducer, target: str, before: Pass) -> None:
    while True:
        found = await consumer.getmany(timeout_ms=500)
        records = [record for together in found.values() for record in together]
        if records:
            await before(records)
            for record in records:
                await producer.send(target, key=record.key, value=record.value)


async def ask(rate: float, seconds: float, size: int, keys: int) -> list[float]:
    """Write at random moments, ``rate`` a second, and give how long each took to come back, in milliseconds."""
    topics = _topics()
    producer = _producer()
    await producer.start()
    consumer = await _consumer(topics[-1])
    taken: list[float] = []
    due: dict[int, float] = {}
    over = asyncio.Event()

    async def read() -> None:
        while not (over.is_set() and not due):
            found = await consumer.getmany(timeout_ms=100)
            now = time.perf_counter()
            for records in found.values():
                for record in records:
                    began = due.pop(int(record.value[:10]), None)
                    if began is not None:
                        taken.append((now - began) * 1000)

    gc.collect()
    gc.disable()
    reading = asyncio.create_task(read())
    moments = random.Random(1)  # noqa: S311 - the same moments each time
    filling = b"x" * (size - 10)
    at = time.perf_counter()
    end = at + seconds
    number = 0
    while (at := at + moments.expovariate(rate)) < end:
        early = at - time.perf_counter()
        if early > 0:
            await asyncio.sleep(early)
        due[number] = time.perf_counter()
        await producer.send(topics[0], key=b"%d" % (number % keys), value=b"%010d" % number + filling)
        number += 1
    over.set()
    await asyncio.wait_for(reading, _LAST_SECONDS)
    await consumer.stop()
    await producer.stop()
    return sorted(taken)


def main() -> None:
    """Do one of the two."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["relay", "ask"])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--rate", type=float, default=100)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--size", type=int, default=600)
    parser.add_argument("--keys", type=int, default=50)
    told = parser.parse_args()
    if told.what == "relay":
        uvloop.run(relay(told.port))
    else:
        sys.stdout.buffer.write(orjson.dumps(uvloop.run(ask(told.rate, told.seconds, told.size, told.keys))))


if __name__ == "__main__":
    main()
