"""Speaker encoder of the full profile: a speaker embedding model of pyannote.audio, on samples already in memory.

Meant for ``pyannote/wespeaker-voxceleb-resnet34-LM`` (WeSpeaker's ResNet34: Wang et al. 2023, arXiv:2210.17016); any
other embedding model of pyannote.audio, such as ``pyannote/embedding``, is loaded the same way.
"""

from __future__ import annotations

import logging
import os
import warnings
from pathlib import Path

# Read whenever something would be reported; anything but "1" and "true" is off. It must be set before the import, which
# otherwise sets the package's own default, and that is on.
os.environ["PYANNOTE_METRICS_ENABLED"] = "0"
# Without FFmpeg's libraries the import warns at length that no file can be decoded; here none ever is.
warnings.filterwarnings("ignore", message=r"\s*torchcodec is not installed correctly")

import numpy as np  # noqa: E402 - pyannote.audio sees the two lines above first
import torch  # noqa: E402
from pyannote.audio import Model  # noqa: E402
from pyannote.audio.telemetry import metrics  # noqa: E402

from babblefish.domain import SAMPLE_RATE_HZ, EngineError, Samples, SetupError  # noqa: E402
from babblefish.engines.contracts import Embedding, VoiceScale  # noqa: E402
from babblefish.engines.torch_threads import use_threads  # noqa: E402

# It reports devices and advertises products at every load.
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
# Even with reporting off, the import starts the reporter's thread, which would wake up twice a second for nothing.
metrics.provider.shutdown()

_PULL_COMMAND = "babblefish models pull --profile full"

_LEAST_SAMPLES = SAMPLE_RATE_HZ // 2
"""Every embedding model of pyannote.audio takes half a second (``PretrainedSpeakerEmbedding`` searches for the minimum
below that); much shorter audio has a single frame, whose standard deviation is not a number."""

_SCALE = VoiceScale(threshold=0.6, plausible=0.35, half_reliable_s=0.8, most_used_s=25.0)
"""Derived for the WeSpeaker model and not measured yet: ``benchmarks.speaker_identification`` does so where its weights
are, and the setting ``speaker_threshold`` goes before this one.

Threshold: the pipeline ``pyannote/speaker-diarization-3.1`` clusters this model's unit vectors by centroid linkage up
to a Euclidean distance t = 0.7046 between centroids, tuned by its authors. A centroid that is a plain mean has the
squared length r, the mean cosine within a voice, so the cosine of two centroids, corrected as ``speakers`` does it, is
1 - t² / 2r: 0.55, 0.65 and 0.69 for segments of 1, 2 and 3 s. The pipeline can afford to be strict, since it gives
small clusters to the nearest large one, where ``speakers`` makes a new voice; hence a value from the lower half.
Half reliable: the d-vector's, the nearest that was measured. Plausible: as far below the threshold, in proportion, as
the d-vector's. Most used: the model pools over all frames, so the longest utterance there can be.
"""


class Pyannote:
    """Speaker encoder with any embedding model of pyannote.audio, on the CPU.

    A checkpoint is a pickle, which pyannote.audio reads with ``weights_only=False``: loading it can run code. Use only
    checkpoints from sources you trust.

    Args:
        checkpoint: The file, or the folder that holds it as ``pytorch_model.bin``, as it is published. Nothing is
            ever fetched.
        threads: Threads of one call.

    Raises:
        SetupError: There is no such file.
        EngineError: The file holds no speaker embedding model, or a damaged one.
    """

    name = "pyannote"
    scale = _SCALE

    def __init__(self, checkpoint: Path | str, threads: int) -> None:
        path = Path(checkpoint).absolute()
        file = path / "pytorch_model.bin" if path.is_dir() else path
        # A path that does not exist would be taken for the name of a model to download.
        if not file.is_file():
            raise SetupError(f"there is no speaker encoder at {file}; install it with: {_PULL_COMMAND}")
        self._threads = threads
        try:
            self._model = Model.from_pretrained(file, map_location="cpu").eval()
            self.embed(np.random.default_rng(0).normal(0, 0.1, _LEAST_SAMPLES).astype(np.float32))
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
