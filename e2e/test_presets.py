"""Sizes by `preset`, in a running pgweir."""
import json
import signal

from lib.pooler import wait_for


def test_reload_of_a_preset(weir):
    """free-tier has pool_size = 6; the file's own max_overflow wins over the presets'."""
    w = weir(top={"preset": "free-tier", "max_overflow": 0})
    six = [w.wire("session", database="e2e") for _ in range(6)]
    for c in six:
        c.query("select 1")
    waits = w.wire("transaction", database="e2e")
    waits.send(b"Q\0\0\0\x0dselect 7\0")
    wait_for(lambda: json.loads(w.health()[1])["database"]["pool"]["checked_out"] == 6)
    w.top["preset"] = "small"
    w.write_config()
    w.send_signal(signal.SIGHUP)
    assert ("D", b"7") in waits.until_ready()
    for c in six:
        assert c.value("select 2") == "2", "nobody is dropped"
