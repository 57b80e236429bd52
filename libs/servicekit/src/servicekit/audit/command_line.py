"""The tool ``python -m <service> audit``: is the trail as it was written?

What it prints is for people, and for pipes: heads to the standard output, flaws and the summary to the error output.
"""

import argparse
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Final
from uuid import UUID

from production_contracts.events import Stream
from servicekit.audit import verification
from servicekit.audit.chain import Link
from servicekit.audit.verification import MOST_TOLD, Report
from servicekit.database import Database

JOB: Final = "audit"
HELP: Final = "verify the audit trail, and print its heads to be kept elsewhere"
_DIGEST_BYTES: Final = 32

WithDatabase = Callable[[Callable[[Database], Awaitable[Report]]], Report]
"""Does something with the service's database, and closes it."""


class HeadsError(ValueError):
    """This file does not hold heads as we print them: the message says where."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the tool can be told."""
    todo = parser.add_subparsers(dest="step", metavar="step", required=True)
    verify = todo.add_parser(
        "verify",
        help="follow each tenant's chain, and compare it with its head, the events, the outcomes and heads kept before",
    )
    verify.add_argument("--tenant", type=UUID, help="only this one")
    verify.add_argument(
        "--heads", type=Path, metavar="FILE", help="what a verification of before printed: it must stand"
    )
    verify.add_argument("--only-new", action="store_true", help="with --heads: only what was entered since then")


def run(asked: argparse.Namespace, stream: Stream, with_database: WithDatabase) -> int:
    """Verify; 0 where all is as it was written, 1 where not, 2 where that could not be asked."""
    if asked.only_new and asked.heads is None:
        print("--only-new needs --heads: from where on?", file=sys.stderr)
        return 2
    try:
        kept = {} if asked.heads is None else read_heads(asked.heads.read_text().splitlines())
    except (OSError, UnicodeDecodeError, HeadsError) as error:
        print(f"{asked.heads}: {error}", file=sys.stderr)
        return 2
    if asked.tenant is not None:
        kept = {tenant: link for tenant, link in kept.items() if tenant == asked.tenant}
    report = with_database(
        lambda database: verification.verify(
            database, stream, tenant_id=asked.tenant, kept=kept, only_new=asked.only_new
        )
    )
    _tell(stream, report)
    return 1 if report.flaws else 0


def _tell(stream: Stream, report: Report) -> None:
    for tenant, flaws in report.flaws.items():
        for flaw in flaws[:MOST_TOLD]:
            where = "" if flaw.sequence is None else f", entry {flaw.sequence}"
            print(f"{stream}, tenant {tenant}{where}: {flaw.what}", file=sys.stderr)
        if len(flaws) > MOST_TOLD:
            print(f"{stream}, tenant {tenant}: and {len(flaws) - MOST_TOLD} more", file=sys.stderr)
    verdict = f"{len(report.flaws)} of them flawed" if report.flaws else "all as they were written"
    print(f"{stream}: {report.tenants} trails with {report.entries} entries verified, {verdict}", file=sys.stderr)
    for line in write_heads({tenant: link for tenant, link in report.ends.items() if tenant not in report.flaws}):
        print(line)


def write_heads(heads: Mapping[UUID, Link]) -> list[str]:
    """Write heads, a line each: tenant, sequence, digest, position."""
    return [f"{tenant} {link.sequence} {link.digest.hex()} {link.position}" for tenant, link in heads.items()]


def read_heads(lines: Iterable[str]) -> dict[UUID, Link]:
    """Read what `write_heads` writes.

    Raises:
        HeadsError: it is not that.
    """
    heads = {}
    for number, line in enumerate(lines, start=1):
        try:
            tenant, sequence, digest, position = line.split()
            link = Link(sequence=int(sequence), digest=bytes.fromhex(digest), position=int(position))
        except ValueError:
            message = f"line {number} is not a head: tenant, sequence, digest and position"
            raise HeadsError(message) from None
        if len(link.digest) != _DIGEST_BYTES or link.sequence < 1 or link.position < 0:
            message = f"line {number} is not a head that was ever printed"
            raise HeadsError(message)
        heads[UUID(tenant)] = link
    return heads
