"""The hook by which MkDocs gets the pages that are made from the code, and every decision into its menu.

A page stands in `PAGES` once; it is made while the site is built and stored nowhere else.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from pages import (
    api,
    capacity,
    limits,
    measurements,
    principals,
    problems,
    product,
    promises,
    redis_users,
    settings,
    topics,
)

PAGES: Final[dict[str, Callable[[], str]]] = {
    "reference/settings.md": settings.page,
    "reference/api.md": api.page,
    "reference/topics.md": topics.page,
    "reference/principals.md": principals.page,
    "reference/redis-users.md": redis_users.page,
    "reference/problems.md": problems.page,
    "reference/limits.md": limits.page,
    "reference/product.md": product.page,
    "reference/promises.md": promises.page,
    "reference/measurements.md": measurements.page,
    "reference/capacity.md": capacity.page,
}
_DECISIONS: Final = "decisions"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the decisions into the menu, in order of their numbers, so that a new one need not be named twice."""
    written = sorted(Path(config.docs_dir, _DECISIONS).glob("[0-9]*.md"))
    menu: list[Any] = config.nav or []
    menu.append({"Decisions": [f"{_DECISIONS}/README.md", *(f"{_DECISIONS}/{file.name}" for file in written)]})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made from the code."""
    for path, make in PAGES.items():
        files.append(File.generated(config, path, content=make()))
    return files
