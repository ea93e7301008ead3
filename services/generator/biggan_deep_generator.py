"""BigGAN-deep generators (Brock et al. 2019, arXiv 1809.11096).

Three latent spaces, all with z, a standard normal within -2 and 2:

* `z+embedding`, the usual one: z and q, the class's embedding whitened, so that steps are of one
  size everywhere: embedding = mean + C^(1/2) q, with mean and covariance C of the embeddings of all
  classes. A fresh one is as far from the mean as a class is, and between classes.
* `z+mixture`: three classes, and how much there is of each; a fresh one is mostly one class.
* `z+bits`: 1,000 bits and the softmax over them, as CLIP-GLaSS has it. It can express no class: one
  bit alone makes 0.27 % of the mixture. For comparisons with its tables.

A class that is fixed (`class=207`, `class=tabby_cat+tiger_cat` for equal parts of several) leaves
the space `z` alone. Names are those in the card of the weights, or else ImageNet's.

psi multiplies z and chooses the statistics of batch norm, which end at 1.
"""

import difflib
from collections.abc import Sequence

import torch
from torch import Tensor

from protocol.errors import BadRequestError
from protocol.latent import LatentSpace, Segment
from services.models.biggan import BigGAN, read_config
from services.models.biggan_folded import FoldedBigGAN, Maps
from services.models.checkpoints import Checkpoint, fit_tensors
from services.models.torchvision_ops import ensure_torchvision
from services.options import DTYPES, ConvolutionKind, Precision

Z_BOUND = 2.0  # where the released networks' z is cut
Q_BOUND = 4.0  # in standard deviations; every class lies within
MIXED = 3
SHARPNESS = 4.0  # of weights from N(0, 1): the first of three has about nine tenths
BIT_PROBABILITY = 0.005  # of CLIP-GLaSS
IMAGENET = 1000


class BigGANDeep:
    """A BigGAN-deep generator behind the generator role."""

    def __init__(self, network: BigGAN, maps: Maps, classes: Sequence[int] = ()) -> None:
        """`classes` are fixed, in equal parts; without any they are searched for."""
        config = network.config
        self.height = self.width = config.output_dim
        self._z_dim = config.z_dim
        self._embeddings = network.embeddings.weight.detach().T.contiguous()
        self._mean, self._root = whitening(self._embeddings)
        self._draw = FoldedBigGAN(network, maps)
        last = config.num_classes - 1
        z = Segment("z", "real", config.z_dim, -Z_BOUND, Z_BOUND, "truncated_normal")
        q = Segment("q", "real", config.class_embed_dim, -Q_BOUND, Q_BOUND, "truncated_normal")
        mixed = Segment("classes", "categorical", MIXED, 0, last, "uniform")
        weights = Segment("weights", "real", MIXED, -Z_BOUND, Z_BOUND, "truncated_normal")
        bits = Segment("bits", "binary", config.num_classes, 0, 1, "uniform", BIT_PROBABILITY)
        self.spaces: tuple[LatentSpace, ...] = (
            LatentSpace("z+embedding", (z, q)),
            LatentSpace("z+mixture", (z, mixed, weights)),
            LatentSpace("z+bits", (z, bits)),
        )
        if classes:
            self._fixed = self._embeddings[list(classes)].mean(0)
            self.spaces = (LatentSpace("z", (z,)),)

    def draw(self, space: str, genomes: Tensor, truncation_psi: float) -> Tensor:
        """(n, size) float32 -> (n, 3, r, r) float32."""
        z, rest = genomes[:, : self._z_dim], genomes[:, self._z_dim :]
        condition = torch.cat([z * truncation_psi, self._embedding(space, rest)], dim=1)
        return self._draw(condition, min(truncation_psi, 1.0))

    def _embedding(self, space: str, genes: Tensor) -> Tensor:
        """(n, class_embed_dim) from the genes that say the class."""
        if space == "z":
            return self._fixed.expand(len(genes), -1)
        if space == "z+embedding":
            return self._mean + genes @ self._root
        if space == "z+bits":
            return genes.softmax(dim=1) @ self._embeddings
        last = len(self._embeddings) - 1
        classes = genes[:, :MIXED].round().long().clamp(0, last)
        shares = (genes[:, MIXED:] * SHARPNESS).softmax(dim=1)
        return (shares[:, :, None] * self._embeddings[classes]).sum(dim=1)


def whitening(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (d,) of (n, d) rows, and the symmetric root (d, d) of their covariance."""
    exact = rows.double()
    mean = exact.mean(0)
    covariance = (exact - mean).T @ (exact - mean) / len(exact)
    variances, axes = torch.linalg.eigh(covariance)
    root = (axes * variances.clamp(min=0).sqrt()) @ axes.T
    return mean.to(rows.dtype), root.to(rows.dtype)


def find_classes(words: str, count: int, names: Sequence[str] = ()) -> list[int]:
    """The classes that are named by numbers or by their names, joined by +.

    Args:
        words: as a user types them; empty for none.
        count: how many classes there are.
        names: of all of them; of a thousand that have none, open_clip's for ImageNet.

    Raises:
        BadRequestError: there is no such class.
    """
    return [_find_class(word.strip(), count, names) for word in words.split("+")] if words else []


def _find_class(word: str, count: int, names: Sequence[str]) -> int:
    if word.isascii() and word.isdigit():
        if int(word) < count:
            return int(word)
        raise BadRequestError(f"there is no class {word}; the classes are 0 to {count - 1}")
    if not names and count == IMAGENET:
        names = _names()
    known = [name.replace("_", " ").lower() for name in names]
    wanted = word.replace("_", " ").lower()
    if wanted in known:
        return known.index(wanted)
    near = difflib.get_close_matches(wanted, known, n=3)
    advice = f"did you mean {' or '.join(near)}" if near else f"give a number, 0 to {count - 1}"
    raise BadRequestError(f"there is no class '{word}'; {advice}")


def _names() -> list[str]:
    ensure_torchvision()
    from open_clip import IMAGENET_CLASSNAMES

    return list(IMAGENET_CLASSNAMES)


def load(
    checkpoint: Checkpoint,
    device: torch.device,
    *,
    precision: Precision = "float32",
    class_: str = "",
    convolution: ConvolutionKind = "direct",
) -> BigGANDeep:
    """The generator in a checkpoint.

    Args:
        checkpoint: what its file held.
        device: where to draw.
        precision: of the feature maps.
        class_: the classes to draw; searched for if empty.
        convolution: of maps in float32.

    Raises:
        BadRequestError: there is no such class.
        ValueError: its configuration or tensors are not those of a BigGAN-deep generator.
    """
    with torch.device("meta"):  # its tensors come from the checkpoint
        network = BigGAN(read_config(checkpoint.config))
    fit_tensors(network, checkpoint.tensors, "a BigGAN generator", assign=True)
    winograd = convolution == "winograd"
    channels_last = precision != "float32" or winograd
    maps = Maps(DTYPES[precision], channels_last=channels_last, winograd=winograd)
    names = checkpoint.card.get("classes", ())
    classes = find_classes(class_, network.config.num_classes, names)
    network.eval().requires_grad_(requires_grad=False)
    return BigGANDeep(network.to(device), maps, classes)
