"""The models that `service` can start, one row each.

A row says what the model is, under which licence, and where its file comes from; the weights say
their architecture, and a file in `services/ROLE/` of that name loads them. Adding a generator is
adding that file and a row here. A path to a safetensors file can stand for a name, and so can a
name that `orchestrator models add` gave to a file, any CLIP of open_clip as MODEL:TAG, and a
generator of a package of yours (docs/generator.md).

Sizes and SHA-256 are those of the official files; StyleGAN2's hold generator and discriminator, so
one fetched file becomes two models. BigGAN-deep's were published without digests.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from protocol.errors import BadRequestError, WeightsError
from protocol.naming import WEIGHTS, split_model, weights_path
from services.fetching.folder import added_models, models_folder

if TYPE_CHECKING:  # it would bring numpy, which `service models` does not need
    from collections.abc import Mapping

    from protocol.messages import Role

BUNDLED: Final = "bundled"
HUB: Final = "hub:"
NVIDIA: Final = "NVIDIA Source Code License-NC"
STYLEGAN2: Final = "https://nvlabs-fi-cdn.nvidia.com/stylegan2/networks/stylegan2-{}-config-f.pkl"
BIGGAN: Final = "https://s3.amazonaws.com/models.huggingface.co/biggan/biggan-deep-{}-{}"
OPEN_CLIP: Final = "open_clip"
TORCHVISION: Final = "torchvision"
REPOSITORY: Final = re.compile(r"[\w.-]+/[\w.-]+")
PACKAGE: Final = "package:"
GENERATORS: Final = "glasshouse.generators"  # the entry point group of users' own


@dataclass(frozen=True)
class Model:
    """One row of the catalogue.

    Attributes:
        name: what users type.
        role: which service can hold it.
        weights: a file in `miniatures/weights` or in the user's folder of models, or a path.
        about: one line for people.
        batch_rows: fixed number of rows in which it computes.
        space: latent spaces with their sizes; of a CLIP, the length of an embedding.
        resolution: pictures that it draws or takes, height x width.
        licence: of the weights.
        source: where the weights come from: `bundled`, an address, `hub:OWNER/REPOSITORY/FILE`,
            `open_clip` for what that library knows, `package:MODULE` for a generator of a user's
            own package, or empty for a user's own file.
        beside: what belongs to it: addresses, or files of the same repository.
        size_bytes: of the file at `source`; 0 where it was not published.
        sha256: of the same, 64 hex digits; empty where the hub says it or nobody does.
        open_clip: of a CLIP, open_clip's own name for it, MODEL:TAG.
        bar_rows: black rows above and below every picture of the published generator.
        options: what a user named behind it (`services/options.py`).
    """

    name: str
    role: Role
    weights: str
    about: str
    batch_rows: int = 16
    space: str = ""
    resolution: str = ""
    licence: str = "MIT"
    source: str = BUNDLED
    beside: tuple[str, ...] = ()
    size_bytes: int = 0
    sha256: str = ""
    open_clip: str = ""
    bar_rows: int = 0
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def place(self) -> Path:
        """Where its weights are, once they are on this machine."""
        folder = bundled_weights() if self.source == BUNDLED else models_folder()
        return folder / self.weights  # an absolute path stays as it is

    @property
    def here(self) -> bool:
        """Whether its weights are on this machine; those of packages are the packages' affair."""
        return self.source.startswith(PACKAGE) or self.place.is_file() or self._is_folder

    @property
    def _is_folder(self) -> bool:
        """Whether its place is a folder as the hub has classifiers, fetched to the end."""
        needed = ("config.json", "model.safetensors") if self.source else ("config.json",)
        return self.role == "classifier" and all((self.place / name).is_file() for name in needed)

    @property
    def path(self) -> Path:
        """The weights file.

        Raises:
            WeightsError: it is not there.
        """
        path = self.place
        if self.here:
            return path
        if self.source in {BUNDLED, ""}:
            raise WeightsError(
                f"the weights of {self.name} should be at {path}, but no file is there; "
                "check the path, or see what can be served: orchestrator models"
            )
        raise WeightsError(
            f"{self.name} is not on this machine; fetch it ({self.licence}) with: orchestrator "
            f"models pull {self.name}, or use a file of yours: orchestrator models add "
            f"{self.name} --file PATH"
        )


def _stylegan2(
    domain: str, about: str, resolution: str, size_bytes: int, sha256: str, bar_rows: int = 0
) -> tuple[Model, Model]:
    """The generator and the discriminator of one official file."""
    generator = Model(
        name=f"stylegan2-{domain}",
        role="generator",
        weights=f"stylegan2-{domain}.safetensors",
        about=f"StyleGAN2 config-f of {about}",
        batch_rows=4,
        space="z 512, w up to 512",
        resolution=resolution,
        licence=NVIDIA,
        source=STYLEGAN2.format(domain),
        size_bytes=size_bytes,
        sha256=sha256,
        bar_rows=bar_rows,
    )
    discriminator = replace(
        generator,
        name=f"{generator.name}-discriminator",
        role="discriminator",
        weights=f"{generator.name}-discriminator.safetensors",
        about=f"the discriminator of {generator.name}",
        space="",
    )
    return generator, discriminator


def _biggan(side: int) -> Model:
    return Model(
        name=f"biggan-deep-{side}",
        role="generator",
        weights=f"biggan-deep-{side}.safetensors",
        about="BigGAN-deep of the 1000 classes of ImageNet",
        batch_rows=8 if side == 512 else 32,
        space="z 128 + class 128",
        resolution=f"{side}x{side}",
        source=BIGGAN.format(side, "pytorch_model.bin"),
        beside=(BIGGAN.format(side, "config.json"),),
    )


MODELS = (
    Model(
        "mini-car",
        "generator",
        "mini-car.safetensors",
        "StyleGAN2 of 64x64 drawn cars, bundled",
        space="z 64, w 34",
        resolution="64x64",
    ),
    Model(
        "mini-face",
        "generator",
        "mini-face.safetensors",
        "StyleGAN2 of 64x64 drawn faces, bundled",
        space="z 64, w 53",
        resolution="64x64",
    ),
    Model(
        "mini-church",
        "generator",
        "mini-church.safetensors",
        "StyleGAN2 of 64x64 drawn churches, bundled",
        space="z 64, w 52",
        resolution="64x64",
    ),
    Model(
        "mini-biggan",
        "generator",
        "mini-biggan.safetensors",
        "BigGAN-deep of 29 kinds of 64x64 drawn things, bundled",
        space="z 128 + class 32",
        resolution="64x64",
    ),
    Model(
        "mini-clip",
        "clip",
        "mini-clip.safetensors",
        "CLIP of the drawn world, bundled",
        space="128",
        resolution="64x64",
    ),
    Model(
        "mini-judge-clip",
        "clip",
        "mini-judge-clip.safetensors",
        "a second CLIP of the drawn world, for judging what a search has grown; bundled",
        space="128",
        resolution="64x64",
    ),
    *(
        Model(
            f"mini-{domain}-discriminator",
            "discriminator",
            f"mini-{domain}-discriminator.safetensors",
            f"the discriminator of mini-{domain}, bundled",
            resolution="64x64",
        )
        for domain in ("car", "church", "face")
    ),
    Model(
        "mini-captions",
        "generator",
        "mini-captions.safetensors",
        "GPT-2 that writes captions of the drawn world, bundled",
        space="tokens 20",
    ),
    *(
        Model(
            f"mini-{domain}-classifier",
            "classifier",
            f"mini-{domain}-classifier.safetensors",
            f"reads drawn {what}, for judging; bundled",
            resolution="64x64",
        )
        for domain, what in (
            ("object", "things of all kinds"),
            ("car", "cars"),
            ("church", "churches"),
            ("face", "faces"),
        )
    ),
    *_stylegan2(
        "ffhq",
        "faces",
        "1024x1024",
        381_673_535,
        "adf127ea7bb8a7788c8bdeda3c9937f7310b669b09ecf799ca53a631ff46948d",
    ),
    *_stylegan2(
        "car",
        "cars",
        "384x512",
        364_027_523,
        "e1618eee2b3ce87c4a3849442f7850ef12a478556bff035c8e09ee7e23b3794c",
        bar_rows=64,
    ),
    *_stylegan2(
        "church",
        "churches",
        "256x256",
        357_418_027,
        "4090c5f83b44b83475c84864188aa39a0fb72694492302b7e6af36aad0d18104",
    ),
    *_stylegan2(
        "cat",
        "cats",
        "256x256",
        357_418_027,
        "08940fd616cfaf6bc7b0286b5d1a0b3f70febb26e136d64716c8d3f5e9bd3883",
    ),
    *_stylegan2(
        "horse",
        "horses",
        "256x256",
        357_418_027,
        "cbc73372c7d82d095913ca8b4b9f170560777175bd7c3b8a75dd55d70807f32b",
    ),
    _biggan(128),
    _biggan(256),
    _biggan(512),
    Model(
        name="gpt2",
        role="generator",
        weights="gpt2.safetensors",
        about="GPT-2 small, 20 tokens to a caption",
        batch_rows=25,
        space="tokens 20",
        source=f"{HUB}openai-community/gpt2/model.safetensors",
        size_bytes=548_105_171,
        beside=("config.json", "vocab.json", "merges.txt", "tokenizer.json"),
    ),
    Model(
        name="clip-vit-b32",
        role="clip",
        weights="clip-vit-b32.safetensors",
        about="OpenAI's CLIP ViT-B/32, that of CLIP-GLaSS and the thesis",
        space="512",
        resolution="224x224",
        source=f"{HUB}timm/vit_base_patch32_clip_224.openai/open_clip_model.safetensors",
        open_clip="ViT-B-32-quickgelu:openai",
    ),
)


def bundled_weights() -> Path:
    """The folder of the weights that come with Glasshouse."""
    spec = find_spec("miniatures")
    if spec is None or not spec.submodule_search_locations:
        raise WeightsError("the package miniatures is not installed; install Glasshouse again")
    return Path(next(iter(spec.submodule_search_locations)), "weights")


def all_models() -> list[Model]:
    """The rows of the catalogue, and what the user has added beside them."""
    known = {model.weights for model in MODELS}
    added = [
        Model(file.stem, role, file.name, "added by you", licence="yours to know", source="")
        for file, role in added_models()
        if file.name not in known
    ]
    own = [
        Model(
            point.name,
            "generator",
            "",
            f"a generator of {point.value}",
            licence="its package's",
            source=f"{PACKAGE}{point.value}",
        )
        for point in entry_points(group=GENERATORS)
    ]
    return [*MODELS, *added, *own]


def find_model(named: str, role: Role) -> Model:
    """The model that a user named, by catalogue name or by path, with the options behind it.

    Raises:
        BadRequestError: no such model, one of another role, or options that cannot be read.
    """
    name, options = split_model(named)
    return replace(_find_model(name, role), options=options)


def _find_model(name: str, role: Role) -> Model:
    path = weights_path(name)
    if path is not None and name.endswith(WEIGHTS):
        return Model(name, role, str(path.absolute()), "a file of yours", source="")
    models = all_models()
    for model in models:
        if model.name == name and model.role == role:
            return model
        if model.name == name:
            raise BadRequestError(
                f"{name} is a {model.role}, but a {role} was wanted; see: orchestrator models"
            )
    if role == "clip" and ":" in name:
        return open_clip_model(name)
    if role == "classifier" and (found := classifier_model(name)):
        return found
    known = [model.name for model in models if model.role == role]
    raise BadRequestError(
        f"there is no {role} model '{name}'; {role} models: {', '.join(known)}, "
        "or a path ending in .safetensors"
        + (", torchvision:NAME, a folder or OWNER/NAME of the hub" if role == "classifier" else "")
    )


def classifier_model(name: str) -> Model | None:
    """The row of a classifier of others: `torchvision:NAME`, a folder, or OWNER/NAME of the hub."""
    row = Model(name, "classifier", "", "a classifier of others", licence="see its source")
    if name.startswith(f"{TORCHVISION}:"):
        return replace(row, weights=f"{name}.safetensors", source=TORCHVISION)
    if Path(name).is_dir():
        return replace(row, weights=str(Path(name).absolute()), source="")
    if REPOSITORY.fullmatch(name):
        return replace(row, weights=name.replace("/", "--"), source=f"{HUB}{name}")
    return None


def open_clip_model(name: str) -> Model:
    """The row of a CLIP by open_clip's own name, MODEL:TAG; open_clip itself is asked at `pull`."""
    return Model(
        name=name,
        role="clip",
        weights=f"{name}.safetensors",
        about="a CLIP of open_clip",
        licence="see open_clip",
        source=OPEN_CLIP,
        open_clip=name,
    )
