"""Which file the program was started from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

CODE = """
import json, os, sys
if FROZEN:
    sys.frozen = True
from app.executable import own_command, own_file
print(json.dumps([str(own_file()), own_command(), "SPOKE_EXECUTABLE" in os.environ]))
"""


def asked(*, frozen: bool, file: str | None) -> list[object]:
    environment = {name: value for name, value in os.environ.items() if name != "SPOKE_EXECUTABLE"}
    if file:
        environment["SPOKE_EXECUTABLE"] = file
    code = CODE.replace("FROZEN", str(frozen))
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
    answer: list[object] = json.loads(done.stdout)
    return answer


def test_the_one_file_starts_itself_and_children_do_not_hear_of_it(tmp_path: Path) -> None:
    file = tmp_path / "spoke"
    file.touch()
    assert asked(frozen=True, file=str(file)) == [str(file), [str(file)], False]


def test_a_file_that_is_gone_starts_what_it_unpacked(tmp_path: Path) -> None:
    gone = str(tmp_path / "gone")
    assert asked(frozen=True, file=gone) == [gone, [sys.executable], False]


def test_an_installed_release_is_no_one_file() -> None:
    assert asked(frozen=True, file=None) == ["None", [sys.executable], False]


def test_from_source_the_variable_means_nothing() -> None:
    assert asked(frozen=False, file="/usr/bin/spoke") == ["None", [sys.executable, "-m", "app"], False]
