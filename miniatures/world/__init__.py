"""The world that the miniatures know: pictures of scenes, with captions and exact labels."""

from miniatures.world.captions import (
    UNCLAIMED,
    Caption,
    claims_hold,
    claims_of,
    describe,
    full_caption,
    random_mention,
    vocabulary,
)
from miniatures.world.sampling import hard_group, random_scene
from miniatures.world.scene import (
    ATTRIBUTES,
    CLASSES,
    FACE_ATTRIBUTES,
    KINDS,
    NOT_APPLICABLE,
    VALUES,
    Mask,
    Picture,
    Scene,
    is_held_out,
    render,
    render_all,
    render_with_mask,
)

__all__ = [
    "ATTRIBUTES",
    "CLASSES",
    "FACE_ATTRIBUTES",
    "KINDS",
    "NOT_APPLICABLE",
    "UNCLAIMED",
    "VALUES",
    "Caption",
    "Mask",
    "Picture",
    "Scene",
    "claims_hold",
    "claims_of",
    "describe",
    "full_caption",
    "hard_group",
    "is_held_out",
    "random_mention",
    "random_scene",
    "render",
    "render_all",
    "render_with_mask",
    "vocabulary",
]
