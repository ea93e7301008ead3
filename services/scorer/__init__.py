"""The scorer service: a user's own judgement of pictures."""
