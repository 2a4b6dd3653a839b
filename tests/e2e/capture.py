"""Writes docs/screens: what the built executable shows at 100x30, as text and as pictures. Run: make screens.

Everything that is seen is recorded here, on the spot: commands, the log of an agent, a graph, jobs, a hub on this
machine. The executable runs in tmux; a step goes on when what it waits for is shown.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from storage.engine import Database
from storage.graphs.writing import create_graph, put_edge, put_node
from storage.tenants import open_tenant_database
from tests.e2e.binary import BINARY, LIMIT_S
from tests.e2e.terminal import Terminal

TARGET = Path(__file__).parents[2] / "docs" / "screens"
COLUMNS, ROWS = 100, 30
THEME = TerminalTheme(
    (18, 18, 18),
    (224, 224, 224),
    [
        (18, 18, 18),
        (244, 93, 93),
        (98, 190, 120),
        (230, 180, 80),
        (90, 150, 240),
        (190, 130, 230),
        (80, 190, 200),
        (224, 224, 224),
    ],
)
STEPS = (
    ("overview", "", ("● LIVE", "mend the parser")),
    ("sessions", "2", ("sessions 3", "release 1.2")),
    ("session", "/ r e l e a s e =1_of Enter Enter", ("command.tar",)),
    ("call-detail", "e Enter", ('"exitCode"', "open in $PAGER")),
    ("detail-pane", "Escape =command.tar d", ("EXIT_CODE: exit code 2",)),
    (
        "messages",
        "2 =sessions_1 Escape =sessions_3 / m e n d =1_of Enter Enter =agent.run m",
        ("Look at the parser", "Read"),
    ),
    ("graphs", "3", ("release 1.2", "task-dependencies")),
    ("graph-outline", "/ t a s k - d =1_of Enter Enter", ("5 nodes", "Plan the release")),
    ("graph-neighbours", "j n", ("leads here", "leads on")),
    ("graph-picture", "v", ("┌", "Ship it")),
    ("streams", "4", ("call-protocol", "session-events")),
    ("stream", "j Enter", ("call-protocol · newest", "following")),
    ("queues", "5", ("mail", "reports")),
    ("queue", "Enter", ("mail", "dead")),
    ("causes", "c", ("no route to #",)),
    ("sync", "6", ("● LIVE", "call-protocol")),
    ("operations", "7", ("acl.check", "fs.read")),
    ("form", "/ f s . r e a d =1_of Enter c", ("path", "ctrl+s")),
    ("secrets", "Escape =operation 8", ("github/token",)),
    ("schedules", "9", ("nightly", "ping")),
    ("logs", "0", ("spoke", "log")),
    ("help", "?", ("keys of logs",)),
    ("palette", "Escape =[0_Logs] :", ("what to do",)),
)
"""Name, keys, and what must be seen then."""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="spoke-screens-") as made, ExitStack() as stack:
        folder = Path(made)
        node = environment(folder / "workshop-pc")
        hub = environment(folder / "hub")
        record(folder, node)
        url, key = start_hub(folder, hub, stack)
        run(node, "join", url, "--key-file", "-", stdin=key)
        shown = Terminal(folder / "workshop-pc", node, size=f"{COLUMNS}x{ROWS}")
        stack.callback(shown.end)
        TARGET.mkdir(parents=True, exist_ok=True)
        for old in TARGET.glob("*.*"):
            old.unlink()
        for name, keys, signs in STEPS:
            press(shown, keys)
            picture(name, shown, signs)
        of_hub = Terminal(folder / "hub", hub, size=f"{COLUMNS}x{ROWS}")
        stack.callback(of_hub.end)
        of_hub.wait_for("overview")
        press(of_hub, "H")
        picture("hub", of_hub, ("workshop-pc",))


def environment(home: Path) -> dict[str, str]:
    (home / "data").mkdir(parents=True)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SPOKE_", "TMUX"))}
    return inherited | {
        "HOME": str(home),
        "SPOKE_DATA_DIR": str(home / "data"),
        "SPOKE_CONFIG": str(home / "spoke.toml"),
        "SPOKE_NAME": home.name,
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
        "LANG": "C.UTF-8",
    }


def run(variables: dict[str, str], *arguments: str, stdin: str | None = None) -> str:
    done = subprocess.run([BINARY, *arguments], env=variables, check=False, input=stdin, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"spoke {' '.join(arguments)}: {done.stderr}")
    return done.stdout


def start_hub(folder: Path, variables: dict[str, str], stack: ExitStack) -> tuple[str, str]:
    key = run(variables, "hub", "key", "create", "workshop-pc")
    said = folder / "hub.txt"
    with said.open("w") as file:
        process = subprocess.Popen([BINARY, "hub", "run", "--port", "0"], env=variables, stderr=file)
    stack.callback(process.wait)
    stack.callback(process.terminate)
    limit = time.monotonic() + LIMIT_S
    while not (found := re.search(r"ws://\S+", said.read_text())):
        if process.poll() is not None or time.monotonic() > limit:
            raise SystemExit(f"the hub does not run: {said.read_text()}")
        time.sleep(0.02)
    return found[0], key


# -- what is seen ------------------------------------------------------------------------------------------------------


def record(folder: Path, variables: dict[str, str]) -> None:
    """A release, what an agent did, a look around; a graph, jobs, schedules, secrets."""
    release = (
        f"{BINARY} record -- sh -c 'echo building; sleep 0.2; {BINARY} record -- sleep 0.1';"
        f" {BINARY} record -- sh -c 'sleep 0.15; echo 14 passed, 1 failed >&2; exit 2';"
        f" {BINARY} call system.info; {BINARY} record -- tar -cf /dev/null /etc/hostname"
    )
    run(variables, "record", "--title", "release 1.2", "--", "sh", "-c", f"{release}; true")
    log = folder / "256ba646-2c15-437a-98e9-4171aafd030e.jsonl"
    log.write_text("".join(json.dumps(line) + "\n" for line in agent_log()))
    run(variables, "import", "claude-code", str(log))
    run(variables, "record", "--title", "a look around", "--", "uname", "-a")
    run(variables, "secret", "set", "github/token", "--description", "for CI", stdin="not-a-real-token")
    run(variables, "secret", "set", "smtp/password", stdin="neither is this")
    db = open_tenant_database(Path(variables["SPOKE_DATA_DIR"]) / "tenant-local.db")
    try:
        fill(db)
    finally:
        db.close()


def fill(db: Database) -> None:
    with db.transaction() as tx:
        graph = create_graph(tx, "task-dependencies", "release 1.2")
        for key, status, name in (
            ("plan", "completed", "Plan the release"),
            ("build", "completed", "Build"),
            ("test", "failed", "Run the tests"),
            ("docs", "in-progress", "Write the docs"),
            ("ship", "blocked", "Ship it"),
        ):
            put_node(tx, graph, "task", key, {"name": name, "status": status})
        for pair in ("plan build", "plan docs", "build test", "test ship", "docs ship"):
            source, target = pair.split()
            put_edge(tx, graph, "depends_on", source, target)
    mail = db.queue("mail")
    for number in range(4):
        mail.enqueue({"to": f"user{number}@example.org", "template": "welcome"}, max_attempts=1)
        (job,) = mail.claim_batch("worker-1", 1)
        job.fail(f"no route to 10.0.0.{number}" if number else "550 mailbox unknown")
    mail.enqueue({"to": "ada@example.org", "template": "welcome"})
    db.queue("reports").enqueue({"month": "2026-10"}, delay=3_600)
    db.scheduler().add(name="nightly", queue="reports", schedule="0 3 * * *", payload={"month": "current"})
    db.scheduler().add(name="ping", queue="pings", schedule="@every 1h", payload={"host": "hub.example"})
    db.scheduler().pause("ping")


def agent_log() -> list[dict[str, object]]:
    """A session of Claude Code, as it logs one."""
    began = datetime.now(UTC) - timedelta(hours=2)
    lines: list[dict[str, object]] = []

    def say(role: str, second: int, content: object) -> None:
        message: dict[str, object] = {"role": role, "content": content}
        if role == "assistant":
            message |= {"id": f"m{len(lines)}", "type": "message", "model": "claude", "usage": {}}
        lines.append(
            {
                "type": role,
                "uuid": f"u{len(lines)}",
                "parentUuid": f"u{len(lines) - 1}" if lines else None,
                "isSidechain": False,
                "cwd": "/home/ada/parser",
                "sessionId": "256ba646-2c15-437a-98e9-4171aafd030e",
                "version": "2.1.38",
                "message": message,
                "timestamp": (began + timedelta(seconds=second)).isoformat().replace("+00:00", "Z"),
            }
        )

    def use(second: int, name: str, took: int, answer: str, *, failed: bool = False, **given: str) -> None:
        call = f"toolu_{len(lines)}"
        say("assistant", second, [{"type": "tool_use", "id": call, "name": name, "input": given}])
        told = [{"tool_use_id": call, "type": "tool_result", "content": answer, "is_error": failed}]
        say("user", second + took, told)

    say("user", 0, "mend the parser: it loses the last line of a file")
    say("assistant", 3, [{"type": "text", "text": "Look at the parser first, then at its tests."}])
    use(4, "Read", 1, "def parse(text):\n    return text.split('\\n')[:-1]", file_path="parser.py")
    use(6, "Bash", 9, "Exit code 1\n1 failed, 13 passed", failed=True, command="make test")
    say("assistant", 17, [{"type": "text", "text": "It drops what follows the last newline. I keep it."}])
    use(18, "Edit", 1, "ok", file_path="parser.py", old_string="[:-1]", new_string="")
    use(21, "Bash", 8, "14 passed", command="make test")
    say("assistant", 31, [{"type": "text", "text": "Mended: the last line stays. All 14 tests pass."}])
    return lines


# -- pictures ----------------------------------------------------------------------------------------------------------


def press(shown: Terminal, keys: str) -> None:
    """One key at a time, each when what the one before it did is painted; =words_here waits for words."""
    for key in keys.split():
        if key.startswith("=") and len(key) > 1:
            shown.wait_for(key[1:].replace("_", " "))
            continue
        before = shown.screen()
        shown.keys(key)
        limit = time.monotonic() + 1
        while shown.screen() == before and time.monotonic() < limit:  # a key may change nothing that is seen
            time.sleep(0.02)


def picture(name: str, shown: Terminal, signs: tuple[str, ...]) -> None:
    """Write what is shown, once the signs are there and it stands still."""
    text = shown.settled(*signs)
    styled = shown.screen(styled=True)
    (TARGET / f"{name}.txt").write_text("\n".join(line.rstrip() for line in text.splitlines()) + "\n")
    console = Console(width=COLUMNS, record=True, file=open(os.devnull, "w"), force_terminal=True)  # noqa: SIM115
    for line in styled.splitlines():
        console.print(Text.from_ansi(line), soft_wrap=True, end="\n", highlight=False)
    svg = console.export_svg(title=f"spoke — {name}", theme=THEME, unique_id=f"spoke-{name}")
    svg = re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)  # no font from the network
    svg = svg.replace("font-family: Fira Code", "font-family: 'DejaVu Sans Mono', Menlo, Consolas")
    (TARGET / f"{name}.svg").write_text(svg)


if __name__ == "__main__":
    main()
