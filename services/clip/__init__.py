"""CLIP: texts and pictures to unit vectors in one space."""
