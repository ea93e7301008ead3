"""Writers of the foreign formats, as their own projects write them, from networks of ours.

The classes that NVIDIA's code pickles are stood in for by modules of the same names, which exist
only while a pickle is written; what comes out has the same globals, opcodes and layout.
"""

import argparse
import contextlib
import pickle
import re
import sys
import types
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from services.models.stylegan2 import Generator, GeneratorConfig
from services.models.stylegan2_discriminator import Discriminator, DiscriminatorConfig

Tensors = dict[str, Tensor]
Network = TypeVar("Network", Generator, Discriminator)


def randomised(network: Network, seed: int) -> Network:
    """Weights of unit size without a zero anywhere, so that a forgotten bias or noise shows."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if not name.endswith("resample_filter"):
                tensor.copy_(torch.randn(tensor.shape, generator=generator))
            if name.endswith("affine.bias"):
                tensor.add_(1.0)
            if "mapping.fc" in name:
                tensor.div_(network.config.mapping_lr_multiplier)
    return network.eval().requires_grad_(requires_grad=False)


def generator(seed: int = 0, **config: Any) -> Generator:
    shape = {"resolution": 16, "z_dim": 6, "w_dim": 8, "mapping_layers": 2, "widths": (8, 6, 4)}
    return randomised(Generator(GeneratorConfig(**{**shape, **config})), seed)


def discriminator(seed: int = 1, **config: Any) -> Discriminator:
    shape = {"resolution": 16, "widths": (8, 6, 4), "cmap_dim": 5, "mapping_layers": 2}
    return randomised(Discriminator(DiscriminatorConfig(**{**shape, **config})), seed)


# NVIDIA's PyTorch pickles


class Persistent:
    """An object that reduces to source code and state, as torch_utils.persistence makes them."""

    def __init__(self, class_name: str, state: dict[str, Any], source: str) -> None:
        self.meta = {
            "type": "class",
            "version": 6,
            "module_src": source,
            "class_name": class_name,
            "state": state,
        }

    def __reduce__(self) -> tuple[Any, ...]:
        persistence = sys.modules["torch_utils.persistence"]
        easy = sys.modules["dnnlib.util"].EasyDict
        return persistence._reconstruct_persistent_obj, (easy(self.meta),)


def module(
    tensors: Tensors, class_name: str, source: str, attributes: Callable[[str], dict[str, Any]]
) -> Persistent:
    """The persistent module whose parameters and buffers have these names."""
    root = nn.Module()
    children: dict[str, Tensors] = {}
    for name, tensor in tensors.items():
        first, _, rest = name.partition(".")
        if rest:
            children.setdefault(first, {})[rest] = tensor
        elif name in {"w_avg", "noise_const", "resample_filter"}:
            root.register_buffer(name, tensor.clone())
        else:
            root.register_parameter(name, nn.Parameter(tensor.clone(), requires_grad=False))
    if class_name == "Conv2dLayer":
        root.register_parameter("missing", None)  # as `skip.bias` is
    state = {
        "_init_args": (),
        "_init_kwargs": {},
        **root.__dict__,
        **attributes(class_name),
        "weight_gain": np.float64(0.125),
        "in_size": np.array([16, 16]),
        "_modules": OrderedDict(
            (name, module(below, _class_of(name), source, attributes))
            for name, below in children.items()
        ),
    }
    return Persistent(class_name, state, source)


def _class_of(name: str) -> str:
    names = {"synthesis": "SynthesisNetwork", "mapping": "MappingNetwork", "skip": "Conv2dLayer"}
    return names.get(name, "SynthesisBlock" if re.fullmatch(r"b\d+", name) else "SynthesisLayer")


def nvidia_torch(
    g: Generator,
    d: Discriminator | None,
    source: str,
    protocol: int = 4,
    *,
    channels_last: bool = False,
    augment: Any = None,
) -> bytes:
    """A training pickle of stylegan2-ada-pytorch; `G` differs from `G_ema`."""

    def attributes(class_name: str) -> dict[str, Any]:
        clamp = {"conv_clamp": g.config.conv_clamp, "activation": "lrelu"}
        gain = {"bias_gain": g.config.mapping_lr_multiplier, "activation": "lrelu"}
        return {"SynthesisLayer": {**clamp, **gain}}.get(class_name, {"use_fp16": channels_last})

    def strided(tensors: Tensors) -> Tensors:
        last = torch.channels_last
        return {
            name: t.contiguous(memory_format=last) if channels_last and t.ndim == 4 else t
            for name, t in tensors.items()
        }

    ema = strided(g.state_dict())
    content = {
        "training_set_kwargs": {"class_name": "training.dataset.ImageFolderDataset"},
        "G": module({name: t + 1 for name, t in ema.items()}, "Generator", source, attributes),
        "D": d and module(strided(d.state_dict()), "Discriminator", source, attributes),
        "G_ema": module(ema, "Generator", source, attributes),
        "augment_pipe": augment,
    }
    with foreign_modules():
        return pickle.dumps(content, protocol)


# NVIDIA's TensorFlow pickles


def nvidia_tensorflow(
    g: Generator, d: Discriminator | None, source: str, protocol: int = 4, *, alone: bool = False
) -> bytes:
    """(G, D, Gs), where G differs from Gs; or Gs alone."""
    with foreign_modules():
        gs = tf_generator(g, source)
        if alone:
            return pickle.dumps(gs, protocol)
        assert d is not None
        return pickle.dumps(
            (tf_generator(g, source, 1.0), tf_discriminator(d, source), gs), protocol
        )


def tf_network(name: str, source: str, variables: dict[str, Any], **more: Any) -> Any:
    network = sys.modules["dnnlib.tflib.network"].Network()
    network.__dict__.update(
        version=4,
        name=name,
        static_kwargs=more.get("static_kwargs", {}),
        components=more.get("components", {}),
        build_module_src=source,
        build_func_name=name,
        variables=list(variables.items()),
    )
    return network


def tf_generator(g: Generator, source: str, offset: float = 0.0) -> Any:
    mapping: dict[str, Any] = {}
    synthesis: dict[str, Any] = {"lod": np.float32(0)}
    tensors = {name: (tensor + offset).numpy() for name, tensor in g.state_dict().items()}
    for name, value in tensors.items():
        if match := re.fullmatch(r"mapping\.fc(\d+)\.(\w+)", name):
            mapping[f"Dense{match[1]}/{match[2]}"] = value.T
        elif match := re.fullmatch(r"mapping\.embed\.(\w+)", name):
            mapping[f"LabelEmbed/{match[1]}"] = value.T
        elif match := re.fullmatch(r"synthesis\.b(\d+)\.(.*)", name):
            found = tf_synthesis_variable(int(match[1]), match[2], value)
            synthesis.update([found] if found else [])
    kwargs = {
        "truncation_psi": 0.5,
        "conv_clamp": g.config.conv_clamp,
        "mapping_lrmul": g.config.mapping_lr_multiplier,
        "resolution": g.config.resolution,
        "truncation_cutoff": g.config.truncation_cutoff,
        "resample_kernel": [1, 3, 3, 1],
    }
    return tf_network(
        "G_main",
        source,
        {"lod": np.float32(0), "dlatent_avg": tensors["mapping.w_avg"]},
        static_kwargs=kwargs,
        components={
            "synthesis": tf_network("G_synthesis_stylegan2", source, synthesis),
            "mapping": tf_network("G_mapping", source, mapping),
        },
    )


def tf_synthesis_variable(resolution: int, name: str, value: Any) -> tuple[str, Any] | None:
    """Inverse of the rules in research on the format: flips, transposes, bias minus one."""
    folder = f"{resolution}x{resolution}"
    layer, _, part = name.partition(".")
    theirs = {"conv0": "Conv0_up", "conv1": "Conv" if resolution == 4 else "Conv1"}
    theirs |= {"torgb": "ToRGB", "skip": "Skip"}
    if name == "const":
        return f"{folder}/Const/const", value[None]
    if part == "noise_const":
        power = resolution.bit_length() - 1
        return f"noise{power * 2 - (5 if layer == 'conv0' else 4)}", value[None, None]
    if part == "weight":
        turned = value.transpose(2, 3, 1, 0)
        turned = turned[::-1, ::-1] if layer == "conv0" else turned
        return f"{folder}/{theirs[layer]}/weight", np.ascontiguousarray(turned)
    renamed = {"bias": value, "noise_strength": value}
    if part in renamed:
        return f"{folder}/{theirs[layer]}/{part}", value
    if part.startswith("affine"):
        own = value.T if part.endswith("weight") else value - 1
        return f"{folder}/{theirs[layer]}/mod_{part.removeprefix('affine.')}", own
    return None  # the resampling filter


def tf_discriminator(d: Discriminator, source: str) -> Any:
    variables: dict[str, Any] = {"lod": np.float32(0)}
    layers = {"fromrgb": "FromRGB", "conv0": "Conv0", "conv1": "Conv1_down", "skip": "Skip"}
    heads = {"b4.fc": "4x4/Dense0", "b4.out": "Output", "mapping.embed": "LabelEmbed"}
    for name, tensor in d.state_dict().items():
        path, _, part = name.rpartition(".")
        value = tensor.numpy()
        if part == "resample_filter":
            continue
        if path in heads or path.startswith("mapping.fc"):
            theirs = heads.get(path, path.replace("mapping.fc", "Mapping"))
            variables[f"{theirs}/{part}"] = value.T
            continue
        block, layer = path.split(".")
        resolution = block[1:]
        theirs = {**layers, "conv": "Conv"}[layer]
        own = value.transpose(2, 3, 1, 0) if part == "weight" else value
        variables[f"{resolution}x{resolution}/{theirs}/{part}"] = np.ascontiguousarray(own)
    kwargs = {"conv_clamp": d.config.conv_clamp, "mapping_lrmul": d.config.mapping_lr_multiplier}
    return tf_network("D_stylegan2", source, variables, static_kwargs=kwargs)


@contextlib.contextmanager
def foreign_modules() -> Iterator[None]:
    """`dnnlib` and `torch_utils` as far as pickling looks at them, for a while."""
    network = type("Network", (), {"__module__": "dnnlib.tflib.network"})
    easy = type("EasyDict", (dict,), {"__module__": "dnnlib.util"})

    def reconstruct(meta: Any) -> None:
        raise AssertionError(f"a pickle was executed: {meta}")

    reconstruct.__module__ = "torch_utils.persistence"
    reconstruct.__name__ = reconstruct.__qualname__ = "_reconstruct_persistent_obj"
    contents: dict[str, dict[str, Any]] = {
        "dnnlib": {},
        "dnnlib.util": {"EasyDict": easy},
        "dnnlib.tflib": {},
        "dnnlib.tflib.network": {"Network": network},
        "torch_utils": {},
        "torch_utils.persistence": {"_reconstruct_persistent_obj": reconstruct},
    }
    for name, content in contents.items():
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__dict__.update(content)
    try:
        yield
    finally:
        for name in contents:
            del sys.modules[name]


# rosinality's and CLIP-GLaSS's files


def rosinality(path: Path, g: Generator, d: Discriminator | None, *, zipped: bool = True) -> None:
    """A training checkpoint, options and optimiser state included."""
    content: dict[str, Any] = {
        "g": {},
        "g_ema": rosinality_generator(g),
        "g_optim": {"state": {0: {"step": 1}}, "param_groups": [{"lr": 0.002}]},
        "latent_avg": g.mapping.w_avg,
        "args": argparse.Namespace(size=g.config.resolution),
    }
    if d is not None:
        content["d"] = rosinality_discriminator(d)
    torch.save(content, path, _use_new_zipfile_serialization=zipped)


def rosinality_generator(g: Generator) -> Tensors:
    state: Tensors = OrderedDict()
    for name, tensor in g.state_dict().items():
        block = re.fullmatch(r"synthesis\.b(\d+)\.(.*)", name)
        if match := re.fullmatch(r"mapping\.fc(\d+)\.(\w+)", name):
            state[f"style.{int(match[1]) + 1}.{match[2]}"] = tensor
        elif block:
            place = int(block[1]).bit_length() - 3
            state.update(rosinality_layer(place, block[2], tensor))
    return state


def rosinality_layer(place: int, name: str, tensor: Tensor) -> Tensors:
    """`place` is 0 at 4x4."""
    layer, _, part = name.partition(".")
    if name == "const":
        return {"input.input": tensor[None]}
    prefix = {"conv0": f"convs.{2 * place - 2}", "conv1": f"convs.{2 * place - 1}"}
    prefix["torgb"] = f"to_rgbs.{place - 1}"
    if place == 0:
        prefix = {"conv1": "conv1", "torgb": "to_rgb1"}
    if layer == "resample_filter":
        return {}
    if part == "resample_filter":
        return {f"{prefix[layer]}.conv.blur.kernel": tensor} if layer == "conv0" else {}
    if part == "noise_const":
        index = 2 * place - (1 if layer == "conv0" else 0)
        return {f"noises.noise_{index}": tensor[None, None]}
    if layer == "torgb" and part == "bias":
        return {f"{prefix[layer]}.bias": tensor[None, :, None, None]}
    theirs, value = {
        "weight": ("conv.weight", tensor[None]),
        "bias": ("activate.bias", tensor),
        "noise_strength": ("noise.weight", tensor.reshape(-1)),
        "affine.weight": ("conv.modulation.weight", tensor),
        "affine.bias": ("conv.modulation.bias", tensor),
    }[part]
    return {f"{prefix[layer]}.{theirs}": value}


def rosinality_discriminator(d: Discriminator) -> Tensors:
    state: Tensors = OrderedDict()
    highest = d.config.resolution
    for name, tensor in d.state_dict().items():
        path, _, part = name.rpartition(".")
        if part == "resample_filter":
            continue
        block, layer = path.split(".")
        index = (highest // int(block[1:])).bit_length()
        second = {"weight": 0, "bias": 1}[part]
        theirs = {
            "fromrgb": f"convs.0.{second}",
            "conv0": f"convs.{index}.conv1.{second}",
            "conv1": f"convs.{index}.conv2.{second + 1}",
            "skip": f"convs.{index}.skip.1",
            "conv": f"final_conv.{second}",
            "fc": "final_linear.0",
            "out": "final_linear.1",
        }[layer]
        state[f"{theirs}.{part}"] = tensor
    return state


def clip_glass_generator(path: Path, g: Generator) -> None:
    mapping: Tensors = {}
    synthesis: Tensors = {"upsample.weight": torch.ones(1, 1, 1, 1)}
    for name, tensor in g.state_dict().items():
        if match := re.fullmatch(r"mapping\.fc(\d+)\.(\w+)", name):
            layer = ".layer" if match[2] == "weight" else ""
            mapping[f"main.{match[1]}{layer}.{match[2]}"] = tensor
        elif match := re.fullmatch(r"synthesis\.b(\d+)\.(.*)", name):
            block = int(match[1]).bit_length() - 3
            found = clip_glass_variable(block, match[2], tensor)
            synthesis.update([found] if found else [])
    content = {
        "name": "Generator",
        "kwargs": {"dlatent_avg_beta": 0.995},
        "state_dict": OrderedDict(dlatent_avg=g.mapping.w_avg, layer_psi=torch.ones(1, 6, 1)),
        "G_mapping": {"name": "GeneratorMapping", "kwargs": {}, "state_dict": mapping},
        "G_synthesis": {"name": "GeneratorSynthesis", "kwargs": {}, "state_dict": synthesis},
    }
    torch.save(content, path)


def clip_glass_variable(block: int, name: str, tensor: Tensor) -> tuple[str, Tensor] | None:
    layer, _, part = name.partition(".")
    if name == "const":
        return "const", tensor
    if layer == "skip" and part == "weight":
        return f"conv_blocks.{block}.projection.weight", tensor
    if layer == "torgb":
        theirs, inner = f"to_data_layers.{block}", "layer"
    else:
        index = 1 if layer == "conv1" and block else 0
        theirs, inner = f"conv_blocks.{block}.conv_block.{index}", "layer.layer"
    names = {
        "bias": "bias",
        "noise_strength": "layer.weight",
        "weight": f"{inner}.weight",
        "affine.weight": f"{inner}.dense.layer.weight",
        "affine.bias": f"{inner}.dense.bias",
    }
    if part not in names:
        return None  # the noise is not written; filters have other names
    value = tensor.reshape(-1) if part == "noise_strength" else tensor
    return f"{theirs}.{names[part]}", value


def clip_glass_discriminator(path: Path, d: Discriminator) -> None:
    state: Tensors = {}
    last = len(d.config.resolutions)
    for name, tensor in d.state_dict().items():
        route, _, part = name.rpartition(".")
        if part == "resample_filter":
            continue
        block, layer = route.split(".")
        place = last + 3 - int(block[1:]).bit_length()
        theirs = {
            "fromrgb": f"from_data_layers.{place}",
            "conv0": f"conv_blocks.{place}.conv_block.0",
            "conv1": f"conv_blocks.{place}.conv_block.1",
            "skip": f"conv_blocks.{place}.projection",
            "conv": f"conv_blocks.{last}.1.conv_block.0",
            "fc": "dense.0",
            "out": "dense.1",
        }[layer]
        inner = "" if part == "bias" or layer == "skip" else ".layer"
        state[f"{theirs}{inner}.{part}"] = tensor
    torch.save({"name": "Discriminator", "kwargs": {}, "state_dict": state}, path)
