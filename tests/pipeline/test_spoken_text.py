"""A caption is given to a voice as it is translated, from its beginning to its end and each word once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from babblefish.pipeline.spoken_text import SpokenText
from tests.support.waiting import until


async def read(text: SpokenText, into: list[str]) -> None:
    stretches: AsyncIterator[str] = text.stretches()
    async for stretch in stretches:
        into.append(stretch)


async def test_a_complete_text_is_one_stretch() -> None:
    heard: list[str] = []
    await read(SpokenText("fra", "Bonjour à tous, ça va ?"), heard)
    assert heard == ["Bonjour à tous, ça va ?"]


async def test_a_growing_text_is_given_clause_by_clause() -> None:
    text, heard = SpokenText("fra"), []
    reading = asyncio.create_task(read(text, heard))
    text.grow("Si vous le voulez,")
    await until(lambda: heard == ["Si vous le voulez,"])
    text.grow("Si vous le voulez, nous pouvons partir,")
    await until(lambda: len(heard) == 2)
    assert text.complete("Si vous le voulez, nous pouvons partir, ou attendre.")
    await reading
    assert heard == ["Si vous le voulez,", "nous pouvons partir,", "ou attendre."]


async def test_a_first_clause_of_a_word_or_two_waits_for_the_next() -> None:
    text, heard = SpokenText("fra"), []
    reading = asyncio.create_task(read(text, heard))
    text.grow("Oui,")
    await asyncio.sleep(0)
    text.grow("Oui, nous pouvons partir,")
    await until(lambda: heard == ["Oui, nous pouvons partir,"])
    assert text.complete("Oui, nous pouvons partir, merci.")
    await reading
    assert heard[1:] == ["merci."]


async def test_without_spaces_the_first_clause_counts_by_its_length() -> None:
    text, heard = SpokenText("cmn"), []
    reading = asyncio.create_task(read(text, heard))
    text.grow("如果你愿意的话我们现在可以走\uff0c")
    await until(lambda: len(heard) == 1)
    assert text.complete("如果你愿意的话我们现在可以走\uff0c或者等。")
    await reading
    assert heard[1:] == ["或者等。"]


async def test_a_text_that_turns_out_to_be_another_one_is_not_complete() -> None:
    text, heard = SpokenText("fra"), []
    reading = asyncio.create_task(read(text, heard))
    text.grow("Si vous le voulez,")
    await until(lambda: len(heard) == 1)
    text.grow("Quand vous voudrez, nous")
    assert not text.complete("Quand vous voudrez, nous partirons.")
    reading.cancel()
    assert heard == ["Si vous le voulez,"]


async def test_another_beginning_before_anything_was_given_is_taken() -> None:
    text, heard = SpokenText("fra"), []
    text.grow("Oui,")
    text.grow("Quand vous voudrez,")
    assert text.complete("Quand vous voudrez, nous partirons.")
    await read(text, heard)
    assert heard == ["Quand vous voudrez, nous partirons."]
