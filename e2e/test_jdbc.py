"""Java's driver, at its defaults and with prepareThreshold=1 (a named statement from the first execution)."""
import subprocess

import pytest

from lib.targets import everywhere
from lib.tools import E2E, run

JAR = "/usr/share/java/postgresql.jar"


@pytest.fixture(scope="session")
def classes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("java")
    subprocess.run(["javac", "-cp", JAR, "-d", folder, E2E / "java" / "Cases.java"], check=True, timeout=50)
    return folder


def java(target, classes, case, *properties):
    url = f"jdbc:postgresql://{target.host}:{target.port}/{target.database}"
    code, out, errors = run(["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{classes}:{JAR}", "Cases", url,
                             case, *properties], target)
    assert code == 0, errors
    return out, errors


@everywhere
@pytest.mark.parametrize("threshold", ["1", "5"])
def test_statements(target, classes, threshold):
    return java(target, classes, "prepared,batches,transactions,cursors,threads", f"prepareThreshold={threshold}")


@everywhere
def test_cancel_copy_metadata(target, classes):
    return java(target, classes, "cancel,copy,metadata")


@everywhere
@pytest.mark.parametrize("mode", ["simple", "extendedForPrepared", "extendedCacheEverything"])
def test_query_modes(target, classes, mode):
    return java(target, classes, "prepared", f"preferQueryMode={mode}")
