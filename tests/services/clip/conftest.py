"""These tests compare with open_clip itself, whose import may need the cure first."""

from services.models.torchvision_ops import ensure_torchvision

ensure_torchvision()
