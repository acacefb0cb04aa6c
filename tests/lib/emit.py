# SPDX-License-Identifier: MIT
"""Another program's side of docs/emit.md: its connection, its calls, and what they left behind."""

import pymysql

APP = "an_application"  # its database


def connect(stack, program="emit", **more):
    """A connection of the account for other programs; `root` is the user that started the stack."""
    place = {"host": "127.0.0.1", "port": stack.port("DB_PORT")} if program == "emit" else {"unix_socket": str(stack.run_dir / "sock" / "mariadb.sock")}
    password = {} if program == "root" else {"password": (stack.run_dir / "secrets" / f"db_{program}_password").read_text().strip()}
    user = stack.sql("SELECT SUBSTRING_INDEX(CURRENT_USER(), '@', 1)")[0][0] if program == "root" else f"carillon-{program}"
    return pymysql.connect(user=user, database="carillon", charset="utf8mb4", **place, **password, **more)


def emit(connection, user, kind="invoice.paid", message=None, data=None):
    with connection.cursor() as cursor:
        cursor.execute("CALL carillon_emit(%s, %s, %s, %s)", (user, kind, message, data))


def emit_many(stack, user, count, message="one of many"):
    """In one transaction."""
    connection = connect(stack, "root")
    try:
        for _ in range(count):
            emit(connection, user, message=message)
        connection.commit()
    finally:
        connection.close()


def execute(connection, *statements):
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return cursor.fetchall()


def numbers(stack, user):
    """The user's counter, and the journal's events."""
    return stack.sql_number(f"SELECT event_seq FROM users WHERE id = {user}"), [seq for seq, _, _ in stack.journal(user)]
