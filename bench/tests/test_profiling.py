"""Stacks of py-spy, read as shares of packages and functions."""

from bench.profiling import read_stacks, shares

STACKS = """\
<module> (gateway/__main__.py:18);run (uvloop/__init__.py:92);handle (/x/libs/servicekit/src/servicekit/worker.py:80) 3
<module> (gateway/__main__.py:18);run (uvloop/__init__.py:92);loads (/x/lib/python3.11/site-packages/orjson/o.py:7) 5
<module> (gateway/__main__.py:18);run (uvloop/__init__.py:92);handle (/x/libs/servicekit/src/servicekit/worker.py:91) 2
"""


def test_lines_of_a_function_count_together_and_files_are_told_by_their_package() -> None:
    profile = read_stacks(STACKS)
    assert profile.samples == 10
    assert profile.packages == {"servicekit": 5, "orjson": 5}
    assert profile.functions == {"servicekit.worker.handle": 5, "orjson.o.loads": 5}


def test_a_caller_has_the_time_of_what_it_calls() -> None:
    assert read_stacks(STACKS).within["uvloop.__init__.run"] == 10


def test_shares_are_of_all_samples() -> None:
    profile = read_stacks(STACKS)
    assert shares(profile.packages, profile.samples, 1) == [("servicekit", 0.5)]
