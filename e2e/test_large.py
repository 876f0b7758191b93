"""Large rows, large parameters, large results: right to the byte and in bounded memory."""
import hashlib

import pytest

from lib.targets import everywhere
from lib.wire import SYNC, bind, execute, parse, query


def digest_of_rows(c):
    """Reads until ReadyForQuery without keeping what it reads."""
    digest, count = hashlib.sha1(), 0
    while True:
        reply = c.receive()
        if reply[0] == "D":
            digest.update(reply[1])
            count += 1
        elif reply[0] == "E":
            return reply
        elif reply[0] == "Z":
            return digest.hexdigest(), count


@everywhere
def test_row_of_100_MB(target):
    """One value of 100 MB goes through in a small part of that."""
    before = target.weir.rss() if target.weir else 0
    with target.wire(timeout=40) as c:
        c.send(query("select repeat('0123456789abcdef', 6553600)"))
        outcome = digest_of_rows(c)
        if target.weir:
            assert target.weir.rss() - before < 48 << 20
        return outcome, c.query("select 1")


@everywhere
def test_parameter_of_30_MB(target):
    before = target.weir.rss() if target.weir else 0
    with target.wire(timeout=40) as c:
        value = b"z" * (30 << 20)
        outcome = c.ask(parse("", "select length($1::text), md5($1::text)", 25), bind("", "", value), execute(), SYNC)
        if target.weir:
            assert target.weir.rss() - before < 48 << 20
        return outcome


@everywhere
def test_query_of_8_MB(target):
    with target.wire(timeout=40) as c:
        return c.query("select length('" + "q" * (8 << 20) + "')"), c.query("select 1")


@everywhere
def test_many_rows(target):
    with target.wire(timeout=40) as c:
        c.send(query("select md5(i::text) from generate_series(1, 300000) i"))
        return digest_of_rows(c)


@everywhere
@pytest.mark.parametrize("size", [1, 16383, 16384, 16385, 65535, 65536, 65537, 262143, 262144, 1 << 20])
def test_sizes_around_buffers(target, size):
    """Rows whose ends fall on every kind of edge, both ways, several in flight."""
    with target.wire() as c:
        c.send(parse("s", "select $1::text, length($1::text)", 25), SYNC)
        c.until_ready()
        c.send(*[bind("", "s", chr(97 + k) * (size - k if size > 8 else size)) + execute() + SYNC for k in range(4)],
               query("select 'end'"))
        return [reply if reply[0] != "D" else tuple(hashlib.sha1(v).hexdigest() for v in reply[1:])
                for reply in c.until_ready(5)]


@everywhere
def test_reader_that_stalls(target):
    """A slow reader gets everything in the end; others are not slowed down."""
    import time
    with target.wire(timeout=40) as slow, target.wire() as other:
        slow.send(query("select repeat(i::text, 100000) from generate_series(1, 200) i"))
        outcome = []
        for i in range(10):
            time.sleep(0.02)
            outcome.append(other.query(f"select {i}"))
        return outcome, digest_of_rows(slow)
