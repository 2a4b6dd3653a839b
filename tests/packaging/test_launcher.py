"""The launcher and what it unpacks, with a program of three lines in place of ours."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PACKAGING = Path(__file__).parents[2] / "packaging"
PROGRAM = """
#include <stdio.h>
#include <stdlib.h>
int main(int count, char **arguments) {
    printf("%s|%s|%s\\n", arguments[0], count > 1 ? arguments[1] : "", getenv("SPOKE_EXECUTABLE"));
    fflush(stdout);
    if (count > 1) getchar();
}
"""
CANNOT_CREATE, DAMAGED = 73, 65

pytestmark = pytest.mark.skipif(
    shutil.which("gcc") is None or not Path("/usr/include/zstd.h").exists(), reason="needs gcc and libzstd-dev"
)
Pack = Callable[[str], Path]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compiled")
    subprocess.run([PACKAGING / "launcher" / "compile.sh", folder / "launcher"], check=True)
    subprocess.run(["gcc", "-x", "c", "-o", folder / "spoke", "-"], input=PROGRAM, text=True, check=True)
    return folder


@pytest.fixture
def packed(compiled: Path, tmp_path: Path) -> Pack:
    def pack(text: str) -> Path:
        """The one file of a release that differs in `text`."""
        tree, out = tmp_path / f"tree-{text}", tmp_path / f"file-{text}"
        (tree / "deep" / "er").mkdir(parents=True)
        shutil.copy(compiled / "spoke", tree / "spoke")
        (tree / "deep" / "er" / "data").write_text(text * 1000)
        (tree / "empty").touch()
        run_pack(compiled / "launcher", tree, out)
        return out

    return pack


def run_pack(launcher: Path, tree: Path, out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(PACKAGING / "pack.py"), str(launcher), str(tree), "1.2.3", str(out)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def environment(tmp_path: Path, cache: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin", "SPOKE_CACHE": str(cache)}


def start(file: Path, environment: dict[str, str], *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([file, *arguments], env=environment, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stderr
    return done


def trees(cache: Path) -> list[Path]:
    """What is in the cache; also what should not be."""
    return sorted((cache / "spoke").iterdir(), key=lambda path: path.stat().st_mtime)


def contents(tree: Path) -> dict[str, tuple[int, bytes]]:
    return {
        path.relative_to(tree).as_posix(): (stat.S_IMODE(path.stat().st_mode), path.read_bytes())
        for path in tree.rglob("*")
        if path.is_file() and path.name != "MANIFEST"
    }


def test_it_unpacks_once_and_becomes_the_program(
    packed: Pack, cache: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    file = packed("a")
    link = tmp_path / "link"
    link.symlink_to(file)
    assert start(link, environment).stdout == f"{link}||{file}\n"
    (tree,) = trees(cache)
    assert contents(tree) == contents(tmp_path / "tree-a")
    assert stat.S_IMODE((cache / "spoke").stat().st_mode) == 0o700
    unpacked_at = (tree / "MANIFEST").stat().st_mtime_ns
    start(file, environment)
    assert [(path, (path / "MANIFEST").stat().st_mtime_ns) for path in trees(cache)] == [(tree, unpacked_at)]


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_standard_stream_that_is_closed_becomes_no_file_of_ours(
    closed: str, compiled: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    """The lock that stays open for the program would be its stdout."""
    (tree := tmp_path / "tree").mkdir()
    program = tree / "spoke"
    look = "$(readlink /proc/$$/fd/0) $(readlink /proc/$$/fd/1) $(readlink /proc/$$/fd/2)"
    program.write_text(f'#!/bin/sh\nfound="{look}"\necho $found > {tmp_path}/found\n')
    program.chmod(0o755)
    assert run_pack(compiled / "launcher", tree, tmp_path / "file").returncode == 0
    for _ in ("it unpacks", "it is there"):
        subprocess.run(["sh", "-c", f"{tmp_path}/file {closed}"], env=environment, check=True, capture_output=True)
        found = (tmp_path / "found").read_text().split()
        assert len(found) == 3
        assert found.count("/dev/null") >= closed.count("&-")
        assert not [one for one in found if str(tmp_path) in one]


def test_eight_first_starts_at_once(packed: Pack, cache: Path, environment: dict[str, str]) -> None:
    file = packed("a")
    for _ in range(3):
        running = [subprocess.Popen([file], env=environment, stdout=subprocess.PIPE, text=True) for _ in range(8)]
        assert [(each.communicate()[0], each.returncode) for each in running] == [(f"{file}||{file}\n", 0)] * 8
        assert len(trees(cache)) == 1
        shutil.rmtree(cache)


@pytest.mark.parametrize("lost", ["deep/er/data", "spoke", "empty", "MANIFEST"])
@pytest.mark.parametrize("way", ["gone", "short"])
def test_what_a_power_cut_left_is_found_and_mended(
    packed: Pack, cache: Path, environment: dict[str, str], tmp_path: Path, lost: str, way: str
) -> None:
    file = packed("a")
    start(file, environment)
    (tree,) = trees(cache)
    if way == "gone":
        (tree / lost).unlink()
    else:
        (tree / lost).write_bytes(b"x")  # also longer than the empty one
    start(file, environment)
    assert trees(cache) == [tree]
    assert contents(tree) == contents(tmp_path / "tree-a")


def test_a_torn_release_is_mended_by_eight_at_once(packed: Pack, cache: Path, environment: dict[str, str]) -> None:
    file = packed("a")
    start(file, environment)
    (tree,) = trees(cache)
    (tree / "deep" / "er" / "data").unlink()
    running = [subprocess.Popen([file], env=environment, stdout=subprocess.PIPE, text=True) for _ in range(8)]
    assert [(each.communicate()[0], each.returncode) for each in running] == [(f"{file}||{file}\n", 0)] * 8
    assert trees(cache) == [tree]


def test_the_next_place_is_taken(packed: Pack, cache: Path, environment: dict[str, str], tmp_path: Path) -> None:
    file = packed("a")
    cache.write_text("a file is in the way")
    start(file, environment)
    assert len(list((tmp_path / "home" / ".cache" / "spoke").iterdir())) == 1

    open_for_all = tmp_path / "open" / "spoke"
    open_for_all.mkdir(parents=True)
    for mode in (0o777, 0o1777, 0o770):
        open_for_all.chmod(mode)
        start(file, {**environment, "SPOKE_CACHE": str(open_for_all.parent)})
        assert list(open_for_all.iterdir()) == []

    somebodys = tmp_path / "somebody"
    somebodys.mkdir()
    if os.geteuid() == 0:  # with the HOME of a person, after sudo: nothing of root's gets into it
        os.chown(somebodys, 1000, 1000)
        start(file, {"HOME": str(somebodys), "CACHE_DIRECTORY": str(tmp_path / "service")})
        start(file, {**environment, "SPOKE_CACHE": str(somebodys)})
        assert list(somebodys.iterdir()) == []

    start(file, {"CACHE_DIRECTORY": str(tmp_path / "service")})
    start(file, {"XDG_CACHE_HOME": str(tmp_path / "xdg"), "HOME": environment["HOME"]})
    assert len(list((tmp_path / "service" / "spoke").iterdir())) == 1
    assert len(list((tmp_path / "xdg" / "spoke").iterdir())) == 1


def test_no_place_at_all_is_said(packed: Pack) -> None:
    alone = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec"]
    if subprocess.run([*alone, "mount -t tmpfs none /mnt"], check=False, capture_output=True).returncode:
        pytest.skip("this machine allows no mounts in a namespace")
    script = f"""
        mount -t tmpfs none /mnt
        cp {packed("a")} /mnt/spoke
        mount -t tmpfs -o noexec none /tmp
        mount -t tmpfs -o noexec none /var/cache
        HOME=/tmp/home SPOKE_CACHE=/proc exec /mnt/spoke"""
    done = subprocess.run([*alone, script], check=False, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"})
    assert (done.returncode, done.stdout) == (CANNOT_CREATE, "")
    first, *places = done.stderr.splitlines()
    assert "SPOKE_CACHE=" in first
    assert [place.split()[0] for place in places] == [
        "/proc/spoke:",
        "/tmp/home/.cache/spoke:",
        "/var/cache/spoke:",
        "/tmp/spoke-0:",
    ]
    assert all("mounted noexec" in place for place in places[1:])


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_a_file_that_is_not_whole_is_refused(
    packed: Pack, cache: Path, environment: dict[str, str], compiled: Path, share: float
) -> None:
    file = packed("a")
    size, launcher = file.stat().st_size, (compiled / "launcher").stat().st_size
    os.truncate(file, launcher + int((size - launcher) * share))
    assert "fetch it again" in start(file, environment, code=DAMAGED).stderr
    assert not cache.exists()


def test_a_flipped_bit_is_found(packed: Pack, cache: Path, environment: dict[str, str], compiled: Path) -> None:
    file = packed("a")
    data = bytearray(file.read_bytes())
    for where in ((compiled / "launcher").stat().st_size + 1000, len(data) - 150):  # contents, manifest
        broken = bytearray(data)
        broken[where] ^= 4
        file.write_bytes(broken)
        assert "fetch it again" in start(file, environment, code=DAMAGED).stderr
        assert not cache.exists() or not [path for path in trees(cache) if not path.name.startswith(".unpack-")]


def test_two_releases_are_kept_and_those_that_run(packed: Pack, cache: Path, environment: dict[str, str]) -> None:
    files = {text: packed(text) for text in "abcde"}
    folders: dict[str, Path] = {}

    def first_start(text: str) -> None:
        start(files[text], environment)
        (folders[text],) = set(trees(cache)) - set(folders.values())
        os.utime(folders[text], (ord(text), ord(text)))  # used in this order, long ago

    first_start("a")
    command = [str(files["a"]), "runs"]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout
        assert running.stdout.readline()
        os.utime(folders["a"], (1, 1))
        for text in "bcd":
            first_start(text)
        assert trees(cache) == [folders["a"], folders["c"], folders["d"]]
        running.communicate("")
    folders["mine"] = cache / "spoke" / "mine"
    folders["mine"].mkdir()
    os.utime(folders["mine"], (1, 1))
    first_start("e")
    assert trees(cache) == [folders["mine"], folders["d"], folders["e"]]


def test_unpack_makes_a_release_folder(packed: Pack, environment: dict[str, str], tmp_path: Path) -> None:
    file = packed("a")
    target = tmp_path / "releases" / "1.2.3"
    assert "No such file" in start(file, environment, "--unpack", str(target), code=CANNOT_CREATE).stderr
    target.parent.mkdir()
    done = subprocess.run(["sh", "-c", f"umask 077; {file} --unpack {target}"], env=environment, check=True)
    assert done.returncode == 0
    assert contents(target) == contents(tmp_path / "tree-a")
    assert stat.S_IMODE(target.stat().st_mode) == stat.S_IMODE((target / "deep").stat().st_mode) == 0o755
    assert "exists already" in start(file, environment, "--unpack", str(target), code=CANNOT_CREATE).stderr
    assert list(target.parent.iterdir()) == [target]
    subprocess.run([file, "--unpack", "here"], cwd=tmp_path, check=True)
    assert contents(tmp_path / "here") == contents(target)
    manifest = (target / "MANIFEST").read_text().splitlines()
    assert {line.split()[3] for line in manifest} == set(contents(target))


def test_a_full_disk_leaves_nothing_behind(packed: Pack, environment: dict[str, str], tmp_path: Path) -> None:
    file = packed("a")
    (tmp_path / "releases").mkdir()

    def full() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (900, 900))

    command = [str(file), "--unpack", str(tmp_path / "releases" / "1")]
    done = subprocess.run(command, env=environment, preexec_fn=full, capture_output=True, text=True, check=False)
    assert done.returncode == CANNOT_CREATE
    assert "File too large" in done.stderr
    assert list((tmp_path / "releases").iterdir()) == []


def test_packing_gives_the_same_bytes_and_refuses_what_it_cannot_carry(
    packed: Pack, compiled: Path, tmp_path: Path
) -> None:
    first, again = packed("a"), tmp_path / "again"
    moved = tmp_path / "moved"
    shutil.copytree(tmp_path / "tree-a", moved)
    os.utime(moved / "spoke", (1, 1))
    assert run_pack(compiled / "launcher", moved, again).returncode == 0
    assert first.read_bytes() == again.read_bytes()
    for name in ("with blank", "link"):
        bad = tmp_path / f"bad-{name}"
        bad.mkdir()
        if name == "link":
            (bad / name).symlink_to("spoke")
        else:
            (bad / name).touch()
        done = run_pack(compiled / "launcher", bad, tmp_path / "out")
        assert done.returncode
        assert f"{name} cannot be packed" in done.stderr
