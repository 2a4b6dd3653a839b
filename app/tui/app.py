"""The application: screens by number, one reader of commits, services when nobody else runs them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import ClassVar

from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Resize
from textual.screen import Screen
from textual.widgets import Static

from app.services.supervisor import Service
from app.tui.overview import OverviewView
from app.tui.session import SessionView
from app.tui.sessions import SessionsView
from app.tui.streams import StreamsView
from app.tui.view import View
from app.views.link import link_line
from app.views.text import safe
from storage.engine import ClosedError, Database, EngineError
from sync.spoke.status import read_status

MIN_WIDTH, MIN_HEIGHT = 60, 15
REPAINT_S = 0.25
"""At most four repaints a second, however busy the node is."""
SAFETY_POLL_S = 15.0


class TooSmall(Screen[None]):
    """Says how large the terminal must be."""

    def compose(self) -> ComposeResult:
        """One line."""
        yield Static("", id="small", markup=False)

    def say(self, width: int, height: int) -> None:
        """Say it."""
        if self.is_mounted:
            self.query_one("#small", Static).update(
                f"terminal too small: need {MIN_WIDTH}x{MIN_HEIGHT}, have {width}x{height}"
            )


class SpokeApp(App[None]):
    """The terminal UI over an open tenant file.

    Args:
        db: the node's database; read on its reader threads, never on the event loop.
        node_name: what to call this node.
        service: the node's services, when this process runs them (no daemon does).
        daemon_running: asks whether some process runs the services.
        ascii_only: draw with ASCII alone.
        now_ms: the wall clock in unix milliseconds.
        repaint_s: the least time between two repaints.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1", "view('overview')", "overview"),
        Binding("2", "view('sessions')", "sessions"),
        Binding("3", "view('streams')", "streams"),
        Binding("q", "quit", "quit"),
        Binding("ctrl+c", "quit", "quit", show=False, priority=True),
    ]
    CSS = """
    .bar { height: 1; width: 100%; }
    #title { text-style: bold; }
    #keys, #axis { color: $text-muted; }
    #axis { height: 1; }
    #facts { height: auto; padding: 0 0 1 0; }
    #filter { height: 1; border: none; padding: 0; display: none; }
    #filter.open { display: block; }
    #error { display: none; padding: 1 2; height: 1fr; }
    .failed #error { display: block; }
    .failed #body { display: none; }
    """
    ENABLE_COMMAND_PALETTE = False

    def __init__(
        self,
        db: Database,
        *,
        node_name: str,
        service: Service | None = None,
        daemon_running: Callable[[], bool] = lambda: False,
        ascii_only: bool = False,
        now_ms: Callable[[], int] = lambda: int(time.time() * 1000),
        repaint_s: float = REPAINT_S,
    ) -> None:
        super().__init__()
        self.db = db
        self.node_name = safe(node_name)
        self.ascii_only = ascii_only
        self.now_ms = now_ms
        self.animation_level = "none"
        self._service = service
        self._daemon_running = daemon_running
        self._repaint_s = repaint_s
        self._dirty = asyncio.Event()
        self._shown = asyncio.Condition()
        self._rounds = 0
        self._views: dict[str, View] = {}
        self._link = ""

    @property
    def services_running(self) -> bool:
        """Whether some process runs projector and link."""
        return self._service is not None or self._daemon_running()

    def plain(self, text: str) -> str:
        """The text in ASCII where that is all the terminal shows."""
        if not self.ascii_only or text.isascii():
            return text
        return safe(text.replace("·", "-").replace("–", "-").replace("…", "~"), ascii_only=True)

    def on_mount(self) -> None:
        """Open the overview and begin to watch."""
        self._views = {"overview": OverviewView(), "sessions": SessionsView(), "streams": StreamsView()}
        for name, view in self._views.items():
            self.install_screen(view, name)  # kept with cursor and filter when another is shown
        self.push_screen("overview")
        self._watch()
        if self._service is not None:
            self._serve(self._service)

    def reload(self) -> None:
        """Have the current screen read and shown again, soon."""
        self._dirty.set()

    async def idle(self) -> None:
        """Return when everything that was committed or asked for before the call is on the screen."""
        for _ in range(2):  # the round that runs now may have read before what the caller means
            async with self._shown:
                before = self._rounds
                self._dirty.set()
                while self._rounds == before:
                    await self._shown.wait()

    @work(exclusive=True, group="watch")
    async def _watch(self) -> None:
        """Show the current screen again after commits, of this process or another, and when asked."""
        waiter = self.db.wake.add(None)
        try:
            while True:
                waiter.clear()  # before the read: a commit in between shows itself in the next round
                self._dirty.clear()
                await self._show()
                async with self._shown:
                    self._rounds += 1
                    self._shown.notify_all()
                await asyncio.sleep(self._repaint_s)
                asked = asyncio.ensure_future(self._dirty.wait())
                woken = asyncio.ensure_future(waiter.wait(SAFETY_POLL_S))
                await asyncio.wait({asked, woken}, return_when=asyncio.FIRST_COMPLETED)
                asked.cancel()
                woken.cancel()
        except ClosedError:
            return  # the application is ending
        finally:
            self.db.wake.remove(waiter)

    async def _show(self) -> None:
        screen = self.screen
        if isinstance(screen, View) and screen.is_mounted:
            await screen.reload()
            await self._show_link(screen)

    async def _show_link(self, screen: View) -> None:
        try:
            link = await self.db.read(read_status)
        except EngineError:
            return  # the screen says it already
        running = await asyncio.to_thread(lambda: self.services_running)
        line = self.plain(" " + link_line(link, self.now_ms(), running=running, ascii_only=self.ascii_only))
        bar = screen.query_one("#link", Static)
        if str(bar.content) != line:
            bar.update(line)

    @work(exclusive=True, group="service")
    async def _serve(self, service: Service) -> None:
        await service(asyncio.Event())

    def open_session(self, session_id: str) -> None:
        """Show a session's waterfall above the current screen."""
        self.push_screen(SessionView(session_id))

    def action_view(self, name: str) -> None:
        """Switch to one of the main screens."""
        while len(self.screen_stack) > 2:
            self.pop_screen()
        if self.screen is not self._views[name]:
            self.switch_screen(name)

    def on_resize(self, event: Resize) -> None:
        """Below the least size, say so instead of drawing rubbish."""
        small = event.size.width < MIN_WIDTH or event.size.height < MIN_HEIGHT
        if small and not isinstance(self.screen, TooSmall):
            self.push_screen(TooSmall())
        elif not small and isinstance(self.screen, TooSmall):
            self.pop_screen()
        if isinstance(self.screen, TooSmall):
            screen = self.screen
            self.call_after_refresh(lambda: screen.say(event.size.width, event.size.height))
        else:
            self.reload()
