"""The shared latent space of sentences."""

from __future__ import annotations

import torch

from envs.manifolds.edits.codes import contrasts, fit_codes


def test_contrasts_are_orthonormal_and_sum_to_zero():
    for classes in (2, 3, 5):
        basis = contrasts(classes)
        torch.testing.assert_close(basis.T @ basis, torch.eye(classes - 1))
        torch.testing.assert_close(basis.sum(0), torch.zeros(classes - 1), atol=1e-6, rtol=0)


def test_codes_predict_the_classifier(edits):
    p = edits.expected(edits.encode(edits.corpus.long())).exp()
    torch.testing.assert_close(p.sum(1), torch.ones(len(p)))
    found = edits.vocabulary.ids(["the soup is awful", "the soup is wonderful"])
    assert edits.expected(edits.encode(found)).argmax(1).tolist() == [0, 1]


def test_codes_have_unit_variance_over_the_corpus(edits):
    scale = edits.encode(edits.corpus.long()).std(0)
    torch.testing.assert_close(scale, torch.ones_like(scale), atol=0.02, rtol=0)


def test_an_unknown_word_adds_nothing(edits):
    one, two = edits.vocabulary.ids(["the soup is awful", "the soup is zyzzy awful"])
    gains = edits.codes.gains
    assert gains[1].abs().max() == 0
    assert edits.encode(two[None]).isfinite().all()
    assert not torch.equal(one, two)


def test_fits_of_three_classes():
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(4, 12, (60, 6), generator=generator)
    predictions = torch.rand(60, 3, generator=generator).softmax(1)
    codes = fit_codes(ids, predictions, torch.randn(12, 8, generator=generator), meanings=4)
    assert codes(ids).shape == (60, 6)
    torch.testing.assert_close(codes.expected(codes(ids)).exp().sum(1), torch.ones(60))
