"""What runs on a change: the workflows of the code host and the hooks before a commit."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PROGRAMS = Path(sys.executable).parent


def read(path: Path) -> Any:
    """Return a YAML file with its keys as they are written, as ``on`` would else be read as true."""
    return yaml.load(path.read_text(), yaml.BaseLoader)


def run(program: str, *arguments: str | Path) -> None:
    done = subprocess.run([PROGRAMS / program, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_workflow_is_one_that_the_code_host_understands() -> None:
    run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *WORKFLOWS)


def test_every_push_and_every_pull_request_runs_the_whole_check() -> None:
    ci = read(ROOT / ".github" / "workflows" / "ci.yml")
    assert {"push", "pull_request"} <= ci["on"].keys()
    assert ".ci/run" in [step.get("run") for step in ci["jobs"]["test"]["steps"]]


def test_a_tag_is_tested_and_built_before_it_is_published() -> None:
    release = read(ROOT / ".github" / "workflows" / "release.yml")
    assert release["on"] == {"push": {"tags": ["v*"]}}
    jobs = release["jobs"]
    assert jobs["test"]["uses"] == "./.github/workflows/ci.yml"
    assert (jobs["build"]["needs"], jobs["publish"]["needs"]) == ("test", "build")
    assert jobs["publish"]["permissions"] == {"id-token": "write"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_each_action_of_another_has_a_version(path: Path) -> None:
    for action in re.findall(r"uses: (\S+)", path.read_text()):
        assert action.startswith("./") or re.fullmatch(r"[\w-]+/[\w-]+@(v\d+|release/v\d+)", action), action


def test_the_hooks_before_a_commit_run_what_the_check_runs() -> None:
    run("pre-commit", "validate-config")
    makefile = (ROOT / "Makefile").read_text()
    hooks = [hook for repo in read(ROOT / ".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]]
    assert hooks
    for hook in hooks:
        program = hook["entry"].split()[0].removeprefix(".venv/bin/")
        assert (PROGRAMS / program).is_file()
        assert f"$(VENV)/bin/{program}" in makefile
