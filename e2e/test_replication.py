"""Replication connections pass through on a server of their own."""
import pathlib
import re
import subprocess
import tempfile
import time

import psycopg2
import psycopg2.extras
import pytest

from lib.pooler import wait_for
from lib.targets import everywhere
from lib.tools import BIN, run
from lib.wire import ServerError


@everywhere
def test_identify_system(target):
    outcome = []
    for kind in (psycopg2.extras.PhysicalReplicationConnection, psycopg2.extras.LogicalReplicationConnection):
        c = psycopg2.connect(target.dsn, connection_factory=kind)
        cur = c.cursor()
        cur.execute("IDENTIFY_SYSTEM")
        system, timeline, _, name = cur.fetchone()
        cur.execute("SHOW server_version")
        outcome.append((system, timeline, name, cur.fetchone()))
        c.close()
    return outcome


@everywhere
def test_what_asks_for_replication(target):
    """A boolean as PostgreSQL reads them, or "database"; an ordinary session does not know IDENTIFY_SYSTEM."""
    outcome = []
    for value in ("t", "TR", "true", "y", "yes", "on", "1", "database", "f", "no", "of", "off", "0",
                  "o", "foo", "", "Database", "2", "truely"):
        try:
            with target.wire(replication=value) as c:
                outcome.append((value, c.query("IDENTIFY_SYSTEM")[0][:1]))
        except ServerError as error:
            outcome.append((value, error.sqlstate, error.fields["M"], error.fields.get("H")))
    return outcome


@everywhere
def test_basebackup(target, tmp_path):
    folder = pathlib.Path(tempfile.mkdtemp(dir=tmp_path)) / "copy"
    code, out, err = run([BIN / "pg_basebackup", "-D", folder, "-X", "stream", "-c", "fast", "--no-sync", "-U",
                          "postgres"], target)
    return code, (folder / "PG_VERSION").exists() and (folder / "PG_VERSION").read_text(), err


@everywhere
def test_logical_stream(target):
    """A slot is made, a change is read from it as it happens, the slot is dropped."""
    c = psycopg2.connect(target.dsn, connection_factory=psycopg2.extras.LogicalReplicationConnection)
    slot = "s_" + re.sub(r"\W", "_", target.name)
    cur = c.cursor()
    cur.create_replication_slot(slot, output_plugin="test_decoding")
    try:
        cur.start_replication(slot, decode=True)
        with target.wire() as writer:
            writer.query("drop table if exists logged; create table logged (a int)")
            writer.query("insert into logged values (42)")
        seen = []
        deadline = time.monotonic() + 40
        while time.monotonic() < deadline and not any("]:42" in text for text in seen):
            message = cur.read_message()
            if message:
                seen.append(message.payload)
                message.cursor.send_feedback(flush_lsn=message.data_start)
            else:
                time.sleep(0.02)
        outcome = [text for text in seen if "logged" in text]
    finally:
        c.close()
        with target.wire() as admin:
            wait_for(lambda: admin.query(f"select pg_drop_replication_slot('{slot}')")[0][0] == "T")
    return outcome


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_they_are_not_pooled(weir, mode):
    """With the pool full a replication connection still gets its server, and that one is closed with it."""
    w = weir(pool_size=1, pool_timeout="3s")
    holder = w.wire(database="e2e")
    holder.query("begin")
    host, port = w.at(mode)
    dsn = f"host={host} port={port} dbname=e2e user=postgres connect_timeout=8"
    pids = set()
    for _ in range(3):
        c = psycopg2.connect(dsn, connection_factory=psycopg2.extras.LogicalReplicationConnection)
        cur = c.cursor()
        cur.execute("IDENTIFY_SYSTEM")
        assert cur.fetchone()[3] == "e2e"
        cur.execute("SELECT pg_backend_pid()")
        pids.add(cur.fetchone()[0])
        c.close()
    assert len(pids) == 3
    assert holder.query("commit")[-1] == ("Z", "I")


def test_receivewal_that_is_killed(weir, postgres, tmp_path):
    """Its walsender ends with it."""
    w = weir({"*": {"url": f"postgresql://postgres@127.0.0.1:{postgres.port}"}})
    host, port = w.at("transaction")
    receiver = subprocess.Popen([BIN / "pg_receivewal", "-h", host, "-p", str(port), "-U", "postgres", "-D", tmp_path,
                                 "--no-loop"], stderr=subprocess.DEVNULL)
    count = "select count(*) from pg_stat_replication where application_name = 'pg_receivewal'"
    wait_for(lambda: postgres.psql(count) == "1")
    postgres.psql("select pg_logical_emit_message(false, 'e2e', repeat('x', 10000)); select pg_switch_wal()")
    wait_for(lambda: len(list(tmp_path.iterdir())) > 0)
    receiver.kill()
    receiver.wait()
    postgres.psql("select pg_logical_emit_message(false, 'e2e', repeat('x', 10000)); select pg_switch_wal()")
    wait_for(lambda: postgres.psql(count) == "0")
