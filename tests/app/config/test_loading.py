"""Layers: what wins, what set it, and every problem at once with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.config import ConfigError, read, save_hub
from app.config.keys import key_problems
from app.config.layers import unknown_variables
from app.paths import Paths
from app.storage_limit import configured_limit


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    (tmp_path / "data").mkdir()
    return Paths(tmp_path / "data", tmp_path / "spoke.toml")


def problems(paths: Paths, environment: dict[str, str] | None = None, flags: tuple[str, ...] = ()) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(paths, flags, environment or {})
    return [str(problem) for problem in caught.value.problems]


def test_what_is_said_later_wins_and_is_known_as_what_set_it(paths: Paths) -> None:
    save_hub(paths, "wss://joined", api_key="alk_joined")
    paths.config_file.write_text('name = "file"\n\n[hub]\nproxy = "http://file"\nmore_urls = ["wss://file"]\n')
    environment = {"SPOKE_HUB__PROXY": "http://environment", "SPOKE_HUB__FOLLOWS": '["a@*"]', "SPOKE_DATA_DIR": "/x"}
    loaded = read(paths, ("name=flag", "api.port=9", "hub.allow_plain=true"), environment)
    hub = loaded.settings.hub
    assert (loaded.settings.name, hub.url, hub.proxy, hub.more_urls, hub.follows, hub.allow_plain) == (
        "flag",
        "wss://joined",
        "http://environment",
        ["wss://file"],
        ["a@*"],
        True,
    )
    assert loaded.settings.api.port == 9
    said = {
        ("name",): "--set name",
        ("hub", "url"): str(paths.hub_file),
        ("hub", "proxy"): "SPOKE_HUB__PROXY",
        ("hub", "more_urls"): f"{paths.config_file}:5",
        ("hub", "follows"): "SPOKE_HUB__FOLLOWS",
        ("hub", "streams"): "default",
        ("ui", "theme"): "default",
    }
    assert {key: str(loaded.origin(key)) for key in said} == said


def test_a_secret_may_lie_in_a_file(paths: Paths, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("alk_filed\n")
    loaded = read(paths, (), {"SPOKE_HUB__API_KEY_FILE": str(tmp_path / "key")})
    assert loaded.settings.hub.api_key is not None
    assert loaded.settings.hub.api_key.get_secret_value() == "alk_filed"
    assert str(loaded.origin(("hub", "api_key"))) == f"SPOKE_HUB__API_KEY_FILE ({tmp_path / 'key'})"
    (one,) = problems(paths, {"SPOKE_HUB__API_KEY_FILE": str(tmp_path / "none")})
    assert one == f"SPOKE_HUB__API_KEY_FILE: {tmp_path / 'none'}: No such file or directory"
    (one,) = problems(paths, {"SPOKE_HUB__API_KEY_FILE": "x", "SPOKE_HUB__API_KEY": "alk_secret"})
    assert "is set too" in one
    assert "alk_secret" not in one
    (one,) = problems(paths, {"SPOKE_HUB__URL_FILE": "x"})  # only secrets have such a variable
    assert "hub.url_file: unknown key" in one


def test_every_problem_is_told_with_its_place_and_the_nearest_key_of_that_table(paths: Paths) -> None:
    paths.config_file.write_text(
        'nmae = "x"\n[hub]\nulr = "x"\nallow_plain = "perhaps"\n\n[commands.x]\nargv = []\n[commands.y]\n'
        'cwd = """\n/tmp"""\n[operations."team.total"]\nargv = ["a"]\ntimeout = 3\n[commands.x.arguments.p]\n'
        "default = [1]\n[ui]\nurl = 1\n"
    )
    environment = {"SPOKE_FS__ROOTS": "oops", "SPOKE_API__PORT": "99999"}
    file = paths.config_file
    found = problems(paths, environment, ("hub.urk=1", "nothing"))
    expected = [
        "SPOKE_FS__ROOTS: not JSON: ",
        "--set nothing: say --set",
        "SPOKE_API__PORT: api.port: ",
        "--set hub.urk: hub.urk: unknown key, did you mean url?",
        f"{file}:1: nmae: unknown key, did you mean name?",
        f"{file}:3: hub.ulr: unknown key, did you mean url?",
        f"{file}:4: hub.allow_plain: input should be a valid boolean",
        f"{file}:7: commands.x.argv: ",
        f"{file}:8: commands.y.argv: field required",
        f'{file}:13: operations."team.total".timeout: unknown key, did you mean timeout_s?',
        f"{file}:15: commands.x.arguments.p.default: input should be a valid string or a valid integer",
        f"{file}:17: ui.url: unknown key",
    ]
    missing = [one for one in expected if not any(problem.startswith(one) for problem in found)]
    assert not missing, found
    assert len(found) == len(expected)
    assert "did you mean" not in next(one for one in found if "ui.url" in one), "url is a key of another table"


def test_problems_are_in_the_order_and_the_words_of_the_file(paths: Paths) -> None:
    paths.config_file.write_text('nmae = "x"\n[api]\nport = "x"\n[fs]\nroots = "x"\n[commands.a]\nargv = []\n')
    found = problems(paths)
    assert [one.removeprefix(f"{paths.config_file}:").partition(":")[0] for one in found] == ["1", "3", "5", "7"]
    assert found[2].endswith(": fs.roots: input should be an array")
    assert found[3].endswith(": commands.a.argv: the array may not be empty")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'name = "broken\n', ":1: "),
        (b"[hub]\nurl = 'a'\nurl = 'b'\n", ":3: "),
        (b"name = '\xff'\n", "not UTF-8"),
    ],
)
def test_a_file_that_is_no_toml_has_a_line_and_hides_nothing_else(paths: Paths, content: bytes, said: str) -> None:
    paths.config_file.write_bytes(content)
    found = problems(paths, {"SPOKE_API__PORT": "x"})
    assert found[0].startswith(str(paths.config_file))
    assert said in found[0]
    assert any(one.startswith("SPOKE_API__PORT: ") for one in found)


def test_a_damaged_hub_file_says_what_to_do(paths: Paths) -> None:
    paths.hub_file.write_text("{torn")
    (one,) = problems(paths)
    assert one.startswith(str(paths.hub_file))
    assert "spoke join" in one


def test_variables_that_nobody_hears() -> None:
    environment = {
        "SPOKE_HBU__URL": "x",
        "SPOKE_HUB__URL": "x",
        "SPOKE_DATA_DIR": "x",
        "OTHER__X": "x",
        "SPOKE_ZZZ__A": "",
    }
    assert [str(one) for one in unknown_variables(environment)] == [
        "SPOKE_HBU__URL: there is no such table, did you mean SPOKE_HUB__…?",
        "SPOKE_ZZZ__A: there is no such table",
    ]


def test_keys_of_the_terminal_ui_that_meet() -> None:
    defaults = {"app.quit": "q", "list.up": "k,up", "graph.fold": "f", "queue.free": "F", "queue.stop": "s"}
    check = {
        ("graph.fold", "q"): ["q is the key of app.quit"],
        ("graph.fold", "F"): [],  # another screen's
        ("queue.free", "s"): ["s is the key of queue.stop"],
        ("list.up", "x,f"): ["f is the key of graph.fold"],
        ("graph.fodl", "x"): ["nothing has this id, did you mean graph.fold?"],
        ("zzz", "x"): ["nothing has this id"],
    }
    for (name, key), expected in check.items():
        found = list(key_problems({name: key}, defaults))
        assert [text.partition(": ")[2].removesuffix(" too") for _, text in found] == expected, name
    both = [name for name, _ in key_problems({"graph.fold": "x", "app.quit": "x"}, defaults)]
    assert both == ["graph.fold", "app.quit"]
    assert not list(key_problems({"app.quit": "Q", "graph.fold": "q"}, defaults)), "its key was given away"


@pytest.mark.parametrize(
    ("text", "environment", "flags", "limit"),
    [
        (None, {}, (), None),
        ("[hub]\nulr = 7\n", {}, (), None),
        ("# storage\n[storage]\n#max_bytes = 3\n", {}, (), None),
        ("[storage]\nmax_bytes = 20_000_000\n", {}, (), 20_000_000),
        ("storage.max_bytes = 16_777_216\n", {}, (), 16_777_216),
        ("[storage]\nmax_bytes = 20_000_000\n", {"SPOKE_STORAGE__MAX_BYTES": "30000000"}, (), 30_000_000),
        ("[storage]\nmax_bytes = 20_000_000\n", {"spoke_storage": '{"max_bytes": 30000000}'}, (), 30_000_000),
        (None, {"SPOKE_STORAGE__MAX_BYTES": "30000000"}, ("storage.max_bytes=40000000",), 40_000_000),
        ('[storage]\nmax_bytes = "20000000"\n', {}, (), 20_000_000),
    ],
)
def test_the_limit_alone_is_what_the_whole_says(
    paths: Paths, text: str | None, environment: dict[str, str], flags: tuple[str, ...], limit: int | None
) -> None:
    if text is not None:
        paths.config_file.write_text(text)
    assert configured_limit(paths, flags, environment) == limit
    if text is None or "ulr" not in text:  # of what else is wrong a command that needs no more does not hear
        assert read(paths, flags, environment).settings.storage.max_bytes == limit


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("[storage]\nmax_bytes = 16_777_215\n", "storage.max_bytes: input should be greater than or equal to 16777216"),
        ("[storage]\nmax_bytes = 2e7.5\n", "spoke.toml:2"),
        ("[storage]\nmax_bytes = true\n", "storage.max_bytes"),
        ("storage = 7\n", "storage"),
        ("[storage]\nmax_byte = 20_000_000\nmax_bytes = 1\n", "did you mean max_bytes?"),
        ('[storage]\npolicy = "drop-oldest"\nmax_bytes = 1\n', "storage.policy: unknown key"),
    ],
)
def test_a_limit_that_is_none_is_an_error_with_its_place(paths: Paths, text: str, word: str) -> None:
    paths.config_file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        configured_limit(paths, (), {})
    assert word in str(caught.value)
