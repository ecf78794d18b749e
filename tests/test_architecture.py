"""What may import what. A new module gets a place in ``LAYERS``; everything else here follows from it."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

# From the bottom up: a module imports from the layers before its own only.
LAYERS = (
    {"domain", "entries"},
    {"addresses", "metrics", "settings", "usage", "languages", "catalogue", "model_folder", "systemd"},
    {
        *{"access", "audio", "invitation", "limits", "logs", "protocol", "recorder", "repository", "sites", "tls"},
        *{"engines.base", "engines.decoding"},
    },
    {
        *{"controls", "conversion", "guard", "hub", "sound_file"},
        *{"engines.kokoro_phonemes", "engines.kokoro_pieces", "engines.seamless_checkpoint"},
    },
    {"engines.tensor_file", "engines.text_pieces", "engines.torch_threads"},
    {"weights", "engines.seamless_int8"},
    {"engines.seamless_vocabulary"},
    {"engines.seamless_decoder"},
    {"engines.seamless_model"},
    {
        *{"profiles", "engines.apertium", "engines.dvector", "engines.espeak", "engines.kokoro", "engines.nllb"},
        *{"engines.kokoro_onnxruntime", "engines.kokoro_torch", "engines.pyannote", "engines.seamless"},
        *{"engines.seamless_text", "engines.seamless_voice", "engines.silero", "engines.whisper"},
        *{"routing", "segmenter", "spare", "speakers", "workers"},
    },
    {"engines", "echo", "history", "members", "pipeline", "trends"},
    {"delivery", "interim", "loading"},
    {"interpreter", "room"},
    {"rooms"},
    {"session"},
    {"server"},
    {"dashboard"},
    {"routes"},
    {"app"},
    {"demo", "doctor_machine", "models_cli", "service", "token_cli"},
    {"doctor_talk"},
    {"doctor"},
    {"cli"},
)
LEVEL = {"babblefish": 0} | {f"babblefish.{name}": level for level, names in enumerate(LAYERS) for name in names}

# Which modules of the package may import these libraries; nobody else may.
THREAD_MAKERS = ("threading", "concurrent", "_thread", "multiprocessing")
SOCKETS, THREADS = ("app", "routes", "session"), ("workers",)
RESERVED = {
    "fastapi": SOCKETS,
    "starlette": SOCKETS,
    "uvicorn": (*SOCKETS, "demo", "service"),
    "websockets": (*SOCKETS, "demo", "doctor_talk"),
    **dict.fromkeys(THREAD_MAKERS, THREADS),
}
NOT_FOR_ENGINES = {"asyncio", "fastapi", "babblefish.protocol"}

MAX_LINES = 350


def _module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


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


IMPORTS = {_module_name(path): _imported_names(path) for path in sorted((ROOT / "babblefish").rglob("*.py"))}


def _modules_of_ours(names: set[str]) -> set[str]:
    """Reduce ``babblefish.domain.Speech`` to ``babblefish.domain``, and drop what is not ours."""
    ours = {name for name in names if name.split(".")[0] == "babblefish"}
    return {name if name in LEVEL else name.rpartition(".")[0] for name in ours}


def _imports_from(names: set[str], library: str) -> bool:
    return any(name == library or name.startswith(f"{library}.") for name in names)


def test_every_module_has_a_layer() -> None:
    assert set(IMPORTS) - set(LEVEL) == set()


def test_imports_point_downward_and_peers_do_not_import_each_other() -> None:
    upward = {
        f"{module} imports {target}"
        for module, names in IMPORTS.items()
        for target in _modules_of_ours(names)
        if LEVEL.get(target, len(LAYERS)) >= LEVEL.get(module, 0)
    }
    assert upward == set()


def test_only_app_routes_and_session_touch_sockets_and_only_workers_makes_threads() -> None:
    trespassers = {
        f"{module} imports {library}"
        for library, allowed in RESERVED.items()
        for module, names in IMPORTS.items()
        if _imports_from(names, library) and module.removeprefix("babblefish.") not in allowed
    }
    assert trespassers == set()


def test_engines_know_neither_the_event_loop_nor_the_wire() -> None:
    engines = {module: names for module, names in IMPORTS.items() if module.startswith("babblefish.engines.")}
    assert "babblefish.engines.base" in engines
    assert [(m, lib) for m, names in engines.items() for lib in NOT_FOR_ENGINES if _imports_from(names, lib)] == []


def test_the_package_knows_nothing_of_the_v1_servers_that_are_built_on_it() -> None:
    assert {module for module, names in IMPORTS.items() if _imports_from(names, "legacy")} == set()


def test_the_v1_servers_leave_engines_and_threads_to_the_package() -> None:
    servers = {_module_name(path): _imported_names(path) for path in (ROOT / "legacy").rglob("*.py")}
    assert "legacy.main" in servers
    reserved = {
        *THREAD_MAKERS,
        "torch",
        "babblefish.engines",
        "babblefish.app",
        "babblefish.rooms",
        "babblefish.session",
    }
    assert [(name, one) for name, names in servers.items() for one in reserved if _imports_from(names, one)] == []
    private = {f"{name} takes {one}" for name, names in servers.items() for one in names if "._" in one}
    assert private == set()


def test_only_engines_import_torch() -> None:
    users = {module for module, names in IMPORTS.items() if _imports_from(names, "torch")}
    assert {module for module in users if not module.startswith("babblefish.engines.")} == set()


def test_importing_the_app_loads_no_torch(tmp_path: Path) -> None:
    # A torch of our own stands before any real one, so this fails as well where torch is not installed.
    (tmp_path / "torch.py").write_text("raise SystemExit('torch was loaded')\n")
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", "import babblefish.app"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_files_stay_short_enough_to_read() -> None:
    folders = ("babblefish", "tests", "benchmarks", "legacy")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in {".py", ".html"}]
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert {path: lines for path, lines in lengths.items() if lines > MAX_LINES} == {}
