"""What importing costs, what may be taken, what tests are called; the layers are contracts in pyproject.toml."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def _imported_names(path: Path) -> set[str]:
    """Return the full names a file imports, at any depth: of modules, and of what is taken from them."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are written in full"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_no_module_takes_what_another_keeps_to_itself() -> None:
    files = [path for folder in ("babblefish", "legacy") for path in (ROOT / folder).rglob("*.py")]
    taken = [f"{path} takes {name}" for path in files for name in _imported_names(path) if "._" in name]
    assert taken == []


def test_the_names_of_tests_are_short_enough_to_be_read() -> None:
    names = [
        node.name
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]
    assert len(names) > 500
    assert [name for name in names if len(name) > 80] == []


def test_importing_the_application_loads_no_torch(tmp_path: Path) -> None:
    # A torch of our own stands before any real one, so this fails as well where torch is not installed.
    (tmp_path / "torch.py").write_text("raise SystemExit('torch was loaded')\n")
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", "import babblefish.server.app"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
