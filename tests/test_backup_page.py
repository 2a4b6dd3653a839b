"""`docs/backup.md`: every command block works, in the order of the page."""

from __future__ import annotations

import re
from pathlib import Path

from tests.pages import ROOT, run_script

PAGE = (ROOT / "docs" / "backup.md").read_text()


def test_every_command_block_works(tmp_path: Path) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == PAGE.count("```") // 2 >= 8, "every block is one of commands"
    script = "spoke record -- true\n" + "\n".join(blocks)
    done = run_script(script, tmp_path)
    assert "manifest.json" in done.stdout
    assert "what was here before is in" in done.stderr
    assert "0 problems" in done.stderr
