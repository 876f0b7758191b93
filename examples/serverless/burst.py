"""The platform: starts a process for each of many events, a hundred at a time, and says what came of them.

    python3 burst.py 200
"""
import asyncio
import json
import multiprocessing
import sys
import time

import handler

AT_ONCE = 100


def invoke(event):
    try:
        return asyncio.run(handler.handle(event))
    except Exception as error:  # what a platform shows of a function that failed
        return {"event": event, "error": f"{type(error).__name__}: {error}"}


def main():
    events = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    start = time.monotonic()
    # Forked, so that a start costs no import; maxtasksperchild=1: each event has a process of its own.
    with multiprocessing.get_context("fork").Pool(AT_ONCE, maxtasksperchild=1) as processes:
        results = list(processes.imap_unordered(invoke, range(events), chunksize=1))
    print(json.dumps({"seconds": round(time.monotonic() - start, 1), "results": results}))
    return 1 if any("error" in result for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
