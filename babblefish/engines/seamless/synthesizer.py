"""SeamlessM4T v2 from text to speech in the same language: its text-to-unit model and its vocoder.

The model speaks what its text decoder writes, from the decoder's hidden states and the characters of its tokens. Here
the text is given, so the decoder need not find it token by token: one pass over all of it gives the states. The units,
20 ms of speech each, are then made in parallel as well (UnitY2, "Seamless: Multilingual Expressive and Streaming
Speech Translation", Seamless Communication et al. 2023).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from babblefish.domain import Deadline, Samples, Speech
from babblefish.engines.contracts import SyntheticVoice
from babblefish.engines.facts import SEAMLESS_SPEAKERS
from babblefish.engines.seamless.model import SeamlessModel
from babblefish.engines.text_splitting import has_words, split_pieces
from babblefish.engines.torch_threads import use_threads
from babblefish.errors import EngineError
from babblefish.languages import spoken, to_seamless


class SeamlessSynthesizer:
    """SeamlessM4T v2 as a ``Synthesizer``; calls may run side by side."""

    name = "seamless"

    def __init__(self, loaded: SeamlessModel, threads: int) -> None:
        """Use a loaded model.

        Args:
            loaded: From ``seamless.model.load``.
            threads: Threads of one call.

        Raises:
            EngineError: The checkpoint's generation configuration does not say how it speaks.
        """
        self._loaded = loaded
        self._threads = threads
        tables = loaded.model.generation_config
        for table in ("id_to_text", "char_to_id", "t2u_lang_code_to_id", "vocoder_lang_code_to_id"):
            if not getattr(tables, table, None):
                raise EngineError(f"SeamlessM4T cannot speak: its generation configuration has no {table}")
        names = {code: to_seamless(spoken(code)) for code in loaded.languages}
        self._names = {code: name for code, name in names.items() if name and name in tables.t2u_lang_code_to_id}
        self._voices: dict[str, int] = {
            code: tables.vocoder_lang_code_to_id[name]
            for code, name in self._names.items()
            if name in tables.vocoder_lang_code_to_id
        }

    def voices(self, lang: str) -> Sequence[SyntheticVoice]:
        """Return ``seamless:<its code of the language>``, or none for a language that the checkpoint cannot speak."""
        if lang not in self._voices:
            return ()
        return (SyntheticVoice(f"{self.name}:{self._names[lang]}"),)

    def synthesize(self, text: str, lang: str, deadline: Deadline, voice: str | None = None) -> Iterator[Speech]:
        """Speak ``text`` piece by piece; a text without a letter or digit yields nothing.

        Each language has one voice, so ``voice`` changes nothing.

        Raises:
            EngineError: The model does not speak the language or failed on this text.
            DeadlineExceededError: It took too long; checked before each of the three steps of a piece.
        """
        if lang not in self._voices:
            raise EngineError(f"SeamlessM4T has no voice for {lang!r}")
        [only] = self.voices(lang)
        for piece in split_pieces(text):
            if has_words(piece):
                samples = self._speak(piece, lang, deadline)
                yield Speech(samples, self._loaded.model.config.sampling_rate, lang, only.name)

    def _speak(self, piece: str, lang: str, deadline: Deadline) -> Samples:
        use_threads(self._threads)  # for each piece, as another engine may be called in between
        deadline.check()
        tokens = self._loaded.tokens(piece)
        try:
            encoded = self._loaded.encode_text(tokens, lang)
            deadline.check()
            units = self.units(encoded, tokens, lang)
            deadline.check()
            if not units.numel():
                raise EngineError("SeamlessM4T makes no speech of this text")
            return self._sound(units, lang)
        except (RuntimeError, IndexError) as error:
            raise EngineError("SeamlessM4T cannot speak this text") from error

    def units(self, encoded: Tensor, tokens: Sequence[int], lang: str) -> Tensor:
        """Return the units of a text, shape ``[1, units]``, up to the first symbol that is none.

        Args:
            encoded: What the text decoder attends to, shape ``[1, positions, width]``.
            tokens: Of the text, without the language's and the end token.
            lang: ISO 639-3.
        """
        model, tables = self._loaded.model, self._loaded.model.generation_config
        ids = torch.tensor([tokens])
        pieces = model._indices_to_subwords(ids)
        counts = model._count_character_length_in_subword(ids, pieces, pad_token_id=tables.pad_token_id)
        # The state at each token predicts the next one, so the first and the last have no characters of their own.
        counts = torch.nn.functional.pad(counts, (1, 1))
        characters = model._get_char_input_ids(ids, pieces, counts, pad_token_id=tables.pad_token_id)
        decoder_ids = torch.tensor([[tables.decoder_start_token_id, self._loaded.languages[lang], *tokens]])
        with torch.inference_mode():
            states = model.text_decoder(input_ids=decoder_ids, encoder_hidden_states=encoded, use_cache=False)[0]
            logits = model.t2u_model(inputs_embeds=states, char_input_ids=characters, char_count_per_id=counts)[0]
            best = logits.argmax(dim=-1) - model.config.vocoder_offset
        # Padding, the end and the like are where the speech is over, and would be heard.
        is_unit = (best >= 0) & (best < model.config.unit_hifi_gan_vocab_size)
        return best[:, : int(is_unit[0].long().cumprod(dim=0).sum())]

    def _sound(self, units: Tensor, lang: str) -> Samples:
        """Return the sound of units, 20 ms each.

        The vocoder has a predictor of how long a unit lasts, for models whose units do not repeat. These do: the text
        becomes as many as it lasts, so that the predictor would stretch them once more.
        """
        vocoder, name = self._loaded.model.vocoder, self._names[lang]
        with torch.inference_mode():
            units_as_vectors = vocoder.unit_embedding(units)
            speaker = vocoder.speaker_embedding(torch.tensor([[SEAMLESS_SPEAKERS.get(name, 0)]]))
            language = vocoder.language_embedding(torch.tensor([[self._voices[lang]]]))
            parts = (language, units_as_vectors, speaker)
            features = torch.cat([part.expand(-1, units.shape[1], -1) for part in parts], dim=-1)
            waveform = vocoder.hifi_gan(features.transpose(1, 2))
        samples: Samples = waveform[0].numpy()
        return samples
