"""Logging in to pgweir, and pgweir's logging in to PostgreSQL, by every method."""
import signal
import struct
import subprocess
import time

import psycopg2
import pytest
from throwaway import Postgres

from lib.pooler import wait_for
from lib.tools import BIN
from lib.wire import ServerError, Wire, cstr, md5_secret, message, query, scram_secret, startup

HBA = """
local all all trust
host all postgres all trust
host all u_password all password
host all u_md5 all md5
host all u_scram all scram-sha-256
host all u_same all scram-sha-256
host all u_same2 all scram-sha-256
host all u_md5same all md5
host all all all reject
"""
ODD = "pä ss'w\\or€d"  # Unicode, blanks, quotes


@pytest.fixture(scope="module")
def pg():
    with Postgres(hba=HBA) as pg:
        pg.psql("create database e2e")
        pg.psql("create role u_password login password 'secret1'")
        pg.psql("set password_encryption = md5; create role u_md5 login password 'secret2';"
                "create role u_md5same login password 'secret2'")
        pg.psql("create role u_scram login password 'secret3'; create role u_same login password 'secret4';"
                "create role u_same2 login password 'secret5'")
        yield pg


def database(pg, user="postgres", password=None, name="e2e"):
    who = f"{user}:{password}@" if password else f"{user}@" if user else ""
    return {"url": f"postgresql://{who}127.0.0.1:{pg.port}/{name}", "pool_size": 2}


SECRETS = {
    "plain": lambda user, password: password,
    "md5": md5_secret,
    "scram": lambda user, password: scram_secret(password),
}
WORKING = [("password", "plain"), ("password", "md5"), ("password", "scram"), ("md5", "plain"), ("md5", "md5"),
           ("scram-sha-256", "plain"), ("scram-sha-256", "scram")]


@pytest.mark.parametrize("method,kind", WORKING)
def test_methods_and_secrets(weir, pg, method, kind):
    users = {"alice": SECRETS[kind]("alice", "wonder"), "bob": SECRETS[kind]("bob", "builder")}
    w = weir({"e2e": database(pg)}, auth={"method": method}, users=users)
    for mode in ("session", "transaction"):
        for user, password in (("alice", "wonder"), ("bob", "builder"), ("alice", "wonder")):
            with w.wire(mode, user=user, database="e2e", password=password) as c:
                assert c.auth_methods[0] == {"password": 3, "md5": 5, "scram-sha-256": 10}[method]
                assert c.value("select current_user") == "postgres"
        for user, password in (("alice", "builder"), ("alice", ""), ("nobody", "wonder"), ("bob", "wonder")):
            with pytest.raises(ServerError) as error:
                w.wire(mode, user=user, database="e2e", password=password)
            assert error.value.sqlstate == "28P01"
            assert error.value.fields["M"] == f'password authentication failed for user "{user}"'


def test_a_scram_secret_under_md5(weir, pg):
    """As in PostgreSQL: the stronger method is used."""
    w = weir({"e2e": database(pg)}, auth={"method": "md5"}, users={"alice": scram_secret("wonder")})
    with w.wire(user="alice", database="e2e", password="wonder") as c:
        assert c.auth_methods[0] == 10


def test_an_md5_secret_under_scram(weir, pg):
    """It cannot be used: a refusal like any other, to the client; the log says what is wrong."""
    w = weir({"e2e": database(pg)}, auth={"method": "scram-sha-256"}, users={"alice": md5_secret("alice", "wonder")})
    with pytest.raises(ServerError) as error:
        w.wire(user="alice", database="e2e", password="wonder")
    assert error.value.sqlstate == "28P01"
    w.wait_log("alice")


@pytest.mark.parametrize("method", ["password", "md5", "scram-sha-256"])
def test_unknown_user_cannot_be_told_from_a_wrong_password(weir, pg, method):
    w = weir({"e2e": database(pg)}, auth={"method": method}, users={"alice": "wonder"})
    seen = []
    for user in ("alice", "nobody"):
        c = Wire(w.at("session"), user=user, login=False, password="wrong")
        c.send(startup(user=user, database="e2e"))
        with pytest.raises(ServerError) as error:
            c.log_in()
        seen.append((c.auth_methods, error.value.fields["M"].replace(user, "?"), error.value.sqlstate,
                     error.value.fields["S"]))
    assert seen[0] == seen[1]


def test_scram_salt_of_an_unknown_user_is_constant(weir, pg):
    """A salt that changes from try to try would tell that the user is not there."""
    w = weir({"e2e": database(pg)}, auth={"method": "scram-sha-256"}, users={"alice": scram_secret("wonder")})

    def salt(user):
        with w.wire(login=False) as c:
            c.send(startup(user=user, database="e2e"))
            assert c._raw()[0] == "R"
            first = b"n,,n=,r=abcdefghijklmnop"
            c.send(message("p", cstr("SCRAM-SHA-256") + struct.pack("!I", len(first)) + first))
            tag, body = c._raw()
            assert tag == "R", body
            return dict(part.split("=", 1) for part in body[4:].decode().split(","))["s"]

    assert salt("alice") == salt("alice")
    assert salt("nobody") == salt("nobody")
    assert salt("nobody") != salt("somebody")


def test_trust(weir, pg):
    w = weir({"e2e": database(pg)}, auth={"method": "trust"})
    with w.wire(user="anybody", database="e2e") as c:
        assert c.auth_methods == [0]
        assert c.value("select current_user") == "postgres"


def test_unknown_database(weir, pg):
    w = weir({"e2e": database(pg)}, auth={"method": "scram-sha-256"}, users={"alice": "wonder"})
    for mode in ("session", "transaction"):
        with pytest.raises(ServerError) as error:
            w.wire(mode, user="alice", database="nope", password="wonder")
        assert (error.value.sqlstate, error.value.fields["S"]) == ("3D000", "FATAL")
        assert error.value.fields["M"] == 'database "nope" does not exist'
        # Who has no password learns nothing about databases.
        with pytest.raises(ServerError) as error:
            w.wire(mode, user="alice", database="nope", password="wrong")
        assert error.value.sqlstate == "28P01"


def first_failure(w, **arguments):
    """The SQLSTATE of a failure, at login or at the first query."""
    try:
        with w.wire(**arguments) as c:
            c.send(query("select 1"))
            return c.receive()[1]
    except ServerError as error:
        return error.sqlstate


def test_upstream_refusals_reach_the_client(weir, pg):
    """What PostgreSQL says about a database or role that it does not have is what the client is told."""
    w = weir({"*": {"url": f"postgresql://postgres@127.0.0.1:{pg.port}"},
              "norole": database(pg, "missing_role"), "badpw": database(pg, "u_scram", "wrong")})
    assert first_failure(w, database="no_such_database") == "3D000"
    assert first_failure(w, database="norole") in ("28000", "28P01")
    assert first_failure(w, database="badpw") in ("28P01", "28000", "08006")
    with w.wire(database="e2e") as c:
        assert c.value("select current_database()") == "e2e"


@pytest.mark.parametrize("user,password", [("u_password", "secret1"), ("u_md5", "secret2"), ("u_scram", "secret3")])
def test_to_servers(weir, pg, user, password):
    w = weir({"e2e": database(pg, user, password)})
    for mode in ("session", "transaction"):
        with w.wire(mode, user="whoever", database="e2e") as c:
            assert c.value("select current_user") == user


def stored(pg, role):
    return pg.psql(f"select rolpassword from pg_authid where rolname = '{role}'")


def test_scram_pass_through(weir, pg):
    """Only SCRAM secrets, the same as PostgreSQL's, are stored; each client's own proof opens its servers."""
    users = {role: stored(pg, role) for role in ("u_same", "u_same2")}
    assert all(secret.startswith("SCRAM-SHA-256$") for secret in users.values())
    w = weir({"e2e": database(pg, user=None)}, auth={"method": "scram-sha-256"}, users=users)
    for mode in ("session", "transaction"):
        for user, password in (("u_same", "secret4"), ("u_same2", "secret5"), ("u_same", "secret4")):
            with w.wire(mode, user=user, database="e2e", password=password) as c:
                assert c.value("select current_user") == user
        with pytest.raises(ServerError) as error:
            w.wire(mode, user="u_same", database="e2e", password="secret5")
        assert error.value.sqlstate == "28P01"


def test_a_reload_that_moves_the_database_keeps_what_clients_brought(weir, pg):
    """A client does not log in again when its database moves: its keys must serve at the new place too."""
    users = {"u_same": stored(pg, "u_same"), "u_same2": "secret5"}
    w = weir({"e2e": database(pg, user=None)}, auth={"method": "scram-sha-256"}, users=users)
    with w.wire(user="u_same", password="secret4", database="e2e") as keys, \
            w.wire(user="u_same2", password="secret5", database="e2e") as plain:
        for host in ("localhost", "127.0.0.1"):
            assert keys.value("select current_user") == "u_same"
            assert plain.value("select current_user") == "u_same2"
            w.databases["e2e"]["url"] = f"postgresql://{host}:{pg.port}/e2e"
            w.write_config()
            before = w.log().count("was reloaded")
            w.send_signal(signal.SIGHUP)
            wait_for(lambda: w.log().count("was reloaded") > before)
            time.sleep(0.3)
        assert keys.value("select current_user") == "u_same"


def test_pass_through_of_plain_and_md5_secrets(weir, pg):
    users = {"u_same": "secret4", "u_password": "secret1", "u_md5same": "secret2"}
    w = weir({"e2e": database(pg, user=None)}, auth={"method": "scram-sha-256"}, users=users)
    for user, password in users.items():
        with w.wire(user=user, database="e2e", password=password) as c:
            assert c.value("select current_user") == user
    w = weir({"e2e": database(pg, user=None)}, auth={"method": "md5"}, users={"u_md5same": stored(pg, "u_md5same")})
    with w.wire(user="u_md5same", database="e2e", password="secret2") as c:
        assert c.value("select current_user") == "u_md5same"


def test_password_changed_upstream(weir, pg):
    """A secret that is no longer the same is refused by PostgreSQL; the client is told, and pgweir goes on."""
    pg.psql("drop role if exists u_changing; create role u_changing login password 'before'")
    pg.write_hba(HBA.replace("host all all all reject", "host all u_changing all scram-sha-256\nhost all all all reject"))
    pg.psql("select pg_reload_conf()")
    w = weir({"e2e": database(pg, user=None)}, auth={"method": "scram-sha-256"},
             users={"u_changing": stored(pg, "u_changing"), "u_same": stored(pg, "u_same")})
    pg.psql("alter role u_changing password 'after'")
    assert first_failure(w, user="u_changing", database="e2e", password="before") in ("28P01", "28000", "08006")
    with w.wire(user="u_same", database="e2e", password="secret4") as c:
        assert c.value("select 1") == "1"


def test_odd_passwords_through_libpq(weir, pg):
    w = weir({"e2e": database(pg)}, auth={"method": "scram-sha-256"}, users={"alice": ODD})
    host, port = w.at("transaction")
    c = psycopg2.connect(host=host, port=port, dbname="e2e", user="alice", password=ODD)
    cur = c.cursor()
    cur.execute("select 1")
    assert cur.fetchone() == (1,)
    c.close()


def test_libpq_with_each_method(weir, pg):
    for method in ("password", "md5", "scram-sha-256"):
        w = weir({"e2e": database(pg)}, auth={"method": method}, users={"alice": "wonder"})
        host, port = w.at("session")
        for password, expected in (("wonder", 0), ("wrong", 2)):
            done = subprocess.run([BIN / "psql", "-XAtw", "-d", f"host={host} port={port} dbname=e2e user=alice "
                                   f"password={password}", "-c", "select 1"], capture_output=True, text=True, timeout=20)
            assert done.returncode == expected, done.stderr
        w.stop()


def test_malformed_answers_in_login(weir, pg):
    """Anything but a good answer ends the login with an error or a close; the next one gets in."""
    for method in ("password", "md5", "scram-sha-256"):
        w = weir({"e2e": database(pg)}, auth={"method": method}, users={"alice": "wonder"}, top={"login_timeout": "2s"})
        for answer in (message("p", b""), message("p", b"\0"), message("p", b"x" * 5000), query("select 1"),
                       message("p", cstr("SCRAM-SHA-256") + b"\xff\xff\xff\xff"), message("X"),
                       message("p", cstr("SCRAM-SHA-256") + b"\0\0\0\x05n,,n="),
                       message("p", cstr("SCRAM-SHA-256-PLUS") + b"\0\0\0\x05n,,n="),
                       message("p", cstr("SCRAM-SHA-256") + b"\0\0\0\x10p=tls-unique,,n="),
                       b"p\x7f\xff\xff\xff", b"p\0\0\0\0"):
            with w.wire(login=False) as c:
                c.send(startup(user="alice", database="e2e"))
                c._raw()
                c.send(answer)
                assert c.at_end(10), (method, answer)
        with w.wire(user="alice", database="e2e", password="wonder") as c:
            assert c.value("select 1") == "1"
        w.stop()
