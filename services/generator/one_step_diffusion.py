"""A one-step diffusion model as a generator: SD-Turbo (Sauer et al. 2023, arXiv 2311.17042).

Its latent space is the initial noise, standard normal, and an offset of the prompt's embedding, the
same for every token, in standard deviations of the embedding. The prompt itself is empty: what the
picture shows is for the search to find. Needs the extra `diffusion`, and the model's folder as
diffusers has it: fetched once by `hf download stabilityai/sd-turbo`, or at $GLASSHOUSE_SD_TURBO.

Also an example of a generator of one's own: see docs/generator.md.
"""

import os
from typing import Any, Final

import torch
from torch import Tensor

from protocol.errors import WeightsError
from protocol.latent import LatentSpace, Segment
from services.generator.own_role import Generator
from services.models.torchvision_ops import ensure_torchvision

REPOSITORY: Final = "stabilityai/sd-turbo"
FOLDER: Final = "GLASSHOUSE_SD_TURBO"
BOUND: Final = 5.0  # no search step comes near it


class SdTurbo(Generator):
    """SD-Turbo; 512x512 pictures, one step."""

    batch_rows = 4

    def latent_space(self) -> LatentSpace:
        """Noise of the U-Net's input size, then the offset of the embedding."""
        noise = self._channels * self._side**2
        return LatentSpace(
            "noise+prompt",
            (
                Segment("noise", "real", noise, -BOUND, BOUND, "normal"),
                Segment("offset", "real", self._prompt.shape[-1], -BOUND, BOUND, "normal"),
            ),
        )

    def load(self, device: torch.device) -> str:
        """Read the pipeline from this machine; nothing is fetched.

        Raises:
            WeightsError: diffusers or the model is not here.
        """
        where = os.environ.get(FOLDER, REPOSITORY)
        try:
            ensure_torchvision()  # transformers imports it
            import diffusers

            half = device.type == "cuda"
            load: Any = diffusers.StableDiffusionPipeline.from_pretrained
            pipe: Any = load(
                where,
                local_files_only=True,
                use_safetensors=True,
                safety_checker=None,
                dtype=torch.float16 if half else torch.float32,
            )
        except ImportError as error:
            raise WeightsError(
                "sd-turbo needs diffusers; install it with: pip install 'glasshouse[diffusion]'"
            ) from error
        except OSError as error:
            raise WeightsError(
                f"{where} is not on this machine; fetch it with: hf download {REPOSITORY}"
            ) from error
        pipe.set_progress_bar_config(disable=True)
        self._pipe: Any = pipe.to(device)
        config = pipe.unet.config
        self._channels, self._side = int(config.in_channels), int(config.sample_size)
        with torch.inference_mode():
            self._prompt: Tensor = pipe.encode_prompt("", device, 1, False)[0]  # noqa: FBT003 # no guidance
        return str(pipe.config.get("_name_or_path", where))

    def generate(self, genomes: Tensor) -> Tensor:
        """(n, size) float32 -> (n, 3, h, w), -1 to 1."""
        pixels = self._channels * self._side**2
        noise = genomes[:, :pixels].reshape(-1, self._channels, self._side, self._side)
        offset = genomes[:, None, pixels:].to(self._prompt) * self._prompt.std()
        pictures: Tensor = self._pipe(
            prompt_embeds=self._prompt + offset,
            latents=noise.to(self._prompt),
            num_inference_steps=1,
            guidance_scale=0.0,
            output_type="pt",
        ).images
        return pictures * 2 - 1
