"""``python -m tenancy export``: a tenant as a zip of JSON lines, for who holds a token of an admin of it.

It is a client of a gateway and runs anywhere: none of the service's settings is needed, and no database.
"""

import argparse
import asyncio
import getpass
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tenancy import bootstrap
from tenancy.adapters.gateway import Token
from tenancy.application.export import ExportError

JOB: Final = "export"
HELP: Final = "write what a gateway tells of a tenant into a zip of JSON lines"
TOKEN: Final = "PRODUCTION_TOKEN"  # noqa: S105 - a variable's name
_DESCRIPTION: Final = f"""
Writes events, bookings, artists, members and the tenant itself into a zip, each stream up to one position.
The token is that of an admin of the tenant. It is read from --token-file (and again whenever it is refused: write a
new one there before the old one ends), else from the environment variable {TOKEN}, else from standard input.
"""


def export(arguments: Sequence[str]) -> int:
    """Export as the arguments say; 0 where the zip is whole, 1 where there is none."""
    asked = _parser().parse_args(arguments)
    try:
        asyncio.run(bootstrap.export(asked.gateway, _token(asked.token_file), asked.out, tell=_tell))
    except FileExistsError:
        print(f"{asked.out} is there already, and is not overwritten", file=sys.stderr)
    except (ExportError, OSError, ValueError) as error:
        print(f"not exported: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("not exported: interrupted", file=sys.stderr)
    else:
        print(asked.out)
        return 0
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m tenancy {JOB}", description=_DESCRIPTION)
    parser.add_argument("--gateway", required=True, metavar="URL", help="the gateway, such as https://api.example.org")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE.zip", help="what to write; must not be there")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="a file with the token in it, and nothing else")
    return parser


def _token(file: Path | None) -> Token:
    """Take the token where it is told; never from an argument, which every user of the machine can read.

    Raises:
        ValueError: there is none.
        OSError: the file can't be read.
    """
    if file is not None:
        token = Token.in_file(file)
    else:
        token = Token(os.environ.get(TOKEN) or (getpass.getpass("Token: ") if sys.stdin.isatty() else sys.stdin.read()))
    if not token.text:
        message = "the token is empty"
        raise ValueError(message)
    return token


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
