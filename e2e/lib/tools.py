"""Running the programs of others against a target."""
import pathlib
import subprocess

BIN = pathlib.Path("/usr/lib/postgresql/15/bin")
E2E = pathlib.Path(__file__).resolve().parents[1]


def run(command, target, timeout=50, **arguments):
    """(exit code, stdout, stderr) of a program that finds its server in the environment."""
    environment = {**target.environment, **arguments.pop("env", {})}
    done = subprocess.run([str(part) for part in command], env=environment, timeout=timeout, text=True,
                          stdin=subprocess.DEVNULL if "input" not in arguments else None,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, **arguments)
    return done.returncode, done.stdout, done.stderr


def psql(target, script, *options, timeout=50, **arguments):
    code, out, err = run([BIN / "psql", "-X", "-f", "-", *options], target, timeout, input=script, **arguments)
    return code, out, err
