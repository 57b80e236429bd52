"""A library that says the same many times a second is heard now and then, and counted."""

import logging

from servicekit import repeats


def complaint(text: str, *args: object, name: str = "aiokafka.client", level: int = logging.ERROR) -> logging.LogRecord:
    return logging.LogRecord(name, level, "client.py", 1, text, args, None)


def test_what_a_chatty_library_repeats_passes_once_in_a_while_and_is_counted() -> None:
    now = 0.0
    held = repeats.Repeats(lambda: now)
    assert [held.filter(complaint("no node %s", node)) for node in (1, 2, 1)] == [True, False, False]
    now = repeats.QUIET_SECONDS
    again = complaint("no node %s", 1)
    assert held.filter(again)
    assert vars(again)["repeated"] == 2
    assert not held.filter(complaint("no node %s", 1))


def test_other_messages_levels_and_loggers_pass() -> None:
    held = repeats.Repeats(lambda: 0.0)
    assert held.filter(complaint("lost"))
    assert held.filter(complaint("lost", level=logging.WARNING))
    assert held.filter(complaint("found"))
    assert held.filter(complaint("lost", name="aiokafka.conn"))
    ours = [held.filter(complaint("lost", name="servicekit.kafka")) for _ in range(3)]
    assert ours == [True, True, True]


def test_messages_without_end_are_not_kept_for_ever() -> None:
    held = repeats.Repeats(lambda: 0.0)
    assert all(held.filter(complaint(f"text {number}")) for number in range(5_000))
    assert not held.filter(complaint("text 4999"))
    assert held.filter(complaint("text 0"))
