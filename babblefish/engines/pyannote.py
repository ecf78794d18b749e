"""Speaker encoder of the full profile: a speaker embedding model of pyannote.audio, on samples already in memory.

Meant for ``pyannote/wespeaker-voxceleb-resnet34-LM`` (WeSpeaker's ResNet34: Wang et al. 2023, arXiv:2210.17016); any
other embedding model of pyannote.audio, such as ``pyannote/embedding``, is loaded the same way.
"""

from __future__ import annotations

import io
import logging
import os
import warnings
from pathlib import Path
from pickle import UnpicklingError

# Read whenever something would be reported; anything but "1" and "true" is off. It must be set before the import, which
# otherwise sets the package's own default, and that is on.
os.environ["PYANNOTE_METRICS_ENABLED"] = "0"
# Without FFmpeg's libraries the import warns at length that no file can be decoded; here none ever is.
warnings.filterwarnings("ignore", message=r"\s*torchcodec is not installed correctly")

import numpy as np  # noqa: E402 - pyannote.audio sees the two lines above first
import torch  # noqa: E402
from pyannote.audio import Model  # noqa: E402
from pyannote.audio.core.task import Problem, Resolution, Specifications  # noqa: E402
from pyannote.audio.telemetry import metrics  # noqa: E402
from torch.torch_version import TorchVersion  # noqa: E402

from babblefish.domain import SAMPLE_RATE_HZ, Samples  # noqa: E402
from babblefish.engines.contracts import Embedding, VoiceScale, weights_version  # noqa: E402
from babblefish.engines.torch_threads import use_threads  # noqa: E402
from babblefish.errors import EngineError, SetupError  # noqa: E402

# It reports devices and advertises products at every load.
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
# Even with reporting off, the import starts the reporter's thread, which would wake up twice a second for nothing.
metrics.provider.shutdown()

_PULL_COMMAND = "babblefish models pull --profile full"

_LEAST_SAMPLES = SAMPLE_RATE_HZ // 2
"""Every embedding model of pyannote.audio takes half a second (``PretrainedSpeakerEmbedding`` searches for the minimum
below that); much shorter audio has a single frame, whose standard deviation is not a number."""

_SCALES = {
    "WeSpeakerResNet34": VoiceScale(threshold=0.6, plausible=0.35, half_reliable_s=0.8, most_used_s=25.0),
    "XVectorSincNet": VoiceScale(threshold=0.4, plausible=0.25, half_reliable_s=0.8, most_used_s=25.0),
}
"""By the class of the model. Derived and not measured yet: ``doctor --golden`` does so where the weights are, with
synthetic voices, and ``benchmarks.speaker_identification`` with recorded ones. The setting ``speaker_threshold`` goes
before these.

Threshold of WeSpeaker: the pipeline ``pyannote/speaker-diarization-3.1`` clusters this model's unit vectors by centroid
linkage up to a Euclidean distance t = 0.7046 between centroids, tuned by its authors. A centroid that is a plain mean
has the squared length r, the mean cosine within a voice, so the cosine of two centroids, corrected as ``speakers`` does
it, is 1 - t² / 2r: 0.55, 0.65 and 0.69 for segments of 1, 2 and 3 s. The pipeline can afford to be strict, since it
gives small clusters to the nearest large one, where ``speakers`` makes a new voice; hence a value from the lower half.
Half reliable: as a d-vector encoder's, which was measured, and plausible as far below the threshold, in proportion, as
that one's. Most used: the models pool over all frames, so the longest utterance there can be.

Threshold of ``pyannote/embedding``: diart (Coria et al. 2021), which uses it with windows of 5 s, takes a voice for a
new one from a cosine distance of 0.648 on (tuned on VoxConverse; on meetings from 1.06). That is a corrected similarity
of 0.41. With WeSpeaker's it would make new voices of known ones.
"""


_DATA = [Problem, Resolution, Specifications, TorchVersion]
"""What checkpoints of pyannote.audio hold besides numbers, texts and tensors: enumerations, records and a text."""


class Pyannote:
    """Speaker encoder with any embedding model of pyannote.audio, on the CPU.

    A checkpoint is a pickle, which can run code when it is read, and pyannote.audio reads it so that it may. So it is
    read as mere data first, and given to pyannote.audio only if that is all it is, or if its hash is known.

    Args:
        checkpoint: The file, or the folder that holds it as ``pytorch_model.bin``, as it is published. Nothing is
            ever fetched.
        threads: Threads of one call.
        is_known: Whether the file's hash was compared with the one that was published, so that it may run code.

    Raises:
        SetupError: There is no such file.
        EngineError: The file holds no speaker embedding model, a damaged one, or one that would run code unknown.
    """

    name = "pyannote"

    def __init__(self, checkpoint: Path | str, threads: int, is_known: bool = False) -> None:
        path = Path(checkpoint).absolute()
        file = path / "pytorch_model.bin" if path.is_dir() else path
        # A path that does not exist would be taken for the name of a model to download.
        if not file.is_file():
            raise SetupError(f"there is no speaker encoder at {file}; install it with: {_PULL_COMMAND}")
        self._threads = threads
        content = file.read_bytes()  # once, so that what is looked at is what is loaded
        self.version = weights_version(content)
        try:
            if not is_known:
                _require_data(content)
            self._model = Model.from_pretrained(io.BytesIO(content), map_location="cpu").eval()
            # Of the other models that there are, most are WeSpeaker's with more layers.
            self.scale = _SCALES.get(type(self._model).__name__, _SCALES["WeSpeakerResNet34"])
            noise = np.random.default_rng(0).normal(0, 0.1, _LEAST_SAMPLES).astype(np.float32)
            self.dimensions = len(self.embed(noise))
        except Exception as error:  # unpickling a damaged or foreign file can raise anything
            # Without a cause, as the one for a foreign file would be just the name of a missing key.
            message = f"{file} holds no complete speaker embedding model of pyannote.audio"
            raise EngineError(f"{message} ({type(error).__name__}: {error})") from None

    def embed(self, samples: Samples) -> Embedding:
        """Embed speech as a unit vector; safe to call from several threads.

        The models normalise their input, so the level of the microphone does not matter.

        Args:
            samples: Shape ``[n]``, n > 0, 16 kHz; speech of less than half a second is repeated until it fills that.

        Returns:
            Shape ``[dim]``, float32, of length 1; 256 dimensions with the WeSpeaker model.

        Raises:
            ValueError: There is no audio at all.
            EngineError: The model returned no vector, or one without a direction.
        """
        if not len(samples):
            raise ValueError("no audio to embed")
        use_threads(self._threads)
        enough = np.resize(samples, max(len(samples), _LEAST_SAMPLES))
        with torch.inference_mode():
            vectors = self._model(torch.from_numpy(enough)[None, None]).numpy()
        if vectors.ndim != 2:
            raise EngineError(f"the speaker encoder returned an array of shape {vectors.shape} instead of one vector")
        length = float(np.linalg.norm(vectors[0]))
        if not np.isfinite(length) or length < 1e-6:
            raise EngineError("the speaker encoder returned no usable vector for this audio")
        embedding: Embedding = (vectors[0] / np.float32(length)).astype(np.float32)
        return embedding


def _require_data(content: bytes) -> None:
    """Refuse a checkpoint that is more than data, or has pyannote.audio import what is not its own.

    Raises:
        Exception: It is none, or damaged; which one is the library's choice.
    """
    try:
        with torch.serialization.safe_globals(_DATA):
            checkpoint = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except UnpicklingError:  # with advice to let it run
        raise ValueError("it is damaged, or would run code, which only a file whose hash is known may") from None
    module = checkpoint["pyannote.audio"]["architecture"]["module"]
    if not module.startswith("pyannote.audio."):
        raise ValueError(f"its model is from {module}, which is not pyannote.audio's")
