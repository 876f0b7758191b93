"""The start of a connection: probes, versions, parameters, and what cannot be a start."""
import random
import socket
import struct
import time

import pytest

from lib.pooler import wait_for
from lib.targets import everywhere
from lib.wire import (GSS_REQUEST, SSL_REQUEST, V32, Closed, ServerError, Wire, fields_of, open_socket, startup)


def first_error(target, data):
    """The SQLSTATE that answers these first bytes, or 'closed'."""
    with open_socket((target.host, target.port)) as s:
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        got = b""
        try:
            while piece := s.recv(4096):
                got += piece
        except ConnectionResetError:
            pass
    return fields_of(got[5:]).get("C") if got[:1] == b"E" else "closed"


def test_ssl_and_gss_requests(target):
    """Both are answered 'N', in any order, and the connection goes on in plain."""
    for requests in ((SSL_REQUEST,), (GSS_REQUEST,), (SSL_REQUEST, GSS_REQUEST), (GSS_REQUEST, SSL_REQUEST)):
        with target.wire(login=False) as c:
            for request in requests:
                c.send(struct.pack("!II", 8, request))
                assert c.sock.recv(1) == b"N"
            c.send(startup(user="postgres", database=target.database))
            c.log_in()
            assert c.value("select 1") == "1"


@everywhere
def test_protocol_3_2_is_negotiated_down(target):
    with target.wire(version=V32) as c:
        return c.negotiated, len(c.secret), c.query("select 1")


@everywhere
def test_unknown_protocol_options_are_named(target):
    with target.wire(login=False) as c:
        c.send(startup(V32, user="postgres", database=target.database, **{"_pq_.one": "x", "_pq_.two": "y"}))
        tag, body = c._raw()
        c_outcome = tag, body
        c.log_in()
        return c_outcome, c.query("select 1")


@everywhere
def test_protocol_3_9(target):
    with target.wire(version=0x30009) as c:
        return c.negotiated, c.query("select 1")


@everywhere
@pytest.mark.parametrize("version", [0x20000, 0x40000, 0x10000, 80877105])
def test_other_versions_are_refused(target, version):
    """PostgreSQL answers the oldest ones in their own format; pgweir in that of today."""
    return first_error(target, startup(version, user="postgres", database="postgres")) in ("0A000", None)


@everywhere
def test_startup_byte_by_byte(target):
    with target.wire(login=False) as c:
        data = startup(user="postgres", database=target.database, application_name="slow")
        for i in range(len(data)):
            c.send(data[i:i + 1])
        c.log_in()
        return c.query("select 1")


@everywhere
def test_query_sent_together_with_startup(target):
    """A client that does not wait (trust needs no answer of it)."""
    from lib.wire import query
    with target.wire(login=False) as c:
        c.send(startup(user="postgres", database=target.database), query("select 1"), query("select 2"))
        c.log_in()
        return c.until_ready(2)


@everywhere
def test_no_user(target):
    return first_error(target, startup(database="postgres"))


@everywhere
def test_no_user_but_empty(target):
    return first_error(target, startup(user="", database="postgres"))


def test_random_startup_packets(weir):
    """Random bytes get an error or a close, and nobody else notices."""
    w = weir(top={"login_timeout": "1s"})
    rng = random.Random(7)
    with w.wire(database="e2e") as witness:
        for i in range(300):
            data = rng.randbytes(rng.randint(1, 300))
            if i % 3 == 0:
                data = struct.pack("!I", len(data) + 4) + data
            elif i % 3 == 1:
                data = struct.pack("!II", len(data) + 8, 0x30000) + data
            with open_socket(w.at("transaction" if i % 2 else "session")) as s:
                s.sendall(data)
                s.shutdown(socket.SHUT_WR)
                try:
                    while s.recv(4096):
                        pass
                except ConnectionResetError:
                    pass
            if i % 50 == 0:
                assert witness.value("select 41 + 1") == "42"


@pytest.mark.parametrize("data", [
    struct.pack("!I", 0), struct.pack("!I", 3), struct.pack("!I", 7) + b"abc", struct.pack("!I", 10001) + b"\0" * 100,
    struct.pack("!I", 0xffffffff), struct.pack("!I", 0x7fffffff) + b"\0" * 100,
    struct.pack("!II", 8, 0x30000), struct.pack("!II", 12, 0x30000) + b"user",
    struct.pack("!II", 13, 0x30000) + b"user\0", struct.pack("!II", 14, 0x30000) + b"user\0x",
    struct.pack("!II", 8, 80877102), struct.pack("!III", 12, 80877102, 1), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 200])
def test_malformed_startup_packets(weir, data):
    w = weir(top={"login_timeout": "1s"})
    with w.wire(database="e2e") as witness:
        with open_socket(w.at("session")) as s:
            s.sendall(data)
            got = b""
            try:
                while piece := s.recv(4096):
                    got += piece
            except ConnectionResetError:
                pass
        assert got == b"" or (got[:1] == b"E" and fields_of(got[5:])["C"] in ("08P01", "28000", "0A000", "08006")), got
        assert witness.value("select 41 + 1") == "42"


def test_half_open_logins_end(weir):
    """Thousands that connect and say nothing are bounded by login_timeout, and others get in meanwhile."""
    w = weir(top={"login_timeout": "2s"})
    before = w.descriptors()
    silent = [open_socket(w.at("session")) for _ in range(1500)]
    half = [open_socket(w.at("transaction")) for _ in range(500)]
    for s in half:
        s.sendall(startup(user="postgres", database="e2e")[:9])
    with w.wire(database="e2e") as c:
        assert c.value("select 1") == "1"
    for s in silent + half:
        s.settimeout(15)
        try:
            while s.recv(4096):
                pass
        except ConnectionResetError:
            pass
        s.close()
    from lib.pooler import wait_for
    wait_for(lambda: w.descriptors() <= before + 8, 10, "descriptors are left behind")


@everywhere
def test_unknown_parameter_and_bad_value(target):
    """What PostgreSQL would refuse at the start is refused with the same SQLSTATE, at the start or at the first query."""
    outcome = []
    for parameters in ({"no_such_parameter": "1"}, {"work_mem": "lots"}, {"DateStyle": "nonsense"}):
        try:
            with target.wire(**parameters) as c:
                outcome.append(next(reply[1] for reply in c.query("select 1") if reply[0] == "E"))
        except ServerError as error:
            outcome.append(error.sqlstate)
        except Closed:
            outcome.append("closed")
    return outcome


def clients_with_parameters(target):
    """Twelve clients, each with other parameters."""
    kinds = [
        {},
        {"application_name": "alpha"},
        {"application_name": "beta", "DateStyle": "German, DMY"},
        {"TimeZone": "America/New_York"},
        {"TimeZone": "Asia/Kolkata", "IntervalStyle": "iso_8601"},
        {"client_encoding": "LATIN1"},
        {"extra_float_digits": "0"},
        {"extra_float_digits": "-3", "statement_timeout": "12345"},
        {"search_path": "pg_catalog, public", "work_mem": "5MB"},
        {"options": "-c work_mem=7MB -c statement_timeout=54321"},
        {"options": "-cgeqo=off --lock-timeout=777ms -c search_path=a,\\ b"},
        {"options": "-c extra_float_digits=1 -c TimeZone=UTC", "application_name": "it's \"quoted\" \\ here"},
    ]
    return [Wire((target.host, target.port), database=target.database, **kind) for kind in kinds]


SHOWN = ["application_name", "DateStyle", "TimeZone", "IntervalStyle", "client_encoding", "extra_float_digits",
         "statement_timeout", "search_path", "work_mem", "geqo", "lock_timeout"]
REPORTED = ["application_name", "client_encoding", "DateStyle", "IntervalStyle", "TimeZone", "integer_datetimes",
            "is_superuser", "server_encoding", "server_version", "session_authorization",
            "standard_conforming_strings", "default_transaction_read_only", "in_hot_standby"]


@everywhere
def test_parameters_belong_to_the_client(target):
    """Each client has its own settings whichever of the shared servers it gets, and ParameterStatus says them."""
    clients = clients_with_parameters(target)
    outcome = []
    for round_ in range(3):
        for i, c in enumerate(clients if round_ % 2 == 0 else reversed(clients)):
            outcome.append([c.query(f"show {name}") for name in SHOWN])
    for c in clients:
        outcome.append([c.parameters.get(name) for name in REPORTED])
        c.close()
    return outcome


@everywhere
def test_parameters_in_pipelines(target):
    """All clients send before any of them reads: servers change hands with requests in flight."""
    from lib.wire import SYNC, query, run, parse
    clients = clients_with_parameters(target)
    for c in clients:
        for name in SHOWN:
            c.send(parse("", f"show {name}"), run(""), SYNC, query("select 0.1::float8 * 3, now() is not null"))
    outcome = [c.until_ready(2 * len(SHOWN)) for c in clients]
    for c in clients:
        c.close()
    return outcome


@everywhere
def test_client_encoding_in_effect(target):
    with target.wire(client_encoding="LATIN1") as latin, target.wire(client_encoding="UTF8") as utf:
        return [c.query("select U&'\\00e9'::text") for c in (latin, utf, latin, utf)]


@everywhere
def test_reset_goes_back_to_the_start(target):
    """RESET ALL and DISCARD ALL lead back to the client's own start-up values."""
    outcome = []
    with target.wire(application_name="mine", statement_timeout="4321", TimeZone="Asia/Tokyo") as c, \
            target.wire() as other:
        for statement in ("reset all", "discard all"):
            outcome.append(c.query(statement))
            for _ in range(4):
                outcome.append([c.query(f"show {name}") for name in ("application_name", "statement_timeout", "TimeZone")])
                outcome.append([other.query(f"show {name}") for name in ("application_name", "statement_timeout")])
    return outcome


def test_parameters_are_not_read_in_the_encoding_of_the_client_before(weir):
    """As in a start-up packet, bytes beyond ASCII are in the database's encoding, whoever had the server before."""
    w = weir(pool_size=1)
    with w.wire(client_encoding="LATIN1", database="e2e") as other, \
            w.wire(options="-c search_path=sch\u00e9,public -c my.\u00fcber=\u20ac", database="e2e") as c:
        for _ in range(2):
            assert other.value("show client_encoding") == "LATIN1"
            assert c.value("show search_path") == "sch\u00e9,public"
            assert c.value('show "my.\u00fcber"') == "\u20ac"
        assert other.value("show search_path") == '"$user", public'


def test_changed_defaults_are_told(weir, postgres):
    """The values that a client was told at its login follow what new servers report."""
    postgres.psql("create role reporter login")
    try:
        w = weir({"e2e": {"url": f"postgresql://127.0.0.1:{postgres.port}/e2e", "pool_size": 1,
                          "server_idle_timeout": "1s"}})
        with w.wire(user="reporter", database="e2e", application_name="a") as old, \
                w.wire(user="reporter", database="e2e") as other:
            before = old.parameters["TimeZone"]
            assert other.parameters["TimeZone"] == before != "Asia/Tokyo"
            postgres.psql("alter role reporter set timezone = 'Asia/Tokyo'")
            time.sleep(2)
            for c in (old, other):
                assert c.value("show timezone") == "Asia/Tokyo"
                assert c.parameters["TimeZone"] == "Asia/Tokyo"
            with w.wire(user="reporter", database="e2e") as new:
                assert new.parameters["TimeZone"] == "Asia/Tokyo"
            with w.wire("session", user="reporter", database="e2e", application_name="b") as new:
                assert new.parameters["TimeZone"] == "Asia/Tokyo"
    finally:
        wait_for(lambda: postgres.psql("select count(*) from pg_stat_activity where usename = 'reporter'") == "0")
        postgres.psql("drop role reporter")
