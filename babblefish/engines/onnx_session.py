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
    source = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
