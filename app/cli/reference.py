"""The command line as data, and what is made of it: the manual page, docs/cli.md, docs/cli-json.md, `spoke spec`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import click

from app import __version__
from app.cli.contract import CONTRACTS, FORMS, IMPACTS, Contract
from app.cli.exit_codes import EXPLAINED

PROGRAM = "spoke"


@dataclass(frozen=True, slots=True)
class Parameter:
    """An option or an argument: how it is written, and what the help says of it."""

    names: tuple[str, ...]
    metavar: str
    help: str
    kind: str
    required: bool
    multiple: bool
    default: object
    choices: tuple[str, ...]

    @property
    def usage(self) -> str:
        """`-q, --quiet`, `--limit INTEGER`."""
        return f"{', '.join(self.names)} {self.metavar}".strip()


@dataclass(frozen=True, slots=True)
class Command:
    """A command as its help shows it; `contract` is None for a group, which only holds others."""

    name: str
    usage: str
    summary: str
    text: str
    examples: tuple[str, ...]
    arguments: tuple[Parameter, ...]
    options: tuple[Parameter, ...]
    contract: Contract | None


def read_commands(root: click.Group) -> Iterator[Command]:
    """Every command that `--help` shows, a group before what is in it; imports all of them."""
    yield from _below(root, click.Context(root, info_name=PROGRAM), "")


def _below(group: click.Group, ctx: click.Context, prefix: str) -> Iterator[Command]:
    for name in group.list_commands(ctx):
        found = group.get_command(ctx, name)
        if found is None or found.hidden:
            continue
        below = click.Context(found, info_name=name, parent=ctx)
        yield _command(f"{prefix}{name}", found, below)
        if isinstance(found, click.Group):
            yield from _below(found, below, f"{prefix}{name} ")


def _command(name: str, command: click.Command, ctx: click.Context) -> Command:
    text = inspect.cleandoc(command.help or "").replace("\b\n", "")
    paragraphs = [part for part in text.split("\n\n") if not re.match(r"Examples?:\n", part)]
    block = re.search(r"^Examples?:\n((?: +.*\n?)+)", text, re.MULTILINE)
    lines = inspect.cleandoc(block[1]).splitlines() if block else []
    parameters = [_parameter(one, ctx) for one in command.params if not getattr(one, "hidden", False)]
    contract = None if isinstance(command, click.Group) and not command.invoke_without_command else CONTRACTS.get(name)
    return Command(
        name=name,
        usage=" ".join([ctx.command_path, *command.collect_usage_pieces(ctx)]),
        summary=" ".join(paragraphs[0].split()) if paragraphs else "",
        text="\n\n".join(" ".join(part.split()) for part in paragraphs[1:]),
        examples=tuple(lines),
        arguments=tuple(one for one in parameters if one.kind == "argument"),
        options=tuple(one for one in parameters if one.kind != "argument"),
        contract=contract,
    )


def _parameter(parameter: click.Parameter, ctx: click.Context) -> Parameter:
    option = parameter if isinstance(parameter, click.Option) else None
    flag = option is not None and (option.is_flag or option.count)
    default = parameter.to_info_dict().get("default")
    plain = isinstance(default, str | int | float) and not flag
    return Parameter(
        names=(*parameter.opts, *parameter.secondary_opts) if option else (parameter.make_metavar(ctx),),
        metavar=parameter.make_metavar(ctx) if option and not flag else "",
        help=(option.help or "") if option else "",
        kind="flag" if flag else "option" if option else "argument",
        required=parameter.required,
        multiple=parameter.multiple or parameter.nargs == -1,
        default=default if plain else None,
        choices=tuple(map(str, parameter.type.choices)) if isinstance(parameter.type, click.Choice) else (),
    )


def root_options(root: click.Group) -> list[Parameter]:
    """The options of `spoke` itself."""
    ctx = click.Context(root, info_name=PROGRAM)
    return [_parameter(one, ctx) for one in root.params]


# -- for programs ----------------------------------------------------------------------------------------------------


def spec(root: click.Group) -> dict[str, object]:
    """The whole as JSON values; groups have no `impact`."""
    return {
        "name": PROGRAM,
        "version": __version__,
        "options": [_told(one) for one in root_options(root)],
        "commands": [
            {
                "name": one.name,
                "usage": one.usage,
                "summary": one.summary,
                "arguments": [_told(argument) for argument in one.arguments],
                "options": [_told(option) for option in one.options],
                "examples": one.examples,
                "impact": one.contract.impact if one.contract else None,
                "json": one.contract.form if one.contract else None,
                "fields": one.contract.fields if one.contract else (),
            }
            for one in read_commands(root)
        ],
        "exitCodes": [
            {"code": int(code), "name": code.name, "meaning": meaning} for code, meaning in EXPLAINED.items()
        ],
        "impacts": IMPACTS,
    }


def _told(one: Parameter) -> dict[str, object]:
    return {
        "names": one.names,
        "kind": one.kind,
        "help": one.help,
        "required": one.required,
        "multiple": one.multiple,
        "default": one.default,
        "choices": one.choices,
    }


# -- for people ------------------------------------------------------------------------------------------------------


_EVERYWHERE = "--color, -q, -v, --no-input, --read-only and --time-format may also stand behind a command."


def markdown(root: click.Group) -> str:
    """docs/cli.md."""
    parts = [
        "# The command line",
        "Made by `spoke man --markdown` from the code; a test holds it equal. `stdout` is data, `stderr` is talk;"
        " what `--json` prints: [cli-json.md](cli-json.md).",
        "## Everywhere",
        _listed([(f"`{one.usage}`", one.help) for one in root_options(root)]),
        f"{_EVERYWHERE} Only `spoke record` passes what stands"
        " behind its command on to that. Nothing is asked where stdin is no terminal.",
        "## Exit codes",
        _table(("code", "name", "meaning"), [(str(int(c)), f"`{c.name}`", text) for c, text in EXPLAINED.items()]),
        "## Commands",
        "What a command does: " + "; ".join(f"*{name}*: {text}" for name, text in IMPACTS.items()) + ".",
    ]
    for one in read_commands(root):
        parts += [f"### spoke {one.name}", one.summary]
        parts += [f"`{one.usage}`" + (f" — {one.contract.impact}" if one.contract else "")]
        parts += ["```\n" + "\n".join(one.examples) + "\n```"] if one.examples else []
        parts += [one.text] if one.text else []
        parts += [_listed([(f"`{option.usage}`", _help(option)) for option in one.options])] if one.options else []
    return "\n\n".join(part for part in parts if part) + "\n"


def json_page(root: click.Group) -> str:
    """docs/cli-json.md."""
    rows = [
        (
            f"`{one.name}`",
            FORMS[one.contract.form],
            "; ".join(filter(None, (", ".join(f"`{field}`" for field in one.contract.fields), one.contract.note))),
        )
        for one in read_commands(root)
        if one.contract is not None and one.contract.form is not None
    ]
    parts = [
        "# What --json prints",
        "Made by `spoke man --json-page` from `app/cli/contract.py`. A test holds it equal, another one runs every"
        " command and looks at what it prints.",
        "**Stable**: the form (one object, one array, one object a line), and the fields named here with their"
        " meaning. **New fields may be added: ignore those that you do not know.** Order says nothing, save that of"
        " the elements of an array and of lines.",
        "With `2>/dev/null`, stdout is JSON and nothing else, also when there is nothing: `[]`, or no line. An error"
        " prints nothing on stdout (what had been printed of lines stays), one line on stderr, and leaves with an"
        " [exit code](cli.md#exit-codes). Unknown is `null`. Times that are numbers: unix milliseconds where the name"
        " ends in `Ms`, and for sessions and calls; else unix seconds. Characters that a terminal would obey or hide"
        " are written as `\\uXXXX`.",
        _table(("command", "form", "fields"), rows),
        "`spoke spec --json` says the same to programs, and every option.",
    ]
    return "\n\n".join(parts) + "\n"


def _help(one: Parameter) -> str:
    default = "" if one.default is None or one.kind == "flag" else f" [default: {one.default}]"
    return f"{one.help}{default}".strip()


def _listed(rows: list[tuple[str, str]]) -> str:
    return "\n".join(f"* {name}" + (f" — {text}" if text else "") for name, text in rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(text.replace("|", "\\|") for text in row) + " |" for row in rows])


# -- the manual page -------------------------------------------------------------------------------------------------


def manual(root: click.Group) -> str:
    """spoke(1) in roff, of the man macros alone."""
    about = inspect.cleandoc(root.help or "").split("\n\n")[0]
    lines = [f'.TH SPOKE 1 "" "spoke {__version__}" "User Commands"', ".SH NAME"]
    lines += [rf"spoke \- {_roff(about[0].lower() + about[1:].rstrip('.'))}", ".SH SYNOPSIS"]
    lines += [r".B spoke", r"[\fIOPTIONS\fR] [\fICOMMAND\fR [\fIARGS\fR]...]", ".SH OPTIONS"]
    for option in root_options(root):
        lines += [".TP", rf"\fB{_roff(option.usage)}\fR", _roff(option.help)]
    lines += [".PP", _roff(_EVERYWHERE)]
    lines += [".SH COMMANDS"]
    for one in read_commands(root):
        lines += [f".SS spoke {_roff(one.name)}", _roff(one.summary), ".PP", rf"\fB{_roff(one.usage)}\fR"]
        for paragraph in one.text.split("\n\n") if one.text else []:
            lines += [".PP", _roff(paragraph)]
        if one.examples:
            lines += [".PP", ".nf", *(f"    {_roff(line)}" for line in one.examples), ".fi"]
        for option in one.options:
            lines += [".TP", rf"\fB{_roff(option.usage)}\fR", _roff(_help(option)) or r"\&"]
    lines += [".SH EXIT STATUS"]
    for code, meaning in EXPLAINED.items():
        lines += [".TP", rf"\fB{int(code)}\fR", _roff(meaning)]
    return "\n".join(lines) + "\n"


def _roff(text: str) -> str:
    """Text of which roff obeys nothing; hyphens as they are typed, so that they can be copied."""
    text = text.replace("\\", r"\(rs").replace("-", r"\-").replace("'", r"\(aq").replace("`", r"\(ga")
    text = text.replace("^", r"\(ha").replace("~", r"\(ti").replace('"', r"\(dq")
    text = "".join(one if one.isascii() else f"\\[u{ord(one):04X}]" for one in text)
    return rf"\&{text}" if text.startswith(".") else text
