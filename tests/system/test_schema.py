"""The tables: what they accept, and what they do by themselves. Tried in a database of its own on the stack's server."""

import pymysql
import pytest

from lib.database import Database


@pytest.fixture(scope="module")
def database(stack, tmp_path_factory):
    made = Database(stack, tmp_path_factory.mktemp("schema"), "schema_of_its_own")
    try:
        made.migrate()
        yield made
    finally:
        made.drop()


# ---- programs of before sql/002_owners.sql -----------------------------------------------------------

# What such a program says, word for word.
OLDER_READS = "SELECT value FROM meta WHERE name = 'epoch'"
OLDER_NOTES = "INSERT INTO meta (name, value) VALUES ('broker_alive_at', '{}') ON DUPLICATE KEY UPDATE value = VALUES(value)"
OLDER_SETTLES = "INSERT INTO meta (name, value) VALUES ('settled', '1') ON DUPLICATE KEY UPDATE value = value + 1"


def test_an_older_program_goes_on_beside_a_newer_one(database):
    """A migration comes before the new programs, and the old ones answer until then."""
    for alive_at in (1, 2):
        database.sql(OLDER_NOTES.format(alive_at), "api")
        database.sql(OLDER_SETTLES, "api")
    assert database.sql("SELECT name, value FROM notes", "api") == [("broker_alive_at", "2")]
    database.sql("UPDATE epoch SET value = 'anew'")
    assert database.sql(OLDER_READS, "api") == [("anew",)]


@pytest.mark.parametrize("value", ["", "with:colon", "a" * 17])
def test_an_epoch_that_cannot_be(database, value):
    """With an empty one every cursor would be ':59'; with a colon none could be read back."""
    with pytest.raises(pymysql.Error):
        database.sql(f"UPDATE epoch SET value = '{value}'")
