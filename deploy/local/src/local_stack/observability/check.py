"""Rules, dashboards and settings, held to what the services export and to the programs that will read them."""

import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from local_stack.checkout import ROOT
from local_stack.observability.dashboards import DASHBOARDS
from local_stack.observability.exports import exports
from local_stack.observability.files import FOLDER, RULES, stale
from local_stack.observability.queries import Catalogue, Finding, QueryError, asked, catalogue, look, metric_of
from local_stack.observability.rules import groups

UNSHOWN: Final[Mapping[str, str]] = {}
"""Metrics that are in no panel and in no rule, each with its reason."""

PROXY: Final = ROOT / "deploy/scale/haproxy.cfg"
PROMETHEUS: Final = FOLDER / "prometheus/prometheus.yaml"


class CheckerMissingError(Exception):
    """A program that checks is not on this machine; the message says what to do."""


def queries() -> Iterator[tuple[str, str]]:
    """Give every query, with where it stands."""
    for group in groups():
        for rule in group["rules"]:
            yield f"rule {rule.get('alert') or rule['record']}", str(rule["expr"])
    for dashboard in DASHBOARDS:
        for panel in dashboard.panels:
            for line in panel.lines:
                yield f"{dashboard.name}, panel {panel.title!r}", line.query


def recorded() -> Catalogue:
    """Make the catalogue of what the services export and of what the rules record of it."""
    known = catalogue()
    for group in groups():
        for rule in group["rules"]:
            if "record" in rule:
                known.record(rule)
    return known


def wrong_queries() -> Iterator[Finding]:
    """Name queries that can't be read, or that ask for what nobody exports."""
    known = recorded()
    for where, query in queries():
        try:
            _, found = look(query, known)
        except QueryError as error:
            found = [str(error)]
        yield from (f"{where}: {one}" for one in found)


def unseen(unshown: Mapping[str, str] = UNSHOWN) -> Iterator[Finding]:
    """Name metrics that nobody would see, and exceptions that are none."""
    told = exports()
    shown = {metric_of(series, told) for _, query in queries() for series, _ in asked(query)}
    yield from (f"{name} is in no panel and in no rule" for name in sorted(told.keys() - shown - unshown.keys()))
    yield from (f"{name} is named as unshown, and is shown or is not there" for name in sorted(unshown.keys() & shown))


def run(program: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a checker.

    Raises:
        CheckerMissingError: it is not on this machine.
    """
    # Debian puts HAProxy where administrators look.
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
    if found is None:
        message = f"{program} is not there: run deploy/local/setup checkers"
        raise CheckerMissingError(message)
    return subprocess.run([found, *words], capture_output=True, text=True, check=False, timeout=120)


def refused() -> Iterator[Finding]:
    """Let Prometheus' and HAProxy's own checkers read what is theirs; gives what they say where they refuse.

    Raises:
        CheckerMissingError: one of them is not on this machine.
    """
    commands: Sequence[tuple[str, ...]] = (
        ("promtool", "check", "rules", str(RULES)),
        ("promtool", "check", "config", str(PROMETHEUS)),
        ("haproxy", "-c", "-f", str(PROXY)),
    )
    for command in commands:
        done = run(*command)
        if done.returncode != 0:
            yield f"{' '.join(command)}: {done.stdout}{done.stderr}"


def findings() -> Iterator[Finding]:
    """Hold everything to everything."""
    yield from stale()
    yield from wrong_queries()
    yield from unseen()
    yield from refused()
