"""Clients that keep a server and say nothing, and slow statements: what the log says of them, and what it must not say."""
import json
import re
import time

import pytest

from lib.pooler import Pgweir, wait_for
from lib.wire import SYNC, Wire, bind, copy_data, execute, parse, query

SECRETS = ("hunter2222", "4711471147", "swordfish", "beefcafe", "10101010")
MODES = ("session", "transaction")


@pytest.fixture(params=MODES)
def mode(request):
    return request.param


def weir_with(postgres, **top):
    url = f"postgresql://postgres@127.0.0.1:{postgres.port}/e2e"
    return Pgweir({"e2e": {"url": url, "pool_size": 2}}, top={"workers": 1, **top})


def connect(w, mode, app="leaky"):
    return Wire(w.at(mode), database="e2e", application_name=app)


def lines(w, text):
    return [line for line in w.log().splitlines() if text in line]


def wait_for_lines(w, text, count=1):
    wait_for(lambda: len(lines(w, text)) >= count, 10, f"the log has not {count} times {text!r}")
    return lines(w, text)


def tell_no_secrets(w):
    for secret in SECRETS:
        assert secret not in w.log()


NAMED = "it keeps a server and has sent nothing for"
OVER = "it kept a server and sent nothing for"


def test_a_leak_is_named_again_and_over(postgres, mode):
    with weir_with(postgres, leak_threshold="200ms", log_format="json") as w, connect(w, mode) as c:
        c.query("begin")
        c.query("select 'hunter2222', 4711471147, E'sword\\'fish swordfish', x'beefcafe', $$hunter2222$$ -- swordfish")
        found = [json.loads(line) for line in wait_for_lines(w, NAMED, 3)]
        silences = [int(re.search(rf"{NAMED} (\d+) ms", str(one)).group(1)) for one in found]
        assert silences[0] >= 200 and silences[1] >= 400 and silences[2] >= 800
        for one in found:
            text = json.dumps(one)
            assert "leaky" in text and "postgres" in text and "e2e" in text and "127.0.0.1" in text
            assert "in a transaction of" in text
            assert "last statement: select ?" in text
        c.query("commit")
        over = wait_for_lines(w, OVER)
        assert "it has sent something" in over[0]
        tell_no_secrets(w)


def test_a_pinned_client_is_named_with_its_reason(postgres):
    with weir_with(postgres, leak_threshold="200ms") as w, connect(w, "transaction") as c:
        c.query("select pg_advisory_lock(4711471147)")
        found = wait_for_lines(w, NAMED)
        assert "kept by: lock" in found[0] and "last statement: select pg_advisory_lock(?)" in found[0]
        c.reset()
        assert "it has left" in wait_for_lines(w, OVER)[0]
        tell_no_secrets(w)


def test_a_stalled_copy_is_named(postgres, mode):
    with weir_with(postgres, leak_threshold="200ms") as w, connect(w, mode) as c:
        c.query("create table if not exists leaked (a text)")
        c.send(query("copy leaked from stdin"))
        assert c.receive()[0] == "G"
        c.send(copy_data(b"hunter2222\n"))
        assert "in a COPY; last statement: copy leaked from stdin" in wait_for_lines(w, NAMED)[0]
        tell_no_secrets(w)


def test_who_keeps_nothing_or_waits_is_no_leak(postgres, mode):
    with weir_with(postgres, leak_threshold="100ms") as w:
        with connect(w, mode) as idle, connect(w, mode) as busy:
            assert idle.value("select 1") == "1"
            busy.query("begin")
            assert busy.value("select pg_sleep(0.8)") == ""
            busy.query("commit")
        assert lines(w, NAMED) == []


SLOW = "slow statement:"


def parts(line):
    return [int(n) for n in re.search(r"waited (\d+) ms for a server, ran (\d+) ms, was transferred in (\d+) ms",
                                      line).groups()]


@pytest.mark.parametrize("protocol", ["simple", "unnamed", "named"])
def test_a_slow_statement_is_logged_without_values(postgres, mode, protocol):
    text = "SELECT pg_sleep(0.4), 'hunter2222', $q$swordfish$q$ WHERE 4711471147 IN (4711471147, 1, 2)"
    with weir_with(postgres, slow_statement="300ms") as w, connect(w, mode) as c:
        assert c.value("select 1") == "1"
        if protocol == "simple":
            c.query(text)
        elif protocol == "unnamed":
            c.ask(parse("", text), bind("", ""), execute(), SYNC)
        else:
            c.ask(parse("s", text) + bind("", "s") + execute(), SYNC)
        found = wait_for_lines(w, SLOW)
        assert len(found) == 1
        assert "select pg_sleep(?), ? where ? in (?)" in found[0]
        waited, ran, transfer = parts(found[0])
        assert ran >= 300 and waited < ran and transfer < ran
        tell_no_secrets(w)


def test_a_shared_statement_has_its_text_in_later_groups(postgres):
    with weir_with(postgres, slow_statement="300ms") as w, connect(w, "transaction") as c:
        c.ask(parse("s", "select pg_sleep($1::float8)"), SYNC)
        c.ask(bind("", "s", b"0.4"), execute(), SYNC)
        assert "select pg_sleep(?::float8)" in wait_for_lines(w, SLOW)[0]


def test_waiting_for_a_server_is_told_apart(postgres):
    with weir_with(postgres, slow_statement="300ms") as w, connect(w, "transaction", "third") as third:
        third.query("select 1")
        with connect(w, "transaction", "one") as one, connect(w, "transaction", "two") as two:
            one.query("begin")
            two.query("begin")
            third.send(query("select pg_sleep(0.6)"))
            time.sleep(0.5)
            one.query("commit")
            third.until_ready()
        waited, ran, transfer = parts(wait_for_lines(w, SLOW)[0])
        assert waited >= 400 and ran >= 600 and transfer < ran


def test_transfer_is_told_apart(postgres, mode):
    """Its rows come over half a second, its first one at once."""
    rows = "select n, pg_sleep(0.05), repeat('x', 9000) from generate_series(1, 12) n"
    with weir_with(postgres, slow_statement="300ms") as w, connect(w, mode) as c:
        c.query(rows)
        _, ran, transfer = parts(wait_for_lines(w, SLOW)[0])
        assert transfer >= 300 and ran < transfer


def test_many_are_suppressed_and_counted(postgres, mode):
    with weir_with(postgres, slow_statement="20ms") as w, connect(w, mode) as c:
        for _ in range(30):
            c.query("select pg_sleep(0.05)")
        c.value("select pg_sleep(1.1)")
        found = wait_for_lines(w, SLOW, 2)
        assert len(found) < 10
        assert any("more suppressed)" in line for line in found)


def test_pipelined_statements_have_their_own_texts(postgres, mode):
    with weir_with(postgres, slow_statement="300ms") as w, connect(w, mode) as c:
        c.send(query("select 'hunter2222' as first_one"), query("select pg_sleep(0.5) as second_one"),
               query("select 3 as third_one"))
        c.until_ready(3)
        found = wait_for_lines(w, SLOW)
        assert len(found) == 1 and "as second_one" in found[0]
        tell_no_secrets(w)
