# SPDX-License-Identifier: MIT
"""A cluster that runs: what it says of itself, what it refuses, and how nodes leave and come back."""

import os
import re
import shutil
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from drill.cluster import impossible
from lib import proc
from lib.cluster import Cluster
from lib.http import Http
from lib.wait import eventually

pytestmark = pytest.mark.skipif(impossible() is not None, reason=str(impossible()))


@pytest.fixture(scope="module")
def cluster():
    made = Cluster(RING_AGE_S=120, WS_HEARTBEAT_S=4)
    try:
        made.start()
        eventually(made.whole, 60, "every node is ready", interval=0.5)
        yield made
    finally:
        made.stop(bool(os.environ.get("CARILLON_KEEP")))


def refused(cluster, *arguments):
    done = cluster.command(*arguments, check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done
    return done.stderr


def whole(cluster):
    eventually(cluster.whole, 90, "every node is ready", interval=0.5)
    eventually(lambda: {node["waiting"] for node in cluster.status()["nodes"].values()} == {0}, 60, "nothing waits", interval=0.5)


def test_status(cluster):
    status = cluster.status()
    assert status["front"] == "up" and status["endpoints"] == {"http": cluster.http, "ws": cluster.ws}
    for name, node in status["nodes"].items():
        assert node["state"] == "up" and node["cable"] is None, (name, node)
        assert (node["galera"]["component"], node["galera"]["state"], node["galera"]["size"]) == ("Primary", "Synced", 3)
        assert set(node["parts"]) >= {"mariadb", "rabbitmq", "fcgi-api", "ws-notifier", "nginx"}
    table = cluster.command("status").stdout
    assert all(f"{name} " in table for name in status["nodes"]) and cluster.http in table


def test_what_runs_already(cluster):
    assert "runs already" in refused(cluster, "start")
    assert "node2 runs already" in refused(cluster, "start", "node2")
    assert "node2 runs already" in refused(cluster, "join", "node2")
    assert "stop it before" in refused(cluster, "forget", "node2")
    assert "is not cut off" in refused(cluster, "heal", "node2")
    assert "no part has the name 'apache'" in refused(cluster, "restart", "node2", "apache")


def test_a_second_cluster_in_the_same_net(cluster, tmp_path):
    other = Cluster()
    try:
        said = refused(other, "start", "--no-build", "--port", str(other.port), "--net", cluster.net)
        assert f"that of the cluster in {cluster.directory}" in said and not other.directory.exists()
        other.directory.mkdir()
        shutil.copy(cluster.directory / "cluster.env", other.directory)
        for command in ("start", "stop", "status", "kill node1", "cut node1"):
            assert f"that of the cluster in {cluster.directory}" in refused(other, *command.split())
    finally:
        other.stop()
    whole(cluster)


def test_a_cut_node_says_so_and_comes_back(cluster):
    client = Http(cluster.http, timeout=10)
    cluster.command("cut", "node2")
    try:
        assert cluster.status()["nodes"]["node2"]["cable"] == "cut"
        assert "is cut already" in refused(cluster, "cut", "node2")
        eventually(lambda: client.patch("/tasks/1", {"status": 1}).status == 200, 20, "the others take writes")
    finally:
        cluster.command("heal", "node2")
    whole(cluster)


def reaches(cluster, here, there):
    """Packets of one node arrive at the other, and the answers here."""
    return cluster.nodes[here].inside(lambda: _connects(cluster.nodes[there].address))


def _connects(address):
    try:
        socket.create_connection((address, 80), 1).close()
    except OSError:
        return False
    return True


def view(cluster):
    """The number of the view that all databases have of their cluster; 0 while they do not agree, or may not write."""
    asked = "SHOW STATUS WHERE variable_name IN ('wsrep_cluster_conf_id', 'wsrep_cluster_status')"
    views = {tuple(value for _, value in node.stack.sql(asked)) for node in cluster.nodes.values()}
    number, status = views.pop()
    return int(number) if status == "Primary" and not views else 0


def test_a_node_that_is_deaf_to_one_other(cluster):
    """The databases take no writes for some seconds, and then go on as three again, over the third one."""
    before = view(cluster)
    cluster.command("cut", "node2", "--deaf-to", "node3")
    try:
        assert cluster.status()["nodes"]["node2"]["cable"] == "deaf to node3"
        assert "is deaf to node3 already" in refused(cluster, "cut", "node2", "--deaf-to", "node1")
        assert not reaches(cluster, "node2", "node3") and not reaches(cluster, "node3", "node2")
        assert reaches(cluster, "node2", "node1") and reaches(cluster, "node3", "node1")
        eventually(lambda: view(cluster) > before, 60, "they go on without that link")
    finally:
        cluster.command("heal", "node2")
    assert cluster.status()["nodes"]["node2"]["cable"] is None and reaches(cluster, "node2", "node3")
    assert "itself" in refused(cluster, "cut", "node2", "--deaf-to", "node2")
    whole(cluster)


def test_a_restart_fails_no_write(cluster):
    client = Http(cluster.http, timeout=10)
    stack = cluster.nodes["node2"].stack
    before = {part: stack.part(part).pid for part in ("fcgi-api", "ws-notifier", "nginx")}
    restart = threading.Thread(target=cluster.command, args=("restart", "node2"))
    restart.start()
    while restart.is_alive():
        assert client.patch("/tasks/1", {"status": 1}).status == 200
    after = {part: stack.part(part).pid for part in before}
    assert {part for part in before if before[part] != after[part]} == {"fcgi-api", "ws-notifier"}
    whole(cluster)


def test_one_task_is_changed_at_every_node(cluster):
    """Most of these changes meet another node's, and are made again until they are done."""
    first = cluster.nodes["node1"].stack
    before = int(first.sql("SELECT COUNT(*) FROM events")[0][0])

    def changes(node):
        client = Http(node.http, timeout=10)
        return [client.patch("/tasks/1", {"status": 1}).status for _ in range(300)]

    with ThreadPoolExecutor() as pool:
        statuses = list(pool.map(changes, cluster.nodes.values()))
    assert statuses == [[200] * 300] * 3
    assert int(first.sql("SELECT COUNT(*) FROM events")[0][0]) == before + 900
    whole(cluster)


def test_what_another_node_has_just_committed(cluster):
    """It is applied behind a transaction that takes a while; no client is told that it does not exist."""
    first = cluster.nodes["node1"].stack
    here, there = (Http(cluster.nodes[name].http, timeout=10) for name in ("node1", "node2"))
    first.sql("CREATE TABLE bulk (id INT PRIMARY KEY AUTO_INCREMENT, text VARCHAR(200))")

    def behind(write):
        """What a write at node1 is answered, while node2 has not come so far."""
        first.sql("INSERT INTO bulk (text) SELECT REPEAT('x', 180) FROM seq_1_to_50000")
        return write()

    try:
        task = behind(lambda: here.post("/tasks", {"user_id": 1, "content": "new"})).json()
        assert there.get(f"/tasks/{task['id']}").json() == task
        read = behind(lambda: here.patch(f"/tasks/{task['id']}", {"content": "newer"}))
        changed = there.patch(f"/tasks/{task['id']}", {"status": 1}, headers={"If-Match": read.headers["ETag"]})
        assert (changed.status, changed.json()["content"]) == (200, "newer")
        read = behind(lambda: here.patch(f"/tasks/{task['id']}", {"content": "newest"}))
        assert there.get(f"/tasks/{task['id']}", headers={"If-Match": read.headers["ETag"]}).json() == read.json()
        task = behind(lambda: here.post("/tasks", {"user_id": 1, "content": "short-lived"})).json()
        assert there.delete(f"/tasks/{task['id']}").status == 204
        user = behind(lambda: here.post("/users", {"name": "New"})).json()
        assert there.post("/tasks", {"user_id": user["id"], "content": "theirs"}).status == 201
        read = behind(lambda: here.patch(f"/users/{user['id']}", {"name": "Newer"}))
        assert there.get(f"/users/{user['id']}", headers={"If-Match": read.headers["ETag"]}).json() == read.json()
        cursor = behind(lambda: here.post("/users/1/events", {"event": "shop.opened"})).json()["cursor"]
        assert there.get(f"/users/1/events?since={cursor}").status == 200
    finally:
        first.sql("DROP TABLE bulk")
    assert here.get("/tasks/4000000").status == 404
    whole(cluster)


def test_data_of_another_cluster_are_not_overwritten(cluster):
    cluster.command("stop", "node3")
    state = cluster.directory / "node3/mariadb/grastate.dat"
    before = state.read_text()
    try:
        foreign = re.sub(r"^uuid:.*", "uuid:    11111111-2222-3333-4444-555555555555", before, flags=re.M)
        state.write_text(foreign)
        for command in ("join", "start"):
            assert "another cluster" in refused(cluster, command, "node3")
        assert state.read_text() == foreign and not cluster.nodes["node3"].ready()
        state.unlink()
        assert "was never in this cluster" in refused(cluster, "join", "node3")
    finally:
        state.write_text(before)
    cluster.command("start", "node3")
    whole(cluster)


def kill_supervisor(run_dir):
    """What it has started goes on."""
    [process] = [one for one in proc.everything() if one.name == "s6-svscan" and one.command.endswith(f"{run_dir}/service")]
    process.kill()
    eventually(lambda: not process.alive(), 10, "it is gone")


def test_supervisors_are_killed(cluster):
    """Of a node and of HAProxy: what they leave behind is seen, and replaced."""
    kill_supervisor(cluster.directory / "node2")
    node = cluster.status()["nodes"]["node2"]
    assert node["galera"]["component"] == "Primary" and "mariadb" in node["parts"], node
    cluster.command("start", "--no-build", "node2")
    whole(cluster)
    kill_supervisor(cluster.directory / "front")
    assert cluster.status()["front"] == "down"
    cluster.command("start", "--no-build")
    assert cluster.status()["front"] == "up"
    assert Http(cluster.http, timeout=10).get("/tasks/1").status == 200


def test_a_member_that_has_left_the_others(cluster):
    """As after a state transfer that failed: its MariaDB runs on, and would never come back by itself."""
    stack = cluster.nodes["node2"].stack
    stack.sql("SET GLOBAL wsrep_provider_options = 'gmcast.isolate=2'")
    eventually(lambda: not cluster.nodes["node2"].ready(), 20, "it takes no writes any more")
    eventually(lambda: "has left the other members of its cluster" in stack.logs("watch"), 60, "the watch notices")
    whole(cluster)


def test_forget_and_join_with_an_empty_disk(cluster):
    """Also when its cable was pulled before, and when the join fails at first."""
    cluster.command("kill", "node3")
    eventually(lambda: Http(cluster.http, timeout=10).patch("/tasks/1", {"status": 0}).status == 200, 20, "the others take writes")
    cluster.command("cut", "node3")
    for command in ("join", "start"):
        assert "scripts/cluster heal node3" in refused(cluster, command, "node3")
    cluster.command("forget", "node3")
    assert not os.path.exists(f"/run/netns/{cluster.nodes['node3'].namespace}")
    assert "there is no node 'node3'" in refused(cluster, "start", "node3")
    assert list(cluster.status()["nodes"]) == ["node1", "node2"]
    assert cluster.nodes["node1"].stack.sql("SELECT name FROM nodes ORDER BY id") == [("node1",), ("node2",)]
    assert cluster.nodes["node1"].stack.sql("SELECT COUNT(*) FROM outbox WHERE node NOT IN (SELECT id FROM nodes)") == [("0",)]
    shutil.rmtree(cluster.directory / "node3/mariadb")
    programs = cluster.environment["BUILD_DIR"]
    cluster.environment["BUILD_DIR"] = "/nonexistent"
    try:
        done = cluster.command("join", "node3", check=False)
        assert done.returncode == 1 and "node3 did not start" in done.stderr, done
    finally:
        cluster.environment["BUILD_DIR"] = programs
    cluster.command("join", "node3")
    whole(cluster)
    # Its broker lacked what was written while it was forgotten.
    assert list((cluster.directory / "node3/rabbitmq").glob("lost-*"))
    assert list(cluster.status()["nodes"]) == ["node1", "node2", "node3"]


def test_the_newest_data_begin(cluster):
    """All are down, and not the first node has what was written last."""
    client = Http(cluster.http, timeout=10)
    cluster.command("kill", "node1")
    eventually(lambda: client.patch("/tasks/1", {"content": "the last"}).status == 200, 20, "the others take writes")
    for name in ("node2", "node3"):
        cluster.command("kill", name)
    said = cluster.command("start", "--no-build").stdout
    assert re.search(r"^node[23] mariadb +ready", said, re.M) and not re.match(r"(?s).*?^node1 mariadb.*^node[23] mariadb", said), said
    whole(cluster)
    assert client.get("/tasks/1").json()["content"] == "the last"


def test_a_node_without_data_does_not_let_the_others_guess(cluster):
    for name in cluster.nodes:
        cluster.command("kill", name)
    shutil.rmtree(cluster.directory / "node2/mariadb")
    said = refused_after_positions(cluster)
    assert "node2" in said and "scripts/cluster start --from node" in said
    cluster.command("start", "--no-build", "--from", re.search(r"--from (node\d)", said)[1])
    whole(cluster)


def refused_after_positions(cluster):
    done = cluster.command("start", "--no-build", check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done
    return done.stderr


def test_a_cluster_begun_from_a_node_that_was_behind(cluster):
    """The two nodes that had the newest commits have lost their disks. Their brokers, and so browsers, know of those."""
    client, node = Http(cluster.http, timeout=10), cluster.nodes["node1"]
    epoch = node.stack.epoch()
    cluster.command("cut", "node3")
    eventually(lambda: client.patch("/tasks/1", {"content": "lost"}).status == 200, 20, "the others take writes")
    waiting = "SELECT COUNT(*) FROM outbox JOIN nodes ON nodes.id = outbox.node WHERE nodes.name <> 'node3'"
    eventually(lambda: node.stack.sql_number(waiting) == 0, 20, "their streams have the event")
    for name in cluster.nodes:
        cluster.command("kill", name)
    cluster.command("heal", "node3")
    for name in ("node1", "node2"):
        shutil.rmtree(cluster.directory / name / "mariadb")
    assert "scripts/cluster start --from node3" in refused_after_positions(cluster)
    cluster.command("start", "--no-build", "--from", "node3")
    whole(cluster)
    assert client.get("/tasks/1").json()["content"] != "lost"
    eventually(lambda: node.stack.epoch() != epoch, 60, "the data has a new epoch")
    assert len({one.stack.epoch() for one in cluster.nodes.values()}) == 1
