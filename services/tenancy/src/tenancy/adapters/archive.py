"""A zip of files of JSON lines: it has its name once it is whole, and never before."""

import hashlib
import os
import tempfile
import zipfile
from collections.abc import AsyncIterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import orjson


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """A file of the zip: its name, how many records and bytes it holds, and their SHA-256."""

    name: str
    records: int
    bytes: int
    sha256: str


class Archive:
    """Writes files one after the other."""

    def __init__(self, zipped: zipfile.ZipFile) -> None:
        """Write into ``zipped``, which somebody else closes."""
        self._zipped = zipped

    @classmethod
    @contextmanager
    def at(cls, path: Path) -> Iterator[Self]:
        """Make the archive at ``path`` while inside, under another name; on an exception nothing is left of it.

        Only its owner can read it: it is text, of a whole tenant.

        Raises:
            FileExistsError: there is one already: nothing that may be the only copy is overwritten.
            OSError: it can't be written.
        """
        if path.exists():
            raise FileExistsError(path)
        descriptor, partial = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.", suffix=".part")
        try:
            with os.fdopen(descriptor, "w+b") as file:
                with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as zipped:
                    yield cls(zipped)
                file.flush()
                os.fsync(file.fileno())
            Path(partial).rename(path)
        except BaseException:
            Path(partial).unlink(missing_ok=True)
            raise

    async def lines(self, name: str, records: AsyncIterable[Any]) -> Written:
        """Write one record a line, as they come; what is held in memory is one of them."""
        digest, count, size = hashlib.sha256(), 0, 0
        with self._zipped.open(name, "w", force_zip64=True) as file:
            async for record in records:
                line = orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
                file.write(line)
                digest.update(line)
                count, size = count + 1, size + len(line)
        return Written(name=name, records=count, bytes=size, sha256=digest.hexdigest())

    def document(self, name: str, content: Any) -> None:  # noqa: ANN401 - any JSON
        """Write one JSON document, for people too."""
        self._zipped.writestr(name, orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
