"""The documentation builds without a warning, fetches nothing, and tells every problem and limit that the code has."""

import html
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from local_stack.checkout import ROOT
from local_stack.observability.rules import anchor, every_alert
from production_contracts.problems import PROBLEM_TYPES

MEMBERS = (
    "contracts",
    "libs/servicekit",
    "services/gateway",
    "services/booking",
    "services/tenancy",
    "services/notifications",
)
BOUND = re.compile(r"^((?:LARGEST|LONGEST|SMALLEST|MOST)(?!_WAIT)[A-Z_]*)\b.*=", re.MULTILINE)
UNTOLD = {
    "production_contracts.topics:LARGEST_RECORD",  # of a topic; what makes a record, a body, has its own bound
    "production_contracts.topics:LARGEST_DEAD_LETTER",
    "production_contracts.envelope:LARGEST_PARTITION",  # what Kafka itself can count
    "servicekit.owner_api:LARGEST_POSITION",  # the gateway's stands before it, as do these two
    "servicekit.owner_api:LARGEST_EVENT_PAGE",
    "booking.entrypoints.http:LARGEST_PAGE",
    "tenancy.entrypoints.http:LARGEST_PAGE",
    "tenancy.entrypoints.http:LONGEST_CURSOR",  # cursors are made here
    "tenancy.entrypoints.members:LARGEST_PAGE",
    "tenancy.entrypoints.members:LONGEST_CURSOR",
    "booking.entrypoints.cursors:LARGEST_VERSION",
    "tenancy.application.export:LARGEST_PAGE",  # what it asks for, as far as the gateway lets it
    "tenancy.application.export:LARGEST_EVENT_PAGE",
    "servicekit.server:LARGEST_WEBSOCKET_MESSAGE",  # notifications sets its own
    "servicekit.tokens:LONGEST_ID",  # ids are the identity provider's
    "servicekit.tokens:LONGEST_LIFE_SECONDS",  # a setting
    "booking.adapters.roster:MOST_REMEMBERED",  # a cache
    "gateway.adapters.limits:MOST_TOGETHER",  # who is one more is counted in the next call
    "gateway.adapters.connections:LARGEST_ANSWER",  # many times of what a service of ours answers
    "production_contracts.audit:LONGEST_ADDRESS",  # longer than any address
    "servicekit.audit.verification:MOST_EVENTS",  # how a verification tells an entry that covers others
    "servicekit.audit.verification:MOST_TOLD",  # lines that it prints
    "servicekit.deadletters.rejection:LONGEST_TYPE",  # types are ours; what is no type of ours is cut
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr
    return folder


def test_every_page_is_there_and_no_link_or_anchor_leads_nowhere(site: Path) -> None:
    pages = {page.relative_to(site).as_posix() for page in site.rglob("*.html")}
    made = ("api", "capacity", "limits", "measurements", "problems", "promises", "settings", "topics")
    assert {f"reference/{name}.html" for name in made} <= pages
    assert len([page for page in pages if page.startswith("decisions/0")]) == len(
        list((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    )


def test_programs_are_shown_and_not_the_marks_that_bring_them(site: Path) -> None:
    texts = [html.unescape(re.sub(r"<[^>]+>", "", page.read_text())) for page in site.rglob("*.html")]
    assert [found[0] for text in texts if (found := re.search(r"-+ ?8 ?< ?-+.*", text))] == []
    for program in (
        "docs/examples/follow.mjs",
        "docs/examples/follow.py",
        "docs/examples/verify_audit.py",
        "contracts/examples/consume_bookings.py",
    ):
        whole = (ROOT / program).read_text().strip()
        assert any(whole in text for text in texts), f"{program} is on no page"


def test_a_reader_fetches_nothing_from_elsewhere(site: Path) -> None:
    fetched = re.compile(r"""<(?:script|link|img|iframe)[^>]+(?:src|href)=["']?(?:https?:)?//""")
    assert [page.name for page in site.rglob("*.html") if fetched.search(page.read_text())] == []
    assert [style.name for style in site.rglob("*.css") if re.search(r"url\(.?https?:", style.read_text())] == []


@pytest.mark.parametrize("slug", PROBLEM_TYPES)
def test_every_problem_has_a_place_to_link_to(site: Path, slug: str) -> None:
    assert f'<h2 id="{slug}">' in (site / "reference" / "problems.html").read_text()


def test_every_alert_leads_to_a_place_in_the_runbooks(site: Path) -> None:
    page = (site / "how-to" / "runbooks.html").read_text()
    assert [alert.name for alert in every_alert() if f'<h3 id="{anchor(alert)}">' not in page] == []


def test_every_bound_of_the_code_is_on_the_page_of_limits_or_is_none_of_a_readers_affair() -> None:
    page = (ROOT / "docs" / "pages" / "limits.py").read_text()
    untold = set()
    for folder in MEMBERS:
        source = ROOT / folder / "src"
        for file in source.rglob("*.py"):
            module = file.relative_to(source).with_suffix("").parts
            bounds = BOUND.findall(file.read_text())
            untold |= {f"{'.'.join(module)}:{bound}" for bound in bounds if f"{module[-1]}.{bound}" not in page}
    assert untold == UNTOLD
