"""The interface in the browser's language: the table of texts, and the page as people of other languages see it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from babblefish.domain import Quality
from babblefish.wire import server_messages
from tests.support.browser import PAGE, QUIET, ScriptedServer, result, tone_wav, wait_for_state, wait_until

pytestmark = pytest.mark.slow

SOURCE = PAGE.read_text()
CODES = ["en", "fr", "pl", "es", "de", "it", "pt"]
ROWS = [line.split("|") for line in re.search(r"const TEXTS = `\n(.*?)\n`;", SOURCE, re.DOTALL)[1].splitlines()]  # type: ignore[index]
TEXTS = {row[0]: dict(zip(CODES, row[1:], strict=True)) for row in ROWS}

SEEN = """() => {
    const seen = [];
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) if (!walk.currentNode.parentElement.closest("script")) seen.push(walk.currentNode.data);
    for (const node of document.querySelectorAll("*")) {
      const said = ["aria-label", "title", "placeholder", "aria-valuetext"];
      seen.push(...said.map((name) => node.getAttribute(name) ?? ""));
    }
    return seen.map((text) => text.trim()).filter(Boolean);
}"""
"""Every text of the page and of the attributes that are shown or read out."""

OWN_NAMES = {"BabbleFish", "TXT", "SRT", "VTT", "JSON", "↓", "main", "Anna", "A", "Bonjour à tous", "Hello everyone"}
"""What reads the same in every language, and what people said or are called."""


@pytest.fixture
def opened(browser: Browser, server: ScriptedServer, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The page in a browser of the locale that the test names."""
    context = browser.new_context(locale=request.param)
    page = context.new_page()
    page.goto(server.url)
    yield page
    context.close()


def pattern(text: str) -> re.Pattern[str]:
    """Return what a text looks like once it is filled in."""
    return re.compile(re.sub(r"\\\{\w+\\\}", ".+?", re.escape(text)))


def test_every_text_is_there_in_every_language_with_the_same_blanks() -> None:
    assert re.search(r"INTERFACE_LANGUAGES = (\[.*?\])", SOURCE)[1] == str(CODES).replace("'", '"')  # type: ignore[index]
    assert len(ROWS) > 90
    assert len(TEXTS) == len(ROWS), "a key stands once"
    for key, texts in TEXTS.items():
        assert all(text.strip() for text in texts.values()), key
        blanks = {tuple(sorted(re.findall(r"\{\w+\}", text))) for text in texts.values()}
        assert len(blanks) == 1, key


def test_every_text_that_the_page_asks_for_is_there_and_none_is_left_over() -> None:
    in_page = {part.split("@")[0] for names in re.findall(r'data-t="([^"]+)"', SOURCE) for part in names.split()}
    in_script = set(re.findall(r'"((?:[a-z]+\.)?[a-z_.]+)"', SOURCE)) & TEXTS.keys()
    # from a state or a code
    made = {key for key in TEXTS if key.split(".")[0] in ("s", "d", "e", "n", "r", "mic", "lag")}
    assert in_page - TEXTS.keys() == set()
    assert set(re.findall(r'\bt\("([^"]+)"', SOURCE)) - TEXTS.keys() == set()
    assert TEXTS.keys() - in_page - in_script - made == set()


def test_the_page_itself_holds_no_words_beside_the_table() -> None:
    body = re.search(r"<body.*?<script", SOURCE, re.DOTALL)[0]  # type: ignore[index]
    words = {text.strip() for text in re.findall(r">([^<>]*[A-Za-z][^<>]*)<", body)}
    assert words == {"BabbleFish", "TXT", "SRT", "VTT", "JSON"}
    assert set(re.findall(r'(?:title|aria-label|placeholder)="([^"]*)"', body)) == {"ws://localhost:9000", "main"}


@pytest.mark.parametrize(
    ("opened", "code"),
    [
        ("en-GB", "en"),
        ("fr-CA", "fr"),
        ("pl", "pl"),
        ("es-MX", "es"),
        ("de-AT", "de"),
        ("it", "it"),
        ("pt-BR", "pt"),
        ("ja", "en"),
    ],
    indirect=["opened"],
)
def test_the_entrance_speaks_the_browsers_language_and_else_english(opened: Page, code: str) -> None:
    assert opened.locator("html").get_attribute("lang") == code
    for key in ("tagline", "join", "join.hint"):
        expect(opened.get_by_text(TEXTS[key][code], exact=True)).to_be_visible()
    for key in ("name", "hear", "speak", "room"):
        expect(opened.get_by_label(TEXTS[key][code], exact=True)).to_be_visible()


@pytest.mark.parametrize("opened", ["fr", "pl", "de"], indirect=True)
def test_no_english_is_left_in_a_page_of_another_language(opened: Page, server: ScriptedServer) -> None:
    page, code = opened, str(opened.locator("html").get_attribute("lang"))
    foreign = {key: texts["en"] for key, texts in TEXTS.items() if texts["en"] != texts[code]}
    own = [pattern(texts[code]) for texts in TEXTS.values()]
    english = [pattern(text) for text in foreign.values()]

    def nothing_english() -> None:
        for seen in page.evaluate(SEEN):
            if seen in OWN_NAMES or any(text.fullmatch(seen) for text in own):
                continue
            assert not any(text.fullmatch(seen) for text in english), seen
            foreign_words = r"\b(the|and|is|you|here|Speaker|Guest|French|English|Polish)\b"
            assert not re.search(foreign_words, seen.removeprefix("English (")), seen  # its own name for itself

    nothing_english()
    page.locator("#join").click()
    wait_for_state(page, *QUIET)
    server.send(
        result(1, quality=Quality.DRAFT, path=("fra", "cat", "eng"), tts_audio=tone_wav(0.2)),
        result(2, speaker_id="unknown", speaker_name="Unknown speaker"),
        result(3, quality=Quality.UNTRANSLATED, translation="Bonjour à tous", target_lang="fra", requested_lang="pol"),
    )
    server.say(
        {"type": "talking", "client_id": "other", "talking": True}, {"type": "resumed", "replayed": 0, "lost": 3}
    )
    expect(page.locator("#captions > li")).to_have_count(3)
    page.locator("#captions time").first.click()
    nothing_english()
    server.send(server_messages.Error(code="something_new", message="the server says this in English"))
    nothing_english()
    page.locator("#mute").click()
    nothing_english()
    page.locator("#push-to-talk").evaluate("control => control.click()")
    nothing_english()
    server.refusals = [(server_messages.Error(code="full", message="the room is full", fatal=True), 1013)]
    server.drop()
    wait_until(page, lambda: len(server.joins) == 2, "the page comes back")
    nothing_english()
