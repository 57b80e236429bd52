"""Facts of the identity provider, in whatever order and however often they come.

What is known of something is the newest fact about it, by the provider's own clock. Facts are in a total order, so that
the newest is the same whoever heard which first: by time, then what ends before what begins, then by what they say.
"""

from datetime import datetime

Rank = tuple[object, ...]
"""A fact's place among those about the same; the greatest is what is known."""


def rank(as_of: datetime | None, *words: object, ends: bool = False) -> Rank:
    """Give a fact its place: its time, whether it ends what it is about, and what it says; None is of before all."""
    if as_of is None:
        return ()
    return (as_of, ends, *(("", "") if word is None else ("stated", str(word)) for word in words))
