"""The gradient is asked for of the very view that is scored."""

from types import SimpleNamespace

import numpy as np
from msgspec import UNSET

from orchestrator.evaluation.gradients import Differentiator
from orchestrator.fleet.ensemble import Ensemble
from protocol.messages import (
    ClipInfo,
    Generate,
    Gradients,
    LatentGradient,
    Method,
    Pictures,
    Reply,
    SimilarityGradient,
)
from protocol.session import Answer
from protocol.slots import SlotReader
from protocol.tensors import TensorWriter

PICTURE, VIEW = (6, 8, 3), (4, 4, 3)


class Answering:
    """Stands for the services of one role: keeps what it is asked, and answers with ones."""

    def __init__(self, about: object = None) -> None:
        self.info = SimpleNamespace(batch_rows=2, about=about, model="m")
        self.asked: list[Method] = []

    def call(self, method: Method, _: object) -> Answer:
        self.asked.append(method)
        writer = TensorWriter()
        result: Pictures | Gradients
        if isinstance(method, Generate):
            rows = method.genomes.shape[0]
            images, views = (np.ones((rows, *one), np.uint8) for one in (PICTURE, VIEW))
            result = Pictures(writer.add(images), writer.add(views))
        else:
            assert isinstance(method, SimilarityGradient | LatentGradient)
            of = method.images if isinstance(method, SimilarityGradient) else method.genomes
            result = Gradients(writer.add(np.ones(of.shape, np.float32)))
        return Answer(Reply(bytes(16), "m", 0.0, 0.0, result), writer.frames, SlotReader())


def test_the_view_is_made_as_that_clip_wants_it() -> None:
    generator = Answering()
    clip = Answering(ClipInfo(VIEW[0], 5, 12, resizing="squash-bilinear"))
    ensemble = Ensemble(generator, clip)  # type: ignore[arg-type] # stands for services
    asking = Differentiator(ensemble, np.ones(5, np.float32), "z", 0.5, UNSET)
    found = asking.gradients(np.zeros((3, 7), np.float32))
    np.testing.assert_array_equal(found, -np.ones((3, 7)))
    assert [type(one) for one in generator.asked] == [Generate, LatentGradient] * 2
    for asked in generator.asked:
        assert isinstance(asked, Generate | LatentGradient)
        view = (asked.space, asked.truncation_psi, asked.clip_size, asked.resizing)
        assert view == ("z", 0.5, 4, "squash-bilinear")
