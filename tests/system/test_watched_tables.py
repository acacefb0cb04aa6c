# SPDX-License-Identifier: MIT
"""Events of a table's changes (docs/emit.md): the triggers that scripts/watch writes."""

import pytest

from lib.emit import APP, execute, numbers


@pytest.fixture
def watched(stack, root, invoices):
    """A table with a column of every kind, and its triggers made."""
    execute(
        root,
        f"CREATE OR REPLACE TABLE {invoices} (id INT AUTO_INCREMENT PRIMARY KEY, customer INT UNSIGNED, amount DECIMAL(10, 2),"
        " `it's``odd` VARCHAR(20) CHARACTER SET latin1, bytes VARBINARY(5), zeros INT(5) ZEROFILL, bits BIT(3), place POINT, doc JSON,"
        " said LONGTEXT, at DATETIME(3), half DOUBLE, kind ENUM('a', 'b'), twice INT AS (zeros * 2) STORED)",
    )
    root.autocommit(True)
    stack.script("sql", input=stack.script("watch", invoices, "--user", "customer", "--type", "invoice").stdout)
    return invoices


def test_a_watched_table(stack, root, watched, ws, user):
    ws.subscribe(user)
    execute(
        root,
        f"INSERT INTO {watched} (customer, amount, `it's``odd`, bytes, zeros, bits, place, doc, said, at, half, kind) VALUES ({user}, 12.50, 'é \"q\" \\\\',"
        " X'00ff01', 7, b'101', POINT(1, 2), '{\"a\":[1]}', 'line\\n\\t\\x01🥖', '2026-11-29 10:00:00.5', 0.5, 'b')",
    )
    frame = ws.notification()
    row = frame["data"]
    assert frame["event"] == "invoice.inserted" and frame["message"] is None
    assert row == {
        "id": 1, "customer": user, "amount": 12.5, "it's`odd": 'é "q" \\', "bytes": "AP8B", "zeros": 7, "bits": 5, "doc": {"a": [1]},
        "said": "line\n\tx01🥖", "at": "2026-11-29 10:00:00.500", "half": 0.5, "kind": "b", "twice": 14,
    }  # fmt: skip
    execute(root, f"UPDATE {watched} SET amount = 12.50 WHERE id = 1", f"UPDATE {watched} SET amount = 13, said = NULL WHERE id = 1")
    frame = ws.notification()
    assert frame["event"] == "invoice.updated", "one that changes nothing is none"
    assert frame["data"] == {**row, "amount": 13, "said": None}
    execute(root, f"DELETE FROM {watched} WHERE id = 1")
    assert ws.notification()["event"] == "invoice.deleted" and numbers(stack, user)[0] == 3


def test_a_watched_row_changes_hands(stack, root, watched, sockets):
    first, second = stack.new_users(2)
    ears = {user: sockets() for user in (first, second)}
    for user, ear in ears.items():
        ear.subscribe(user)
    for owner in ("NULL", first, second, first, "NULL"):
        if owner == "NULL" and not stack.sql(f"SELECT 1 FROM {watched}"):
            execute(root, f"INSERT INTO {watched} (customer) VALUES (NULL)")
        else:
            execute(root, f"UPDATE {watched} SET customer = {owner}")
    execute(root, f"DELETE FROM {watched}")
    assert [ears[first].notification()["event"] for _ in range(4)] == ["invoice.inserted", "invoice.deleted"] * 2
    assert [ears[second].notification()["event"] for _ in range(2)] == ["invoice.inserted", "invoice.deleted"]
    assert numbers(stack, first)[0] == 4 and numbers(stack, second)[0] == 2


def test_a_watched_row_that_is_too_large(root, watched, ws, user):
    ws.subscribe(user)
    execute(root, f"INSERT INTO {watched} (id, customer, said) VALUES (9, {user}, REPEAT('x', 70000))")
    assert ws.notification()["data"] == {"id": 9}


def test_watched_in_one_transaction(stack, root, watched, user):
    root.autocommit(False)
    execute(root, f"INSERT INTO {watched} (customer) VALUES ({user}), ({user})", "ROLLBACK")
    assert numbers(stack, user) == (0, [])
    execute(root, f"INSERT INTO {watched} (customer) VALUES ({user}), ({user})", f"DELETE FROM {watched}", "COMMIT")
    assert [kind for _, kind, _ in stack.journal(user)] == ["invoice.inserted"] * 2 + ["invoice.deleted"] * 2


@pytest.mark.parametrize(
    "arguments, names",
    [
        ([], "which table"), (["x"], "'x'"), (["shop.nope", "--user", "a"], "shop.nope"), ([f"{APP}.invoices"], "--user"),
        ([f"{APP}.invoices", "--user", "nope"], "'nope'"), ([f"{APP}.invoices", "--user"], "--user"), ([f"{APP}.invoices", "--user", "said"], "longtext"),
        (["carillon.tasks", "--user", "user_id"], "carillon.tasks"), ([f"{APP}.invoices", "--user", "customer", "--type", "Bad"], "'Bad'"),
        ([f"{APP}.invoices", "--user", "customer", "--type", "task"], "'task'"), (["--bad"], "'--bad'"), (["a.b", "--user", "c", "d"], "'d'"),
    ],
)  # fmt: skip
def test_watch_refuses(stack, root, watched, arguments, names):
    done = stack.script("watch", *arguments, check=False)
    assert done.returncode == 1 and not done.stdout
    assert len(done.stderr.splitlines()) == 1 and names in done.stderr, done.stderr


def test_watch_helps(stack):
    done = stack.script("watch", "--help")
    assert "--user COLUMN" in done.stdout and "scripts/watch TABLE" in done.stdout and not done.stderr
