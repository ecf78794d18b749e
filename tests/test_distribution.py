"""What others install: the names the package offers, what it needs, and a wheel that serves the page anywhere."""

from __future__ import annotations

import ast
import contextlib
import importlib.metadata
import os
import re
import subprocess
import sys
import sysconfig
import time
import tomllib
import urllib.request
import venv
import zipfile
from pathlib import Path

import pytest

import babblefish
from tests.support.scripted_service import free_port

ROOT = Path(__file__).resolve().parents[1]


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imported(folder: str) -> set[str]:
    """Return the packages that the modules of a folder import, by the names they are imported under."""
    found = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module is not None:
                found.add(node.module.partition(".")[0])
    return found - sys.stdlib_module_names - {"__future__", "babblefish", "legacy"}


def test_every_package_that_is_imported_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [needed for extra, needed in project["optional-dependencies"].items() if extra != "dev"]
    named = [re.match(r"[\w.-]+", needed) for needed in sum(extras, project["dependencies"])]
    declared = {normalized(name[0]) for name in named if name}
    provided_by = importlib.metadata.packages_distributions()
    for package in imported("babblefish") | imported("legacy"):
        providers = {normalized(name) for name in provided_by.get(package, [package])}
        assert providers & declared, f"{package} is imported and not declared"


def locked(file: str) -> dict[str, tuple[str, frozenset[str]]]:
    """Return the packages of a lock with their versions and hashes."""
    entries = re.findall(
        r"^([\w.-]+)==([^\s;]+).*((?:\n    --hash=sha256:\w+.*)*)", (ROOT / file).read_text(), re.MULTILINE
    )
    return {name: (version, frozenset(re.findall(r"sha256:\w+", hashes))) for name, version, hashes in entries}


@pytest.mark.parametrize(
    ("file", "extras"),
    [
        ("requirements_server.txt", ("embedded", "legacy")),
        ("requirements_full.txt", ("embedded", "legacy", "cascade", "full")),
        ("requirements_dev.txt", ("embedded", "legacy", "cascade", "full", "dev")),
    ],
)
def test_a_lock_pins_all_that_is_declared_with_hashes_and_names_no_host(file: str, extras: tuple[str, ...]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins, all_pins = locked(file), locked("requirements_dev.txt")
    for needed in sum((project["optional-dependencies"][extra] for extra in extras), project["dependencies"]):
        name, version = re.match(r"([\w.-]+)(?:==([^;\s]+))?", needed).groups()  # type: ignore[union-attr]
        assert normalized(name) in pins, f"run make lock: {name} is not in {file}"
        assert version in (None, pins[normalized(name)][0]), f"run make lock: {name} has another version in {file}"
    assert all(hashes for _, hashes in pins.values())
    assert pins.items() <= all_pins.items(), "all locks have the same versions"
    assert "://" not in (ROOT / file).read_text()


def test_the_package_offers_what_it_says_it_does() -> None:
    for name in babblefish.__all__:
        assert getattr(babblefish, name)
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        babblefish.nothing_of_the_kind  # noqa: B018 - asking is what is tested


def test_importing_the_package_loads_none_of_it() -> None:
    program = "import babblefish, sys; print([name for name in sys.modules if name.startswith('babblefish.')])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with what ``make dist`` builds: the wheel is made from the source distribution."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    (wheel,) = dist.glob(f"babblefish-{babblefish.__version__}-py3-none-any.whl")
    return wheel


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel, which sees the packages it needs in the one that runs the tests."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    (site_packages,) = folder.glob("lib/python*/site-packages")
    # A path that a .pth file names is searched, but the .pth files in it, as the one of the checkout, are not read.
    (site_packages / "needed.pth").write_text(sysconfig.get_path("purelib"))
    return folder


@pytest.mark.slow
def test_the_wheel_has_the_page_and_its_types_and_nothing_beside_the_package(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {"babblefish/assets/client_thin.html", "babblefish/assets/dashboard.html", "babblefish/py.typed"} <= {*names}
    assert {name.partition("/")[0] for name in names} == {
        "babblefish",
        f"babblefish-{babblefish.__version__}.dist-info",
    }


@pytest.mark.slow
def test_a_wheel_installed_elsewhere_serves_the_page(installed: Path, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    asked = "import babblefish; print(babblefish.__file__)"
    found = subprocess.run(
        [installed / "bin" / "python", "-c", asked],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert Path(found.stdout.strip()).is_relative_to(installed), "the wheel is tested, not the checkout"
    port = free_port()
    command = [installed / "bin" / "babblefish", "serve", "--port", str(port), "--profile", "embedded"]
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log)
    try:
        assert page_of(port, server, tmp_path / "log") == (ROOT / "client_thin.html").read_bytes()
    finally:
        server.terminate()
        server.wait(60)


def page_of(port: int, server: subprocess.Popen[bytes], log: Path) -> bytes:
    """Return the page of a server that starts."""
    asking = urllib.request.Request(f"http://127.0.0.1:{port}/", headers={"Accept": "text/html"})
    give_up_s = time.monotonic() + 60
    while time.monotonic() < give_up_s and server.poll() is None:
        with contextlib.suppress(ConnectionRefusedError, urllib.request.URLError):
            with urllib.request.urlopen(asking, timeout=10) as answer:
                page: bytes = answer.read()
            return page
        time.sleep(0.1)
    raise AssertionError(log.read_text())
