"""The files of PostgreSQL's regression suite, from Debian's source package, its library regress.so, and a psql of the
same version: a newer one may read the same script otherwise.

They are kept in .cache/regress/suite. Nothing of the machine's own apt is changed: the lists, the sources and what is
downloaded are in a folder of our own, and the packages with psql and the library's headers are unpacked there, not
installed.
"""
import os
import pathlib
import re
import shutil
import subprocess
import tarfile
import tempfile

MAJOR = "15"
PACKAGE = f"postgresql-{MAJOR}"
HEADERS = f"postgresql-server-dev-{MAJOR}"
CLIENT = f"postgresql-client-{MAJOR}"
HOME = f"usr/lib/postgresql/{MAJOR}"
PROGRAMS = ("bin/psql", "lib/pgxs/src/test/regress/pg_regress")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
INSIDE = "src/test/regress"
WANTED = ("sql", "expected", "data", "parallel_schedule", "resultmap", "regress.c")


class Unavailable(Exception):
    """The suite is not in the cache and cannot be had: most often there is no network."""


class Suite:
    def __init__(self, folder):
        self.folder = folder
        self.version = (folder / "version").read_text().strip()
        self.schedule = folder / "parallel_schedule"

    def copy_to(self, folder):
        """pg_regress runs as another user, who may not be able to read the tree that this file is in."""
        for name in (*WANTED, "bin"):
            source = self.folder / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)

    def libraries_to(self, folder):
        """What the tests load: regress.so, and two of contrib's that are looked for beside it."""
        folder.mkdir()
        for path in (self.folder / "regress.so", *(f"/{HOME}/lib/{name}.so" for name in ("autoinc", "refint"))):
            shutil.copy(path, folder)


class _Apt:
    """apt-get with lists, sources and downloads in `folder`."""

    def __init__(self, folder):
        self.folder = folder
        for name in ("lists/partial", "archives/partial"):
            (folder / name).mkdir(parents=True)
        (folder / "sources.list").write_text(self._sources())
        self.options = [f"-o{name}={value}" for name, value in {
            "Dir::Etc::sourcelist": folder / "sources.list", "Dir::Etc::sourceparts": "-",
            "Dir::State::lists": folder / "lists", "Dir::Cache": folder, "Dir::Cache::archives": folder / "archives",
            "APT::Sandbox::User": "root" if os.geteuid() == 0 else "", "Acquire::Languages": "none",
            "Acquire::Retries": "2", "Acquire::http::Timeout": "20",
        }.items()]

    @staticmethod
    def _sources():
        """This machine's own mirrors of Debian 12, for sources as well."""
        done = subprocess.run(
            ["apt-get", "indextargets", "--no-release-info", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)",
             "Created-By: Packages"], capture_output=True, text=True, timeout=60)
        wanted = sorted({line for line in done.stdout.splitlines()
                         if re.fullmatch(r"\S+ bookworm(-updates|-security)? main", line)})
        if not wanted:
            raise Unavailable("apt has no mirror of Debian 12 (bookworm) here")
        return "".join(f"{kind} [signed-by={KEYRING}] {line}\n" for line in wanted for kind in ("deb", "deb-src"))

    def run(self, program, *arguments):
        return subprocess.run([program, *self.options, "-q", *arguments], cwd=self.folder, capture_output=True, text=True,
                              timeout=600, stdin=subprocess.DEVNULL)


def _download(apt):
    """The source's tar file, its version, and the packages with the programs and the headers."""
    done = apt.run("apt-get", "update")
    if done.returncode != 0 or "Failed to fetch" in done.stderr:
        raise Unavailable(f"no network, or no mirror of Debian answers:\n{done.stderr.strip()}")
    shown = apt.run("apt-cache", "showsrc", "--only-source", PACKAGE).stdout
    # A mirror may list a version that it does not have: then the one before serves as well.
    errors = [f"no source package {PACKAGE}"]
    for version in re.findall(r"^Version: (\S+)$", shown, re.MULTILINE):
        done = apt.run("apt-get", "source", "--download-only", f"{PACKAGE}={version}")
        found = sorted(apt.folder.glob(f"{PACKAGE}_*.orig.tar.*[2z]"))
        if done.returncode == 0 and found:
            break
        errors.append(done.stderr.strip())
    else:
        raise Unavailable("\n".join(errors))
    packages = []
    for name, choices in ((CLIENT, [f"{CLIENT}={version}", CLIENT]), (HEADERS, [HEADERS])):
        for choice in choices:
            done = apt.run("apt-get", "download", choice)
            if done.returncode == 0:
                break
        else:
            raise Unavailable(done.stderr.strip())
        packages += apt.folder.glob(f"{name}_*.deb")
    return found[0], version, packages


def _unpack(tar, folder):
    with tarfile.open(tar) as archive:
        for member in archive:
            parts = member.name.split("/", 1)
            if len(parts) < 2 or not parts[1].startswith(INSIDE + "/"):
                continue
            name = parts[1][len(INSIDE) + 1:]
            if name.split("/")[0] in WANTED and (member.isfile() or member.isdir()):
                member.name = name
                archive.extract(member, folder, set_attrs=False)


def _compile(folder, include):
    done = subprocess.run(
        ["clang-19", "-O2", "-w", "-fPIC", "-shared", "-fno-strict-aliasing", "-fwrapv", "-D_GNU_SOURCE",
         f"-I{include / MAJOR / 'server'}", f"-I{include}", folder / "regress.c", "-o", folder / "regress.so"],
        capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"regress.so does not build:\n{done.stderr}")


def prepare(cache):
    """The suite, from `cache` if it is there."""
    cache = cache.resolve()  # apt is run in another folder
    folder = cache / "suite"
    if (folder / "version").exists():
        return Suite(folder)
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as name:
        scratch = pathlib.Path(name)
        print(f"getting the source package {PACKAGE}", flush=True)
        (scratch / "apt").mkdir()
        tar, version, packages = _download(_Apt(scratch / "apt"))
        made = scratch / "suite"
        made.mkdir()
        _unpack(tar, made)
        for package in packages:
            subprocess.run(["dpkg-deb", "-x", package, scratch / "unpacked"], check=True)
        (made / "bin").mkdir()
        for name in PROGRAMS:
            shutil.copy(scratch / "unpacked" / HOME / name, made / "bin")
        _compile(made, scratch / "unpacked" / "usr" / "include" / "postgresql")
        (made / "version").write_text(version + "\n")
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)
    return Suite(folder)
