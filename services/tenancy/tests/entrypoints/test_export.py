"""The export's command line: where the token comes from, and that none of the service's settings is asked for."""

import io
import subprocess
import sys
from pathlib import Path

import pytest

from tenancy.entrypoints.command_line import export

NOWHERE = "http://127.0.0.1:1"


def test_a_token_is_read_from_its_file_before_the_environment_before_standard_input(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("of the file\n")
    monkeypatch.setattr("sys.stdin", io.StringIO("of standard input\n"))
    monkeypatch.delenv(export.TOKEN, raising=False)
    assert export._token(None).text == "of standard input"
    monkeypatch.setenv(export.TOKEN, "of the environment")
    assert export._token(None).text == "of the environment"
    assert export._token(file).text == "of the file"


def test_without_a_token_or_with_a_file_that_is_not_there_nothing_is_exported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    monkeypatch.delenv(export.TOKEN, raising=False)
    out = tmp_path / "x.zip"
    asked = ["--gateway", NOWHERE, "--out", str(out)]
    assert export.export(asked) == 1
    assert export.export([*asked, "--token-file", str(tmp_path / "none")]) == 1
    said = capsys.readouterr()
    assert (said.out, said.err.count("not exported: ")) == ("", 2)
    assert not out.exists()


def test_it_asks_for_no_setting_of_the_service_and_takes_no_token_as_an_argument() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tenancy", export.JOB, "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={},
    )
    assert "--token-file" in run.stdout
    assert "--token " not in run.stdout
