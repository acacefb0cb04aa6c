# SPDX-License-Identifier: MIT
"""What scripts/cluster is asked for and cannot do: one sentence that says what to do, and nothing is changed. No cluster runs."""

import json
import os
import subprocess

import pytest

from lib.stack import ROOT

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces are root's")


@pytest.fixture
def place(tmp_path):
    """A cluster that was started once, and of which nothing is there any more."""
    (tmp_path / "cluster.env").write_text("NET=10.99.9\nPORT=29999\nMEMBERS=(node1 node2 node3)\n")
    return tmp_path


def call(place, *arguments, before=()):
    return subprocess.run(
        [*before, ROOT / "scripts/cluster", *arguments], env={**os.environ, "CLUSTER_DIR": str(place)}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def names(place):
    return sorted(path.name for path in place.iterdir() if path.name != "lock") if place.is_dir() else None


def refused(place, *arguments, **more):
    """The sentence."""
    had = names(place)
    done = call(place, *arguments, **more)
    assert done.returncode == 1 and done.stdout == "", done
    assert done.stderr.startswith("cluster: ") and done.stderr.count("\n") == 1, done.stderr
    assert had == names(place)
    return done.stderr


def test_help(tmp_path):
    done = call(tmp_path, "--help")
    assert done.returncode == 0 and "scripts/cluster join NODE" in done.stdout


def test_commands(tmp_path):
    assert "start stop status" in refused(tmp_path)
    assert "no command 'begin'" in refused(tmp_path, "begin")
    for command in ("restart", "kill", "cut", "heal", "forget", "join"):
        assert f"scripts/cluster {command} NODE" in refused(tmp_path, command)
    assert "--deaf-to" in refused(tmp_path, "heal", "node1", "--deaf-to", "node2")
    assert "needs a value" in refused(tmp_path, "cut", "node1", "--deaf-to")
    assert "--port" in refused(tmp_path, "stop", "--port", "9000")
    assert "needs a value" in refused(tmp_path, "start", "--port")


def test_not_root(tmp_path):
    said = refused(tmp_path, "start", before=["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"])
    assert "as root" in said and "sudo scripts/cluster start" in said


def test_a_node_that_does_not_exist(place):
    for command in ("start", "stop", "restart", "kill", "cut", "heal", "forget"):
        assert "there is no node 'node4'" in refused(place, command, "node4")
    assert "there is no node 'node4'" in refused(place, "cut", "node1", "--deaf-to", "node4")
    assert "there is no node 'node4'" in refused(place, "start", "--from", "node4")


@pytest.mark.parametrize(
    "names, said",
    [
        ("a,b,a", "two nodes are called 'a'"),
        ("a,B", "'B' cannot be a node's name"),
        ("a,front", "'front' cannot be a node's name"),
        ("a,../b", "'../b' cannot be a node's name"),
        ("a,b,c,d,e,f,g,h,i,j", "too many"),
    ],
)
def test_names(tmp_path, names, said):
    assert said in refused(tmp_path / "new", "start", "--nodes", names)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("net", ["10.77", "192.168.1", "10.300.1", "10.77.0.0"])
def test_nets(tmp_path, net):
    assert "--net must be" in refused(tmp_path / "new", "start", "--net", net)


def test_another_set_of_nodes(place):
    assert "add one with join" in refused(place, "start", "--nodes", "a,b,c")
    assert "set CLUSTER_DIR" in refused(place, "start", "--net", "10.98.9")


def test_what_is_not_there(tmp_path, place):
    done = call(tmp_path / "none", "status", "--json")
    assert done.returncode == 3 and json.loads(done.stdout) == {"nodes": {}, "endpoints": {}} and "scripts/cluster start" in done.stderr
    for command in ("stop", "kill node1", "join node1"):
        assert "no cluster was ever started" in refused(tmp_path / "none", *command.split())
    for command in ("kill", "cut", "heal"):
        assert "scripts/cluster start node1" in refused(place, command, "node1")
    assert "start the others first" in refused(place, "join", "node1")


def test_a_status_of_what_does_not_run(place):
    done = call(place, "status", "--json")
    nodes = json.loads(done.stdout)["nodes"]
    assert done.returncode == 3 and list(nodes) == ["node1", "node2", "node3"]
    assert {node["state"] for node in nodes.values()} == {"down"}
