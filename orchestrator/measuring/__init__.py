"""Judging pictures, whoever made them: what judges say of them, and figures over that."""
