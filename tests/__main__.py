"""Run everything that must pass before a commit: format, lint, types, tests.

Arguments go to pytest: ``python -m tests -m "not slow"``. It runs in two processes, a file in one:
fixtures of a module are costly; ``-n 0`` is one process.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHECKS = (
    ("ruff", "format", "--check", "."),
    ("ruff", "check", "."),
    ("mypy",),
    ("pytest", "-n", "2", "--dist", "loadfile", "--durations=10", *sys.argv[1:]),
)

for check in CHECKS:
    print("$", *check, flush=True)
    code = subprocess.run([sys.executable, "-m", *check], cwd=ROOT, check=False).returncode
    if code:
        sys.exit(code)
