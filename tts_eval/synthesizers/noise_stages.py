"""An ONNX graph cut at its random nodes, so that every random number comes from our generator.

VITS voices draw noise inside the graph (`RandomNormalLike`), from a generator that nobody can seed
per row. Here the graph is cut into stages: stage 0 holds what no noise reaches (the text encoder),
stage i + 1 what needs the noise of stage i. Between stages the caller makes the noise, whose shape
is known by then. The cut also shares work: stage 0 is the same for all candidates of a text.

Only `RandomNormalLike` is handled; other random operators raise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tts_eval.errors import SynthesisError

CONSTANT = -1
_RANDOM_OPERATORS = {
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
    "Multinomial",
    "Bernoulli",
}


@dataclass(frozen=True, slots=True)
class NoiseNode:
    """One random node that became an input: `output` needs normal noise shaped like `like`."""

    like: str
    output: str
    mean: float
    scale: float

    def draw(self, tensors: Mapping[str, np.ndarray], random: np.random.Generator) -> np.ndarray:
        """Noise, float32, in the shape that the node asks for."""
        noise = random.standard_normal(tensors[self.like].shape, dtype=np.float32)
        return noise * np.float32(self.scale) + np.float32(self.mean)


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of the graph with a session of its own."""

    session: Any
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    noise: tuple[NoiseNode, ...]
    """What to draw after this stage."""

    def run(self, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The tensors that later stages, noise shapes or the caller need."""
        values = self.session.run(list(self.outputs), {name: tensors[name] for name in self.inputs})
        return dict(zip(self.outputs, values, strict=True))


def load_stages(path: Path) -> list[Stage]:
    """The stages of the model in `path`, in order; the last one yields the model's outputs.

    Sessions use one thread each: the result of a run then never depends on the number of cores,
    and several candidates run side by side instead.

    Raises:
        SynthesisError: the file is not an ONNX model, or has a random operator that cannot be fed.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(str(path))
        inferred = onnx.shape_inference.infer_shapes(model)
    except (DecodeError, OSError, RuntimeError, ValueError) as error:
        raise SynthesisError(f"{path} is not an ONNX voice ({error}). Expected a Piper .onnx file.") from error
    levels, noise = _levels(model)
    types = {
        value.name: value
        for value in [*inferred.graph.value_info, *inferred.graph.input, *inferred.graph.output]
        if value.type.HasField("tensor_type")
    }
    return [_stage(model, levels, noise, types, level) for level in range(max(levels.values(), default=0) + 1)]


def _levels(model: Any) -> tuple[dict[str, int], dict[int, list[NoiseNode]]]:
    """Level of each tensor, and the noise drawn after each level.

    The level is the number of noise draws that lie before a tensor; what needs no input at all
    (constants) is at -1 and is repeated in every stage that uses it.
    """
    import onnx

    levels: dict[str, int] = {value.name: 0 for value in model.graph.input}
    noise: dict[int, list[NoiseNode]] = {}
    for node in model.graph.node:
        level = max((levels.get(name, CONSTANT) for name in node.input), default=CONSTANT)
        attributes = {attribute.name: attribute for attribute in node.attribute}
        if node.op_type in _RANDOM_OPERATORS:
            if node.op_type != "RandomNormalLike" or level == CONSTANT:
                raise SynthesisError(f"The voice draws noise with {node.op_type} {node.name}, which cannot be fed.")
            mean, scale = (
                onnx.helper.get_attribute_value(attributes[name]) if name in attributes else default
                for name, default in (("mean", 0.0), ("scale", 1.0))
            )
            noise.setdefault(level, []).append(NoiseNode(node.input[0], node.output[0], mean, scale))
            level += 1
        if any(attribute.type == onnx.AttributeProto.GRAPH for attribute in attributes.values()):
            raise SynthesisError(f"The voice has a subgraph in {node.op_type} {node.name}, which cannot be cut.")
        levels.update(dict.fromkeys(node.output, level))
    return levels, noise


def _stage(
    model: Any, levels: Mapping[str, int], noise: Mapping[int, list[NoiseNode]], types: Mapping[str, Any], level: int
) -> Stage:
    import onnx

    drawn = noise.get(level, [])
    from_generator = {node.output for nodes in noise.values() for node in nodes}
    own = [
        node for node in model.graph.node if levels[node.output[0]] == level and node.output[0] not in from_generator
    ]
    made = {name for node in own for name in node.output}
    needed = {name for node in own for name in node.input}
    inputs = sorted(name for name in needed - made if levels.get(name, CONSTANT) != CONSTANT)
    elsewhere = {name for node in model.graph.node if levels[node.output[0]] > level for name in node.input}
    elsewhere |= {node.like for node in drawn} | {value.name for value in model.graph.output}
    outputs = sorted(made & elsewhere)

    constants: list[Any] = []
    for node in reversed(model.graph.node):  # nodes are in topological order: users come before what they use
        if levels[node.output[0]] == CONSTANT and needed.intersection(node.output):
            constants.insert(0, node)
            needed.update(node.input)
    graph = onnx.helper.make_graph(
        [*constants, *own],
        f"stage{level}",
        [types[name] for name in inputs],
        [types[name] for name in outputs],
        [tensor for tensor in model.graph.initializer if tensor.name in needed],
    )
    part = onnx.helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    return Stage(_session(part), tuple(inputs), tuple(outputs), tuple(drawn))


def _session(model: Any) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # warnings about constants that a stage does not use say nothing to a user
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
