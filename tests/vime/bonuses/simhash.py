"""A bonus of a user's own: visit counts of hashed observations. The page docs/how-to/own-bonus.md shows this file."""

import torch

import vime
from vime.serialization import expect_like


class SimHash(vime.Bonus):
    """1 / sqrt(number of visits) of the hash of the next observation (Tang et al. 2017, "#Exploration", eq. 1)."""

    name = "simhash"
    score_name = "count_bonus"
    units = "1 / sqrt(visits)"
    predicts_change = False

    def __init__(self, observation_space, action_space, *, bits=12, **options):
        super().__init__(observation_space, action_space, **options)
        self.directions = torch.randn(self.target_size, bits, generator=self.random.generator)
        self.visits = torch.zeros(2**bits)

    def codes(self, batch):
        signs = self.whitened(batch)[1] @ self.directions > 0
        return signs.long() @ (2 ** torch.arange(signs.shape[1]))

    def _score(self, batch):
        return (self.visits[self.codes(batch)] + 1).rsqrt()

    def _fit(self, updates):
        codes = self.codes(self.pool.all())
        self.visits = torch.bincount(codes, minlength=len(self.visits)).float()
        return {"codes": float((self.visits > 0).sum())}

    def _model_state(self):
        return {"directions": self.directions, "visits": self.visits}

    def _load_model_state(self, state):
        expect_like(state, self._model_state(), "SimHash")
        self.directions, self.visits = state["directions"], state["visits"]
