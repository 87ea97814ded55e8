"""A network as an ONNX file for images of any size.

Weights keep their single precision. A compact network, no pixel of whose result depends on the whole image, is one
graph:

    image (n, c, h, w) -> shared (n, c', h, w)

So is a translator, for squares of the size that it was trained on alone, since its normalisation looks at all of them.

The paper's network is stored in three parts, so that large scenes fit in memory. The first and last layers of a U-Net
take the memory, its middle layers see far, and its attention uses means over the whole image. A window with a margin is
therefore never mapped like the same pixels of the whole scene. The graph holds the network in three parts without a
connection between them, so that a caller can run the outer parts window by window, the inner part on the whole scene,
and give every window the means of the scene:

    encode   image (n, c, h, w), weight -> stem (n, 32, h/2, w/2), features (n, 24, h/4, w/4)
    middle   features_in -> decoded (n, 64, h/4, w/4)
    decode   decoded_in, stem_in, weight_out -> shared (n, c', h, w)

``mean_0`` ... are the means that the attention measured, in the order in which they are needed; in the outer parts each
pixel counts with its weight (1, 1, h, w), and weights sum to 1. Where ``use_context`` (1,) is 1, the attention uses
``context`` (1, k), all means after one another, in their stead. The model's metadata say how many means each part has.
A part that is not wanted is given the smallest input, 32 by 32 pixels.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable

from midground.errors import DependencyError
from midground.training.networks import STRIDE_PX, SharedModalityUnet
from midground.training.translation.networks import Translator
from midground.training.weights import Network

try:
    import onnx
    import torch
    from torch import nn
    from torch.nn import functional
except ImportError as error:
    raise DependencyError("Exporting a network", extra="train") from error

OPSET = 17
_EXAMPLE_PX = 4 * STRIDE_PX
_FREE_SIZES = {
    "image": ("h", "w"),
    "weight": ("h", "w"),
    "stem": ("h_2", "w_2"),
    "features": ("h_4", "w_4"),
    "features_in": ("h_in_4", "w_in_4"),
    "decoded": ("h_in_4", "w_in_4"),
    "decoded_in": ("h_out_4", "w_out_4"),
    "stem_in": ("h_out_2", "w_out_2"),
    "weight_out": ("h_out", "w_out"),
    "shared": ("h_out", "w_out"),
}


class _Parts(nn.Module):
    """The three parts of a network side by side, with their means as inputs and outputs."""

    def __init__(self, network: SharedModalityUnet) -> None:
        super().__init__()
        self._network = network
        encode, middle, decode = network.global_means()
        self.means = [*encode, *middle, *decode]
        self.n_means = (len(encode), len(middle), len(decode))

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        image, weight, features_in, decoded_in, stem_in, weight_out, context, use_context = inputs
        given = torch.split(context, [mean.n_channels for mean in self.means], dim=1)
        measured: list[torch.Tensor] = []
        n_encode, n_middle, n_decode = self.n_means
        pools = [_weighted_mean(weight)] * n_encode + [_plain_mean] * n_middle + [_weighted_mean(weight_out)] * n_decode
        for mean, pool, part in zip(self.means, pools, given, strict=True):
            mean.replacement = _replaceable(pool, part, use_context, measured)
        stem, features = self._network.encode(image)
        decoded = self._network.middle(features_in)
        shared = self._network.decode(decoded_in, stem_in)
        for mean in self.means:
            mean.replacement = None
        return (stem, features, decoded, shared, *measured)


def _replaceable(
    pool: Callable[[torch.Tensor], torch.Tensor],
    given: torch.Tensor,
    use: torch.Tensor,
    measured: list[torch.Tensor],
) -> Callable[[torch.Tensor], torch.Tensor]:
    """A mean that is measured and noted, but replaced by the given one where ``use`` is 1."""

    def forward(features: torch.Tensor) -> torch.Tensor:
        mean = pool(features)
        measured.append(mean.reshape(-1, given.shape[1]))
        return mean + use * (given[:, :, None, None] - mean)

    return forward


def _plain_mean(features: torch.Tensor) -> torch.Tensor:
    return functional.adaptive_avg_pool2d(features, 1)


def _weighted_mean(weight: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    """The mean with weights for the pixels of the image, at whatever stride it is asked for."""

    def pool(features: torch.Tensor) -> torch.Tensor:
        stride = weight.shape[-1] // features.shape[-1]
        coarse = functional.avg_pool2d(weight, stride) * float(stride**2) if stride > 1 else weight
        return torch.matmul(features.flatten(2), coarse.flatten(2).transpose(1, 2))[..., None]

    return pool


def export_onnx(network: Network) -> bytes:
    """Write a network as an ONNX graph; the same network gives the same bytes.

    Args:
        network: In evaluation mode, on the CPU, with float32 weights.
    """
    if isinstance(network, SharedModalityUnet):
        return _export_parts(network)
    return _export_whole(network)


def _export_whole(network: Network) -> bytes:
    is_square = isinstance(network, Translator)
    side_px = network.window_px if is_square else _EXAMPLE_PX
    image = torch.zeros(1, network.in_channels, side_px, side_px)
    free = {0: "n"} if is_square else {0: "n", 2: "h", 3: "w"}
    model = trace(network.eval(), {"image": image}, ["shared"], {"image": free, "shared": free})
    return serialised(model)


def _export_parts(network: SharedModalityUnet) -> bytes:
    parts = _Parts(network.eval()).eval()
    image = torch.zeros(1, network.in_channels, _EXAMPLE_PX, _EXAMPLE_PX)
    weight = torch.full((1, 1, _EXAMPLE_PX, _EXAMPLE_PX), _EXAMPLE_PX**-2.0)
    with torch.inference_mode():
        stem, features = network.encode(image)
        decoded = network.middle(features)
    inputs = {
        "image": image,
        "weight": weight,
        "features_in": features,
        "decoded_in": decoded,
        "stem_in": stem,
        "weight_out": weight,
        "context": torch.zeros(1, sum(mean.n_channels for mean in parts.means)),
        "use_context": torch.zeros(1),
    }
    means = [f"mean_{index}" for index in range(len(parts.means))]
    axes = {name: {0: "n", 2: size[0], 3: size[1]} for name, size in _FREE_SIZES.items()}
    for name in ("weight", "weight_out"):
        del axes[name][0]
    outputs = ["stem", "features", "decoded", "shared", *means]
    model = trace(parts, inputs, outputs, axes | {name: {0: "n"} for name in means})
    _name_sizes(model, [mean.n_channels for mean in parts.means])
    onnx.helper.set_model_props(model, {"n_means": ",".join(map(str, parts.n_means))})
    return serialised(model)


def trace(
    module: nn.Module, inputs: dict[str, torch.Tensor], outputs: list[str], axes: dict[str, dict[int, str]]
) -> onnx.ModelProto:
    """The graph of a module.

    Args:
        module: In evaluation mode, on the CPU.
        inputs: Example of each input by name.
        outputs: Names of the results.
        axes: Names of the dimensions that stay free, by input or output.
    """
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.inference_mode():
        # torch announces that this exporter will go; the newer one needs a further package and writes no plainer graph.
        # The strides that it warns about as constants are constants of the network.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            tuple(inputs.values()),
            buffer,
            dynamo=False,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=outputs,
            dynamic_axes=axes,
            # The runtime folds constants when it loads the graph.
            do_constant_folding=False,
            training=torch.onnx.TrainingMode.PRESERVE,
        )
    return onnx.load_model_from_string(buffer.getvalue())


def serialised(model: onnx.ModelProto) -> bytes:
    """The content of a graph's file, once it is checked; the same graph gives the same bytes."""
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _name_sizes(model: onnx.ModelProto, n_channels: list[int]) -> None:
    """State the number of channels of each mean, which the exporter leaves open."""
    means = [output for output in model.graph.output if output.name.startswith("mean_")]
    for output, channels in zip(means, n_channels, strict=True):
        output.type.tensor_type.shape.dim[1].dim_value = channels
