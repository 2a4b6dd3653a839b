"""The application: places and things to go to, one reader of commits, services when nobody else runs them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import work
from textual.binding import Binding, BindingType
from textual.events import Resize
from textual.filter import LineFilter, NoColor

from app.services.supervisor import Service
from app.tui.appearance import Appearance, Themes
from app.tui.clipboard import Clipboard
from app.tui.ending import end_with_the_terminal
from app.tui.notices import Notices
from app.tui.places import PLACES, Location, noun, place
from app.tui.suspending import why_not_suspend
from app.tui.too_small import is_too_small
from app.tui.view import READ_ONLY, View
from app.views.link import link_line
from app.views.text import safe
from app.views.times import FORMATS, TimeFormat, when
from storage.engine import ClosedError, Database, EngineError, FileReplacedError, ReadOnlyError
from sync.spoke.status import read_status

if TYPE_CHECKING:
    from app.services.outputs import Calling

REPAINT_S = 0.25
"""At most four repaints a second, however busy the node is."""
SAFETY_POLL_S = 15.0
DEBOUNCE_S = 0.08
DAEMON_POLL_S = 2.0
"""How often it is asked whether the process still lives that runs the services: it dies without a commit."""
NO_HUB = "this is not the data directory of a hub"


class SpokeApp(Notices):
    """The terminal UI over an open tenant file.

    Args:
        db: the node's database; read on its reader threads, never on the event loop.
        node_name: what to call this node.
        service: the node's services, when this process runs them (no daemon does).
        daemon_running: asks whether some process runs the services.
        operate: executes an operation and returns its output (`app.services.operating`), on a thread; None: nothing
            can be changed from here.
        calling: what can be called, and calling it with its outputs as they come; None: nothing.
        appearance: theme, keys, ASCII, as the configuration says.
        read_only: no verb that writes.
        hub_dir: the files of the hub, when this machine is one.
        log_file: where to look when something failed.
        now_ms: the wall clock in unix milliseconds.
        zone: the zone of local times; None is the machine's.
        repaint_s: the least time between two repaints.
        sparing: write few bytes, where that costs comfort: over ssh.
        debounce_s: how long typing must pause before a filter works.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(one.key, f"go({one.name!r})", one.name, show=False, id=f"go.{one.name}")
            for one in PLACES
            if one.key is not None
        ),
        Binding("colon,ctrl+p", "palette", "commands", id="app.palette", key_display=":"),
        Binding("minus", "previous", "previous view", show=False, id="app.previous"),
        Binding("left_square_bracket", "history(-1)", "back in the history", show=False, id="app.history_back"),
        Binding("right_square_bracket", "history(1)", "forward in the history", show=False, id="app.history_forward"),
        Binding("t", "times", "times: relative, local, UTC, raw", show=False, id="app.times"),
        Binding("ctrl+l", "repaint", "paint everything anew", show=False, id="app.repaint"),
        Binding("ctrl+z", "suspend_process", "suspend; fg comes back", show=False, id="app.suspend"),
        Binding("q", "quit", "quit", id="app.quit"),
        Binding("ctrl+c", "quit", "quit", show=False, priority=True, id="app.interrupt"),
    ]
    CSS = """
    .bar { height: 1; width: 100%; }
    #title { text-style: bold; }
    #keys, #tabs, #axis { color: $text-muted; }
    #axis { height: 1; }
    #facts { height: auto; padding: 0 0 1 0; }
    #filter { height: 1; border: none; padding: 0 1; display: none; }
    .filtering #filter { display: block; }
    .filtering ToastRack { margin-bottom: 2; }
    #error { display: none; padding: 1 2; height: 1fr; }
    .failed #error { display: block; }
    .failed #body { display: none; }
    .loading #tabs { text-style: italic; }
    Toast { border: none; padding: 0 1; margin: 0; }
    Screen { hatch: none; }
    .ascii LineList, .ascii VerticalScroll, .sparing LineList { scrollbar-size-vertical: 0; }
    """
    ENABLE_COMMAND_PALETTE = False

    def __init__(
        self,
        db: Database,
        *,
        node_name: str,
        service: Service | None = None,
        daemon_running: Callable[[], bool] = lambda: False,
        operate: Callable[[str, Any], Any] | None = None,
        calling: Calling | None = None,
        appearance: Appearance | None = None,
        read_only: bool = False,
        hub_dir: Path | None = None,
        log_file: Path | None = None,
        now_ms: Callable[[], int] = lambda: int(time.time() * 1000),
        zone: tzinfo | None = None,
        repaint_s: float = REPAINT_S,
        sparing: bool = False,
        debounce_s: float = DEBOUNCE_S,
    ) -> None:
        super().__init__()
        appearance = appearance or Appearance()
        self.db = db
        self.node_name = safe(node_name)
        self.ascii_only = appearance.ascii_only
        self.pager_json = appearance.pager_json
        self.read_only = read_only
        self.hub_dir = hub_dir
        self.log_file = log_file
        self.calling = calling
        self.now_ms = now_ms
        self.debounce_s = debounce_s
        self.sparing = sparing
        self.animation_level = "none"
        self.link_text = ""
        self.time_format: TimeFormat = "relative"
        self.keymap: Mapping[str, str] = {}
        self.lost: BaseException | None = None
        """Why the database is not the one any more that is open: every screen says it instead of showing old rows."""
        self._zone = zone
        self._service = service
        self._daemon_running = daemon_running
        self._operate = operate
        self._themes = Themes(self, appearance)
        self._copies = Clipboard(self)
        self._repaint_s = repaint_s
        self._dirty = asyncio.Event()
        self._shown = asyncio.Condition()
        self._rounds = 0
        self._daemon_seen: bool | None = None
        """Whether some process ran the services when that was shown last."""
        self._made: dict[str, View] = {}
        self._history = [Location("overview")]
        self._at = 0

    # -- what views ask for --------------------------------------------------------------------------------------------

    @property
    def services_running(self) -> bool:
        """Whether some process runs projector and link."""
        return self._service is not None or self._daemon_running()

    @property
    def hub(self) -> bool:
        """Whether this machine is a hub."""
        return self.hub_dir is not None

    def when(self, at_ms: float | None) -> str:
        """A moment in the format that the person chose."""
        return when(at_ms, self.now_ms(), self.time_format, self._zone)

    def why_not_operate(self) -> str | None:
        """Why nothing can be changed from here; None when it can."""
        if self.read_only:
            return READ_ONLY
        return "nothing executes operations here" if self._operate is None else None

    async def operate(self, operation_id: str, value: Any) -> Any:
        """Execute an operation, recorded like every call, and return its output; the event loop goes on meanwhile.

        Raises:
            CallFailed: the input does not fit, or the operation failed.
            EngineError: the log cannot be written, or this TUI is read-only; nothing ran.
        """
        if self._operate is None or self.read_only:
            raise ReadOnlyError(self.why_not_operate())
        try:
            return await asyncio.to_thread(self._operate, operation_id, value)
        finally:
            self.reload()

    def copy(self, text: str, *, secret: bool = False) -> None:
        """Give a text to the terminal's clipboard; a file keeps it too, but no secret."""
        self._copies.copy(text, secret=secret)

    async def write_file(self, path: Path, make: Callable[[], str]) -> None:
        """Make a text and write it to a new file, off the event loop; says where, or why not."""

        def write() -> Path:
            target = path.expanduser().absolute()
            with target.open("x", encoding="utf-8") as file:
                file.write(make())
            return target

        try:
            written = await asyncio.to_thread(write)
        except OSError as error:
            self.notify(f"{path}: {error.strerror}; choose another name or folder", severity="error")
        else:
            self.notify(f"written: {written}")

    def get_line_filters(self) -> Sequence[LineFilter]:
        """With NO_COLOR no colour is sent at all; Textual would send shades of grey."""
        return [NoColor()] if self.no_color else super().get_line_filters()

    # -- showing -------------------------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        """Open the overview and begin to watch."""
        self._themes.apply()
        self.set_class(self.ascii_only, "ascii")
        self.set_class(self.sparing, "sparing")
        self.push_screen(self._place("overview"))
        self._watch()
        if self._service is not None:
            self._serve(self._service)
        else:
            self.set_interval(DAEMON_POLL_S, self._look_for_daemon)
        if not self.is_headless:
            end_with_the_terminal(self.exit)
        self._themes.watch()

    def reload(self) -> None:
        """Have the current screen read and shown again, soon."""
        self._dirty.set()

    async def idle(self) -> None:
        """Return when everything that was committed, typed or asked for before the call is on the screen."""
        await self.keys_done()
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
                if await self._show():
                    async with self._shown:
                        self._rounds += 1
                        self._shown.notify_all()
                await asyncio.sleep(self._repaint_s)
                asked = asyncio.ensure_future(self._dirty.wait())
                woken = asyncio.ensure_future(waiter.wait(SAFETY_POLL_S))
                await asyncio.wait({asked} if self.lost else {asked, woken}, return_when=asyncio.FIRST_COMPLETED)
                if woken.done() and isinstance(woken.exception(), FileReplacedError) and not self.lost:
                    self.lost = woken.exception()
                    self._dirty.set()
                asked.cancel()
                woken.cancel()
        except ClosedError:
            return  # the application is ending
        finally:
            self.db.wake.remove(waiter)

    async def _show(self) -> bool:
        """Show the current screen again; False when it is still being made: it asks for it itself when it is there."""
        screen = self._view()
        if screen is None or not screen.is_mounted:
            return False
        await self._read_link()
        await screen.reload()
        return True

    def _view(self) -> View | None:
        """The topmost view: what is seen, under a question."""
        return next((one for one in reversed(self.screen_stack) if isinstance(one, View)), None)

    async def _read_link(self) -> None:
        try:
            link = await self.db.read(read_status)
        except EngineError:
            return  # the screen says it already
        running = self._daemon_seen = await asyncio.to_thread(lambda: self.services_running)
        self.link_text = link_line(link, self.now_ms(), running=running, hub=self.hub, ascii_only=self.ascii_only)

    @work(exclusive=True, group="service")
    async def _serve(self, service: Service) -> None:
        await service(asyncio.Event())

    async def _look_for_daemon(self) -> None:
        running = await asyncio.to_thread(self._daemon_running)
        if running is not self._daemon_seen:
            self.reload()

    def on_resize(self, event: Resize) -> None:
        """Below the least size, say so instead of drawing rubbish."""
        if not is_too_small(self, event.size):
            self.reload()

    # -- going ---------------------------------------------------------------------------------------------------------

    def _place(self, name: str) -> View:
        """The screen of a place; kept with cursor and filter when another is shown."""
        if name not in self._made:
            found = place(name)
            assert found is not None, name
            self._made[name] = found.make()
            self.install_screen(self._made[name], name)
        return self._made[name]

    def _go(self, where: Location) -> None:
        while len(self.screen_stack) > 2:
            self.pop_screen()
        thing = noun(where.name)
        if thing is not None and where.argument is not None:
            self.push_screen(thing.make(where.argument))
        elif self.screen is not self._place(where.name):
            self.switch_screen(where.name)

    def visit(self, where: Location) -> None:
        """Go somewhere, and remember it in the history."""
        if self._history[self._at] != where:
            self._remember(where)
        self._go(where)

    def _remember(self, where: Location) -> None:
        del self._history[self._at + 1 :]
        self._history.append(where)
        self._at += 1

    def open_noun(self, name: str, argument: str) -> None:
        """Show a thing above the place that it was opened from."""
        thing = noun(name)
        assert thing is not None, name
        self._remember(Location(name, argument))
        self.push_screen(thing.make(argument))

    def open_session(self, session_id: str) -> None:
        """Show a session's waterfall above the current screen."""
        self.open_noun("session", session_id)

    def back(self) -> None:
        """Close the topmost screen."""
        if len(self.screen_stack) > 2:
            self.pop_screen()

    def action_go(self, name: str) -> None:
        """Switch to one of the places."""
        if reason := self.why_not(f"go({name!r})"):
            self.notify(f"{name}: {reason}", severity="warning")
            return
        self.visit(Location(name))

    def action_open_noun(self, name: str, argument: str) -> None:
        """Go to a thing from the palette."""
        self.open_noun(name, argument)

    def action_history(self, step: int) -> None:
        """Walk the history."""
        if not 0 <= self._at + step < len(self._history):
            self.notify("the history ends here")
            return
        self._at += step
        self._go(self._history[self._at])

    def action_previous(self) -> None:
        """The view before this one; again: back to this one."""
        if self._at < 1:
            self.notify("there is no view before this one")
            return
        self.visit(self._history[self._at - 1])

    def action_times(self) -> None:
        """The next format of times."""
        self.time_format = FORMATS[(FORMATS.index(self.time_format) + 1) % len(FORMATS)]
        self.notify(f"times: {self.time_format}")
        self.reload()

    def action_repaint(self) -> None:
        """Paint everything anew: another program wrote over the terminal."""
        self.refresh(repaint=True, layout=True)

    def why_not(self, action: str) -> str | None:
        """Why an action of the application is not possible now; None when it is."""
        if action == "suspend_process":
            return why_not_suspend()
        hub = action in {f"go({one.name!r})" for one in PLACES if one.hub}
        return NO_HUB if hub and not self.hub else None

    def action_suspend_process(self) -> None:
        """Stop, where a shell waits that can wake us up again; Textual paints the whole screen then."""
        if reason := self.why_not("suspend_process"):
            self.notify(f"suspend: {reason}", severity="warning")
        else:
            super().action_suspend_process()

    def action_use_theme(self, name: str) -> None:
        """Another theme, until the end; `[ui] theme` makes it stay."""
        self.theme = name

    @work
    async def action_palette(self) -> None:
        """Everything that can be done now."""
        from app.tui.palette import Palette

        view = self._view()
        if view is None or isinstance(self.screen, Palette):
            return
        chosen = await self.push_screen_wait(Palette(view))
        if chosen is not None:
            await self.run_action(chosen.action, chosen.owner)
