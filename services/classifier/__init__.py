"""The classifier role: what pictures show."""
