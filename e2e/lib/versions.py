"""Other versions of PostgreSQL than the machine's, as packages of the npm registry bring them (node/package.json)."""
import json
import os
import pathlib
import platform
import shutil

from throwaway import USER, account

NODE = pathlib.Path(__file__).parents[1] / "node" / "node_modules"
AVAILABLE = platform.system() == "Linux" and platform.machine() == "x86_64"


def programs_of(version, folder):
    """A copy in `folder`, where the one who runs PostgreSQL may read it; gives the folder of its programs."""
    native = NODE / f"postgres-{version}" / "native"
    if not native.is_dir():
        raise RuntimeError(f"PostgreSQL {version} is not there: npm install in e2e/node brings it (scripts/setup test)")
    shutil.copytree(native, folder, symlinks=True, dirs_exist_ok=True)
    # A package of npm holds no symbolic links: this one lists them.
    for link in json.loads((native / "pg-symlinks.json").read_text()):
        target, source = (pathlib.PurePosixPath(link[key]).relative_to("native") for key in ("target", "source"))
        at = folder / target
        at.parent.mkdir(parents=True, exist_ok=True)
        if not at.is_symlink():
            at.symlink_to(os.path.relpath(folder / source, at.parent))
    for path in (folder, *folder.rglob("*")):
        if account() and not path.is_symlink():
            shutil.chown(path, USER, USER)
    return folder / "bin"
