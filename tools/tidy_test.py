#!/usr/bin/python3
"""Every rule of tidy.py must be able to fail, and must let good code pass."""
import contextlib
import io
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import tidy  # noqa: E402

ORDER = "base wire config auth pool net daemon\n"


class TidyTest(unittest.TestCase):
    def run_on(self, files):
        """Runs tidy.py on a tree of these files: its exit status and its lines."""
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for name, text in {"src/ORDER": ORDER, **files}.items():
                path = root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                status = tidy.main([folder])
            return status, printed.getvalue().splitlines()

    def assert_clean(self, files):
        self.assertEqual(self.run_on(files), (0, []))

    def assert_found(self, files, *expected):
        status, lines = self.run_on(files)
        self.assertEqual(status, 1)
        self.assertEqual(len(lines), len(expected), lines)
        for line, start in zip(lines, expected):
            self.assertTrue(line.startswith(start), f"{line!r} does not begin with {start!r}")

    def test_an_empty_tree_is_clean(self):
        self.assert_clean({})

    def test_as_a_command(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            (root / "src" / "base").mkdir(parents=True)
            (root / "src" / "ORDER").write_text(ORDER, encoding="utf-8")
            for text, status in (("int x;\n", 0), ("throw 1;\n", 1)):
                (root / "src" / "base" / "a.cc").write_text(text, encoding="utf-8")
                done = subprocess.run([sys.executable, tidy.__file__, folder], check=False,
                                      capture_output=True)
                self.assertEqual(done.returncode, status)

    def test_layers(self):
        self.assert_clean({"src/auth/a.h": '#include "base/b.h"\n#include "auth/c.h"\n'})
        self.assert_found(
            {"src/auth/a.h": '// x\n#include "pool/b.h"\n'},
            "src/auth/a.h:2: layer: auth/ may not include pool/",
        )
        self.assert_found(
            {"src/base/a.h": '  # include "sim/b.h"\n'}, "src/base/a.h:1: layer: sim/ is not in"
        )
        self.assert_found({"src/base/a.h": '#include "b.h"\n'}, "src/base/a.h:1: layer: include")
        self.assert_found({"src/odd/a.h": "int x;\n"}, "src/odd/a.h:1: layer: odd/ is not in")

    def test_layers_bind_src_only(self):
        self.assert_clean({"sim/a.cc": '#include "daemon/b.h"\n#include "world.h"\n'})

    def test_length(self):
        self.assert_clean({"src/base/a.cc": "int x;\n" * 600})
        self.assert_found({"src/base/a.cc": "int x;\n" * 601}, "src/base/a.cc:601: length: 601")
        self.assert_found({"e2e/a.py": "x = 1\n" * 601}, "e2e/a.py:601: length: 601")

    def test_columns(self):
        self.assert_clean({"src/base/a.cc": "/" * 100 + "\n"})
        self.assert_clean({"src/base/a.cc": "//" + "é" * 98 + "\n"})
        self.assert_found({"src/base/a.cc": "\n" + "/" * 101}, "src/base/a.cc:2: columns: 101")
        self.assert_found({"tools/a.py": "#" * 131}, "tools/a.py:1: columns: 131")
        self.assert_found({"src/base/a.h": "//" + "#" * 99}, "src/base/a.h:1: columns: 101")
        self.assert_found({"scripts/a": "#!/bin/sh\n" + "#" * 131}, "scripts/a:2: columns: 131")

    def test_tables_may_be_wide(self):
        self.assert_clean({"src/config/a.def": "x" * 200})

    def test_banned_words(self):
        for code, word in (
            ("throw 1;", "throw"),
            ("std::function<void()> f;", "std::function"),
            ("std::this_thread::sleep_for(1s);", "sleep_for"),
            ("auto p = reinterpret_cast<char*>(q);", "reinterpret_cast"),
        ):
            for name in ("src/pool/a.cc", "sim/a.cc", "fuzz/a.cc", "bench/a.cc"):
                self.assert_found({name: f"\n{code}\n"}, f"{name}:2: banned: {word}")

    def test_where_bytes_are_cast(self):
        for folder in ("net", "wire", "auth", "daemon"):
            self.assert_clean({f"src/{folder}/a.cc": "auto p = reinterpret_cast<char*>(q);\n"})
            self.assert_found({f"src/{folder}/a.cc": "throw 1;\n"}, f"src/{folder}/a.cc:1: banned")

    def test_words_in_comments_and_strings_are_only_words(self):
        self.assert_clean(
            {
                "src/base/a.cc": "// throw\n/* throw\n throw */\n"
                'auto a = "throw \\" throw";\n'
                'auto b = R"(throw "\n throw)";\n'
                'auto c = R"x(throw )" throw)x";\n'
                "char d = '\"'; int e = 1'000'000; // throw\n"
                "bool throws = rethrown;\n"
            }
        )
        self.assert_found(
            {"src/base/a.cc": "/* a\n b */ auto c = R\"(\n)\";\nchar d = '\"'; throw 1;  // \"\n"},
            "src/base/a.cc:4: banned: throw",
        )

    def test_pure_folders_include_nothing_impure(self):
        for header in (
            "unistd.h", "sys/socket.h", "netinet/in.h", "poll.h", "liburing.h", "thread", "mutex",
            "coroutine", "openssl/ssl.h", "openssl/rand.h", "random", "condition_variable",
        ):
            text = f"\n#include <{header}>\n"
            for folder in ("base", "auth", "pool"):
                name = f"src/{folder}/a.cc"
                self.assert_found({name: text}, f"{name}:2: pure: {folder}/ is pure")
            self.assert_clean({"src/net/a.cc": text, "sim/a.cc": text})
        self.assert_clean({"src/auth/a.cc": "#include <openssl/evp.h>\n#include <fstream>\n"})

    def test_pure_folders_know_no_clock_and_no_chance(self):
        for word in ("std::chrono::steady_clock::now()", "RAND_bytes(a, b)", "getenv(name)"):
            text = f"auto x = {word};\n"
            self.assert_found({"src/pool/a.cc": text}, "src/pool/a.cc:1: pure: pool/ is pure")
            self.assert_clean({"src/net/a.cc": text, "src/pool/a.cc": "// " + text})

    def test_paths_in_the_docs_exist(self):
        tree = {"src/base/a.h": "", "src/base/a.cc": "", "scripts/run": "", "fuzz/corpus/x/1": ""}
        good = (
            "`src/base/a.h` `src/base/a.cc:12` `src/base/a.{h,cc}` `src/base/` `scripts/run --x`\n"
            "`src/base/*.h` `fuzz/corpus/<target>/` src/gone.h `gone.h` `etc/src/gone`\n"
            "```\n`src/gone.h`\n```\n"
        )
        self.assert_clean({**tree, "docs/a.md": good})
        for bad in ("src/gone.h", "src/base/a.{h,def}", "scripts/gone now", "src/base/*.md"):
            self.assert_found(
                {**tree, "docs/a.md": f"one\n```\n```\ntwo `{bad}`\n"}, "docs/a.md:4: docs: "
            )
        self.assert_found({"README.md": "`docs/gone.md`"}, "README.md:1: docs: docs/gone.md")

    def test_what_is_generated_is_left_alone(self):
        self.assert_clean(
            {
                "fuzz/corpus/x/a.cc": "throw",
                "e2e/node_modules/x/a.js": "x" * 200,
                "build-x/src/a.cc": "throw",
            }
        )


if __name__ == "__main__":
    unittest.main()
