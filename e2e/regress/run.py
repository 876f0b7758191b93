#!/usr/bin/python3
"""PostgreSQL's own regression suite, on PostgreSQL itself or through one of pgweir's ports.

The direct run is the reference: what a test printed there must be printed through pgweir too, byte for byte. It is kept
in .cache/regress and made when there is none yet. Exit status 1: something was printed that was not printed directly
and is not in known.toml, or a client beside it did not get what it asked for.
"""
import argparse
import difflib
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE.parent), str(ROOT / "tools")]

from lib.pooler import Pgweir  # noqa: E402
from lib.targets import LOOPS  # noqa: E402
from throwaway import BIN, USER, Postgres, account, die_with_parent  # noqa: E402

import suite  # noqa: E402

CACHE = ROOT / ".cache" / "regress"
# As pg_regress's own temporary instance, where the tests show it; the rest is throwaway.py's.
SETTINGS = {"max_connections": 300, "max_prepared_transactions": 2, "wal_level": "replica", "max_wal_senders": 10,
            "shared_buffers": "128MB"}
VERDICT = re.compile(r"^(?:test |     )(\S+)\s+\.\.\. (ok|FAILED|failed \(ignored\))")
BESIDE = "beside"
POOL = 24  # 20 tests run at once, and some of them open a second connection


class Outcome:
    """A folder with what a run left: NAME.out of each test, and verdicts.json."""

    def __init__(self, folder):
        self.folder = folder
        path = folder / "verdicts.json"
        self.verdicts = json.loads(path.read_text()) if path.exists() else {}

    def output(self, test):
        path = self.folder / f"{test}.out"
        return path.read_bytes() if path.exists() else None


def arguments_of(options, mode, schedule):
    """pg_regress's words for which tests are run, and how many at once."""
    if options.tests:
        names = options.tests.split(",")
        chosen = names if names[0] == "test_setup" else ["test_setup", *names]
        return [name for name in chosen if name]
    at_once = 1 if options.schedule == "serial" else 0
    if mode == "session" and options.pool < POOL:
        at_once = at_once or max(1, options.pool // 2)  # \c opens the new connection before it closes the old one
    return [f"--schedule={schedule}", *([f"--max-connections={at_once}"] if at_once else [])]


def run_suite(files, options, mode, port, kept):
    """Runs pg_regress against `port`; leaves the outputs in `kept`."""
    with tempfile.TemporaryDirectory(prefix="pgweir-regress-") as name:
        work = pathlib.Path(name)
        files.copy_to(work)
        files.libraries_to(work / "lib")
        schedule = work / "parallel_schedule"
        if options.schedule not in ("parallel", "serial"):
            schedule = shutil.copy(options.schedule, work / "schedule")
        who = account()
        if who:
            for path in (work, *work.rglob("*")):
                os.chown(path, who["user"], who["group"])
        command = [work / "bin" / "pg_regress", f"--inputdir={work}", f"--outputdir={work}", f"--dlpath={work / 'lib'}",
                   f"--bindir={work / 'bin'}", "--host=127.0.0.1", f"--port={port}", f"--user={USER}", "--no-locale",
                   "--encoding=UTF8", *arguments_of(options, mode, schedule)]
        verdicts = {}
        process = subprocess.Popen(
            command, cwd=work, env={"PATH": os.environ["PATH"], "HOME": name, "LC_ALL": "C", "PGSSLMODE": "disable"},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            start_new_session=True, preexec_fn=die_with_parent(signal.SIGTERM), **who)
        overdue = threading.Timer(options.limit, lambda: os.killpg(process.pid, signal.SIGKILL))
        overdue.start()
        said = []
        try:
            for line in process.stdout:
                said.append(line)
                if options.verbose:
                    print(line, end="", flush=True)
                found = VERDICT.match(line)
                if found:
                    verdicts[found[1]] = found[2].split()[0].lower().replace("failed", "FAILED")
            process.wait()
        finally:
            overdue.cancel()
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if process.returncode == -signal.SIGKILL:
            if mode == "direct":
                raise SystemExit(f"no reference: PostgreSQL itself was not done after {options.limit} s (--limit)")
            print(f"ended after {options.limit} s; what it said last: {kept.relative_to(ROOT)}/pg_regress.log")
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        for path in sorted((work / "results").glob("*.out")):
            (kept / path.name).write_bytes(path.read_bytes().replace(name.encode(), b"WORK"))
            verdicts.setdefault(path.stem, "ended")
        diffs = work / "regression.diffs"
        if diffs.exists():
            shutil.copyfile(diffs, kept / "expected.diff")
        (kept / "pg_regress.log").write_text("".join(said))
        (kept / "verdicts.json").write_text(json.dumps(verdicts, indent=1))
    if not verdicts:
        raise RuntimeError("pg_regress ran no test:\n" + "".join(said[-20:]))
    return Outcome(kept)


class Beside:
    """beside.py at work, for as long as the suite runs."""

    def __init__(self, port, clients):
        self.process = None
        if clients:
            self.process = subprocess.Popen(
                [sys.executable, HERE / "beside.py", "127.0.0.1", str(port), BESIDE, str(clients)],
                stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent(signal.SIGKILL))

    def end(self):
        """The lines that say how it went, and whether all was right."""
        if self.process is None:
            return [], True
        self.process.send_signal(signal.SIGTERM)
        try:
            said = json.loads(self.process.communicate(timeout=150)[0])
        except (subprocess.TimeoutExpired, json.JSONDecodeError):
            self.process.kill()
            return ["the clients beside it did not end"], False
        lines = []
        for what in sorted({*said["right"], *said["wrong"]}):
            wrong = said["wrong"].get(what, 0)
            first = f"; the first: {said['first'][what]}" if wrong else ""
            lines.append(f"beside it, {what}: {said['right'].get(what, 0)} right, {wrong} wrong{first}")
        return lines, not said["wrong"]


def run(files, options, settings, mode, kept):
    """One run on `mode`, and whether the clients beside it were left alone."""
    with Postgres(settings=settings) as pg:
        pg.psql(f"create database {BESIDE}")
        pg.psql("create table copied (n int, t text)", database=BESIDE)
        weir = None
        try:
            port = pg.port
            if mode != "direct":
                base = f"postgresql://127.0.0.1:{pg.port}/"
                # The suite asks for currval and lastval in later transactions.
                weir = Pgweir({"*": {"url": base, "pool_size": options.pool, "pool_timeout": "5m",
                                     "on_sequence": "pin"}},
                              top={"loop": options.loop})
                port = weir.ports[mode]
            beside = Beside(port, options.beside)
            start = time.monotonic()
            outcome = run_suite(files, options, mode, port, kept)
            print(f"{mode}: {len(outcome.verdicts)} tests in {time.monotonic() - start:.0f} s", flush=True)
            lines, left_alone = beside.end()
            print("\n".join(lines), flush=True)
            if weir is not None:
                shutil.copyfile(weir.log_path, kept / "pgweir.log")
                weir.assert_healthy()
        finally:
            if weir is not None:
                weir.stop()
            if kept.exists():
                shutil.copyfile(pg.log, kept / "postgresql.log")
    return outcome, left_alone


class Known:
    """known.toml: differences that are explained there, line for line."""

    def __init__(self):
        self.entries = tomllib.loads((HERE / "known.toml").read_text())

    def explains(self, test, changed):
        entry = self.entries.get(test)
        if entry is None:
            return False
        start = 1 if entry.get("either") else 0  # either: which side has which line does not matter
        lines = {line.rstrip()[start:] for line in entry["lines"].splitlines()}
        return {line.rstrip()[start:] for line in changed} <= lines


def differences(direct, outcome, kept):
    """{test: its changed lines} for those whose output is not the direct run's; all of it goes to direct.diff."""
    different = {}
    with open(kept / "direct.diff", "w", encoding="utf-8") as file:
        for test in sorted({*direct.verdicts, *outcome.verdicts}):
            was, got = direct.output(test), outcome.output(test)
            if was == got:
                continue
            lines = [(text or b"").decode(errors="replace").splitlines(keepends=True) for text in (was, got)]
            diff = list(difflib.unified_diff(*lines, f"direct/{test}.out", f"{kept.parent.name}/{test}.out"))
            file.writelines(diff)
            different[test] = [line for line in diff[2:] if line[0] in "+-"]
    return different


def show(direct, outcome, different, known, mode, everything):
    """The table. Without `everything`, what is ok and the same is only counted. Returns what is not explained."""
    widths = "{:<28} {:<8} {:<12} {}"
    lines, open_ones = [widths.format("test", "direct", mode, "same output")], []
    names = list(outcome.verdicts) + [name for name in direct.verdicts if name not in outcome.verdicts]
    for test in names:
        was, got = (one.verdicts.get(test, "not run") for one in (direct, outcome))
        said = "yes"
        if test in different:
            said = f"NO, {len(different[test])} lines"
            if known.explains(test, different[test]):
                said = "known"
            else:
                open_ones.append(test)
        if everything or test in different or (was, got) != ("ok", "ok"):
            lines.append(widths.format(test, was, got, said))
    print("\n".join(lines))
    return open_ones


def main():
    parser = argparse.ArgumentParser(prog="scripts/regress", description=__doc__)
    parser.add_argument("mode", choices=("direct", "session", "transaction"))
    parser.add_argument("--schedule", default="parallel", metavar="NAME",
                        help="parallel (the default), serial (its tests one by one), or a file")
    parser.add_argument("--tests", metavar="A,B,C", help="only these, one by one; test_setup comes first in any case")
    parser.add_argument("--pool", type=int, default=POOL, metavar="N",
                        help="pool_size; with a smaller one fewer tests run at once in session mode")
    parser.add_argument("--loop", default=LOOPS[-1], choices=LOOPS)
    parser.add_argument("--beside", type=int, default=4, metavar="N", help="clients that work beside it (4)")
    parser.add_argument("-c", action="append", default=[], metavar="NAME=VALUE", help="a setting of PostgreSQL")
    parser.add_argument("--limit", type=int, default=1500, metavar="SECONDS", help="then it is ended")
    parser.add_argument("--all", action="store_true", help="every row of the table")
    parser.add_argument("--verbose", action="store_true", help="pg_regress's own lines, as they come")
    options = parser.parse_args()
    settings = {**SETTINGS, **dict(setting.split("=", 1) for setting in options.c)}

    try:
        files = suite.prepare(CACHE)
    except suite.Unavailable as reason:
        print(f"skipped: PostgreSQL's regression suite is not here and cannot be had: {reason}")
        return 0
    server = subprocess.run([BIN / "postgres", "--version"], capture_output=True, text=True, check=True).stdout.split()[2]
    print(f"suite of {files.version}, server {server}", flush=True)

    # What is run together decides what is printed: a reference of its own for each choice of tests.
    what = options.tests or options.schedule
    text = pathlib.Path(what).read_text() if os.path.isfile(what) else what
    key = hashlib.sha256(f"{files.version} {server} {text} {settings}".encode()).hexdigest()[:12]
    reference = CACHE / "direct" / key
    if options.mode == "direct" or not (reference / "verdicts.json").exists():
        run(files, options, settings, "direct", reference)
    direct = outcome = Outcome(reference)
    different = {}
    if options.mode != "direct":
        kept = CACHE / options.mode / key
        outcome, left_alone = run(files, options, settings, options.mode, kept)
        different = differences(direct, outcome, kept)
    open_ones = show(direct, outcome, different, Known(), options.mode, options.all)
    passed = [sum(value == "ok" for value in one.verdicts.values()) for one in (direct, outcome)]
    if options.mode == "direct":
        print(f"{len(direct.verdicts)} tests, ok: {passed[0]}")
        return 0
    print(f"the differences: {(kept / 'direct.diff').relative_to(ROOT)}")
    print(f"{len(outcome.verdicts)} tests; ok directly: {passed[0]}, ok through the {options.mode} port: {passed[1]}; "
          f"other output than directly: {len(different)}, {len(different) - len(open_ones)} of them known")
    return 1 if open_ones or not left_alone else 0


if __name__ == "__main__":
    sys.exit(main())
