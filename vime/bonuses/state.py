"""What of a bonus is saved, and what a saved one must agree in before this one goes on from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from vime.serialization import (
    OPTIONS,
    State,
    StateMismatchError,
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

if TYPE_CHECKING:
    from vime.bonuses.base import Bonus


def whole_state(bonus: Bonus, version: int) -> State:
    """Everything that decides the later scores of ``bonus``, in the format ``version``."""
    own = {
        "format": number(version),
        "fits": number(bonus.fits),
        "unfitted": number(bonus.unfitted),
        "sizes": torch.tensor(_sizes(bonus), dtype=torch.int64),
        "kind": text(bonus.name),
        OPTIONS: options_as_text(_options(bonus)),
    }
    state = nest(
        bonus=own | _places(bonus),
        random=bonus.random.state_dict(),
        pool=bonus.pool.state_dict(),
        input_whitener=bonus.input_whitener.state_dict(),
        target_whitener=bonus.target_whitener.state_dict(),
        model=bonus._model_state(),
    )
    return state | {"bonus.entries": number(len(state) + 1)}


def _sizes(bonus: Bonus) -> list[int]:
    return [bonus.encode_obs.size, bonus.encode_action.size, bonus.target_size]


def _options(bonus: Bonus) -> dict[str, Any]:
    return {name: getattr(bonus, name) for name in bonus.score_options}


def _places(bonus: Bonus) -> State:
    """What the model looks at, as int64 vectors: they tell states of equal sizes apart.

    A function given as ``predict`` cannot be compared; it is an empty one.
    """
    predict = slice(None) if bonus.seen.predict is None else bonus.seen.predict
    part = predict.indices(bonus.encode_obs.size) if isinstance(predict, slice) else ()
    return {
        "given": bonus.given,
        "changes": bonus.seen.changes.to(torch.int64),
        "predict": torch.tensor(part, dtype=torch.int64),
    }


def load_whole_state(bonus: Bonus, state: Mapping[str, Tensor], version: int) -> None:
    """Make ``bonus`` what :func:`whole_state` saved; StateMismatchError, and the bonus as before, where that fails."""
    before = whole_state(bonus, version)
    try:
        _load(bonus, state, version)
    except Exception as error:
        _load(bonus, before, version)
        if isinstance(error, StateMismatchError):
            raise
        what = f"it lacks {error}" if isinstance(error, KeyError) else f"{type(error).__name__}: {error}"
        raise StateMismatchError(f"the state cannot be loaded into the bonus {bonus.name!r}: {what}") from error


def _load(bonus: Bonus, state: Mapping[str, Tensor], version: int) -> None:
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
    for key, present in _places(bonus).items():
        if key == "predict" and key not in own:  # older states do not say
            continue
        saved = entry(own, key, owner)
        if saved.tolist() != present.tolist():
            option = "as_change" if key == "changes" else key
            raise StateMismatchError(
                f"the state was saved by a bonus with another {option}= (noted as {saved.tolist()[:8]}, this one's as "
                f"{present.tolist()[:8]}): build it with that"
            )
    bonus.pool.load_state_dict(part_of(state, "pool"))
    bonus.input_whitener.load_state_dict(part_of(state, "input_whitener"))
    bonus.target_whitener.load_state_dict(part_of(state, "target_whitener"))
    bonus._load_model_state(part_of(state, "model"))
    bonus.random.load_state_dict(part_of(state, "random"))
    bonus.fits, bonus.unfitted = whole(own, "fits", owner), whole(own, "unfitted", owner)
    if "entries" in own and len(state) < (entries := whole(own, "entries", owner)):
        raise StateMismatchError(f"the state of {owner} has {len(state)} of its {entries} entries: it is incomplete")
