"""The bag of words: features in a fixed order, saved files, refusals."""

from __future__ import annotations

import numpy as np
import pytest

from envs.classifiers.bag_of_words import BagOfWords, features
from envs.errors import ManifoldError

TEXTS = ["good film", "bad film", "good soup here", "bad soup here"]
TRUTH = [1, 0, 1, 0]


def test_features_are_sorted_so_that_sums_do_not_depend_on_pythons_hash_seed():
    found = features("the film was the best film", ngrams=2)
    assert found == sorted(set(found))
    assert {"the", "the film", "the best"} < set(found)


def test_a_saved_classifier_predicts_the_same(tmp_path):
    model = BagOfWords.fit(TEXTS, TRUTH, ["bad", "good"], ngrams=2)
    model.save(tmp_path)
    again = BagOfWords.load(tmp_path)
    np.testing.assert_array_equal(again.predict_proba(TEXTS), model.predict_proba(TEXTS))
    assert model.predict_proba(TEXTS).argmax(1).tolist() == TRUTH


@pytest.mark.parametrize(
    ("truth", "least", "match"), [([0, 0, 0, 0], 1, "at least two classes"), (TRUTH, 5, "no word occurs in 5 of the 4 texts")]
)
def test_impossible_fits_are_refused(truth, least, match):
    with pytest.raises(ManifoldError, match=match):
        BagOfWords.fit(TEXTS, truth, ["bad", "good"], least=least)
