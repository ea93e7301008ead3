"""What a genome scores is its own affair."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.evaluation.evaluator import cosines


@given(st.integers(1, 40), st.sampled_from([1, 7, 64, 512, 1000]), st.integers(0, 99))
def test_a_row_is_as_similar_alone_as_in_any_batch(rows: int, size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    embeddings = rng.standard_normal((rows, size)).astype(np.float32)
    target = rng.standard_normal(size).astype(np.float32)
    found = cosines(embeddings, target)
    alone = [cosines(embeddings[row : row + 1], target)[0] for row in range(rows)]
    assert found.tolist() == alone
    assert cosines(np.asfortranarray(embeddings[::-1]), target).tolist() == alone[::-1]
    wanted = embeddings.astype(np.float64) @ target.astype(np.float64)
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)
