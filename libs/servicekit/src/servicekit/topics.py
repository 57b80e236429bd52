"""The one job that creates the topics; nothing is ever created by accident."""

import asyncio

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from production_contracts.topics import ALL_TOPICS
from servicekit.access import KafkaAccess

DEADLINE_S = 60.0

log = structlog.get_logger(__name__)


class TopicsDifferError(Exception):
    """A topic that exists has other partitions than asked for; partitions are never changed, since keys would move."""


async def create_topics(kafka: KafkaAccess | str, *, partitions: int, replication: int) -> list[str]:
    """Create the topics that are missing, and name them.

    Raises:
        TopicsDifferError: one that is there has another number of partitions.
        KafkaError: Kafka said no.
        TimeoutError: Kafka did not answer within a minute.
    """
    async with asyncio.timeout(DEADLINE_S):
        admin = await connect(kafka)
        try:
            present = {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics()}
            differing = {t.name: present[t.name] for t in ALL_TOPICS if present.get(t.name, partitions) != partitions}
            if differing:
                message = f"asked for {partitions} partitions, but there are: {differing}"
                raise TopicsDifferError(message)
            missing = [topic for topic in ALL_TOPICS if topic.name not in present]
            answer = await admin.create_topics(
                [
                    NewTopic(
                        topic.name,
                        num_partitions=partitions,
                        replication_factor=replication,
                        topic_configs={
                            "retention.ms": str(topic.retention_ms),
                            "cleanup.policy": "delete",
                            "max.message.bytes": str(topic.largest_record_bytes),
                        },
                    )
                    for topic in missing
                ]
            )
            for name, code, *_ in answer.topic_errors:
                if code and not issubclass(for_code(code), TopicAlreadyExistsError):
                    raise for_code(code)(name)
            return [topic.name for topic in missing]
        finally:
            await admin.close()


async def connect(kafka: KafkaAccess | str) -> AIOKafkaAdminClient:
    """Connect as soon as Kafka answers and lets us in; the caller sets the deadline, and closes."""
    options = KafkaAccess.of(kafka).options()
    while True:
        admin = AIOKafkaAdminClient(**options, client_id="provisioning")
        try:
            await admin.start()
        except (KafkaError, OSError) as error:
            log.info("waiting_for_kafka", error=str(error))
            await admin.close()
            await asyncio.sleep(0.5)
        else:
            return admin
