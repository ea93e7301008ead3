"""What is typed as a target, as one vector that pictures are compared with."""

from pathlib import Path

import numpy as np

from orchestrator.evaluation.captioner import embed_picture, read_picture
from orchestrator.evaluation.evaluator import Float32, embed_text
from orchestrator.fleet.replicas import Replicas
from orchestrator.settings import RunSettings
from orchestrator.targets import read_part, read_prompts


def embed_target(clip: Replicas, settings: RunSettings) -> tuple[Float32, str]:
    """The target's vector, and the words under which scores for it are kept.

    The vector is sum(w_i e_i) / sum(|w_i|) over the unit embeddings e_i of all parts: the dot
    product with a picture's embedding is the weighted mean of its cosines to them.

    Returns:
        (d,) float32, no longer than 1; and the target as typed, with the digests of its pictures.

    Raises:
        GlasshouseError: clip refuses a prompt, or a picture cannot be read.
    """
    words, weights, embeddings = [], [], []
    for part in read_prompts(settings.prompt):
        text = settings.template.replace("{}", part.text)
        words.append(str(part) if text == part.text else f"{part} as {text}")
        weights.append(part.weight)
        embeddings.append(embed_text(clip, text))
    for like in settings.likes:
        part = read_part(like)
        picture, digest = read_picture(Path(part.text))
        words.append(f"picture {digest}:{part.weight:g}")
        weights.append(part.weight)
        embeddings.append(embed_picture(clip, picture))
    if weights == [1.0]:
        return embeddings[0], words[0]
    shares = np.array(weights, np.float64) / np.abs(weights).sum()
    target = (shares @ np.array(embeddings, np.float64)).astype(np.float32)
    return target, " | ".join(words)
