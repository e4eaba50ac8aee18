"""A loaded run constructs no optimizer until it is trained."""

import subprocess
import sys

import pytest
import torch

from agents.training.deferred_optimizer import DeferredAdam

LOAD = """
import sys
import agents
explainer = agents.Explainer.load("runs/example")
explainer.explain(explainer.world.reference.x[7])
heavy = ("torch._dynamo", "sklearn", "scipy.stats", "pandas", "matplotlib")
assert not (found := [name for name in heavy if name in sys.modules]), found
"""


def test_steps_equal_adams() -> None:
    ours, theirs = (torch.nn.Parameter(torch.tensor([1.0, -2.0])) for _ in range(2))
    deferred, adam = DeferredAdam([ours], lr=0.1, eps=1e-5), torch.optim.Adam([theirs], lr=0.1, eps=1e-5)
    for _ in range(5):
        for parameter, optimizer in ((ours, deferred), (theirs, adam)):
            optimizer.zero_grad()
            parameter.square().sum().backward()
            optimizer.step()
    assert torch.equal(ours, theirs)
    assert deferred.state_dict()["param_groups"] == adam.state_dict()["param_groups"]


def test_a_generator_of_parameters_is_kept() -> None:
    weight = torch.nn.Parameter(torch.ones(1))
    deferred = DeferredAdam(parameter for parameter in [weight])
    assert deferred.param_groups[0]["params"] == [weight]
    assert deferred.param_groups[0]["params"] == [weight]
    with pytest.raises(AttributeError, match="nothing"):
        deferred.nothing  # noqa: B018


def test_loading_and_explaining_imports_no_compiler_and_no_learning_library() -> None:
    subprocess.run([sys.executable, "-c", LOAD], check=True)
