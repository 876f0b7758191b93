#!/usr/bin/python3
"""Checks what a compiler does not: layers, lengths, banned words, pure folders, paths in the docs.

Prints `file:line: rule: text`; exit status 1 when a rule is broken. One argument: another root.
"""
import pathlib
import re
import sys

LINES_MAX = 600  # 500 is what the style asks for; this is where it stops being a matter of taste
COLUMNS_MAX = 100
SCRIPT_COLUMNS_MAX = 130
SOURCE_FOLDERS = ("src", "sim", "fuzz", "bench")
SCRIPT_FOLDERS = ("scripts", "tools", "e2e", "examples", ".ci")
SCRIPT_SUFFIXES = (".py", ".sh", ".js", ".mjs", ".java")
SKIPPED = {"node_modules", "__pycache__", "corpus", "found", "target"}

# Folders of src/ up to this one do no input or output: the same code runs in the simulator.
LAST_PURE = "pool"
IMPURE_INCLUDE = re.compile(
    r"\s*#\s*include\s*<(sys/|netinet/|arpa/|net/|linux/|liburing|coroutine>|thread>|mutex>|"
    r"shared_mutex>|condition_variable>|future>|semaphore>|stop_token>|random>|ctime>|"
    r"(unistd|fcntl|poll|netdb|pthread|signal|csignal|time|dlfcn)\.h>|csignal>|"
    r"openssl/(ssl|bio|rand)\.h>)"
)
IMPURE_WORD = re.compile(
    r"\b(steady_clock|system_clock|high_resolution_clock|clock_gettime|gettimeofday|random_device|"
    r"getrandom|arc4random|RAND_bytes|RAND_priv_bytes|getenv)\b"
)

# word, where it is allowed (folders of src/, or of the root), what to do instead
BANNED = (
    (re.compile(r"\bthrow\b"), (), "return a Result"),
    (re.compile(r"\bstd::function\b"), ("test",), "std::move_only_function, a reference or a template"),
    (re.compile(r"\bsleep_for\b"), ("test",), "the loop's timers"),
    (re.compile(r"\breinterpret_cast\b"), ("net", "wire", "auth", "daemon", "test"),
     "only net/, wire/, auth/ and daemon/ talk to C libraries"),
)

CODE = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"(?P<mark>[^(\s]{0,16})\(.*?\)(?P=mark)"|'
    r'"(?:\\.|[^"\\\n])*"|(?<![0-9A-Fa-f])\'(?:\\.|[^\'\\\n])+\'',
    re.DOTALL,
)
LOCAL_INCLUDE = re.compile(r'\s*#\s*include\s*"([^"]+)"')
INLINE = re.compile(r"`([^`\n]+)`")
DOCUMENTED = re.compile(r"(src|sim|e2e|scripts|tools|fuzz|bench|docs|examples)/")


def without_comments_and_strings(text):
    """The same lines with comments and literals blanked out; line numbers stay."""
    return CODE.sub(lambda found: '""' + "\n" * found[0].count("\n"), text)


def files_of(root, folders):
    for folder in folders:
        for path in sorted((root / folder).rglob("*")):
            inside = path.relative_to(root).parts[:-1]
            if path.is_file() and not SKIPPED.intersection(inside):
                yield path


def check_lengths(path, lines):
    if len(lines) > LINES_MAX:
        yield LINES_MAX + 1, "length", f"{len(lines)} lines, at most {LINES_MAX}: split it"
    if path.suffix == ".def":  # tables: a row is a line
        return
    most = COLUMNS_MAX if path.suffix in (".h", ".cc") else SCRIPT_COLUMNS_MAX
    for number, line in enumerate(lines, 1):
        if len(line) > most:
            yield number, "columns", f"{len(line)} columns, at most {most}"


def check_words(area, code):
    for number, line in enumerate(code, 1):
        for word, allowed, instead in BANNED:
            if word.search(line) and area not in allowed:
                yield number, "banned", f"{word.search(line)[0]} ({instead})"


def check_layers(folder, order, lines):
    if folder not in order:
        yield 1, "layer", f"{folder}/ is not in src/ORDER"
        return
    for number, line in enumerate(lines, 1):
        found = LOCAL_INCLUDE.match(line)
        if not found:
            continue
        other = found[1].split("/")[0]
        if "/" not in found[1]:
            yield number, "layer", f"include \"{found[1]}\" with its folder"
        elif other not in order:
            yield number, "layer", f"{other}/ is not in src/ORDER"
        elif order.index(other) > order.index(folder):
            yield number, "layer", f"{folder}/ may not include {other}/"


def check_pure(folder, lines, code):
    for number, line in enumerate(lines, 1):
        if IMPURE_INCLUDE.match(line):
            yield number, "pure", f"{folder}/ is pure: {line.strip()}"
    for number, line in enumerate(code, 1):
        found = IMPURE_WORD.search(line)
        if found:
            yield number, "pure", f"{folder}/ is pure: {found[0]} (make it an argument)"


def check_source(root, path, order):
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    code = without_comments_and_strings(text).splitlines()
    parts = path.relative_to(root).parts
    area = parts[1] if parts[0] == "src" and len(parts) > 2 else parts[0]
    yield from check_lengths(path, lines)
    is_test = path.stem.endswith(("_test", "_fixture"))
    yield from check_words("test" if is_test else area, code)
    if parts[0] == "src":
        yield from check_layers(area, order, lines)
        pure = order[: order.index(LAST_PURE) + 1] if LAST_PURE in order else []
        if area in pure:
            yield from check_pure(area, lines, code)


def is_script(path):
    if path.suffix in SCRIPT_SUFFIXES:
        return True
    if path.suffix:
        return False
    with path.open("rb") as file:
        return file.read(2) == b"#!"


def spellings(text):
    """`src/auth/scram.{h,cc}:12` names two files; `fuzz/corpus/<target>/` any folder."""
    path = text.split()[0].split("::")[0]
    path = re.sub(r":\d+(-\d+)?$", "", path).rstrip(".,;:")
    path = re.sub(r"<[^>]*>|…|\.\.\.", "*", path)
    braces = re.search(r"\{([^}]*)\}", path)
    if not braces:
        return [path]
    return [path[: braces.start()] + one + path[braces.end():] for one in braces[1].split(",")]


def check_document(root, text):
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        if fenced:
            continue
        for name in INLINE.findall(line):
            if not DOCUMENTED.match(name):
                continue
            for path in spellings(name):
                pattern = path.rstrip("/")
                there = any(root.glob(pattern)) if "*" in pattern else (root / pattern).exists()
                if not there:
                    yield number, "docs", f"{path} does not exist"


def check(root):
    """Yields (path, line, rule, text) for everything that is wrong below `root`."""
    order = (root / "src" / "ORDER").read_text(encoding="utf-8").split()
    for path in files_of(root, SOURCE_FOLDERS):
        if path.suffix in (".h", ".cc", ".def"):
            yield from ((path, *found) for found in check_source(root, path, order))
    for path in files_of(root, SCRIPT_FOLDERS + ("bench", "sim", "fuzz")):
        if is_script(path):
            lines = path.read_text(encoding="utf-8").splitlines()
            yield from ((path, *found) for found in check_lengths(path, lines))
    for path in sorted((root / "docs").glob("*.md")) + sorted(root.glob("README.md")):
        text = path.read_text(encoding="utf-8")
        yield from ((path, *found) for found in check_document(root, text))


def main(arguments):
    root = pathlib.Path(arguments[0]) if arguments else pathlib.Path(__file__).resolve().parents[1]
    if (root / "ORDER").exists():  # the source folder was named: its project is meant
        root = root.resolve().parent
    found = list(check(root))
    for path, line, rule, text in found:
        print(f"{path.relative_to(root)}:{line}: {rule}: {text}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
