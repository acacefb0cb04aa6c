# SPDX-License-Identifier: MIT
"""Machines that a stack cannot run on: scripts/run says so in one line, before it starts anything. And modes: the
caller's umask changes nothing."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from lib.stack import BUILD_DIR, ROOT, Stack
from lib.wait import eventually

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="mounts and other users need root")


@pytest.fixture
def unstarted():
    stack = Stack.prepare()
    yield stack
    stack.stop()


def refused(stack, *, before="", name="run", arguments=("--detach", "--no-build"), root=ROOT, **settings):
    """What a script says that ends with 1 and one line; `before` is run first in a mount namespace of its own."""
    command = ["bash", "-euc", f'{before}\nexec "$@"', "bash", str(root / "scripts" / name), *arguments]
    if before and os.geteuid() == 0:
        command = ["unshare", "--mount", *command]
    environment = {**stack.environment, **{key: str(value) for key, value in settings.items()}}
    done = subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, timeout=180)
    assert done.returncode == 1 and done.stderr.count("\n") == 1, (done.returncode, done.stdout, done.stderr)
    assert not list(stack.run_dir.glob("service/*")), "something was prepared already"
    return done.stderr


@pytest.mark.parametrize("name", ["with space", "café", "dollar$"])
def test_a_checkout_at_such_a_path(unstarted, tmp_path, name):
    (tmp_path / name).mkdir()
    shutil.copytree(ROOT / "scripts", tmp_path / name / "scripts")
    assert "make or multiwatch cannot take" in refused(unstarted, root=tmp_path / name)


def test_make_with_a_space(tmp_path):
    done = subprocess.run(["make", "-n", f"BUILD={tmp_path}/a b", "all"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and "BUILD has a space in it" in done.stderr


def test_a_run_directory_with_a_long_path(unstarted):
    assert "RUN_DIR has" in refused(unstarted, RUN_DIR=unstarted.run_dir / "/".join(["d" * 90] * 10))


@ROOT_ONLY
@pytest.mark.parametrize(
    "options, told",
    [("noexec", "noexec"), ("size=20m", "a first start needs 256"), ("ro", "cannot make")],
)
def test_a_file_system(unstarted, options, told):
    place = unstarted.run_dir.parent
    text = refused(unstarted, before=f"mount -t tmpfs -o {options},mode=755 tmpfs {place}")
    assert told in text, text


@ROOT_ONLY
def test_programs_on_a_noexec_file_system(unstarted, tmp_path):
    before = f"mount -t tmpfs -o mode=755 tmpfs {tmp_path}; cp {BUILD_DIR}/fcgi-api {tmp_path}; mount -o remount,noexec {tmp_path}"
    assert "cannot be started" in refused(unstarted, before=before, BUILD_DIR=tmp_path)


def test_few_open_files(unstarted):
    assert "only 64 files may be open" in refused(unstarted, before="ulimit -n 64")


@ROOT_ONLY
@pytest.mark.parametrize("files", [{"meminfo": "MemTotal: 262144 kB\nSwapTotal: 0 kB\n"}, {"cgroup": "0::/small/part\n"}])
def test_little_memory(unstarted, tmp_path, files):
    """By the machine, and by a control group above ours."""
    (tmp_path / "group" / "small" / "part").mkdir(parents=True)
    (tmp_path / "group" / "memory.max").write_text("max\n")
    (tmp_path / "group" / "small" / "memory.max").write_text("268435456\n")
    (tmp_path / "group" / "small" / "part" / "memory.max").write_text("max\n")
    before = [f"mount --bind {tmp_path}/group /sys/fs/cgroup"]
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        before.append(f"mount --bind {tmp_path}/{name} /proc/{'$$/' if name == 'cgroup' else ''}{name}")
    assert "256 MiB of memory" in refused(unstarted, before="; ".join(before))


@pytest.fixture
def small_group():
    """A control group of 400 MB, of either version."""
    for root, limit in ((Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"), (Path("/sys/fs/cgroup"), "memory.max")):
        group = root / f"carillon-{os.getpid()}"
        try:
            group.mkdir()
            (group / limit).write_text("400000000")
        except OSError:
            if group.is_dir():
                group.rmdir()
            continue
        yield group
        eventually(lambda: not (group / "cgroup.procs").read_text(), 60, "the group is empty")
        group.rmdir()
        return
    pytest.skip("no control group with a limit of memory can be made here")


@ROOT_ONLY
@pytest.mark.long
def test_400_mb_are_enough(small_group):
    stack = Stack.prepare()
    try:
        join = f'echo $$ >{small_group}/cgroup.procs; exec "$@"'
        subprocess.run(
            ["sh", "-euc", join, "sh", ROOT / "scripts/run", "--detach", "--no-build"], cwd=ROOT, env=stack.environment,
            capture_output=True, text=True, timeout=400, check=True,
        )  # fmt: skip
        stack.ready()
        assert {part.restarts for part in stack.parts().values()} == {0}
        told = next(small_group / name for name in ("memory.oom_control", "memory.events") if (small_group / name).exists())
        assert re.search(r"^oom_kill 0$", told.read_text(), re.M), told.read_text()
    finally:
        stack.stop()


# ---- another user's stack -----------------------------------------------------------------------------


@ROOT_ONLY
@pytest.mark.parametrize("name", ["run", "stop", "status", "logs", "sql", "token"])
def test_the_stack_of_another_user(stack, name):
    """The script does not say "nothing runs", but names the other user."""
    nobody = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]
    if subprocess.run([*nobody, "test", "-x", ROOT / "scripts" / "run"]).returncode != 0:
        pytest.skip("the checkout cannot be read by another user")
    done = subprocess.run(
        [*nobody, ROOT / "scripts" / name, *(["1"] if name == "token" else [])], cwd="/",
        env=stack.environment, capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    assert done.returncode == 1 and "belongs to root" in done.stderr, (done.stdout, done.stderr)
    assert "nothing runs" not in done.stdout + done.stderr


@ROOT_ONLY
def test_a_directory_that_cannot_be_looked_into(stack, tmp_path):
    """Nor is what cannot be seen absent."""
    hidden = tmp_path / "hidden"
    hidden.mkdir(mode=0o700)
    tmp_path.chmod(0o755)
    for parent in list(tmp_path.parents)[:3]:
        parent.chmod(parent.stat().st_mode | 0o055)
    done = subprocess.run(
        ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups", ROOT / "scripts" / "stop"], cwd="/",
        env={**stack.environment, "RUN_DIR": str(hidden / "run")}, capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    assert done.returncode == 1 and f"may not look into {hidden}" in done.stderr, (done.stdout, done.stderr)


# ---- modes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0o027, 0o077, 0o000])
def test_what_is_installed_can_be_read_by_everybody(tmp_path, umask):
    subprocess.run(
        ["make", "install", f"DESTDIR={tmp_path}/to", f"BUILD={BUILD_DIR}"], cwd=ROOT, check=True, capture_output=True, umask=umask
    )
    modes = {str(path.relative_to(tmp_path / "to")): path.stat().st_mode & 0o777 for path in (tmp_path / "to").rglob("*")}
    assert "usr/local/share/carillon/nginx/client/index.html" in modes
    for path, mode in modes.items():
        commands = ("/accounts", "/backup", "/fetch-keys", "/migrate", "/nginx-config", "/restore", "/setup", "/undo", "/watch/start", "/deploy-certificate", "/listen-tls")
        whole = (tmp_path / "to" / path).is_dir() or "/bin/" in path or "/sbin/" in path or path.endswith(commands)
        assert mode == (0o755 if whole else 0o644), f"{path} has mode {mode:o}"


def test_a_checkout_that_only_its_owner_reads_can_be_installed(tmp_path):
    """As git makes it with umask 077."""
    tree = tmp_path / "tree"
    shutil.copytree(ROOT, tree, symlinks=True, ignore=shutil.ignore_patterns(".*", "build", "node_modules", "__pycache__"))
    for path in (tree, *tree.rglob("*")):
        path.chmod(path.stat().st_mode & 0o700)
    arguments = [f"DESTDIR={tmp_path}/to", f"BUILD={BUILD_DIR}"]
    subprocess.run(["make", "install", *arguments], cwd=tree, check=True, capture_output=True, umask=0o077)
    closed = [path for path in (tmp_path / "to").rglob("*") if path.stat().st_mode & 0o444 != 0o444]
    assert (tmp_path / "to/usr/local/share/carillon/nginx/client/index.html").exists() and closed == []


def test_no_configuration_is_for_everybody_to_write(stack):
    """MariaDB ignores one, and would open the system's data directory."""
    for path in (stack.run_dir / "etc").rglob("*"):
        # A link has no rights of its own, and leads to a plugin of Debian's.
        assert path.is_symlink() or path.stat().st_mode & 0o077 == 0, path
    assert stack.sql("SELECT @@datadir") == [(f"{stack.run_dir}/mariadb/",)]


def started(stack, mode, tmp_path):
    """What the part mariadb says when its configuration has that mode, and no server."""
    config = tmp_path / "mariadb.cnf"
    config.write_text((stack.run_dir / "etc" / "mariadb.cnf").read_text())
    config.chmod(mode)
    environment = {**os.environ, "MARIADB_CONFIG": str(config), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    return subprocess.run([ROOT / "scripts/parts/mariadb/start"], env=environment, capture_output=True, text=True, timeout=180)


def test_a_server_whose_configuration_is_ignored_is_not_started(stack, tmp_path):
    done = started(stack, 0o666, tmp_path)
    assert done.returncode == 1 and "mode 666" in done.stdout, done


def test_nor_a_client_whose_address_is_ignored(small_stack):
    address = small_stack.run_dir / "etc" / "mariadb-admin.cnf"
    address.chmod(0o666)
    try:
        done = small_stack.script("sql", "-e", "SELECT 1", check=False)
        assert done.returncode == 1 and "chmod 600" in done.stderr
    finally:
        address.chmod(0o600)
