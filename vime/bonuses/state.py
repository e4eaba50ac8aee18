"""Saving and loading of bonuses: what a state contains, and which differences make it unusable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from vime.errors import StateMismatchError
from vime.pool import TransitionPool
from vime.prediction_target import PredictionTarget
from vime.random_state import FencedRandom
from vime.serialization import (
    OPTIONS,
    State,
    entry,
    expect_options,
    nest,
    number,
    options_as_text,
    part_of,
    read_text,
    text,
    whole,
)
from vime.spaces import SpaceEncoder
from vime.whitening import Whitener


class Stateful(Protocol):
    """The attributes of :class:`vime.Bonus` that a saved state is made from."""

    name: ClassVar[str]
    score_options: ClassVar[tuple[str, ...]]
    fits: int
    unfitted: int
    owed: int
    target_size: int
    given: Tensor
    encode_obs: SpaceEncoder
    encode_action: SpaceEncoder
    prediction_target: PredictionTarget
    random: FencedRandom
    pool: TransitionPool
    input_whitener: Whitener
    target_whitener: Whitener

    def _model_state(self) -> State: ...

    def _load_model_state(self, state: State) -> None: ...


def whole_state(bonus: Stateful, version: int) -> State:
    """Return everything that later scores of ``bonus`` depend on, in the format ``version``."""
    own = {
        "format": number(version),
        "fits": number(bonus.fits),
        "unfitted": number(bonus.unfitted),
        "owed": number(bonus.owed),
        "sizes": torch.tensor(_sizes(bonus), dtype=torch.int64),
        "kind": text(bonus.name),
        OPTIONS: options_as_text(_options(bonus)),
    }
    state = nest(
        bonus=own | _selections(bonus),
        random=bonus.random.state_dict(),
        pool=bonus.pool.state_dict(),
        input_whitener=bonus.input_whitener.state_dict(),
        target_whitener=bonus.target_whitener.state_dict(),
        model=bonus._model_state(),
    )
    return state | {"bonus.entries": number(len(state) + 1)}


def _sizes(bonus: Stateful) -> list[int]:
    return [bonus.encode_obs.size, bonus.encode_action.size, bonus.target_size]


def _options(bonus: Stateful) -> dict[str, Any]:
    return {name: getattr(bonus, name) for name in bonus.score_options}


def _selections(bonus: Stateful) -> State:
    """Inputs and targets of the model as int64 vectors, which distinguish states of equal sizes.

    A function ``predict`` cannot be compared and is an empty vector.
    """
    predict = slice(None) if bonus.prediction_target.predict is None else bonus.prediction_target.predict
    part = predict.indices(bonus.encode_obs.size) if isinstance(predict, slice) else ()
    return {
        "given": bonus.given,
        "changes": bonus.prediction_target.changes.to(torch.int64),
        "predict": torch.tensor(part, dtype=torch.int64),
    }


def load_whole_state(bonus: Stateful, state: Mapping[str, Tensor], version: int) -> None:
    """Load what :func:`whole_state` saved. On failure raise StateMismatchError and leave ``bonus`` unchanged."""
    before = whole_state(bonus, version)
    try:
        _load(bonus, state, version)
    except Exception as error:
        _load(bonus, before, version)
        if isinstance(error, StateMismatchError):
            raise
        what = f"it lacks {error}" if isinstance(error, KeyError) else f"{type(error).__name__}: {error}"
        raise StateMismatchError(f"the state cannot be loaded into the bonus {bonus.name!r}: {what}") from error


def _load(bonus: Stateful, state: Mapping[str, Tensor], version: int) -> None:
    own, owner = part_of(state, "bonus"), f"the bonus {bonus.name!r}"
    kind, saved_in, sizes = read_text(own, "kind", owner), whole(own, "format", owner), entry(own, "sizes", owner)
    if kind != bonus.name:
        raise StateMismatchError(f"the state was saved by the bonus {kind!r}, this one is {bonus.name!r}")
    if saved_in != version:
        raise StateMismatchError(f"the state has format {saved_in}, this version reads format {version}")
    if sizes.tolist() != _sizes(bonus):
        raise StateMismatchError(
            f"the state was saved for (observation, action, target) sizes {sizes.tolist()}, this bonus has "
            f"{_sizes(bonus)}: build it with the saved one's spaces and predict="
        )
    expect_options(own, _options(bonus), owner)
    for key, present in _selections(bonus).items():
        if key == "predict" and key not in own:  # older states lack it
            continue
        saved = entry(own, key, owner)
        if saved.tolist() != present.tolist():
            option = "as_change" if key == "changes" else key
            raise StateMismatchError(
                f"the state was saved by a bonus with another {option}= (saved as {saved.tolist()[:8]}, this one has "
                f"{present.tolist()[:8]}): build it with the saved one"
            )
    bonus.pool.load_state_dict(part_of(state, "pool"))
    bonus.input_whitener.load_state_dict(part_of(state, "input_whitener"))
    bonus.target_whitener.load_state_dict(part_of(state, "target_whitener"))
    bonus._load_model_state(part_of(state, "model"))
    bonus.random.load_state_dict(part_of(state, "random"))
    bonus.fits, bonus.unfitted = whole(own, "fits", owner), whole(own, "unfitted", owner)
    bonus.owed = whole(own, "owed", owner) if "owed" in own else 0  # older states lack it
    if "entries" in own and len(state) < (entries := whole(own, "entries", owner)):
        raise StateMismatchError(f"the state of {owner} has {len(state)} of its {entries} entries: it is incomplete")
