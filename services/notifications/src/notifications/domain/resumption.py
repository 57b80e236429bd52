"""Where a socket begins: from now, from where it was, or, where that can't be, from the head with a word about it."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """How far a stream is: the position of its last event (0: there is none), in which epoch of its numbering."""

    position: int
    epoch: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """Where a socket begins in a stream; ``resync``: what it knew before is worth nothing, it must read anew."""

    position: int
    resync: bool


def epoch_of(heads: dict[str, Head]) -> str:
    """Make the epoch that clients see out of those of all streams, in the order of ``heads``."""
    return ".".join(head.epoch for head in heads.values())


def starts(heads: dict[str, Head], after: dict[str, int], epoch: str | None, furthest: int) -> dict[str, Start]:
    """Decide where a socket begins in each stream.

    Args:
        heads: how far each stream is.
        after: the last positions that the client has; a stream it does not name begins at its head.
        epoch: the epoch that the client saw (None: it names none). One that differs makes its positions worthless.
        furthest: how many events behind the head a client may resume.
    """
    foreign = _foreign(heads, epoch)
    return {
        stream: start(after.get(stream), head.position, foreign=stream in foreign, furthest=furthest)
        for stream, head in heads.items()
    }


def start(after: int | None, head: int, *, foreign: bool, furthest: int) -> Start:
    """Decide where a socket begins in one stream; ``foreign``: its positions are of another epoch."""
    if foreign:
        return Start(position=head, resync=True)
    if after is None:
        return Start(position=head, resync=False)
    if after > head or head - after > furthest:
        return Start(position=head, resync=True)
    return Start(position=after, resync=False)


def _foreign(heads: dict[str, Head], epoch: str | None) -> set[str]:
    if epoch is None:
        return set()
    parts = epoch.split(".")
    if len(parts) != len(heads):
        return set(heads)
    return {stream for (stream, head), part in zip(heads.items(), parts, strict=True) if head.epoch != part}
