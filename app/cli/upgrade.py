"""`spoke upgrade` and `spoke rollback`."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import TYPE_CHECKING

import click
from msgspec import to_builtins

from app.audit import audit_before
from app.cli.context import Context, camel, json_option, now, print_json, say
from app.cli.install import gate_option, not_upgraded, place_options
from app.cli.options import dry_run, dry_run_option

if TYPE_CHECKING:
    from app.install.layout import Layout
    from app.install.upgrade import Outcome


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=False)
@click.option("--signature", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Default: FILE.sig.")
@click.option("--key", metavar="BASE64", help="Trust this public key too, this once.")
@click.option("--allow-downgrade", is_flag=True, help="Also to an older version.")
@click.option("--resume", is_flag=True, help="Only end an upgrade that was cut off.")
@gate_option
@place_options
@dry_run_option
@json_option
@click.pass_obj
def upgrade(
    context: Context,
    file: Path | None,
    signature: Path | None,
    key: str | None,
    allow_downgrade: bool,
    resume: bool,
    gate_s: int,
    system: bool | None,
    prefix: Path | None,
    as_json: bool,
) -> None:
    """Make the release in FILE the current one, if it is signed and works; else all stays as it is.

    \b
    Example:
      spoke upgrade --resume

    \b
    spoke upgrade spoke-0.2.0-linux-x86_64, with its .sig beside it:
    1. verifies the signature; keys: built in, and release-keys/*.pub beside
       the configuration
    2. unpacks it beside the current release; it tests itself
    3. makes a backup, in backups/ of the data directory
    4. switches, and restarts the service, if that runs
    5. waits until it works; if it does not, puts the old release back, and
       the data, if the new one migrated it

    Killing it, or a power cut, at any moment leaves a release that works. The next upgrade, rollback or install, or
    --resume, ends what was cut off. A service that was stopped for the migration then starts again.
    """
    from app.install.gate import Gate
    from app.install.layout import choose
    from app.install.releases import verified
    from app.install.upgrade import Outcome, preview
    from app.install.upgrade import resume as end
    from app.install.upgrade import upgrade as follow
    from app.release_keys import trusted

    if (file is None) != resume:
        raise click.UsageError("name the FILE, or say --resume")
    layout, gate = choose(system, prefix), Gate(float(gate_s))
    if file is None and dry_run():
        _report_cut_off(layout, as_json)
        return
    if file is None:
        done = end(layout, gate, say) or Outcome("same", layout.current_release() or "", "")
    else:
        keys = trusted(context.paths.config_file.parent / "release-keys") | _given(key)
        release, signer = verified(file, _signature(file, signature), keys)
        say(f"{file.name}: version {release.version}, signed by {signer}")
        if dry_run():
            _report(preview(layout, file, release, allow_downgrade=allow_downgrade), as_json)
            return
        installed = layout.installed()
        if installed is not None:
            audit_before(installed.paths, "upgrade", say, file=str(file.absolute()), version=release.version)
        done = follow(layout, file, release, allow_downgrade=allow_downgrade, gate=gate, now=now(), tell=say)
    _report(done, as_json)
    if done.state == "rolled back":
        raise not_upgraded(done)


@click.command()
@click.option("--restore", is_flag=True, help="Also put the data back, if the older release cannot read it.")
@gate_option
@place_options
@dry_run_option
@json_option
def rollback(restore: bool, gate_s: int, system: bool | None, prefix: Path | None, as_json: bool) -> None:
    """Go back to the release before the current one.

    \b
    Example:
      spoke rollback --prefix /opt --dry-run || echo "there is none"

    Refuses when the current release has migrated the data, and names the backup that was made before. With --restore
    that is put back: what was written since then is moved aside, and comes back from the hub as far as the hub has it.
    """
    from app.install.gate import Gate
    from app.install.layout import choose
    from app.install.upgrade import preview_back, roll_back

    layout = choose(system, prefix)
    if dry_run():
        _report(preview_back(layout, restore=restore), as_json)
        return
    installed = layout.installed()
    if installed is not None:
        audit_before(installed.paths, "rollback", say, restore=restore)
    _report(roll_back(layout, restore=restore, gate=Gate(float(gate_s)), tell=say), as_json)


def _report_cut_off(layout: Layout, as_json: bool) -> None:
    """What `--resume --dry-run` says."""
    from app.install.layout import read
    from app.install.upgrade import Journal, Outcome

    journal = read(layout.journal, Journal)
    if journal is None:
        _report(Outcome("same", layout.current_release() or "", ""), as_json)
    elif as_json:
        print_json({"state": journal.step, "current": journal.old, "other": journal.new, "backup": journal.backup})
    else:
        say(f"an upgrade to {journal.new or 'another release'} was cut off while {journal.step}, and would be ended")


def _say_would(done: Outcome) -> None:
    if done.state == "same":
        say(f"{done.current} is the current release; there would be nothing to do")
        return
    say(f"would be {done.state}: {done.current} would be the current release, instead of {done.other}")
    if done.state == "upgraded":
        say("its own test is good; not tried: how it works with the data")
    if done.restored:
        say(f"the data would be put back as in {done.backup}; what came since would be moved aside")


def _signature(file: Path, given: Path | None) -> Path:
    from app.cli.errors import CommandError
    from app.cli.exit_codes import ExitCode

    found = given or file.with_name(f"{file.name}.sig")
    if not found.exists():
        raise CommandError(
            f"{found}: there is no signature", hint="fetch it, or --signature FILE", code=ExitCode.NO_INPUT
        )
    return found


def _given(key: str | None) -> dict[str, bytes]:
    if key is None:
        return {}
    try:
        return {"--key": base64.b64decode(key, validate=True)}
    except (binascii.Error, ValueError) as error:
        raise click.BadParameter("no public key in base64", param_hint="--key") from error


def _report(done: Outcome, as_json: bool) -> None:
    if as_json:
        print_json(camel(to_builtins(done)))
        return
    if dry_run():
        _say_would(done)
        return
    if done.state == "same":
        say(f"{done.current} is the current release; nothing to do")
    else:
        say(f"{done.state}: {done.current} is the current release" + (f", was {done.other}" if done.other else ""))
    if done.state == "upgraded":
        say("back: spoke rollback")
    if done.restored:
        say(f"the data is as in {done.backup}; what came since lies in replaced-… of the data directory")
