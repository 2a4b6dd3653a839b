"""`spoke selftest`: imports everything that is shipped, uses each library once, mounts every screen.

For the built executable, where a module that nobody imported while it was built is missing at the worst moment.
"""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
import tempfile
from collections.abc import Callable
from pathlib import Path

LIBRARIES = (
    "apsw",
    "click",
    "cryptography.hazmat.primitives.asymmetric.ed25519",
    "cryptography.hazmat.primitives.ciphers.aead",
    "jsonschema",
    "msgspec",
    "platformdirs",
    "pydantic",
    "pydantic_settings",
    "pydot",
    "rich",
    "sqlalchemy",
    "ssl",
    "textual",
    "watchfiles",
    "websockets",
)


class SelftestFailed(Exception):
    """A library or a module of ours does not do what it should."""


def _expect(holds: bool, what: str) -> None:
    """Check a result; not with `assert`, which `python -O` removes (tests/app/test_selftest.py)."""
    if not holds:
        raise SelftestFailed(f"not so: {what}")


def run(say: Callable[[str], None]) -> list[str]:
    """Run every check, say how each went, and return the names of those that failed."""
    failed = []
    for name, check in CHECKS.items():
        try:
            found = check()
        except Exception as error:  # noqa: BLE001 - each failure is told, and makes the exit code
            say(f"✗ {name}: {type(error).__name__}: {error}")
            failed.append(name)
        else:
            say(f"✓ {name}: {found}")
    return failed


def _imports() -> str:
    count = 0
    for package in ("app", "storage", "sync"):
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
                count += 1
    for library in LIBRARIES:
        importlib.import_module(library)
    return f"{count} modules, {len(LIBRARIES)} libraries"


def _interpreter() -> str:
    _expect(__debug__, "assertions are on, as in the tests")
    return "assertions on"


def _engine() -> str:
    from storage.engine import sqlite_version
    from storage.tenants import open_tenant_database

    with tempfile.TemporaryDirectory() as folder:
        db = open_tenant_database(Path(folder) / "t.db")
        try:
            offset = db.stream("selftest").publish({"ok": True})
            (event,) = db.stream("selftest").read()
            _expect((event.offset, event.payload) == (offset, {"ok": True}), "an event is read as it was published")
        finally:
            db.close()
    return f"SQLite {sqlite_version()}"


def _frames() -> str:
    from sync.link.chain import LogEvent
    from sync.link.frames import decode, encode, pack, unpack

    events = [LogEvent(1, "k", "x" * 10_000, 0)]
    frame = pack(0, 1, 0, events, b"h")
    _expect(frame.compressed, "a large frame is compressed")
    _expect(unpack(frame) == events, "a frame gives back its events")
    _expect(decode(encode(frame)) == frame, "a message gives back its frame")
    return f"{frame.raw_bytes} bytes in {len(frame.body)}"


def _crypto() -> str:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    key = Ed25519PrivateKey.generate()
    key.public_key().verify(key.sign(b"text"), b"text")
    box = AESGCM(AESGCM.generate_key(256))
    _expect(
        box.decrypt(b"0" * 12, box.encrypt(b"0" * 12, b"text", None), None) == b"text", "AES-GCM gives back the text"
    )
    return "Ed25519, AES-256-GCM"


def _operations() -> str:
    from app.config import Settings
    from app.operations import builtin_registry

    registry = builtin_registry(Settings(), Path("keyring.json"))
    usable = [spec for spec in registry.list() if spec.input_schema and spec.output_schema]
    return f"{len(usable)} operations"


def _watch() -> str:
    import watchfiles

    with tempfile.TemporaryDirectory() as folder:
        watcher = watchfiles.watch(folder, yield_on_timeout=True, rust_timeout=200, debounce=10, step=10)
        next(watcher)
    return "watchfiles"


def _hub() -> str:
    """A hub and a node in this process: one event over a real socket."""
    from storage.tenants import open_system_database, open_tenant_database
    from sync.hub.keys import create_key
    from sync.hub.server import Hub
    from sync.spoke.status import read_status
    from sync.spoke.uplink import Dialling, Uplink

    async def work(folder: Path) -> None:
        system = open_system_database(folder / "system.db")
        key = create_key(system, "selftest")
        system.close()
        node = open_tenant_database(folder / "node.db")
        stop, ready = asyncio.Event(), asyncio.Event()
        hub = Hub(folder, port=0)
        try:
            async with asyncio.timeout(30), asyncio.TaskGroup() as group:
                group.create_task(hub.run(stop, lambda _: ready.set()))
                await ready.wait()
                url = f"ws://127.0.0.1:{hub.port}"
                dialling = Dialling((url,), api_key=key)
                link = Uplink(node, dialling=dialling, name="selftest", agent="selftest", random=lambda: 0.0)
                group.create_task(link.run(stop))
                node.stream("call-protocol").publish({"type": "selftest"})
                waiter = node.wake.add(None)  # acknowledgements are noted after the state
                while True:
                    waiter.clear()
                    status = await node.read(read_status)
                    if status.state == "live" and not status.unsent:
                        break
                    await waiter.wait()
                stop.set()
        finally:
            node.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(work(Path(folder)))
    return "one event over WebSocket"


def _screens() -> str:
    from app.tui.app import SpokeApp
    from app.tui.detail import Detail
    from app.tui.help import Help
    from app.tui.places import PLACES
    from app.tui.session import SessionView
    from app.tui.too_small import TooSmall
    from app.tui.view import View
    from storage.events.envelope import iso
    from storage.tenants import open_tenant_database

    async def work(folder: Path) -> list[str]:
        from datetime import UTC, datetime

        from app.services.projector import catch_up

        db = open_tenant_database(folder / "t.db")
        try:
            now = iso(datetime.now(UTC))
            db.stream("session-events").publish(
                {
                    "type": "session.started",
                    "sessionId": "s",
                    "title": "t",
                    "source": "x",
                    "slug": "t",
                    "timestamp": now,
                }
            )
            catch_up(db)
            app = SpokeApp(db, node_name="selftest")
            shown: list[str] = []
            async with app.run_test(size=(80, 24)) as pilot:
                for place in PLACES:
                    if not place.hub:
                        app.action_go(place.name)
                        await app.idle()
                        shown.append(type(app.screen).__name__)
                view = app.screen
                if not isinstance(view, View):
                    raise SelftestFailed(f"the last place is {view!r}")
                for screen in (SessionView("s"), Detail("t", "{}"), Help(view), TooSmall()):
                    await app.push_screen(screen)
                    await pilot.pause()
                    shown.append(type(app.screen).__name__)
            return shown
        finally:
            db.close()

    with tempfile.TemporaryDirectory() as folder:
        return ", ".join(asyncio.run(work(Path(folder))))


CHECKS: dict[str, Callable[[], str]] = {
    "interpreter": _interpreter,
    "imports": _imports,
    "engine": _engine,
    "frames": _frames,
    "crypto": _crypto,
    "operations": _operations,
    "watch": _watch,
    "link": _hub,
    "screens": _screens,
}
