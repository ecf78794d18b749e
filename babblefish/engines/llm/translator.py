"""A language model as a translator of what people say to each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

from babblefish.domain import Deadline
from babblefish.engines import langid
from babblefish.engines.contracts import Route, TextRequest, TextTranslation
from babblefish.engines.llm import guards, prompts, routes
from babblefish.engines.llm.model import LanguageModel
from babblefish.engines.text_splitting import has_words, last_clause_end, space, split_line
from babblefish.errors import MistranslatedError
from babblefish.terms import has_term

_MAX_CHARACTERS = 240
"""Sentences are translated together up to this length, as each gives the next its context; a longer text takes as long
in one go, and loses more when it goes wrong."""

_SHORT_WORDS = 6
"""What was said before is read again for each utterance, 14 ms a token on two cores: it is worth that for "No, the
other one.", which cannot be understood without it, and not for a whole sentence."""

_MOST_CONTEXT = 2
_MOST_CONTEXT_CHARACTERS = 160
"""Utterances before it that a short one is read with, and their length in both languages: about 40 tokens, half a
second. Two long ones would take as long as three translations."""

_EXTRA_TOKENS = 24
"""How many tokens a translation may have beyond one for each letter that was said; none needs as many."""

_SECOND_TEMPERATURE = 0.4
"""Of a second try: with 0 it would say the same again."""

_QUOTES = "\"'\u00ab\u201c\u201d\u201e\u00bb"


class LlmTranslator:
    """A language model as a ``ConversationTranslator``.

    What it writes is checked (``guards``). Where something is wrong, it gets a second try, and then another way,
    through English.
    """

    name = "llm"

    def __init__(self, model: LanguageModel, is_measured: bool) -> None:
        """Use a loaded model.

        Args:
            model: It may be used by others as well.
            is_measured: Whether it is the embedded profile's, whose languages and routes are known.
        """
        langid.load()
        self._model = model
        self._is_measured = is_measured

    def route(self, source_lang: str, target_lang: str) -> Route | None:
        """Return the route that was measured to be the best one, or None where none is good enough to be offered."""
        return routes.best(source_lang, target_lang, self._is_measured)

    def translate(self, text: str, route: Route, deadline: Deadline) -> str:
        """Translate a text, a few sentences at a time; line breaks stay, and lines without words stay as they are.

        Raises:
            MistranslatedError: There is no usable translation of a line.
            EngineError: The model failed.
            DeadlineExceededError: It took too long.
        """
        lines = text.split("\n")
        return "\n".join(self.translate_utterance(TextRequest(line, route, deadline)).text for line in lines)

    def translate_utterance(self, request: TextRequest) -> TextTranslation:
        """Translate what somebody said, a few sentences at a time.

        Raises:
            MistranslatedError: There is no usable translation.
            EngineError: The model failed.
            DeadlineExceededError: It took too long; checked at each token.
        """
        if not has_words(request.text):
            return TextTranslation(request.text)
        source_lang, target_lang = request.route.path[0], request.route.path[-1]
        between = space(target_lang)
        whole = TextTranslation("")
        is_short = len(request.text.split()) <= _SHORT_WORDS
        context = _latest(request.context) if is_short else ()
        for said in split_line(request.text, space(source_lang), _MAX_CHARACTERS):

            def on_clause(so_far: str, before: str = whole.text) -> None:
                request.on_clause(before + between + so_far if before else so_far)

            translated = self._translated(request, said, context, on_clause)
            text = whole.text + between + translated.text if whole.text else translated.text
            faults = (*whole.faults, *translated.faults)
            whole = TextTranslation(text, whole.is_doubtful or translated.is_doubtful, faults)
            # The model has just written this, and need not read it again.
            context = ((said, translated.text),)
        return whole

    def prepare(self, route: Route, deadline: Deadline) -> None:
        """Have the model read the examples of a route, which it then keeps."""
        for source_lang, target_lang in pairwise(route.path):
            self._model.complete(prompts.prefix(source_lang, target_lang), prompts.STOP, 1, deadline)

    def close(self) -> None:
        """Return at once: no process is running, and the model may be used again."""

    def _translated(
        self,
        request: TextRequest,
        said: str,
        context: tuple[tuple[str, str], ...],
        on_clause: Callable[[str], None],
    ) -> TextTranslation:
        """Translate a few sentences; the tries come in the order in which they are likely to be good."""
        faults: list[str] = []
        said_terms = tuple(pair for pair in request.terms if has_term(said, pair[0], request.route.path[0]))
        agreed = " ".join(term for term, _ in said_terms)
        names = tuple(name for name in request.names if name in said and name not in agreed)
        doubtful: str | None = None
        for path, used, temperature in self._tries(request, context):
            text = said
            fault: guards.Fault | None = None
            for hop in pairwise(path):
                terms = said_terms if hop == (request.route.path[0], request.route.path[-1]) else ()
                terms = (*((name, name) for name in names), *terms)
                tell = on_clause if hop[1] == path[-1] else None
                text, fault = self._attempt(text, *hop, used, terms, temperature, request.deadline, tell)
                if fault is not None:
                    break
            if fault is None:
                fault = guards.check(said, path[0], text, path[-1], names=names, terms=said_terms)
            if fault is None:
                return TextTranslation(text, faults=tuple(faults))
            faults.append(fault)
            if not fault.is_fatal and path == request.route.path:
                if doubtful is not None:  # a draft now is worth more than another way later
                    break
                doubtful = text
        if doubtful is not None:
            return TextTranslation(doubtful, is_doubtful=True, faults=tuple(faults))
        reason = f"the language model's translation is not usable ({', '.join(faults)})"
        raise MistranslatedError(reason, tuple(faults))

    def _tries(
        self, request: TextRequest, context: tuple[tuple[str, str], ...]
    ) -> Iterator[tuple[tuple[str, ...], tuple[tuple[str, str], ...], float]]:
        """Yield the path, the context and the temperature of each try."""
        path = request.route.path
        yield path, context if len(path) == 2 else (), 0.0
        yield path, (), 0.0 if context and len(path) == 2 else _SECOND_TEMPERATURE
        other = (path[0], path[-1]) if len(path) > 2 else (path[0], "eng", path[-1])
        if "eng" not in (path[0], path[-1]) and routes.leads(other, self._is_measured):
            yield other, (), 0.0

    def _attempt(
        self,
        said: str,
        source_lang: str,
        target_lang: str,
        context: tuple[tuple[str, str], ...],
        terms: tuple[tuple[str, str], ...],
        temperature: float,
        deadline: Deadline,
        tell: Callable[[str], None] | None,
    ) -> tuple[str, guards.Fault | None]:
        """Translate once; what is seen to go wrong while it is written is not written to its end."""
        fault: guards.Fault | None = None
        told = 0

        def goes_on(written: str) -> bool:
            nonlocal fault, told
            end = last_clause_end(written)
            if end <= told:
                return True
            told = end
            so_far = _cleaned(written[:end], said)
            fault = guards.check(said, source_lang, so_far, target_lang, complete=False)
            if fault is None and tell is not None:
                tell(so_far)
            return fault is None

        prompt = prompts.prompt(source_lang, target_lang, _as_written(said), context, terms)
        limit = len(said) + _EXTRA_TOKENS
        completion = self._model.complete(prompt, prompts.STOP, limit, deadline, goes_on, temperature)
        text = _cleaned(completion.text, said)
        if fault is None and not completion.is_finished:
            fault = guards.Fault.LENGTH
        if fault is None and not has_words(text):
            fault = guards.Fault.LENGTH
        return text, fault


def _latest(context: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """Return the last utterances of a context, as many as are worth their time."""
    characters = 0
    for count, (said, translated) in enumerate(reversed(context[-_MOST_CONTEXT:])):
        characters += len(said) + len(translated)
        if characters > _MOST_CONTEXT_CHARACTERS:
            return context[len(context) - count :]
    return context[-_MOST_CONTEXT:]


def _as_written(said: str) -> str:
    """Return what was said without the capitals of a whole sentence, which a recogniser writes now and then.

    The model takes words in capitals for names, and repeats them.
    """
    return said.capitalize() if said.isupper() and len(said.split()) > 1 else said


def _cleaned(text: str, said: str) -> str:
    """Return a text without the space around it, and without quotation marks that nobody said."""
    text = text.strip()
    if text[:1] in _QUOTES and text[-1:] in _QUOTES and not any(quote in said for quote in _QUOTES):
        return text[1:-1].strip()
    return text
