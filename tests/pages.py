"""The pages of the documentation as what they are made of, and as scripts.

A block is a fence with a language. What happens with it:

* `sh` is run by bash, `python` by Python, `toml` is added to the configuration: in page order.
* `text`, `json`, `javascript` and what else there is are for reading.
* What cannot be run here has a comment above it: `<!-- not run: why -->`, or `<!-- run by tests/…/test_x.py -->`.

`python -m tests.pages` lists what is not run.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
ELSEWHERE = {
    "cli.md": "run by tests/app/cli/test_cli.py: it is made of those examples",
    "install.md": "needs the built file; tests/packaging/install.sh does the same in a fresh root file system",
}
"""Pages whose blocks are not for here, and why."""
RUN = ("sh", "python", "toml")
_FENCE = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]+) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Block:
    """One fence of a page; `why_not` says why it is not run here, or is empty."""

    language: str
    text: str
    line: int
    why_not: str

    @property
    def runs(self) -> bool:
        """Whether the page's script has it."""
        return self.language in RUN and not self.why_not


def pages() -> list[Path]:
    """Every page, the front page first."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """The fences of a page."""
    text = page.read_text()
    found = []
    for match in _FENCE.finditer(text):
        mark = match["mark"] or ""
        why_not = ELSEWHERE.get(page.name) or (mark if mark.startswith(("not run: ", "run by ")) else "")
        found.append(Block(match["language"], match["text"], text.count("\n", 0, match.start()) + 1, why_not))
    return found


def script(page: Path, port: int) -> str:
    """What the page tells its reader to do, for bash.

    Readers are slower than programs: after a line that starts the services in the background we wait until they are
    there. The hub's port is exchanged for one that is free.
    """
    lines = [_BEGIN]
    for number, block in enumerate(one for one in blocks(page) if one.runs):
        lines.append(f'echo "-- {page.name}, line {block.line}" >&2')
        if block.language == "sh":
            lines += [_waiting(line) for line in block.text.splitlines()]
        else:
            target, run = (
                ('>> "$SPOKE_CONFIG"', ":") if block.language == "toml" else (f"> {number}.py", f"python3 {number}.py")
            )
            lines += [f"cat {target} <<'END-OF-BLOCK'", block.text.rstrip("\n"), "END-OF-BLOCK", run]
    return "\n".join(lines).replace("7710", str(port)) + "\n"


_BEGIN = """\
until_hub() { until (exec 3<>/dev/tcp/127.0.0.1/7710) 2>/dev/null; do kill -0 $! || exit 1; sleep 0.05; done; }
until_node() { until [ -S "${1:-$SPOKE_DATA_DIR}/spoke.sock" ]; do kill -0 $! || exit 1; sleep 0.05; done; }
"""


def _waiting(line: str) -> str:
    started = re.match(r"spoke (?:--data-dir (?P<folder>\S+) )?(?P<what>hub run|run)\b.*&$", line)
    if not started:
        return line
    if started["what"] == "run":
        return f"{line}\nuntil_node {started['folder'] or ''}"
    return line.replace("hub run", "hub run --port 7710") + "\nuntil_hub"


def main() -> None:
    """List what is not run, and why."""
    for page in pages():
        for block in blocks(page):
            if block.language in RUN and block.why_not:
                print(f"{page.relative_to(ROOT)}:{block.line} {block.why_not}")


if __name__ == "__main__":
    main()
