"""What breaks the protocol gets 08P01 or a close, a log line, and disturbs nobody else."""
import random
import socket
import struct

import pytest

from lib.pooler import wait_for
from lib.targets import everywhere
from lib.wire import SYNC, Closed, bind, close, message, parse, query, run

BROKEN = {
    "unknown type": message("?", b"abc"),
    "server's type": message("Z", b"I"),
    "zero byte as type": b"\0\0\0\0\x04",
    "length 3": b"Q\0\0\0\x03",
    "length 0": b"Q\0\0\0\0",
    "negative length": b"Q\xff\xff\xff\xff" + b"x" * 100,
    "most negative length": b"Q\x80\0\0\0",
    "length of 2 GB": b"Q\x7f\xff\xff\xff" + b"x" * 100,
    "query without a zero": message("Q", b"select 1"),
    "query of nothing": message("Q", b""),
    "query with more behind its zero": message("Q", b"select 1\0more\0"),
    "parse without zeros": message("P", b"namesql"),
    "parse with one zero": message("P", b"name\0sql"),
    "parse without a count": message("P", b"name\0select 1\0"),
    "parse with too large a count": message("P", b"\0select 1\0\x7f\xff\0\0\0\x17"),
    "parse with more behind it": message("P", b"\0select 1\0\0\0junk"),
    "bind of nothing": message("B", b""),
    "bind cut in the names": message("B", b"portal\0stat"),
    "bind with too many formats": message("B", b"\0\0\xff\xff"),
    "bind with a negative value length": message("B", b"\0\0\0\0\0\x01\xff\xff\xff\x00"),
    "bind with a value beyond its end": message("B", b"\0\0\0\0\0\x01\x7f\0\0\0x"),
    "bind with 65535 values": message("B", b"\0\0\0\0\xff\xff"),
    "describe of nothing": message("D", b""),
    "describe of an unknown kind": message("D", b"Xname\0"),
    "describe without a zero": message("D", b"Sname"),
    "close of an unknown kind": message("C", b"?x\0"),
    "close without a zero": message("C", b"S"),
    "execute of nothing": message("E", b""),
    "execute without a count": message("E", b"\0"),
    "sync with a body": message("S", b"body"),
    "flush with a body": message("H", b"body"),
    "function call of nothing": message("F", b""),
    "function call with wild counts": message("F", b"\0\0\0\x01\xff\xff\xff\xff"),
    "password out of place": message("p", b"secret\0"),
    "copy fail without a zero": message("f", b"reason"),
}


@pytest.mark.parametrize("where", ["outside", "inside"])
def test_broken_messages(target, where):
    """Outside of a transaction and inside one. The answer, if there is one, is an error with a SQLSTATE."""
    witness = target.wire()
    for name, data in BROKEN.items():
        with target.wire(timeout=5) as c:
            if where == "inside":
                c.query("begin")
            c.send(data)
            # A message that promises more than it has is answered at the end of the input at the latest.
            try:
                c.send(SYNC)
                c.sock.shutdown(1)
                replies = c.rest()
            except (Closed, BrokenPipeError, ConnectionResetError):
                replies = []
            for reply in replies:
                if reply[0] == "E":
                    assert reply[1] and len(reply[1]) == 5 and reply[1] != "XX000", (name, reply)
        assert witness.value("select 41 + 1") == "42", name
    witness.close()


@everywhere
def test_broken_messages_as_in_postgres(target):
    """Where PostgreSQL answers with an error and goes on, so does pgweir."""
    outcome = []
    for name in ("parse with one zero", "bind of nothing", "describe of an unknown kind", "close of an unknown kind",
                 "execute of nothing", "parse with more behind it"):
        with target.wire() as c:
            c.send(BROKEN[name], SYNC)
            replies = c.until("Z", "E")
            outcome.append((name, replies[-1][:2] if replies[-1][0] == "E" else replies))
    return outcome


def test_broken_message_behind_good_ones(target):
    """Whatever of the answers to the good ones still comes is right and in order, then an error or the end."""
    for _ in range(20):
        with target.wire() as c:
            c.send(query("select 1"), parse("", "select 2"), run(""), SYNC, b"Q\0\0\0\x01")
            rows = [reply[0] if reply[0] == "E" else reply[1] for reply in c.rest() if reply[0] in "DE"]
            assert rows in ([b"1", b"2", "E"][:n] + tail for n in range(4) for tail in ([], ["E"])), rows


def test_random_bytes_after_login(target):
    """Thousands of random bytes and of mutilated good messages."""
    rng = random.Random(11)
    good = parse("s", "select $1::int", 23) + bind("", "s", 5) + run("s", 1) + SYNC + query("select 1")
    witness = target.wire()
    for i in range(150):
        with target.wire(timeout=5) as c:
            if i % 2:
                data = rng.randbytes(rng.randint(1, 400))
            else:
                data = bytearray(good)
                for _ in range(rng.randint(1, 8)):
                    data[rng.randrange(len(data))] = rng.randrange(256)
                data = bytes(data)
            try:
                c.send(data)
                c.sock.shutdown(1)
                c.rest()
            except (Closed, BrokenPipeError, ConnectionResetError, TimeoutError, struct.error, IndexError):
                pass
        if i % 30 == 0:
            assert witness.value("select 1") == "1"
    assert witness.value("select 2") == "2"
    witness.close()


def test_too_large_a_message(weir):
    w = weir(top={"max_message": 100_000})
    with w.wire(database="e2e") as c:
        assert c.value("select length('" + "x" * 90_000 + "')") == "90000"
        try:
            c.send(query("select length('" + "x" * 200_000 + "')"))
            replies = c.rest()
        except (BrokenPipeError, ConnectionResetError):
            replies = []
        assert all(reply[1] in ("08P01", "54000") for reply in replies if reply[0] == "E"), replies
    with w.wire(database="e2e") as c:
        assert c.value("select 1") == "1"


def prepared(postgres, c):
    """All statements of its server. A client is shown its own only, but for a function with suspect = "text"."""
    postgres.psql("create or replace function all_prepared() returns bigint language sql"
                  " as 'select count(*) from pg_prepared_statements'", database="e2e")
    return int(c.value("select all_prepared()"))


def test_too_many_statements(weir, postgres):
    w = weir(top={"client_statements": 50, "server_statements": 20, "suspect": "text"})
    with w.wire(database="e2e") as c, w.wire(database="e2e") as other:
        for i in range(50):
            assert c.ask(parse(f"s{i}", f"select {i}"), SYNC)[0] == ("1",), i
        assert c.ask(parse("s50", "select 50"), SYNC)[0][:2] == ("E", "54000")
        assert other.ask(parse("s50", "select 50"), run("s50"), SYNC)[0] == ("1",)
        for i in range(49, -1, -7):
            assert c.ask(run(f"s{i}"), SYNC)[1] == ("D", str(i).encode())
        assert prepared(postgres, c) <= 21


def test_too_many_statements_in_one_group(weir):
    """What is not answered yet counts, and what is closed does not."""
    w = weir(top={"client_statements": 5})
    with w.wire(database="e2e") as c:
        replies = c.ask(*[parse(f"s{i}", f"select {i}") for i in range(20)], SYNC)
        assert [reply[:2] for reply in replies] == [("1",)] * 5 + [("E", "54000"), ("Z", "I")]
        for _ in range(2):
            assert c.ask(close("S", "s4"), parse("s4", "select 4"), run("s4"), SYNC)[1] == ("1",)
        assert c.ask(parse("s5", "select 5"), SYNC)[0][:2] == ("E", "54000")


def test_unnamed_statements_are_bounded(weir):
    w = weir(top={"statements_bytes": 1_000_000, "workers": 1})
    with w.wire(database="e2e") as c, w.wire(database="e2e") as other:
        assert c.ask(parse("", "select 1 --" + "x" * 600_000), run(""), SYNC)[0] == ("1",)
        replies = other.ask(parse("", "select 2 --" + "x" * 600_000), run(""), SYNC)
        assert replies[0][:2] == ("E", "54000") and replies[-1] == ("Z", "I")
        assert other.ask(run(""), SYNC)[0][:2] == ("E", "26000")
        assert c.ask(run(""), SYNC)[1] == ("D", b"1")


def test_refusals_do_not_cost_others_their_statements(weir, postgres):
    """Only what no client has is thrown out, and a client that is refused again and again makes no work for servers."""
    w = weir(pool_size=1, top={"statements_bytes": 1_000_000, "workers": 1, "suspect": "text"})
    with w.wire(database="e2e") as c, w.wire(database="e2e") as greedy:
        assert c.ask(parse("mine", "select 7"), run("mine"), SYNC)[2] == ("D", b"7")
        for i in range(20):
            reply = greedy.ask(parse(f"s{i}", f"select {i} --" + "x" * 100_000), SYNC)[0]
        assert reply[:2] == ("E", "54000")
        pid = c.value("select pg_backend_pid()")
        known = prepared(postgres, c)
        assert known >= 9
        for _ in range(20):
            assert greedy.ask(parse("more", "select 99 --" + "x" * 100_000), SYNC)[0][:2] == ("E", "54000")
        assert prepared(postgres, c) == known
        assert c.value("select pg_backend_pid()") == pid
        assert c.ask(run("mine"), SYNC)[1] == ("D", b"7")


def test_statement_bytes_are_bounded(weir):
    w = weir(top={"statements_bytes": 1_000_000, "max_statement_bytes": 200_000, "workers": 1})
    with w.wire(database="e2e") as c:
        c.send(parse("big", "select 1 --" + "x" * 300_000), SYNC)
        assert c.receive()[:2] == ("E", "54000")
    with w.wire(database="e2e") as c:
        codes = [c.ask(parse(f"s{i}", f"select {i} --" + "x" * 100_000), SYNC)[0][:2] for i in range(20)]
        assert codes[0] == ("1",) and codes[-1] == ("E", "54000"), codes
        assert c.value("select 1") == "1"

    def accepted():
        with w.wire(database="e2e") as c:
            replies = c.ask(parse("s", "select 5 --" + "y" * 100_000), run("s"), SYNC)
            return replies[0] == ("1",) and replies[2] == ("D", b"5")

    wait_for(accepted, 10, "the memory is given back when its clients are gone and the servers are clean")


def test_thousands_of_half_open_connections(weir):
    """They end at login_timeout, all at about the same time, and nobody else waits for that."""
    w = weir(pool_size=1, top={"login_timeout": "1s", "max_clients": 10_000})
    with w.wire(database="e2e") as other:
        half_open = [socket.create_connection(w.at("transaction")) for _ in range(3000)]
        for one in half_open:
            one.sendall(b"\0\0")
        for one in half_open:
            one.settimeout(20)
            assert other.query("select 1")[1] == ("D", b"1")
            while one.recv(4096):
                pass
            one.close()
