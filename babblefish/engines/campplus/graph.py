"""The network of CAM++ as an ONNX model, made from the published weights.

CAM++ (Wang et al. 2023, arXiv:2303.00332): a small convolutional head over time and frequency, then three blocks of
densely connected time-delay layers, each of which weighs its channels by the context of 2 s and of the whole. The names
are those of the published state dictionary, by 3D-Speaker.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from babblefish.engines.torch_archive import Tensor

MELS = 80
DIMENSIONS = 192

_OPSET, _IR = 18, 9
_EPSILON = 1e-5
_BLOCKS = ((12, 1), (24, 2), (16, 2))
"""Layers of each dense block, and the dilation of their kernels."""

_CONTEXT_FRAMES = 100
"""Of 20 ms, over which a layer's context is averaged beside the whole."""


def campplus(weights: Mapping[str, Tensor]) -> bytes:
    """Return the model: input ``features`` of shape ``[batch, frames, 80]``.

    Its outputs are ``embedding`` of shape ``[batch, 192]`` and, of which that one is made by ``Pooling``, ``states`` of
    shape ``[batch, 512, frames / 2]``. What nobody asks for is not computed.

    Args:
        weights: The state dictionary.

    Raises:
        KeyError: It is another network's.
    """
    net = _Net(weights)
    x = _head(net, net.add("Unsqueeze", net.add("Transpose", "features", perm=[0, 2, 1]), net.integers(1)))
    x = net.add("Reshape", x, net.integers(0, 320, -1))
    x = net.conv(x, "xvector.tdnn.linear", strides=[2], pads=[2, 2])
    x = net.relu(net.norm(x, "xvector.tdnn.nonlinear.batchnorm"))
    frames = net.add("Slice", net.add("Shape", x), net.integers(2), net.integers(3))
    for number, (layers, dilation) in enumerate(_BLOCKS, start=1):
        for layer in range(1, layers + 1):
            grown = _dense_layer(net, x, f"xvector.block{number}.tdnnd{layer}", dilation, frames)
            x = net.add("Concat", x, grown, axis=1)
        x = net.relu(net.norm(x, f"xvector.transit{number}.nonlinear.batchnorm"))
        x = net.conv(x, f"xvector.transit{number}.linear")
    states = net.relu(net.norm(x, "xvector.out_nonlinear.batchnorm"))
    x = net.conv(_statistics(net, states, frames), "xvector.dense.linear")
    x = net.norm(x, "xvector.dense.nonlinear.batchnorm")
    return net.model(states, net.add("Squeeze", x, net.integers(2)))


class Pooling:
    """Makes an embedding of the states of some frames, as the end of the network does.

    Args:
        weights: The state dictionary.
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self._dense = weights["xvector.dense.linear.weight"][:, :, 0]
        self._mean = weights["xvector.dense.nonlinear.batchnorm.running_mean"]
        self._deviation = np.sqrt(weights["xvector.dense.nonlinear.batchnorm.running_var"] + _EPSILON)

    def __call__(self, states: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the embedding, shape ``[192]``, of states of shape ``[512, n]``, n > 1."""
        statistics = np.concatenate([states.mean(axis=1), states.std(axis=1, ddof=1)])
        return np.asarray((self._dense @ statistics - self._mean) / self._deviation, dtype=np.float32)


class _Net:
    """A graph under construction; values are called by their names."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self._weights = weights
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node and return its output."""
        output = f"value{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def constant(self, name: str, values: NDArray[Any]) -> str:
        self._constants.setdefault(name, numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def integers(self, *values: int) -> str:
        return self.constant(f"integers{values}", np.array(values, dtype=np.int64))

    def conv(self, x: str, name: str, **attributes: Any) -> str:
        """Add a convolution; its weights say how large the kernel is."""
        weight, bias = (self._weights.get(f"{name}.{part}") for part in ("weight", "bias"))
        if weight is None:
            raise KeyError(name)
        inputs = [x, self.constant(f"{name}.weight", weight)]
        if bias is not None:
            inputs.append(self.constant(f"{name}.bias", bias))
        return self.add("Conv", *inputs, kernel_shape=weight.shape[2:], **attributes)

    def norm(self, x: str, name: str) -> str:
        """Add a batch normalisation; the last one has no weights of its own."""
        mean, variance = (self._weights[f"{name}.running_{part}"] for part in ("mean", "var"))
        scale = self._weights.get(f"{name}.weight", np.ones_like(mean))
        shift = self._weights.get(f"{name}.bias", np.zeros_like(mean))
        parts = {"weight": scale, "bias": shift, "running_mean": mean, "running_var": variance}
        constants = [self.constant(f"{name}.{part}", values) for part, values in parts.items()]
        return self.add("BatchNormalization", x, *constants, epsilon=_EPSILON)

    def relu(self, x: str) -> str:
        return self.add("Relu", x)

    def model(self, states: str, embedding: str) -> bytes:
        self._nodes.append(helper.make_node("Identity", [states], ["states"]))
        self._nodes.append(helper.make_node("Identity", [embedding], ["embedding"]))
        features = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", "frames", MELS])
        outputs = [
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", DIMENSIONS]),
            helper.make_tensor_value_info("states", TensorProto.FLOAT, ["batch", "channels", "halves"]),
        ]
        graph = helper.make_graph(self._nodes, "campplus", [features], outputs, list(self._constants.values()))
        opset = helper.make_opsetid("", _OPSET)
        made: bytes = helper.make_model(graph, opset_imports=[opset], ir_version=_IR).SerializeToString()
        return made


def _head(net: _Net, x: str) -> str:
    """Add the convolutions over time and frequency, which keep every frame and an eighth of the frequencies."""
    square = {"pads": [1, 1, 1, 1]}
    x = net.relu(net.norm(net.conv(x, "head.conv1", **square), "head.bn1"))
    for name in ("head.layer1.0", "head.layer1.1", "head.layer2.0", "head.layer2.1"):
        strides = [2, 1] if name.endswith("0") else [1, 1]
        y = net.relu(net.norm(net.conv(x, f"{name}.conv1", strides=strides, **square), f"{name}.bn1"))
        y = net.norm(net.conv(y, f"{name}.conv2", **square), f"{name}.bn2")
        if strides == [2, 1]:
            x = net.norm(net.conv(x, f"{name}.shortcut.0", strides=strides), f"{name}.shortcut.1")
        x = net.relu(net.add("Add", x, y))
    return net.relu(net.norm(net.conv(x, "head.conv2", strides=[2, 1], **square), "head.bn2"))


def _dense_layer(net: _Net, x: str, name: str, dilation: int, frames: str) -> str:
    """Add a layer of a dense block, whose channels are weighed by what is around a frame and by the whole."""
    x = net.relu(net.norm(x, f"{name}.nonlinear1.batchnorm"))
    x = net.relu(net.norm(net.conv(x, f"{name}.linear1"), f"{name}.nonlinear2.batchnorm"))
    local = net.conv(x, f"{name}.cam_layer.linear_local", dilations=[dilation], pads=[dilation, dilation])
    around = net.add(
        "AveragePool", x, kernel_shape=[_CONTEXT_FRAMES], strides=[_CONTEXT_FRAMES], ceil_mode=1, count_include_pad=0
    )
    context = net.add("Add", net.add("ReduceMean", x, net.integers(-1)), around)
    weight = net.conv(net.relu(net.conv(context, f"{name}.cam_layer.linear1")), f"{name}.cam_layer.linear2")
    weight = net.add("Unsqueeze", net.add("Sigmoid", weight), net.integers(-1))
    weight = net.add("Expand", weight, net.integers(1, 1, 1, _CONTEXT_FRAMES))
    weight = net.add("Reshape", weight, net.integers(0, 0, -1))
    return net.add("Mul", local, net.add("Slice", weight, net.integers(0), frames, net.integers(2)))


def _statistics(net: _Net, x: str, frames: str) -> str:
    """Add mean and standard deviation over all frames, shape ``[batch, channels, 1]``."""
    mean = net.add("ReduceMean", x, net.integers(-1))
    squares = net.add("ReduceSumSquare", net.add("Sub", x, mean), net.integers(-1))
    others = net.add("Sub", net.add("Cast", frames, to=TensorProto.FLOAT), net.constant("one", np.ones(1, np.float32)))
    return net.add("Concat", mean, net.add("Sqrt", net.add("Div", squares, others)), axis=1)
