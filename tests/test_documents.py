"""The documents and the program name the same things: routes, messages, controls, error codes, metrics, benchmarks."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import TypeAdapter

from babblefish.server.app import create_app
from babblefish.settings import Settings
from babblefish.telemetry.prometheus import Metrics, error_codes
from babblefish.wire import client_messages, server_messages
from benchmarks import run
from tests.support.fakes import make_fakes

ROOT = Path(__file__).resolve().parents[1]
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text()
DEPLOYMENT = (ROOT / "DEPLOYMENT.md").read_text()
PROTOCOL = (ROOT / "docs" / "protocol.md").read_text()
GUIDES = ARCHITECTURE + DEPLOYMENT + PROTOCOL
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
BENCHMARKS = (ROOT / "BENCHMARKS.md").read_text()
PROSE = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "legacy" / "README.md"])
GRAFANA: dict[str, Any] = json.loads((ROOT / "deploy" / "grafana-dashboard.json").read_text())

SERIES = re.compile(r"\b(?:babblefish_[a-z_]+|process_[a-z_]*(?:seconds|bytes|total|fds))\b")
"""What looks like the name of a metric."""


def table(document: str, heading: str) -> set[str]:
    """Return what stands in backticks in the first column of the table with this heading."""
    found = re.search(rf"^\| {heading} \|.*\n\|[ |:-]+\n((?:\|.*\n?)+)", document, re.MULTILINE)
    assert found, f"no table begins with {heading}"
    return {name for row in found[1].splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])}


def types(union: Any) -> set[str]:
    return {message.model_fields["type"].default for message in get_args(union)}


def routes() -> set[str]:
    app = create_app(Settings(), make_fakes().engines)
    found, waiting = set[str](), list(app.routes)
    while waiting:
        route: Any = waiting.pop()
        if (path := getattr(route, "path", None)) is not None:
            found.add(path)
        else:
            waiting += route.original_router.routes
    return found


def metrics() -> set[str]:
    return Metrics().names()


def asked_for(expression: str) -> set[str]:
    """Return the metrics of a query, a histogram's without the suffix of its series."""
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in SERIES.findall(expression)}


def test_the_table_of_client_messages_is_what_a_client_may_say() -> None:
    assert table(PROTOCOL, "client message") == types(client_messages.ClientMessage)


def test_the_table_of_messages_is_what_the_server_says() -> None:
    assert table(PROTOCOL, "server message") == types(server_messages.ServerMessage)


def test_the_table_of_error_codes_is_what_can_go_wrong() -> None:
    assert table(PROTOCOL, "error code") == set(error_codes())


def test_the_table_of_parameters_is_what_the_server_reads_from_the_query() -> None:
    assert table(PROTOCOL, "parameter") == {*client_messages.Join.model_fields, "token"}


def test_the_table_of_the_result_has_each_of_its_fields() -> None:
    assert table(PROTOCOL, "field") == server_messages.Result.model_fields.keys() - {"type"}


def test_the_table_of_close_codes_has_each_that_the_server_closes_with() -> None:
    found = re.search(r"^\| close code \|.*\n((?:\|.*\n)+)", PROTOCOL, re.MULTILINE)
    assert found
    named = {int(code) for row in found[1].splitlines() for code in re.findall(r"\d{4}", row.split("|")[1])}
    ours = {value for name, value in vars(server_messages).items() if name.startswith("CLOSE_")}
    assert ours < named


def test_the_example_of_the_protocol_is_what_the_types_say() -> None:
    sides = {"client": 0, "server": 0}
    for side, text in re.findall(r"^```json (client|server)\n(.*?)^```", PROTOCOL, re.MULTILINE | re.DOTALL):
        sides[side] += 1
        if side == "client":
            client_messages.parse_message(text)
        else:
            message = TypeAdapter[Any](server_messages.ServerMessage).validate_json(text)
            assert json.loads(server_messages.encode(message)) == json.loads(text)
    assert min(sides.values()) > 1


def test_the_table_of_metrics_is_what_prometheus_is_told() -> None:
    own = {name for name in metrics() if name.startswith("babblefish_")}
    assert table(DEPLOYMENT, "metric") == own


def test_no_document_names_a_metric_that_is_not_there() -> None:
    assert asked_for(GUIDES) - metrics() == set()


def test_every_route_is_in_a_document_and_no_other() -> None:
    named = {path.partition("?")[0] for path in re.findall(r"(?:`|:9000)(/[a-z0-9./{}-]*(?:\?[^`]*)?)`", GUIDES)}
    files = {path for path in named if path.startswith(("/etc/", "/opt/", "/var/"))}
    assert named - files == routes()


def anchors(document: Path) -> set[str]:
    """Return the fragments that the headings of a document can be linked by."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", PROSE, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_between_documents_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(((?!https?:|mailto:)[^)]+)\)", document.read_text()):
        path, _, fragment = target.partition("#")
        file = document.parent / path if path else document
        assert file.exists(), target
        assert not fragment or fragment in anchors(file), target


def test_every_benchmark_has_its_section_in_benchmarks_md_and_no_other() -> None:
    sections = re.findall(r"^### `(\w+)`$", BENCHMARKS, re.MULTILINE)
    assert sorted(sections) == sorted(run.BENCHMARKS)


def test_every_benchmark_that_can_be_started_is_one_that_all_are_run_with() -> None:
    programs = {file.stem for file in (ROOT / "benchmarks").glob("*.py") if "__main__" in file.read_text()}
    assert programs == {*run.BENCHMARKS, "run"}


@pytest.mark.parametrize("name", ["ARCHITECTURE.md", "CLAUDE.md", "CONTRIBUTING.md", "SUMMARY.md"])
def test_every_file_of_the_project_that_a_document_names_is_there(name: str) -> None:
    folders = {path.name for path in ROOT.iterdir() if path.is_dir()}
    named = re.findall(r"`([\w.-]+/[\w./-]*)`", (ROOT / name).read_text())
    ours = [path for path in named if path.split("/")[0] in folders]
    assert [path for path in ours if not (ROOT / path).exists()] == []


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("SpeechTranslatorName", "babblefish/settings.py"),
        ("TextTranslatorName", "babblefish/settings.py"),
        ("_control", "babblefish/server/session.py"),
        ("TEXTS", "client_thin.html"),
        ("INTERFACE_LANGUAGES", "client_thin.html"),
        ("CODES", "tests/browser/test_words.py"),
    ],
)
def test_what_contributing_says_to_change_is_in_the_file_it_names(name: str, file: str) -> None:
    assert f"`{name}`" in CONTRIBUTING
    assert f"`{file}`" in CONTRIBUTING
    assert re.search(rf"\b{name}\b", (ROOT / file).read_text())


@pytest.mark.parametrize("document", PROSE, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_benchmark_that_a_document_names_exists(document: Path) -> None:
    for name in re.findall(r"\bbenchmarks[./]([a-z]\w*)", document.read_text()):
        assert (ROOT / "benchmarks" / f"{name}.py").is_file(), name


def panels() -> list[dict[str, Any]]:
    return [panel for panel in GRAFANA["panels"] if panel["type"] != "row"]


def test_the_grafana_dashboard_asks_for_nothing_that_is_not_there() -> None:
    named = {name for panel in panels() for target in panel["targets"] for name in asked_for(target["expr"])}
    assert named - metrics() == set()
    assert {name for name in metrics() if name.startswith("babblefish_")} - named == set(), "it shows every one of ours"


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_each_panel_has_a_place_and_queries_whose_brackets_close(panel: dict[str, Any]) -> None:
    assert panel["gridPos"].keys() == {"x", "y", "w", "h"}
    assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["targets"]
    for target in panel["targets"]:
        left = target["expr"]
        while (shorter := re.sub(r"\([^()\[\]{}]*\)|\[[\w$]+\]|\{[^{}]*\}", "", left)) != left:
            left = shorter
        assert not set("()[]{}") & set(left)
        assert asked_for(target["expr"])
        if "histogram_quantile" in target["expr"]:
            assert "_bucket" in target["expr"]
            assert "by (le" in target["expr"]
