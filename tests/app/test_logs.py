"""The log: two formats, three places, and nothing in it that is secret or anybody's data."""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import logs
from app.services.local_client import NoDaemonError, ask

LIMIT_S = 60


def record(message: str, *args: object, ids: dict[str, object] | None = None, error: bool = False) -> logging.LogRecord:
    info = None
    if error:
        try:
            raise ValueError("alk_planted\n\x1b[31m")
        except ValueError:
            info = sys.exc_info()
    made = logging.LogRecord("spoke.x", logging.WARNING, "f", 1, message, args, info)
    made.created = 0.5
    if ids:
        made.ids = ids
    return made


def test_text() -> None:
    assert logs.Text().format(record("a %s", "b")) == "1970-01-01T00:00:00.500Z WARNING spoke.x: a b"
    head, *below = logs.Text().format(record("oops", error=True)).splitlines()
    assert head.endswith("oops")
    assert below[0] == "  Traceback (most recent call last):"
    assert all(line.startswith("  ") for line in below)
    journal = logs.Text(journal=True).format(record("oops", error=True)).splitlines()
    assert journal[0] == "<4>spoke.x: oops"
    assert all(line.startswith("<4>") for line in journal)


def test_json() -> None:
    said = json.loads(logs.Json().format(record("a %s", "b", ids={"stream": "s", "offset": 7}, error=True)))
    assert said.pop("traceback").startswith("Traceback")
    assert said == {
        "time": "1970-01-01T00:00:00.500Z",
        "level": "warning",
        "logger": "spoke.x",
        "event": "a b",
        "stream": "s",
        "offset": 7,
    }
    assert logs.Json(journal=True).format(record("a")).startswith('<4>{"time"')


@given(st.text())
def test_a_message_is_one_line_whatever_is_in_it(text: str) -> None:
    for line in (logs.Text().format(record("%s", text)), logs.Json().format(record("%s", text))):
        assert len(line.splitlines()) == 1
        assert not [one for one in line if one < " " or "\x7f" <= one < "\xa0"]
    assert logs.Json().format(record("%s", text)).isascii()


def test_secrets_are_taken_out_of_messages_ids_and_tracebacks() -> None:
    made = record("key %s", "alk_planted", ids={"peer": "http://a:planted@b"}, error=True)
    for form in (logs.Text(), logs.Json()):
        assert "planted" not in form.format(made)


def test_which_stream_is_the_journals(tmp_path: Path) -> None:
    with (tmp_path / "x").open("w") as stream:
        found = os.fstat(stream.fileno())
        assert logs.is_journal(stream, {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"})
        assert not logs.is_journal(stream, {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino + 1}"})
        assert not logs.is_journal(stream, {})
    assert not logs.is_journal(io.StringIO(), {"JOURNAL_STREAM": "1:2"})


def test_a_file_is_private_and_begun_anew(tmp_path: Path) -> None:
    file = tmp_path / "logs" / "spoke.log"
    logs.set_up(logs.Logging(file=file, max_bytes=10_000, keep=2))
    for number in range(400):
        logging.getLogger("spoke.x").info("message %d of many that fill the file", number)
    logging.getLogger("spoke.x").debug("not said")
    assert sorted(path.name for path in file.parent.iterdir()) == ["spoke.log", "spoke.log.1", "spoke.log.2"]
    assert {path.stat().st_mode & 0o777 for path in file.parent.iterdir()} == {0o600}
    assert "message 399" in file.read_text()
    assert "not said" not in file.read_text()


def test_set_up_again_ends_what_was_before(tmp_path: Path) -> None:
    stream = io.StringIO()
    logs.set_up(logs.Logging(), stream)
    with pytest.raises(OSError, match="/dev/null"):
        logs.set_up(logs.Logging(file=Path("/dev/null/x")), stream)
    logging.getLogger("spoke.x").info("one")
    logs.set_up(logs.Logging(level="debug", format="json", file=tmp_path / "x"))
    logging.getLogger("spoke.x").debug("two")
    logging.getLogger("websockets").info("chatter")
    assert stream.getvalue().endswith("spoke.x: one\n")
    (line,) = (tmp_path / "x").read_text().splitlines()
    assert json.loads(line)["event"] == "two"


def test_a_running_node_logs_json_without_payloads_and_keys(tmp_path: Path) -> None:
    """Calls that work and fail, a job that fails, a hub that is not there, a configuration that changes."""
    data = tmp_path / "data"
    file, config = tmp_path / "spoke.log", tmp_path / "spoke.toml"
    config.write_text(
        f'[log]\nformat = "json"\nfile = "{file}"\nlevel = "debug"\n[hub]\nurl = "wss://127.0.0.1:9"\n'
        'api_key = "alk_PLANTEDKEY"\nproxy = "http://ada:PLANTEDPASS@127.0.0.1:9"\n'
    )
    environment = {**os.environ, "SPOKE_DATA_DIR": str(data), "SPOKE_CONFIG": str(config)}
    process = subprocess.Popen([sys.executable, "-m", "app", "run"], env=environment, stderr=subprocess.PIPE, text=True)
    try:
        socket = data / "spoke.sock"
        wait(lambda: answers(socket))
        ask(socket, "stream.publish", {"topic": "mine", "payload": {"text": "PLANTEDPAYLOAD"}})
        ask(socket, "queue.enqueue", {"queue": "maintenance", "payload": {"task": "no-such", "x": "PLANTEDPAYLOAD"}})
        with pytest.raises(NoDaemonError):
            ask(socket, "fs.read", {"path": "/no/PLANTEDPAYLOAD"})
        wait(lambda: "UNREACHABLE" in file.read_text() and "knows no task" in file.read_text())
        config.write_text(config.read_text().replace("PLANTEDKEY", "PLANTEDKEY2"))
        process.send_signal(signal.SIGHUP)
        wait(lambda: "hub.api_key" in file.read_text())
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_S) == 0
    finally:
        process.kill()
        _, err = process.communicate()
    text = file.read_text()
    assert "PLANTED" not in text + err
    said = [json.loads(line) for line in text.splitlines()]
    for one in said:
        assert set(one) >= {"time", "level", "logger", "event"}
        assert datetime.fromisoformat(one["time"]).tzinfo is not None
    assert any(one.get("queue") == "maintenance" and "job" in one for one in said)
    assert any("the services begin anew" in one["event"] for one in said)


def test_a_hub_reads_its_log_settings_again_on_hangup_and_goes_on(tmp_path: Path) -> None:
    file, config = tmp_path / "hub.log", tmp_path / "spoke.toml"
    config.write_text(f'[log]\nfile = "{file}"\n')
    environment = {**os.environ, "SPOKE_DATA_DIR": str(tmp_path / "data"), "SPOKE_CONFIG": str(config)}
    command = [sys.executable, "-m", "app", "hub", "run", "--port", "0", "--health-port", "0"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        wait(lambda: file.exists() and "/healthz" in file.read_text())
        config.write_text(f'name = "other"\n[log]\nfile = "{file}"\nformat = "json"\n')
        process.send_signal(signal.SIGHUP)
        wait(lambda: "log.format" in file.read_text())
        assert "begin anew" not in file.read_text()
        config.write_text('[log]\nformat = "xml"\n')
        process.send_signal(signal.SIGHUP)
        wait(lambda: "spoke.toml:2: log.format" in file.read_text())
        (complaint,) = (line for line in file.read_text().splitlines() if "spoke.toml:2: log.format" in line)
        assert json.loads(complaint)["level"] == "error"
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_S) == 0
    finally:
        process.kill()
        process.communicate()


def answers(socket: Path) -> bool:
    try:
        ask(socket, "system.info")
    except NoDaemonError:
        return False
    return True


def wait(holds: object) -> None:
    assert callable(holds)
    limit = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < limit, "it did not come to pass"
        time.sleep(0.05)
