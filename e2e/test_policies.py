"""What is done about each reason for which a server would have to stay with its client: on_lock and the like. One
server for all, so that the next client finds what the one before has left, or waits until it is gone."""
import re
import select
import signal

import pytest

from lib.pooler import Pgweir, wait_for
from lib.wire import SYNC, Wire, bind, describe, execute, parse, query
from test_leaks import CANARY

# reason: the setting's word, what does it, and what tells that this client still has it
REASONS = {
    "lock": ("lock", "select pg_advisory_lock(4711)",
             "select count(*) = 1 from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()"),
    "temporary": ("temporary", "create temp table mine (a int)",
                  "select count(*) = 1 from pg_class where relnamespace = pg_my_temp_schema()"),
    "cursor": ("cursor", "declare c cursor with hold for select 1",
               "select count(*) = 1 from pg_cursors where is_holdable"),
    "prepared": ("prepare", "prepare p as select 1",
                 "select count(*) = 1 from pg_prepared_statements where from_sql"),
    "listen": ("listen", "listen here", "select count(*) = 1 from pg_listening_channels()"),
    "setting": ("setting", "select set_config('app.' || 'who', 'me', false)",
                "select coalesce(current_setting('app.who', true), '') = 'me'"),
    "indelible": ("indelible", "select setseed(0.5)", "select random()"),
    "sequence": ("sequence", "select nextval('policies')", "select currval('policies') > 0"),
}
POLICIES = ("pin", "warn", "error", "ignore")


@pytest.fixture(scope="module")
def weir_of_policies(postgres):
    """Its clients say by their application_name which policy is theirs."""
    postgres.psql("create sequence if not exists policies", database="e2e")
    postgres.psql("create table if not exists policies_done (a int)", database="e2e")
    apps = {f"{reason}-{policy}": {f"on_{word}": policy}
            for reason, (word, _, _) in REASONS.items() for policy in POLICIES}
    url = f"postgresql://postgres@127.0.0.1:{postgres.port}/e2e"
    with Pgweir({"e2e": {"url": url, "pool_size": 1}}, sections={"apps": apps}) as w:
        with Wire(("127.0.0.1", postgres.port), database="e2e") as direct:
            direct.query("select setseed(0.5)")
            w.seeded = direct.value("select random()").encode()
        yield w


def own(c, reason, true=b"t"):
    """Whether the client still has what it left."""
    return ("D", true) in c.query(REASONS[reason][2])


def has_no_value(c):
    return "55000" in [r[1] for r in c.query("select currval('policies')") if r[0] == "E"]


def sends(c, protocol, text):
    if protocol == "simple":
        return c.query(text)
    if protocol == "unnamed":
        return c.ask(parse("", text), bind("", ""), execute(), SYNC)
    c.ask(parse("s", text), describe("S", "s"), SYNC)
    return c.ask(bind("", "s"), execute(), SYNC)


def leaves(c, reason, protocol, block):
    """Does it; gives the replies to the statement, and those to the end of the block."""
    if block:
        c.query("begin")
    did = sends(c, protocol, REASONS[reason][1])
    return did, c.query("commit") if block else []


def answered(c):
    return bool(c.buffer) or bool(select.select([c.sock], [], [], 0)[0])


@pytest.mark.parametrize("block", [False, True], ids=["alone", "in a block"])
@pytest.mark.parametrize("protocol", ["simple", "unnamed", "named"])
@pytest.mark.parametrize("reason", REASONS)
class TestEach:
    def test_pin(self, weir_of_policies, reason, protocol, block):
        self.stays(weir_of_policies, reason, "pin", protocol, block)

    def test_warn(self, weir_of_policies, reason, protocol, block):
        self.stays(weir_of_policies, reason, "warn", protocol, block)

    def stays(self, w, reason, policy, protocol, block):
        with w.wire(database="e2e") as b, w.wire(database="e2e", application_name=f"{reason}-{policy}") as a:
            did, _ = leaves(a, reason, protocol, block)
            assert not [r for r in did if r[0] == "E"]
            if policy == "warn":
                told = a.receive()
                assert told[:2] == ("N", "01000")
                assert told[2].endswith(": " + REASONS[reason][1])
            b.send(query(CANARY))
            assert own(a, reason, w.seeded if reason == "indelible" else b"t")
            assert not answered(b)  # it has stood in the queue since before
            again, _ = leaves(a, reason, protocol, block) if reason == "sequence" else ([], [])
            assert not [r for r in a.query("select 1") + again if r[0] == "N"]  # told once
            a.close()
            assert b.until_ready()[1:] == [("C", "SELECT 0"), ("Z", "I")]

    def test_error(self, weir_of_policies, reason, protocol, block):
        w = weir_of_policies
        word, text, _ = REASONS[reason]
        with w.wire(database="e2e") as b, w.wire(database="e2e", application_name=f"{reason}-error") as a:
            did, end = leaves(a, reason, protocol, block)
            if protocol == "unnamed":
                assert did.pop(0) == ("1",)
            assert [r[:2] for r in did] == [("E", "0A000"), ("Z", "E" if block else "I")]
            assert f'on_{word} is "error"' in did[0][2]
            assert end == ([("C", "ROLLBACK"), ("Z", "I")] if block else [])
            assert a.query("select 1")[1:] == [("D", b"1"), ("C", "SELECT 1"), ("Z", "I")]
            assert a.ask(parse("", "select 2"), bind("", ""), execute(), SYNC)[2] == ("D", b"2")
            assert b.query(CANARY)[1:] == [("C", "SELECT 0"), ("Z", "I")]

    def test_ignore(self, weir_of_policies, reason, protocol, block):
        w = weir_of_policies
        with w.wire(database="e2e") as b, w.wire(database="e2e", application_name=f"{reason}-ignore") as a:
            b.query("select nextval('policies')")  # or there would be nothing that could be another's
            did, _ = leaves(a, reason, protocol, block)
            assert not [r for r in did if r[0] in "EN"]
            assert b.query(CANARY)[1:] == [("C", "SELECT 0"), ("Z", "I")]
            if reason == "sequence":
                assert has_no_value(b)
            else:
                assert not own(a, reason, w.seeded if reason == "indelible" else b"t")


def test_what_an_aborted_block_says_comes_first(weir_of_policies):
    with weir_of_policies.wire(database="e2e", application_name="listen-error") as c:
        for protocol in ("simple", "unnamed", "named"):
            c.query("begin; select 1/0")
            if protocol == "named":
                c.query("rollback")
                c.ask(parse("s", "listen x"), SYNC)
                c.query("begin; select 1/0")
                replies = c.ask(bind("", "s"), execute(), SYNC)
            else:
                replies = sends(c, protocol, "listen x")
            assert [r[:2] for r in replies] == [("E", "25P02"), ("Z", "E")]
            c.query("rollback")


def test_a_refusal_skips_to_the_sync(weir_of_policies):
    with weir_of_policies.wire(database="e2e", application_name="lock-error") as c:
        c.query("truncate policies_done")
        replies = c.ask(
            parse("", "insert into policies_done values (1)"), bind("", ""), execute(),
            parse("", "select pg_advisory_lock(1)"), bind("", ""), execute(),
            parse("", "insert into policies_done values (2)"), bind("", ""), execute(), SYNC,
            parse("", "insert into policies_done values (3)"), bind("", ""), execute(), SYNC, syncs=2)
        assert [r[:2] for r in replies] == [
            ("1",), ("2",), ("C", "INSERT 0 1"), ("1",), ("E", "0A000"), ("Z", "I"),
            ("1",), ("2",), ("C", "INSERT 0 1"), ("Z", "I")]
        assert c.query("select a from policies_done")[1:] == [("D", b"3"), ("C", "SELECT 1"), ("Z", "I")]


def test_a_refused_text_is_refused_as_a_whole(weir_of_policies):
    with weir_of_policies.wire(database="e2e", application_name="temporary-error") as c:
        c.query("truncate policies_done")
        replies = c.query("insert into policies_done values (1); create temp table x ()")
        assert [r[:2] for r in replies] == [("E", "0A000"), ("Z", "I")]
        assert c.value("select count(*) from policies_done") == "0"
        # What ends with the transaction is nobody's concern.
        c.query("begin; create temp table x (a int) on commit drop; insert into x values (7)")
        assert c.value("select a from x") == "7"
        assert c.query("commit") == [("C", "COMMIT"), ("Z", "I")]


HIDDEN = "do $$ begin execute 'select pg_advisory_' || 'lock(1)'; end $$"


def test_what_no_text_shows_is_told_when_it_is_found(weir_of_policies):
    w = weir_of_policies
    with w.wire(database="e2e") as b, w.wire(database="e2e", application_name="lock-error") as a:
        assert a.query(HIDDEN) == [("C", "DO"), ("Z", "I")]
        assert a.receive()[:2] == ("N", "01000")
        b.send(query(CANARY))
        assert own(a, "lock")
        assert not answered(b)
        a.query("select pg_advisory_unlock(1)")
        assert b.until_ready()[1:] == [("C", "SELECT 0"), ("Z", "I")]


def test_ignored_state_goes_with_the_lease_also_when_another_reason_has_kept_it(weir):
    w = weir(pool_size=1, top={"on_lock": "ignore"})
    with w.wire(database="e2e") as b, w.wire(database="e2e") as a:
        a.query("select pg_advisory_lock(1)")
        assert not own(a, "lock")
        a.query("begin; create temp table mine (a int); select pg_advisory_lock(1); commit")
        assert own(a, "temporary") and own(a, "lock")
        a.query("drop table mine")
        assert b.query(CANARY)[1:] == [("C", "SELECT 0"), ("Z", "I")]
        assert not own(a, "lock")
        a.query("set work_mem = '7MB'; select pg_advisory_lock(1)")  # settings are not of it
        assert b.query(CANARY)[1:] == [("C", "SELECT 0"), ("Z", "I")]
        assert a.value("show work_mem") == "7MB"


def test_a_path_to_temporary_objects_leaves_none(weir):
    """CREATE TABLE says nothing of them; neither does a start-up parameter."""
    w = weir(pool_size=1, sections={"apps": {"loses": {"on_temporary": "ignore"}}})
    for parameters in ({}, {"application_name": "loses"}):
        with w.wire(database="e2e") as b:
            with w.wire(database="e2e", search_path="pg_temp", **parameters) as a:
                a.query("create table mine (a int)")
                if parameters:
                    assert b.query(CANARY)[1:] == [("C", "SELECT 0"), ("Z", "I")]
            assert b.query(CANARY)[1:] == [("C", "SELECT 0"), ("Z", "I")]


def test_values_of_sequences_end_with_discard(weir_of_policies):
    w = weir_of_policies
    with w.wire(database="e2e") as b, w.wire(database="e2e", application_name="sequence-pin") as a:
        for discard in ("discard sequences", "discard all"):
            for protocol in ("simple", "unnamed"):
                a.query("select nextval('policies')")
                assert own(a, "sequence")
                sends(a, protocol, discard)
                assert has_no_value(b)
                assert has_no_value(a)
                sends(a, protocol, discard)
        a.query("discard sequences; select nextval('policies')")  # what comes behind it counts
        assert own(a, "sequence")


def test_values_of_sequences_are_never_anothers_in_a_do_block(weir):
    w = weir(pool_size=1)
    with w.wire(database="e2e") as b, w.wire(database="e2e") as a:
        a.query("create sequence if not exists policies")
        a.query("select nextval('policies')")
        replies = b.query("do $$ begin raise notice '%', lastval(); end $$")
        assert [r[:2] for r in replies] == [("E", "55000"), ("Z", "I")]


def test_the_most_specific_section_counts_and_a_reload_changes_it(weir):
    w = weir(pool_size=1, top={"on_listen": "error"},
             sections={"users": {"postgres": {"on_lock": "error"}}, "apps": {"worker": {"on_lock": "ignore"}}})

    def refused(c, text):
        return c.query(text)[0][:2] == ("E", "0A000")

    with w.wire(database="e2e") as plain, w.wire(database="e2e", application_name="worker") as worker:
        assert refused(plain, "listen x") and refused(worker, "listen x")
        assert refused(plain, "select pg_advisory_lock(1)") and not refused(worker, "select pg_advisory_lock(1)")
        plain.query("select 1")  # the server has been given back
        w.top["on_listen"] = "ignore"
        w.sections = {"apps": {"worker": {"on_lock": "pin"}}}
        w.write_config()
        w.send_signal(signal.SIGHUP)
        wait_for(lambda: not refused(plain, "listen x"))
        assert not refused(worker, "select pg_advisory_lock(1)")
        assert own(worker, "lock")
        plain.send(query(CANARY))
        w.sections = {"apps": {"worker": {"on_lock": "ignore"}}}
        w.write_config()
        w.send_signal(signal.SIGHUP)  # the server that stayed is given back
        assert plain.until_ready()[1:] == [("C", "SELECT 0"), ("Z", "I")]


def test_session_mode_has_no_policies(weir):
    w = weir(pool_size=2, top={f"on_{word}": "error" for word, _, _ in REASONS.values()})
    with w.wire("session", database="e2e") as c:
        c.query("create sequence if not exists policies")
        for _, text, _ in REASONS.values():
            for protocol in ("simple", "unnamed"):
                c.query("deallocate all; close all; drop table if exists mine")
                assert not [r for r in sends(c, protocol, text) if r[0] in "EN"], text


def test_pins_are_logged_at_their_begin_and_end_and_not_too_often(weir):
    w = weir(pool_size=1, top={"on_listen": "error"})
    with w.wire(database="e2e", application_name="busy") as c, w.wire(database="e2e", application_name="calm") as calm:
        for _ in range(3):
            c.query("select pg_advisory_lock(1)")
            c.query("select pg_advisory_unlock(1)")
            c.query("listen x")
        calm.query("select pg_advisory_lock(1)")
        calm.query("select pg_advisory_unlock(1)")
        calm.query("select 1")
    for app in ("busy", "calm"):
        w.wait_log(rf"stayed with it for \d+ ms: lock.*{app}|{app}.*stayed with it for \d+ ms: lock")
    log = w.log().splitlines()
    busy = [line for line in log if "busy" in line]
    assert len([line for line in busy if re.search("its server stays with it: lock", line)]) == 1
    assert len([line for line in busy if "stayed with it" in line]) == 1
    assert len([line for line in busy if 'on_listen is "error"' in line]) == 1


def test_what_is_ignored_does_not_stay_with_the_listening_server(weir, postgres):
    w = weir(pool_size=2, top={"on_lock": "ignore"})
    with w.wire(database="e2e") as a, w.wire(database="e2e") as b:
        a.query("begin; listen here; select pg_advisory_lock(4711); commit")
        b.query("listen there")
        wait_for(lambda: "listens for the clients" in w.log())
        a.query("select 1")
        held = "select count(*) from pg_locks where locktype = 'advisory'"
        wait_for(lambda: postgres.psql(held, database="e2e") == "0")
        assert a.query("select pg_listening_channels()")[1] == ("D", b"here")


def test_values_that_are_kept_are_not_looked_for_in_an_aborted_block(weir, postgres):
    postgres.psql("create sequence if not exists policies", database="e2e")
    w = weir(pool_size=2, top={"on_sequence": "pin"})
    with w.wire(database="e2e") as c:
        c.send(query("begin; discard sequences"), query("select 1/0"), query("select nextval('policies')"),
               query("rollback"))
        replies = c.until_ready(4)
        assert [reply[1] for reply in replies if reply[0] == "E"] == ["22012", "25P02"]
        assert [reply[1] for reply in replies if reply[0] == "Z"] == ["T", "E", "E", "I"]
