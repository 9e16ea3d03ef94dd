"""Who imports whom: one direction, and a command line that answers at once."""

from __future__ import annotations

import ast
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("mie_x", "au_sources", "ganimation", "recognizers", "pipelines")

# What each station may import of the others. mie_x.cli is the top: it alone names pipelines, and
# only inside its functions.
ALLOWED: dict[str, set[str]] = {
    "mie_x": {"mie_x"},
    "mie_x.cli": {"mie_x", "pipelines"},
    "mie_x.__main__": {"mie_x"},
    "au_sources": {"au_sources", "mie_x"},
    "ganimation": {"ganimation", "mie_x"},
    "recognizers": {"recognizers", "mie_x"},
    "pipelines": {"pipelines", "au_sources", "ganimation", "recognizers", "mie_x"},
}


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute, so that this test sees them"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def forbidden(module: str, source: str) -> list[str]:
    """Which of MODULE's imports go the wrong way."""
    package = module if module in ALLOWED else module.split(".")[0]
    own = [name for name in imports(ast.parse(source)) if name.split(".")[0] in PACKAGES]
    wrong = [name for name in own if name.split(".")[0] not in ALLOWED[package]]
    return wrong + [
        name for name in own if name.startswith("mie_x.cli") and "__main__" not in module
    ]


def modules() -> list[tuple[str, Path]]:
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return [(".".join(path.relative_to(ROOT).with_suffix("").parts), path) for path in paths]


@pytest.mark.parametrize(("module", "path"), modules(), ids=lambda value: str(value)[-40:])
def test_imports_go_one_way(module: str, path: Path) -> None:
    assert forbidden(module, path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("mie_x.plan", "import ganimation.networks"),
        ("au_sources.expert", "from ganimation import networks"),
        ("ganimation.training", "def f():\n    from au_sources.expert import Expert"),
        ("recognizers.mean", "import pipelines"),
        ("pipelines.generate", "from mie_x.cli import main"),
        ("pipelines.generate", "from mie_x import cli"),
    ],
)
def test_a_wrong_direction_is_seen(module: str, source: str) -> None:
    assert forbidden(module, source)


def test_nothing_heavy_comes_with_the_records_formats_and_command() -> None:
    code = (
        "import sys, mie_x.cli, mie_x.plan, mie_x.manifest, mie_x.samples, mie_x.verify,"
        "mie_x.faces, au_sources, pipelines.generate, pipelines.redact;"
        "print([name for name in ('torch', 'facenet_pytorch', 'feat') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_loads_click_and_nothing_that_takes_time() -> None:
    code = (
        "import sys\n"
        "from mie_x.cli import main\n"
        "try:\n    main(['--help'])\n"
        "except SystemExit:\n    pass\n"
        "heavy = {'numpy', 'pandas', 'pyarrow', 'torch', 'PIL', 'joblib'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_help_answers_at_once() -> None:
    command = [sys.executable, "-m", "mie_x", "--help"]
    times = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run(command, capture_output=True, check=True)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.3  # the least of five: what others do on the machine is not ours
