"""Profiles: `fixed`, the default, and `legacy`, which does what the papers did, faults and all.

A profile says which algorithm a name stands for, how clip looks at pictures, what realism costs,
and which picture of a front is offered in the end. docs/profiles.md names every difference and its
reason, and what of the papers' behaviour no profile brings back.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from protocol.errors import ConfigError
from protocol.messages import Preprocessing

Pick = Literal["knee", "pseudo-weights"]


@dataclass(frozen=True)
class Profile:
    """One way to do what two can differ in.

    Attributes:
        name: how it is chosen.
        algorithms: what the name of an algorithm stands for, where that is another one.
        spaces: latent spaces to prefer to a generator's usual one, where it has them.
        preprocessing: how clip looks at pictures.
        hinge: realism costs max(0, 1 - logit) instead of softplus(-logit).
        pick: which picture of a front is the champion.
        whitening: captions are compared with a picture where random captions are white.
    """

    name: str
    algorithms: Mapping[str, str] = field(default_factory=dict)
    spaces: tuple[str, ...] = ()
    preprocessing: Preprocessing = msgspec.UNSET
    hinge: bool = False
    pick: Pick = "knee"
    whitening: bool = False

    def algorithm(self, name: str) -> str:
        """The algorithm that `name` stands for."""
        return self.algorithms.get(name, name)


FIXED = Profile("fixed", whitening=True)
LEGACY = Profile(
    "legacy",
    algorithms={"ga": "glass-ga", "nsga2": "glass-nsga2", "de": "thesis-de"},
    spaces=("z+bits",),
    preprocessing="legacy",
    hinge=True,
    pick="pseudo-weights",
)
PROFILES = {profile.name: profile for profile in (FIXED, LEGACY)}


def find_profile(name: str) -> Profile:
    """The profile of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in PROFILES:
        raise ConfigError(f"--profile is one of {', '.join(PROFILES)}, not '{name}'")
    return PROFILES[name]
