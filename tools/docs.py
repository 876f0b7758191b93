#!/usr/bin/env python3
"""Writes docs/settings.md from `PROGRAM config --markdown`; with --check, says whether it is up to date.

    tools/docs.py build/pgweir            write
    tools/docs.py --check build/pgweir    exit 1 and show the difference if it would change
"""
import argparse
import difflib
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "settings.md"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing")
    parser.add_argument("program", help="the pgweir program")
    options = parser.parse_args()
    made = subprocess.run([options.program, "config", "--markdown"], check=True, text=True,
                          stdout=subprocess.PIPE).stdout
    there = DOCUMENT.read_text() if DOCUMENT.exists() else ""
    name = DOCUMENT.relative_to(ROOT)
    if made == there:
        return 0
    if not options.check:
        DOCUMENT.parent.mkdir(exist_ok=True)
        DOCUMENT.write_text(made)
        print(f"{name}: written")
        return 0
    sys.stdout.writelines(difflib.unified_diff(there.splitlines(True), made.splitlines(True),
                                               str(name), "generated", n=0))
    print(f"{name} is out of date; run: tools/docs.py {options.program}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
