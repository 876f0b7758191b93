"""LISTEN and NOTIFY: what a client hears is what it would hear on a server of its own, and on the transaction port one
server listens for all."""
import asyncio
import itertools

import asyncpg
import psycopg
import psycopg2
import pytest

from lib.pooler import wait_for
from lib.targets import everywhere
from lib.tools import E2E
from lib.tools import run as run_program
from lib.wire import SYNC, Wire, bind, describe, execute, parse, run


def notices(replies):
    return [reply[1:3] for reply in replies if reply[0] == "A"]


class Ear(Wire):
    """A client that tells its own process id from others' in what it hears."""

    def _raw(self):
        tag, body = super()._raw()
        if tag == "A":
            self.senders = getattr(self, "senders", []) + [int.from_bytes(body[:4], "big")]
            self.last = body[4:]
        return tag, body

    def own(self):
        """Of all that it has heard: was it its own?"""
        return [pid == self.pid for pid in getattr(self, "senders", [])]

    def hear(self, n=1):
        return [self.receive() for _ in range(n)]

    def silent(self, sql="select 'nothing else'"):
        """Whatever has come by now comes before the answer."""
        return notices(self.query(sql))


def ear(target, **parameters):
    return Ear((target.host, target.port), database=target.database, user=target.user, **parameters)


@everywhere
def test_several_hear_several(target):
    outcome = []
    ears = [ear(target) for _ in range(5)]
    with ear(target) as speaker:
        for i, c in enumerate(ears):
            outcome.append(c.query(f"listen everybody; listen only_{i}"))
        for i in range(5):
            speaker.query(f"notify everybody, 'm{i}'; notify only_{i}, 'for {i}'")
        for c in ears:
            outcome.append(c.hear(6))
        for c in ears:
            outcome.append([c.query("select 1"), c.own()])
            c.close()
    return outcome


@everywhere
def test_it_counts_from_the_commit(target):
    outcome = []
    with ear(target) as c, ear(target) as speaker:
        outcome += c.query("begin; listen a")
        speaker.query("notify a, 'too early'")
        outcome += c.query("select * from pg_listening_channels()")
        outcome += c.query("commit")
        speaker.query("notify a, 'first'")
        outcome += c.hear()
        outcome += c.query("begin; listen b; unlisten a; rollback")
        speaker.query("notify b, 'never'; notify a, 'second'")
        outcome += c.hear()
        outcome += c.query("begin; listen b; savepoint s; listen c; rollback to s; listen d; commit")
        speaker.query("notify c, 'never'; notify b, 'b'; notify d, 'd'")
        outcome += c.hear(2)
        outcome += c.query("select * from pg_listening_channels() order by 1")
        outcome += c.query("begin")
        outcome += c.query("select * from pg_listening_channels() order by 1")
        outcome += c.query("savepoint s")
        outcome += c.query("unlisten a")
        outcome += c.query("rollback to s")
        outcome += c.query("unlisten b")
        outcome += c.query("commit")
        speaker.query("notify b, 'never'; notify a, 'third'")
        outcome += c.hear()
        outcome += c.query("listen e; select 1/0")
        speaker.query("notify e, 'never'; notify a, 'fourth'")
        outcome += c.hear()
        outcome += c.query("select * from pg_listening_channels() order by 1")
    return outcome


ENDS = ["unlisten a", "unlisten *", "discard all", "begin; unlisten a; commit", "unlisten b; unlisten a"]


@pytest.mark.parametrize("end", ENDS)
@everywhere
def test_it_ends(target, end):
    outcome = []
    with ear(target) as c, ear(target) as speaker:
        outcome += c.query("listen a; listen b; listen c")
        speaker.query("notify a, '1'")
        outcome += c.hear()
        outcome += c.query(end)
        speaker.query("notify a, 'never'")
        speaker.query("notify c, 'maybe'")
        if "*" not in end and "all" not in end:
            outcome += c.hear()
        outcome += c.query("select * from pg_listening_channels() order by 1")
        outcome += c.query("listen a")
        speaker.query("notify a, 'again'")
        outcome += c.hear()
        outcome += [c.silent()]
    return outcome


@everywhere
def test_extended_protocol(target):
    outcome = []
    with ear(target) as c, ear(target) as speaker:
        outcome += c.ask(parse("l", "listen a"), describe("S", "l"), SYNC)
        outcome += c.ask(run("l"), SYNC)
        speaker.ask(parse("", "select pg_notify($1, $2)"), bind("", "", "a", "x"), execute(), SYNC)
        outcome += c.hear()
        # Only the second of these has to do with channels.
        outcome += c.ask(parse("", "select 1"), bind("", ""), execute(),
                         parse("", "listen b"), bind("", ""), execute(), SYNC)
        outcome += c.ask(parse("q", "select * from pg_listening_channels() order by 1"), run("q"), SYNC)
        outcome += c.ask(parse("n", "select pg_notify($1, $2)"), run("n", "b", "own"), run("q"), SYNC)
        outcome += c.ask(run("q"), SYNC, run("n", "a", "two"), SYNC, run("n", "b", "three"), SYNC, syncs=3)
        outcome += c.ask(parse("", "unlisten a"), bind("", ""), execute(), SYNC)
        speaker.query("notify a, 'never'; notify b, 'end'")
        outcome += c.hear()
        outcome += [c.own()]
        outcome += c.ask(parse("x", "unlisten *"), run("x"), parse("", "no such thing"), SYNC)
        outcome += c.ask(run("q"), SYNC)
    return outcome


@everywhere
def test_own_notifications(target):
    """Before the ReadyForQuery of their transaction, in order, with the process id that the client knows as its own."""
    outcome = []
    with ear(target) as c, ear(target) as speaker:
        outcome += c.query("listen a; listen b; notify a, 'in the same')")
        outcome += c.query("listen a; listen b; notify a, 'in the same'")
        outcome += c.query("notify a, '1'")
        outcome += c.query("notify b, '2'; notify a, '3'; notify c, 'nobody'; notify a, '3'")
        speaker.query("notify a, 'of another'")
        outcome += c.hear()
        outcome += c.query("begin; notify a, '4'")
        outcome += c.query("notify b, '5'")
        outcome += c.query("commit")
        outcome += c.query("begin; notify a, 'undone'; rollback")
        outcome += c.query("select pg_notify('b', '6'), pg_notify('a', '7')")
        outcome += c.query("do $$ begin perform pg_notify('a', '8'); end $$")
        outcome += c.query("begin; savepoint s; notify a, 'undone'; rollback to s; notify a, '9'; commit")
        outcome += [c.own()]
    return outcome


@everywhere
def test_what_comes_in_a_transaction_comes_behind_it(target):
    outcome = []
    with ear(target) as c, ear(target) as speaker:
        c.query("listen a")
        outcome += c.query("begin")
        speaker.query("notify a, '1'")
        speaker.query("notify a, '2'")
        outcome += c.query("select 1")
        outcome += c.query("select pg_sleep(0.1)")
        # Before or behind the ReadyForQuery: that is a matter of time with PostgreSQL, too.
        last = c.query("commit")
        while len(notices(last)) < 2:
            last += c.hear()
        outcome += [r for r in last if r[0] != "A"] + notices(last)
    return outcome


@everywhere
def test_awkward_names_and_payloads(target):
    outcome = []
    names = ['"', 'a"b', "Größe", "x" * 63, " ", "a;b", "--", "pgweir_x", "SELECT", "'"]
    with ear(target) as c, ear(target) as speaker:
        for name in names:
            quoted = '"' + name.replace('"', '""') + '"'
            outcome += c.query(f"listen {quoted}")
            speaker.query(f"notify {quoted}, 'Größe '' {'y' * 7000}'")
            outcome += c.hear()
            outcome += c.query(f"notify {quoted}")
        outcome += c.query("select * from pg_listening_channels() order by 1")
        outcome += c.query(f"listen {'z' * 100}")
        outcome += c.query("notify a, '" + "y" * 8000 + "'")
        outcome += c.query("listen")
        outcome += c.query("listen a.b")
    return outcome


@everywhere
def test_another_encoding(target):
    """A notification comes in the client's own encoding."""
    outcome = []
    with ear(target, client_encoding="LATIN1") as latin, ear(target) as c, ear(target) as speaker:

        def said(payload):
            speaker.query(f"notify a, '{payload}'")
            for one in (latin, c):
                tag, _ = one._raw()
                outcome.append((tag, one.last))

        outcome += latin.query("listen a")
        outcome += c.query("listen a")
        said("é")
        outcome += c.query("set client_encoding = latin1")
        said("ü")
        outcome += c.query("reset client_encoding")
        said("ö")
        outcome += latin.query("set client_encoding = utf8")
        said("ä")
    return outcome


@everywhere
def test_beside_other_state(target):
    outcome = []
    with ear(target) as c, ear(target) as speaker:
        outcome += c.query("create temp table t (a int)")
        outcome += c.query("listen a")
        speaker.query("notify a, '1'")
        outcome += c.hear()
        outcome += c.query("drop table t")
        speaker.query("notify a, '2'")
        outcome += c.hear()
        outcome += c.query("set work_mem = '3MB'")
        outcome += c.query("select pg_advisory_lock(815)")
        speaker.query("notify a, '3'")
        outcome += c.hear()
        outcome += c.query("notify a, '4'")
        outcome += c.query("select pg_advisory_unlock(815)")
        speaker.query("notify a, '5'")
        outcome += c.hear()
        outcome += [c.own()]
        outcome += c.query("show work_mem")
        outcome += c.query("select * from pg_listening_channels()")
    return outcome


@everywhere
def test_psycopg3(target):
    outcome = []
    with psycopg.connect(target.dsn) as c, psycopg.connect(target.dsn, autocommit=True) as speaker:
        c.execute("listen a")
        c.commit()
        outcome.append(c.execute("select * from pg_listening_channels()").fetchall())
        c.rollback()
        c.autocommit = True
        for i in range(5):
            speaker.execute("select pg_notify('a', %s)", [str(i)])
        notes = c.notifies()
        for note in itertools.islice(notes, 5):
            outcome.append((note.channel, note.payload, note.pid == c.info.backend_pid))
        notes.close()
        heard = []
        c.add_notify_handler(lambda note: heard.append((note.channel, note.payload, note.pid == c.info.backend_pid)))
        c.execute("select pg_notify('a', 'own')")
        outcome.append(list(heard))
        c.execute("unlisten *")
        speaker.execute("notify a, 'never'")
        c.execute("select 1")
        outcome.append(list(heard))
    return outcome


@everywhere
def test_psycopg2(target):
    outcome = []
    c, speaker = psycopg2.connect(target.dsn), psycopg2.connect(target.dsn)
    c.autocommit = speaker.autocommit = True
    with c.cursor() as cursor, speaker.cursor() as other:
        cursor.execute("listen a")
        other.execute("notify a, 'hello'")
        wait_for(lambda: c.poll() or c.notifies, 20)
        cursor.execute("notify a, 'own'")
        outcome += [(n.channel, n.payload, n.pid == c.get_backend_pid()) for n in c.notifies]
    c.close()
    speaker.close()
    return outcome


@everywhere
def test_asyncpg(target):
    async def case():
        outcome = []
        connections = [await asyncpg.connect(target.url) for _ in range(6)]
        heard = {i: [] for i in range(6)}

        def listener(i):
            def note(connection, pid, channel, payload):
                heard[i].append((channel, payload, pid == connection.get_server_pid()))
            return note

        for i, c in enumerate(connections):
            await c.add_listener("all", listener(i))
            await c.add_listener(f"to {i}", listener(i))
        for i, c in enumerate(connections):
            async with c.transaction():
                await c.execute("select pg_notify($1, $2)", "all", str(i))
                await c.fetch("select 1")
            await c.execute(f"notify \"to {5 - i}\", 'x'")
        deadline = asyncio.get_running_loop().time() + 20
        while any(len(h) < 7 for h in heard.values()) and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.02)
        # Two clients may speak at once to a third: what each hears of one speaker is in order.
        outcome += [sorted(h) for h in heard.values()]
        for i, c in enumerate(connections):
            await c.reset()
        await connections[0].execute("notify \"all\", 'never'")
        outcome.append([len(h) for h in heard.values()])
        for c in connections:
            outcome.append(await c.fetch("select * from pg_listening_channels()"))
            await c.close()
        return outcome

    return asyncio.run(case())


@everywhere
def test_node_postgres(target):
    code, out, errors = run_program(["node", E2E / "node" / "pg_cases.js", "listen"], target)
    assert code == 0, errors
    return out
