"""A room's record: what its history has, written out to be read or played, in one language."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import count
from types import MappingProxyType

from babblefish.conversation.history import HistoryEntry
from babblefish.conversation.results import result_message
from babblefish.domain import Quality
from babblefish.engines.text_splitting import space
from babblefish.languages import LANGUAGES
from babblefish.wire.server_messages import Result

_CHARACTERS_PER_S = 20.0
"""What a reader of subtitles follows at most; people speak more slowly, so that cues hardly ever run late for it."""

_SHORTEST_S = 1.0
"""A shorter cue is hardly seen."""

_DRAFT = "≈ "
"""Before what gives the gist only; a sign, as the readers' languages differ."""

_LINE_ENDS = re.compile("[\x00\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")

_NO_TAGS = str.maketrans("<>{}", "\u2039\u203a()")
"""SubRip has no way to escape what a player takes for a tag, or for an arrow between times; these look alike."""

_OF_NO_RECORD = frozenset({"type", "status", "tts_audio", "tts_voice", "latency_ms", "timings", "replayed"})
"""Fields of a result that say how it was made and delivered, and nothing of what was said."""


@dataclass(frozen=True, slots=True)
class _Cue:
    """A result with its place on the record's time line.

    Attributes:
        number: 1, 2, 3 … in this record.
        start_s: Seconds from the beginning of the record's first utterance.
        end_s: The same of its end.
        speaker: The name, with a question mark where it is only likely.
        text: In one line.
        result: What the listeners of the record's language got.
    """

    number: int
    start_s: float
    end_s: float
    speaker: str
    text: str
    result: Result

    @property
    def is_untranslated(self) -> bool:
        """Whether the text is in another language than that of the record."""
        return self.result.quality == Quality.UNTRANSLATED

    @property
    def marked(self) -> str:
        """The text, marked where it is a draft."""
        return _DRAFT + self.text if self.result.quality == Quality.DRAFT else self.text

    def goes_on_from(self, before: _Cue) -> bool:
        """Whether it continues what the same client said right before, in the same language."""
        return self.result.continues and all(
            getattr(self.result, field) == getattr(before.result, field)
            for field in ("client_id", "speaker_id", "source_lang", "target_lang")
        )


class Record:
    """Writes entries of a history one after another, in one of ``FORMATS``.

    Players show one subtitle at a time, so each begins where its utterance did, but not before the one before has
    ended, and stays long enough to be read.
    """

    def __init__(self, format_name: str, room: str, lang: str | None) -> None:
        """Begin a record.

        Args:
            format_name: A key of ``FORMATS``.
            room: Whose it is.
            lang: ISO 639-3; None for each utterance in the language it was spoken in.
        """
        self.format = FORMATS[format_name]
        self._room = room
        self._lang = lang
        self._numbers = count(1)
        self._begun: list[_Cue] = []
        """What is not written yet, as it may be continued."""
        self._began_s: float | None = None
        self._free_s = 0.0

    def head(self) -> str:
        """Return what stands before all entries."""
        return self.format.head(self._room, self._lang)

    def add(self, entry: HistoryEntry, speaker_name: str) -> str:
        """Return what can be written with the next entry, the one before perhaps; they come in the order of ``seq``.

        Args:
            entry: Of the history.
            speaker_name: What the voice is called now.
        """
        lang = self._lang or entry.transcript.lang
        result = result_message(entry, entry.best_for(lang), lang, speaker_name=speaker_name)
        began_s = entry.ended_s - entry.duration_s
        if self._began_s is None:
            self._began_s = began_s
        start_s = max(began_s - self._began_s, self._free_s)
        readable_s = max(_SHORTEST_S, len(result.translation) / _CHARACTERS_PER_S)
        end_s = self._free_s = max(entry.ended_s - self._began_s, start_s + readable_s)
        speaker = result.speaker_name + ("?" if result.speaker_likely else "")
        cue = _Cue(
            number=next(self._numbers),
            start_s=start_s,
            end_s=end_s,
            speaker=_in_one_line(speaker),
            text=_in_one_line(result.translation),
            result=result,
        )
        if self._begun and self.format.joins and cue.goes_on_from(self._begun[-1]):
            self._begun.append(cue)
            return ""
        written = self._finished()
        self._begun.append(cue)
        return written

    def _finished(self) -> str:
        begun, self._begun = self._begun, []
        return self.format.entry(begun) if begun else ""

    def tail(self) -> str:
        """Return what is left to be written, and what stands after all entries."""
        return self._finished() + self.format.tail


@dataclass(frozen=True, slots=True)
class Format:
    """A way to write a record.

    Attributes:
        media_type: What HTTP calls it.
        entry: Writes one entry, or all that go on from one.
        joins: Whether those are written together.
        head: Writes what stands before all of them, of a room and a language.
        tail: Stands after all of them.
    """

    media_type: str
    entry: Callable[[Sequence[_Cue]], str]
    joins: bool = False
    head: Callable[[str, str | None], str] = lambda _room, _lang: ""
    tail: str = ""


def _text(cues: Sequence[_Cue]) -> str:
    first = cues[0]
    result = first.result
    lang = f" [{result.target_lang}]" if first.is_untranslated else ""
    when = result.timestamp[:19].replace("T", " ")
    mark = _DRAFT if any(cue.result.quality == Quality.DRAFT for cue in cues) else ""
    shown = space(result.target_lang).join(cue.text for cue in cues)
    said = space(result.source_lang).join(_in_one_line(cue.result.source_text) for cue in cues)
    line = f"[{when} UTC] {first.speaker}{lang}: {mark}{shown}\n"
    return line + (f"    {said}\n" if said != shown else "")


def _subrip(cues: Sequence[_Cue]) -> str:
    (cue,) = cues
    lang = f" [{cue.result.target_lang}]" if cue.is_untranslated else ""
    times = f"{_time(cue.start_s, ',')} --> {_time(cue.end_s, ',')}"
    return f"{cue.number}\n{times}\n{f'{cue.speaker}{lang}: {cue.marked}'.translate(_NO_TAGS)}\n\n"


def _webvtt(cues: Sequence[_Cue]) -> str:
    (cue,) = cues
    text = escape(cue.marked, quote=False)
    if cue.is_untranslated:
        text = f"<lang {LANGUAGES[cue.result.target_lang].bcp47}>{text}</lang>"
    voice = f"<v {escape(cue.speaker, quote=False)}>" if cue.speaker else ""
    return f"\n{cue.result.seq}\n{_time(cue.start_s, '.')} --> {_time(cue.end_s, '.')}\n{voice}{text}\n"


def _json_head(room: str, lang: str | None) -> str:
    about = json.dumps({"room": room, "requested_lang": lang}, ensure_ascii=False)
    return f'{about[:-1]}, "entries": [\n'


def _json(cues: Sequence[_Cue]) -> str:
    (cue,) = cues
    times = {"start_s": round(cue.start_s, 3), "end_s": round(cue.end_s, 3)}
    said = cue.result.model_dump(mode="json", exclude=set(_OF_NO_RECORD))
    return (",\n" if cue.number > 1 else "") + json.dumps(said | times, ensure_ascii=False)


def _time(at_s: float, decimal_mark: str) -> str:
    seconds, milliseconds = divmod(round(at_s * 1000), 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{decimal_mark}{milliseconds:03}"


def _in_one_line(text: str) -> str:
    return _LINE_ENDS.sub(" ", text)


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "txt": Format("text/plain; charset=utf-8", _text, joins=True),
        "srt": Format("application/x-subrip; charset=utf-8", _subrip),
        "vtt": Format("text/vtt; charset=utf-8", _webvtt, head=lambda _room, _lang: "WEBVTT\n"),
        "json": Format("application/json", _json, head=_json_head, tail="\n]}\n"),
    }
)
