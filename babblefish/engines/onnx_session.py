"""Sessions of ONNX Runtime on the CPU."""

from __future__ import annotations

from pathlib import Path

import onnxruntime


def open_session(model: Path | bytes, threads: int) -> onnxruntime.InferenceSession:
    """Load a model.

    Args:
        model: The ``.onnx`` file, or its content.
        threads: Threads of one call.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A thread that spins while it waits for work would keep a core from the other engines.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # x86 processors without VNNI add pairs of products in 16 bits, which int8 weights can overflow: there Smart Turn's
    # probability that a speaker has finished was 0.58 in the middle of a sentence, for which others find 0.02. With
    # this it is 0.02 there, too, by kernels that add in 32 bits. Other processors ignore it, and Kokoro's weights are
    # so small that its results are the same with and without.
    options.add_session_config_entry("session.x64quantprecision", "1")
    source = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
