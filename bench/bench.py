#!/usr/bin/python3
"""What pgweir costs, as ratios to Debian's pgbouncer and haproxy (TCP mode, one thread) on this machine and in this
run. CPU time is the kernel's count for the process in the middle. Rounds are interleaved (A B C A B C ...), each
ratio is taken within a round, and the median of the rounds is shown.

    scripts/bench            all
    scripts/bench NAME ...   some; --list says which there are
    --quick                  fewer transactions: a look, not a measurement
"""
import argparse
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from peers import (PASSWORD, HaProxy, PgBouncer, Pgweir, Postgres, Relay, Wire, end_pgbench, pgbench, prepare,
                   start_pgbench)
from lib.targets import IO_URING
from lib.wire import SYNC, parse, query

LOOPS = ["io_uring", "epoll"] if IO_URING else ["epoll"]
rows = []
quick = False


def report(what, measured, limit, fine):
    """A row of the table; `limit` is what the project demands of itself."""
    rows.append((what, measured, limit, "yes" if fine else "NO" if fine is not None else ""))
    print(f"  {what}: {measured} ({limit})", file=sys.stderr, flush=True)


def median(values):
    return statistics.median(values)


def cpu_per_transaction(peers, protocols_of, rounds, clients=32, transactions=1500):
    """{(peer name, protocol): [microseconds per round]}"""
    if quick:
        rounds, transactions = 2, 300
    costs = {}
    for peer in peers:  # servers opened, statements prepared, memory touched
        for protocol in protocols_of(peer):
            pgbench(peer, protocol, clients, 50)
    for _ in range(rounds):
        for peer in peers:
            for protocol in protocols_of(peer):
                before = peer.cpu()
                done = pgbench(peer, protocol, clients, transactions)
                costs.setdefault((peer.name, protocol), []).append((peer.cpu() - before) / done * 1e6)
    return costs


def ratio(costs, name, other, protocol):
    return median([a / b for a, b in zip(costs[name, protocol], costs[other, protocol])])


def bench_cpu():
    """CPU per transaction, pgbench -S with 32 clients, a pool of 10, one worker."""
    with Postgres(settings={"max_connections": 200}) as pg:
        prepare(pg)
        with HaProxy(pg) as haproxy, PgBouncer(pg) as bouncer:
            weirs = [Pgweir(pg, loop) for loop in LOOPS]
            relays = [Relay(pg, loop) for loop in LOOPS]
            try:
                # Debian's pgbouncer cannot do prepared statements in transaction mode.
                costs = cpu_per_transaction(
                    [*weirs, haproxy, bouncer, *relays],
                    lambda peer: ["simple", "extended"] if peer is bouncer else ["prepared", "simple", "extended"], rounds=7)
            finally:
                for peer in weirs + relays:
                    peer.stop()
    for weir in weirs:
        limit = 0.75 if "io_uring" in weir.name else 1.0
        value = ratio(costs, weir.name, "haproxy", "prepared")
        report(f"CPU per prepared transaction, {weir.name} : haproxy", f"{value:.2f} ({median(costs[weir.name, 'prepared']):.1f}"
               f" : {median(costs['haproxy', 'prepared']):.1f} µs)", f"at most {limit}", value <= limit)
    for protocol in ("simple", "extended"):
        for weir in weirs:
            value = ratio(costs, weir.name, "pgbouncer", protocol)
            report(f"CPU per {protocol} transaction, {weir.name} : pgbouncer",
                   f"{value:.2f} ({median(costs[weir.name, protocol]):.1f} : {median(costs['pgbouncer', protocol]):.1f} µs)",
                   "at most 0.65", value <= 0.65)
    for protocol in ("prepared", "simple", "extended"):
        other = "haproxy" if protocol == "prepared" else "pgbouncer"
        for relay in relays:
            value = ratio(costs, relay.name, other, protocol)
            report(f"CPU per {protocol} transaction, {relay.name} and nothing else : {other}",
                   f"{value:.2f} ({median(costs[relay.name, protocol]):.1f} µs)", "for comparison", None)


def own_settings(peer, transactions, own):
    """CPU per transaction of 32 clients, each with settings of its own or all with the server's."""
    before = peer.cpu()
    running = [start_pgbench(peer, "prepared", 1, transactions, options=(
        f"-c search_path=schema{i},public -c timezone=Etc/GMT+{i % 12} -c statement_timeout={60_000 + i}" if own else ""))
               for i in range(32)]
    done = sum(end_pgbench(peer, process) for process in running)
    return (peer.cpu() - before) / done * 1e6


def bench_settings():
    """32 clients over 8 servers, each with its own search_path, timezone and statement_timeout : the same without."""
    rounds, transactions = (2, 300) if quick else (5, 1500)
    with Postgres(settings={"max_connections": 100}) as pg:
        prepare(pg)
        for loop in LOOPS:
            with Pgweir(pg, loop, pool_size=8) as weir:
                for own in (False, True):
                    own_settings(weir, 50, own)
                costs = [(own_settings(weir, transactions, True), own_settings(weir, transactions, False))
                         for _ in range(rounds)]
                value = median([a / b for a, b in costs])
                report(f"CPU per transaction with own settings : without, {weir.name}",
                       f"{value:.2f} ({median([a for a, _ in costs]):.1f} : {median([b for _, b in costs]):.1f} µs)",
                       "at most 1.25", value <= 1.25)


def bench_calls():
    """System calls per transaction under strace: 32 clients over 8 servers."""
    transactions = 100 if quick else 500
    with Postgres(settings={"max_connections": 100}) as pg:
        prepare(pg)
        for loop in LOOPS:
            with Pgweir(pg, loop, pool_size=8) as weir:
                pgbench(weir, "prepared", 32, 50)
                with weir.strace() as strace:
                    done = pgbench(weir, "prepared", 32, transactions)
                value, limit = strace.calls / done, 2.5 if loop == "io_uring" else 4.5
                names = ", ".join(f"{name} {n / done:.2f}" for name, n in
                                  sorted(strace.by_name.items(), key=lambda item: -item[1])[:4])
                report(f"system calls per prepared transaction, {weir.name}", f"{value:.2f} ({names})",
                       f"below {limit}" if loop == "io_uring" else f"at most {limit}",
                       value < limit if loop == "io_uring" else value <= limit)
        with PgBouncer(pg, pool_size=8) as bouncer:
            pgbench(bouncer, "simple", 32, 50)
            with bouncer.strace() as strace:
                done = pgbench(bouncer, "simple", 32, transactions)
            report("system calls per simple transaction, pgbouncer", f"{strace.calls / done:.2f}", "for comparison", None)


def idle_clients(peer, count):
    """Logs in (md5), asks one query each, and stays."""
    clients = []
    for _ in range(count):
        c = Wire(("127.0.0.1", peer.port), password=PASSWORD, timeout=60)
        c.value("select 1")
        c.buffer = c.parameters = None
        clients.append(c)
    return clients


def bench_memory():
    """Resident memory of an idle client that has logged in: 5,000 of them."""
    count = 1000 if quick else 5000
    measured = {}
    with Postgres(settings={"max_connections": 100}) as pg:
        makers = [(lambda loop=loop: Pgweir(pg, loop, auth="md5")) for loop in LOOPS]
        makers.append(lambda: PgBouncer(pg, auth="md5"))
        for make in makers:
            with make() as peer:
                for c in idle_clients(peer, 50):  # what is allocated once
                    c.close()
                time.sleep(0.5)
                before = peer.rss()
                clients = idle_clients(peer, count)
                time.sleep(1)
                measured[peer.name] = (peer.rss() - before) / count / 1024
                for c in clients:
                    c.close()
    for name, value in measured.items():
        own = name != "pgbouncer"
        report(f"resident memory per idle client, {name}", f"{value:.2f} KiB",
               "at most 0.6 KiB" if own else "for comparison", value <= 0.6 if own else None)


def bench_state():
    """Resident memory of a client with 20 settings and 100 prepared statements, the same as other clients have."""
    count = 100 if quick else 1000
    settings = "; ".join(f"set app.setting{i} = 'value of setting {i}'" for i in range(20))
    statements = [parse(f"S_{i}", f"select {i} + $1::int from pgbench_accounts where aid = $1") for i in range(100)]
    with Postgres(settings={"max_connections": 100}) as pg:
        prepare(pg)
        for loop in LOOPS:
            with Pgweir(pg, loop) as weir:
                def clients(n):
                    out = []
                    for c in idle_clients(weir, n):
                        c.buffer, c.parameters = bytearray(), {}
                        c.query(settings)
                        for statement in statements:  # as drivers do
                            c.ask(statement, SYNC)
                        out.append(c)
                    return out
                first = clients(20)  # what is allocated once
                time.sleep(0.5)
                before = weir.rss()
                more = clients(count)
                time.sleep(1)
                value = (weir.rss() - before) / count / 1024
                report(f"resident memory per client with 20 settings and 100 statements, {weir.name}", f"{value:.2f} KiB",
                       "at most 4 KiB", value <= 4)
                for c in first + more:
                    c.close()


def drain(c, sql):
    """Asks and reads to the end without looking into it; how many bytes came."""
    c.send(query(sql))
    view, total, tail = memoryview(bytearray(1 << 20)), 0, b""
    while not tail.endswith(b"Z\0\0\0\x05I"):
        got = c.sock.recv_into(view)
        if not got:
            raise RuntimeError("closed in the middle of a result")
        total += got
        tail = (tail + bytes(view[max(0, got - 6):got]))[-6:]
    return total


def bench_result():
    """System calls for one result of 10 MB (10,000 rows)."""
    sql = "select repeat('x', 1015) from generate_series(1, 10000)"
    with Postgres(settings={"max_connections": 100}) as pg:
        makers = [(lambda loop=loop: Pgweir(pg, loop)) for loop in LOOPS] + [lambda: PgBouncer(pg)]
        for make in makers:
            with make() as peer:
                with Wire(("127.0.0.1", peer.port), timeout=60) as c:
                    drain(c, "select 1")
                    counts = []
                    for _ in range(3):
                        with peer.strace() as strace:
                            size = drain(c, sql)
                        counts.append(strace.calls)
                own = peer.name != "pgbouncer"
                value = median(counts)
                report(f"system calls for a result of {size / 1e6:.1f} MB, {peer.name}", f"{value}",
                       "fewer than 500" if own else "for comparison", value < 500 if own else None)


def bench_copy():
    """COPY out of 1 GB: CPU against haproxy, and the peak of resident memory."""
    gigabytes = 0.2 if quick else 1.0
    sql = f"copy (select repeat('x', 999) from generate_series(1, {int(gigabytes * 1e6)})) to stdout"
    with Postgres(settings={"max_connections": 100}) as pg:
        peers = [Pgweir(pg, loop) for loop in LOOPS] + [HaProxy(pg)]
        try:
            costs, growth = {}, {}
            for _ in range(2 if quick else 3):
                for peer in peers:
                    with Wire(("127.0.0.1", peer.port), timeout=120) as c:
                        drain(c, "select 1")
                        resident = peer.rss()
                        peer.forget_peak()
                        before = peer.cpu()
                        drain(c, sql)
                        costs.setdefault(peer.name, []).append(peer.cpu() - before)
                        growth.setdefault(peer.name, []).append((peer.rss("VmHWM") - resident) / 2**20)
        finally:
            for peer in peers:
                peer.stop()
    for peer in peers[:-1]:
        value = median([a / b for a, b in zip(costs[peer.name], costs["haproxy"])])
        report(f"CPU of COPY out of {gigabytes:g} GB, {peer.name} : haproxy",
               f"{value:.2f} ({median(costs[peer.name]):.2f} : {median(costs['haproxy']):.2f} s)", "at most 1.1", value <= 1.1)
        most = max(growth[peer.name])
        report(f"growth of resident memory in that COPY, {peer.name}", f"{most:.1f} MiB", "bounded: at most 16 MiB", most <= 16)


def bench_pools():
    """10,000 pools configured, 500 of them with an idle client, one active: the cost of the active one."""
    names = [f"db{i}" for i in range(9_999)]
    present = 50 if quick else 500  # the login opens a server in each of these
    with Postgres(settings={"max_connections": present + 100}) as pg:
        prepare(pg)
        for loop in LOOPS:
            with Pgweir(pg, loop) as one, Pgweir(pg, loop, databases=names) as many:
                one.name, many.name = "one", "many"
                others = [Wire(("127.0.0.1", many.port), database=name, timeout=60) for name in names[:present]]
                costs = cpu_per_transaction([one, many], lambda _: ["prepared"], 7, clients=8, transactions=3000)
                for c in others:
                    c.close()
            value = ratio(costs, "many", "one", "prepared")
            report(f"CPU per transaction with 10,000 pools : with one, pgweir, {loop}",
                   f"{value:.2f} ({median(costs['many', 'prepared']):.1f} : {median(costs['one', 'prepared']):.1f} µs)",
                   "no change: at most 1.05", value <= 1.05)


def bench_apps():
    """100 apps with shares of their own and 10,000 clients of one that wait : neither, while another app works."""
    waiting = 500 if quick else 10_000
    apps = {f"app{i}": {"pool_size": 3, "max_overflow": 2, "weight": 1 + i % 5} for i in range(99)}
    apps["crowd"] = {"pool_size": 1, "max_overflow": 0, "max_waiting": 100_000}
    with Postgres(settings={"max_connections": 100}) as pg:
        prepare(pg)
        for loop in LOOPS:
            with (Pgweir(pg, loop) as none, Pgweir(pg, loop, apps=apps, top={"max_waiting": 100_000}) as many):
                none.name, many.name = "none", "many"
                crowd = [Wire(("127.0.0.1", many.port), application_name="crowd", timeout=60)
                         for _ in range(waiting + 1)]
                crowd[0].query("begin")  # the app's one server
                for c in crowd[1:]:
                    c.send(query("select 1"))
                costs = cpu_per_transaction([none, many], lambda _: ["prepared"], 7)
                crowd[0].query("commit")
                for c in crowd:
                    c.close()
            value = ratio(costs, "many", "none", "prepared")
            report(f"CPU per transaction with 100 apps and {waiting:,} waiting : with neither, pgweir, {loop}",
                   f"{value:.2f} ({median(costs['many', 'prepared']):.1f} : {median(costs['none', 'prepared']):.1f} µs)",
                   "at most 1.03", value <= 1.03)


def bench_crowd():
    """10,000 clients on 20 servers: all complete, and nobody waits much longer than the rest."""
    clients = 1000 if quick else 10000
    with Postgres(settings={"max_connections": 100}) as pg:
        prepare(pg)
        for loop in LOOPS:
            with Pgweir(pg, loop, pool_size=20) as weir, tempfile.TemporaryDirectory() as folder:
                start = time.monotonic()
                done = pgbench(weir, "prepared", clients, 10, ["-l", f"--log-prefix={folder}/log"])
                seconds = time.monotonic() - start
                times = []
                for path in pathlib.Path(folder).glob("log*"):
                    times += [int(line.split()[2]) / 1000 for line in path.read_text().splitlines()]
                times.sort()
                middle, most = times[len(times) // 2], times[-1]
                report(f"{clients:,} clients on 20 servers, pgweir, {loop}",
                       f"{done:,} of {clients * 10:,} transactions in {seconds:.0f} s; wait: median {middle:.0f}, "
                       f"99 % {times[len(times) * 99 // 100]:.0f}, longest {most:.0f} ms",
                       "all complete, nobody starves", done == clients * 10)


BENCHES = {name[6:]: function for name, function in list(globals().items()) if name.startswith("bench_")}


def main():
    global quick
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--list", action="store_true", help="say which there are")
    parser.add_argument("--quick", action="store_true", help="fewer transactions: a look, not a measurement")
    arguments = parser.parse_args()
    quick = arguments.quick
    if arguments.list:
        for name, function in BENCHES.items():
            print(f"{name:8} {function.__doc__}")
        return 0
    for name in arguments.names:
        if name not in BENCHES:
            parser.error(f"no such benchmark: {name} (there are: {' '.join(BENCHES)})")
    failed = []
    for name in arguments.names or BENCHES:
        print(f"{name}: {BENCHES[name].__doc__}", file=sys.stderr, flush=True)
        try:
            BENCHES[name]()
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            failed.append(name)
            rows.append((name, f"did not run: {str(error).splitlines()[0]}", "", "NO"))
            print(f"  {error}", file=sys.stderr)
    print("\n| what | measured | required | met |\n|---|---|---|---|")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
