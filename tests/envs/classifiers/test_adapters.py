"""The user's own classifiers: adapted, queried in the user's units, counted, and refused with a reason."""

from __future__ import annotations

import sys
import textwrap
import warnings

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.svm import SVC

from envs import ManifoldError, UnknownNameError, make_world
from envs.classifiers import Classifier, adapt
from envs.classifiers.goals import GoalClassifier
from envs.datasets import Units
from envs.modalities.fitting import fit_units
from envs.reading.objects import load_object

SHAPE = (2, 3)
PICTURES = np.random.default_rng(0).random((40, *SHAPE)).astype(np.float32)
UNITS = Units("image", SHAPE)
X = torch.from_numpy(PICTURES)


def two(x: np.ndarray) -> np.ndarray:
    p = x.reshape(len(x), -1).mean(1)
    return np.stack([p, 1 - p], 1)


def wrap(classifier, **kwargs) -> Classifier:
    kwargs.setdefault("units", UNITS)
    return adapt(classifier, **kwargs)


class Net(torch.nn.Module):
    def __init__(self, shape=SHAPE, classes=3, dropout=0.0) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.drop = torch.nn.Dropout(dropout)
        self.out = torch.nn.Linear(6, classes)

    def forward(self, x):
        if tuple(x.shape[1:]) != self.shape:
            raise RuntimeError(f"expected {self.shape}, got {tuple(x.shape[1:])}")
        return self.out(self.drop(x.flatten(1)))


def test_a_torch_module_gives_logits_that_become_probabilities():
    net = Net()
    classifier = wrap(net, class_names=["a", "b", "c"])
    torch.testing.assert_close(classifier.predict_proba(X), net(X).softmax(1))
    assert classifier.queries == 40
    torch.testing.assert_close(classifier.torch_module(X), net(X))


def test_dropout_is_switched_off_in_queries_and_the_owners_mode_comes_back():
    net = Net(dropout=0.9)
    net.train()
    net.out.eval()
    classifier = wrap(net)
    assert classifier.predict_proba(X).equal(classifier.predict_proba(X))
    classifier.features(X)
    classifier.torch_module(X)
    assert (net.training, net.drop.training, net.out.training) == (True, True, False)
    net.eval()
    classifier.predict_proba(X)
    assert not net.drop.training


def test_the_owners_mode_comes_back_after_an_error():
    class Fails(Net):
        def forward(self, x):
            if len(x) > 1:
                raise ZeroDivisionError("on many rows")
            return super().forward(x)

    net = Fails().train()
    with pytest.raises(
        ManifoldError, match=r"failed on 40 rows of shape \(2, 3\): the torch module Fails raised ZeroDivisionError"
    ):
        wrap(net).predict_proba(X)
    assert net.training
    assert net.drop.training


def test_classes_of_a_torch_module_are_counted_where_they_have_no_names():
    assert wrap(Net(classes=5)).class_names == ["0", "1", "2", "3", "4"]


def test_the_declared_input_shape_is_what_the_module_sees():
    classifier = wrap(Net(shape=(1, 2, 3)), input_shape=(1, 2, 3))
    assert classifier.predict_proba(X).shape == (40, 3)
    net = Net(shape=(1, 2, 3))
    torch.testing.assert_close(wrap(net, input_shape=(1, 2, 3)).predict_proba(X), net(X[:, None]).softmax(1))


@pytest.mark.parametrize("names", [None, ["a", "b", "c"]])
def test_a_wrong_or_missing_input_shape_is_said(names):
    with pytest.raises(ManifoldError, match=r"\(1, 2, 3\); declare input_shape="):
        wrap(Net(shape=(1, 2, 3)), class_names=names)
    with pytest.raises(ManifoldError, match=r"input_shape \(1, 8, 8\) holds 64 values, the data 6"):
        wrap(Net(), input_shape=(1, 8, 8), class_names=names)


def test_a_torch_module_of_another_class_count_is_refused():
    with pytest.raises(ManifoldError, match="3 logits per row for 2 classes"):
        wrap(Net(), class_names=["a", "b"])


@pytest.mark.parametrize("output", [lambda x: x.flatten(1)[:, 0], lambda x: (x, x), lambda x: x])
def test_a_torch_module_that_gives_no_logit_rows_is_refused(output):
    class Odd(torch.nn.Module):
        def forward(self, x):
            return output(x)

    with pytest.raises(ManifoldError, match=r"must give logits \(rows, classes\)"):
        wrap(Odd(), class_names=["a", "b"])


def test_a_module_or_function_that_writes_to_its_input_changes_nothing():
    class Writes(Net):
        def forward(self, x):
            x -= 0.5
            return super().forward(x)

    def writes(x: np.ndarray) -> np.ndarray:
        p = two(x)
        x *= 0
        return p

    for classifier in (wrap(Writes()), wrap(writes, class_names=["a", "b"])):
        x = X.clone()
        first = classifier.predict_proba(x)
        assert x.equal(X)
        assert classifier.predict_proba(x).equal(first)


def test_answers_are_kept_though_the_function_uses_one_buffer_again():
    buffer = np.zeros((40, 2), dtype=np.float32)

    def reuses(x: np.ndarray) -> np.ndarray:
        buffer[: len(x)] = two(x)
        return buffer[: len(x)]

    classifier = wrap(reuses, class_names=["a", "b"])
    first = classifier.predict_proba(X)
    copy = first.clone()
    classifier.predict_proba(X.flip(0))
    assert first.equal(copy)
    before = buffer.copy()
    classifier._check(classifier._predict(X), 40)
    np.testing.assert_array_equal(before, two(PICTURES[::-1]).astype(np.float32))


FLOWERS = np.random.default_rng(1).normal(size=(120, 4)) * [1, 20, 0.01, 1e5] + [5, 0, 3, 1e6]
WORDS = np.where(FLOWERS[:, 0] > 5, "rose", np.where(FLOWERS[:, 1] > 0, "tulip", "daisy"))
TABLE = fit_units(FLOWERS)


def test_a_scikit_learn_estimator_with_string_labels():
    forest = RandomForestClassifier(20, random_state=0).fit(FLOWERS, WORDS)
    classifier = adapt(forest, units=TABLE)
    assert classifier.class_names == ["daisy", "rose", "tulip"]
    inside = TABLE.inward(FLOWERS)
    got = classifier.predict_proba(inside)
    agreement = (got.numpy() - forest.predict_proba(FLOWERS) < 1e-6).all(1).mean()
    assert agreement > 0.98  # a tree's threshold may fall between a value and its round trip
    assert not classifier.label_only


@pytest.mark.parametrize("labels", [WORDS, (WORDS == "rose").astype(int) + 5, WORDS == "rose", (WORDS == "rose") * 2.0])
def test_predict_alone_takes_labels_of_any_kind(labels):
    machine = SVC().fit(FLOWERS, labels)  # without probability=True
    assert not hasattr(machine, "predict_proba")
    classifier = adapt(machine, units=TABLE)
    assert classifier.label_only
    assert classifier.class_names == [str(label) for label in np.unique(labels)]
    got = np.array(classifier.class_names)[classifier.predict_proba(TABLE.inward(FLOWERS)).argmax(1)]
    assert (got == machine.predict(FLOWERS).astype(str)).mean() > 0.98


def test_class_names_rename_the_labels_of_predict_alone():
    machine = SVC().fit(FLOWERS, (WORDS == "rose").astype(int))
    classifier = adapt(machine, units=TABLE, class_names=["other", "rose"])
    assert classifier.class_names == ["other", "rose"]
    assert classifier.predict_proba(TABLE.inward(FLOWERS)).sum(1).tolist() == [1.0] * 120


def test_pictures_come_flat_to_scikit_learn_and_whole_to_functions():
    seen = []

    class Flat:
        classes_ = (0, 1)

        def predict_proba(self, x):
            seen.append(x.shape)
            return two(x)

    def function(x: np.ndarray) -> np.ndarray:
        seen.append(x.shape)
        return two(x)

    wrap(Flat()).predict_proba(X)
    wrap(Flat(), input_shape=(3, 2)).predict_proba(X)
    wrap(function, class_names="ab").predict_proba(X)
    wrap(function, class_names="ab", input_shape=(6,)).predict_proba(X)
    assert seen == [(40, 6), (40, 3, 2), (40, 2, 3), (40, 6)]


def test_an_object_by_name_is_found_from_the_present_folder(tmp_path, monkeypatch):
    (tmp_path / "my_own_models.py").write_text(
        textwrap.dedent("""
        import numpy as np

        class box:
            @staticmethod
            def classify(x):
                p = x.reshape(len(x), -1).mean(1)
                return np.stack([p, 1 - p], 1)

        broken = 3
        """)
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    classifier = wrap("my_own_models:box.classify", class_names=["a", "b"])
    np.testing.assert_allclose(classifier.predict_proba(X), two(PICTURES), rtol=1e-5)
    with pytest.raises(ManifoldError, match="a int is not a classifier"):
        wrap("my_own_models:broken", class_names=["a", "b"])
    with pytest.raises(ManifoldError, match="cannot load 'my_own_models:boks'"):
        wrap("my_own_models:boks")


@pytest.mark.parametrize("name", ["no_such_module:thing", "os:no_such_thing"])
def test_objects_that_are_not_there_are_named(name):
    with pytest.raises(ManifoldError, match=f"cannot load '{name}'.*run from the folder"):
        load_object(name)


@pytest.mark.parametrize("name", ["os", "os:", ":path", ""])
def test_a_name_of_another_form_is_refused(name):
    with pytest.raises(ManifoldError, match=r"write package\.module:object"):
        load_object(name)


@pytest.mark.parametrize(
    ("function", "match"),
    [
        (lambda x: 1.1 * two(x), "sum to 1 .*row .* sums to 1.1"),
        (lambda x: two(x) * [[2, 0]] - [[0, -1]], "must be >= 0 and sum to 1"),
        (lambda x: np.log(two(x)), "if these are logits, apply a softmax"),
        (lambda x: two(x) + np.array([[0.5, -0.5]]), "smallest value -"),
        (lambda x: two(x) * np.nan, "NaN or infinity"),
        (lambda x: two(x) * np.inf, "NaN or infinity"),
        (lambda x: 2 * two(x)[:, :1], r"one number per row.*must be the probability of 'b'"),
        (lambda x: two(x)[:, 0] - 1, r"one number per row, from -.*apply a sigmoid"),
        (lambda x: two(x)[:, 0] * np.nan, "NaN or infinity"),
        (lambda x: (two(x) + 0.4).clip(0, 1), "multi-label"),
        (lambda x: [two(x), two(x)], "multi-label"),
        (lambda x: [*two(x)[:, :1].tolist(), [0.5]], r"shape \(41, 1\)"),
        (lambda x: np.hstack([two(x), 0 * two(x)]), r"shape \(40, 4\) for 40 rows and 2 classes"),
        (lambda x: two(x)[:5], r"shape \(5, 2\) for 40 rows"),
        (lambda x: None, "failed on 40 rows|shape"),
        (lambda x: [["a", "b"]] * len(x), "failed on 40 rows"),
        (lambda x: x @ np.ones((5, 2)), "failed on 40 rows"),
    ],
)
def test_answers_that_are_no_probabilities_are_refused(function, match):
    classifier = wrap(function, class_names=["a", "b"])
    with pytest.raises(ManifoldError, match=match):
        classifier.predict_proba(X)


def test_nan_in_a_torch_modules_answer_is_refused():
    net = Net()
    net.out.bias.data[1] = torch.nan
    with pytest.raises(ManifoldError, match="NaN or infinity"):
        wrap(net).predict_proba(X)


@pytest.mark.parametrize(
    ("classifier", "kwargs", "match"),
    [
        (two, {}, "pass class_names="),
        (two, {"class_names": ["only"]}, "at least two classes"),
        (two, {"class_names": ["same", "same"]}, "must differ"),
        (SVC(), {}, "pass class_names=: SVC does not name its classes"),
        (two, {"class_names": ["a", "b"], "outputs": "scores"}, "unknown kind of outputs 'scores': did you mean 'score'"),
        (
            two,
            {"class_names": ["a", "b"], "outputs": "logits"},
            "outputs='logits' is for torch modules and ONNX models, not for a function",
        ),
        (Net(), {"outputs": "logit"}, "unknown kind of outputs 'logit': did you mean 'logits'"),
        (
            RandomForestClassifier(2, random_state=0).fit(FLOWERS, np.stack([FLOWERS[:, 0] > 5, FLOWERS[:, 1] > 3], axis=1)),
            {},
            r"pass class_names= \(--class-names A B \.\.\.\), the names of the labels that RandomForestClassifier predicts",
        ),
        (LogisticRegression, {}, "LogisticRegression is a class; pass a fitted instance"),
        (3.5, {"class_names": ["a", "b"]}, "a float is not a classifier"),
        (
            RandomForestClassifier(2, random_state=0).fit(FLOWERS, WORDS),
            {"class_names": ["a", "b"]},
            "2 class names .* for a classifier of 3",
        ),
    ],
)
def test_what_is_no_classifier_is_refused(classifier, kwargs, match):
    with pytest.raises(ManifoldError, match=match):
        wrap(classifier, **kwargs)


def test_a_regressor_dressed_as_a_classifier_is_found_out():
    line = LinearRegression().fit(FLOWERS, FLOWERS[:, 0])
    assert isinstance(adapt(line, units=TABLE), GoalClassifier)
    classifier = adapt(Predicts(line.predict), units=TABLE, class_names=["a", "b"])
    with pytest.raises(ManifoldError, match=r"not one of its classes.*pass outputs='score'"):
        classifier.predict_proba(TABLE.inward(FLOWERS))
    above = adapt(lambda rows: (line.predict(rows) > 5).astype(float), units=TABLE, class_names=["below", "above"])
    assert set(above.predict_proba(TABLE.inward(FLOWERS))[:, 1].tolist()) == {0.0, 1.0}


class Predicts:
    """An object with `predict` alone, as Keras' models and many others are."""

    def __init__(self, predict):
        self.predict = predict


def test_predict_that_gives_probabilities_is_taken_at_its_word():
    keras = adapt(Predicts(two), units=UNITS, class_names=["a", "b"], sample=X[:7])
    assert not keras.label_only
    assert keras.queries == 7, "rows that were looked at are counted"
    np.testing.assert_allclose(keras.predict_proba(X), two(PICTURES), rtol=1e-5)
    for column in (lambda x: two(x)[:, 1], lambda x: two(x)[:, 1:]):
        booster = adapt(Predicts(column), units=UNITS, class_names=["a", "b"], sample=X[:7])
        np.testing.assert_allclose(booster.predict_proba(X), two(PICTURES), rtol=1e-5)


@pytest.mark.parametrize("kind", [int, float, bool, np.uint8])
@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_numbered_labels_are_matched_with_class_names_by_position(kind, shape):
    labels = (PICTURES.reshape(40, -1).mean(1) > 0.5).astype(kind)
    classifier = adapt(
        Predicts(lambda x: labels[: len(x)].reshape(shape)), units=UNITS, class_names=["low", "high"], sample=X[:9]
    )
    assert classifier.label_only
    assert classifier.predict_proba(X).argmax(1).tolist() == labels.astype(int).tolist()


def test_labels_that_are_names_are_not_taken_for_positions():
    labels = np.array([1, 2, 2, 1] * 10)
    classifier = adapt(Predicts(lambda x: labels[: len(x)]), units=UNITS, class_names=["2", "1"])
    assert classifier.predict_proba(X).argmax(1).tolist() == [1, 0, 0, 1] * 10
    zeros = adapt(Predicts(lambda x: 0 * labels[: len(x)]), units=UNITS, class_names=["2", "1"])
    with pytest.raises(ManifoldError, match="label '0', not one of its classes"):
        zeros.predict_proba(X)


@pytest.mark.parametrize("share", [0.999, 0.99, 1.001])
def test_rounded_probabilities_are_taken_and_sum_to_one(share):
    classifier = wrap(lambda x: share * two(x), class_names=["a", "b"])
    torch.testing.assert_close(classifier.predict_proba(X).sum(1), torch.ones(40))


@pytest.mark.parametrize("columns", [slice(1, 2), 1])
def test_one_binary_column_is_the_second_class(columns):
    classifier = wrap(lambda x: two(x)[:, columns], class_names=["a", "b"])
    np.testing.assert_allclose(classifier.predict_proba(X), two(PICTURES), rtol=1e-5)


@pytest.mark.parametrize("error", [KeyError("age"), AttributeError("no scaler"), ZeroDivisionError("x"), RuntimeError()])
def test_whatever_the_users_function_raises_names_the_call_and_keeps_its_cause(error):
    def broken(x: np.ndarray) -> np.ndarray:
        raise error

    class Estimator:
        classes_ = (0, 1)
        predict_proba = staticmethod(broken)

    for classifier, call in ((wrap(broken, class_names="ab"), "the function broken"), (wrap(Estimator()), "of Estimator")):
        with pytest.raises(
            ManifoldError, match=rf"failed on 40 rows of shape \(.*\): .*{call} raised {type(error).__name__}"
        ) as seen:
            classifier.predict_proba(X)
        assert seen.value.__cause__ is error
        assert str(error) in str(seen.value)


# --- what a torch module gives -----------------------------------------------------------------------------------------


class Probabilities(Net):
    def forward(self, x):
        return 9 * super().forward(x) if self.raw else (9 * super().forward(x)).softmax(1)

    raw = False


def test_probabilities_of_a_torch_module_are_noticed_and_said_once():
    net = Probabilities()
    want = net(X).detach()
    classifier = wrap(net)
    with pytest.warns(UserWarning, match="Probabilities sum to 1 and are used as probabilities.*outputs='logits'"):
        torch.testing.assert_close(classifier.predict_proba(X), want)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.testing.assert_close(classifier.predict_proba(X), want)
        torch.testing.assert_close(classifier.torch_module(X).softmax(1), want)
        torch.testing.assert_close(wrap(Probabilities().requires_grad_(False), outputs="probabilities").torch_module(X).exp().sum(1),
                                   torch.ones(40))  # fmt: skip


def test_single_rows_of_probabilities_are_used_as_they_are_too():
    net = Probabilities()
    classifier = wrap(net)
    for row in X[:3].split(1):
        torch.testing.assert_close(classifier.predict_proba(row), net(row).detach())
    with pytest.warns(UserWarning, match="are used as probabilities"):
        classifier.predict_proba(X[3:4])


def test_what_a_torch_module_gives_can_be_declared():
    net = Probabilities()
    torch.testing.assert_close(wrap(net, outputs="logits").predict_proba(X), net(X).detach().softmax(1))
    net.raw = True
    with pytest.raises(ManifoldError, match="must be >= 0 and sum to 1"):
        wrap(net, outputs="probabilities").predict_proba(X)


def test_one_column_of_a_torch_module_has_to_be_declared():
    net = Net(classes=1)
    with pytest.raises(
        ManifoldError, match=r"one number per row for 2 classes.*outputs='probabilities'.*'b'.*outputs='logits'"
    ):
        wrap(net, class_names=["a", "b"])
    logit = wrap(net, class_names=["a", "b"], outputs="logits")
    want = net(X).sigmoid().detach()
    torch.testing.assert_close(logit.predict_proba(X), torch.cat([1 - want, want], 1))
    torch.testing.assert_close(logit.torch_module(X).softmax(1), torch.cat([1 - want, want], 1))
    chance = wrap(torch.nn.Sequential(net, torch.nn.Sigmoid()), class_names=["a", "b"], outputs="probabilities")
    torch.testing.assert_close(chance.predict_proba(X), torch.cat([1 - want, want], 1))
    torch.testing.assert_close(chance.torch_module(X).softmax(1), torch.cat([1 - want, want], 1))
    with pytest.raises(ManifoldError, match="must be the probability of 'b'"):
        wrap(
            torch.nn.Sequential(net, torch.nn.Threshold(9, 9)), class_names=["a", "b"], outputs="probabilities"
        ).predict_proba(X)


def test_a_float64_module_is_asked_in_float64():
    net = Net().double()
    p = wrap(net).predict_proba(X)
    assert p.dtype == torch.float32
    torch.testing.assert_close(p, net(X.double()).softmax(1).detach().float())
    assert wrap(net).torch_module(X.clone().requires_grad_()).requires_grad


def test_an_estimator_that_was_not_fitted_is_said():
    classifier = adapt(LogisticRegression(), units=TABLE, class_names=["a", "b"])
    with pytest.raises(ManifoldError, match="not fitted"):
        classifier.predict_proba(TABLE.inward(FLOWERS))


def test_one_class_only_is_said():
    with pytest.raises(ManifoldError, match="predicts 'b' for every reference row: there is no other class to walk to"):
        make_world(data=PICTURES, classifier=lambda x: two(0 * x), class_names=["a", "b"], manifold="pca", latent_dim=2)


def test_a_class_that_is_never_predicted_still_can_be_asked_for(toy_world):
    def two_of_three(x: np.ndarray) -> np.ndarray:
        return np.hstack([two(10 * (x - 0.5) + 0.5).clip(0, 1), 0 * two(x)[:, :1]])

    world = toy_world(
        classifier=lambda x: two_of_three(x) / two_of_three(x).sum(1, keepdims=True), class_names=["a", "b", "never"]
    )
    assert set(world.reference.label.tolist()) == {0, 1}
    assert np.isfinite([world.class_distance, world.step_length]).all()


def test_no_rows_ask_nothing():
    for classifier in (wrap(Net()), wrap(two, class_names="ab")):
        assert classifier.predict_proba(X[:0]).shape == (0, len(classifier.class_names))
        assert classifier.queries == 0


def test_a_classifier_is_taken_as_it_is():
    classifier = wrap(two, class_names="ab")
    assert wrap(classifier) is classifier


def test_class_index_takes_names_and_whole_numbers():
    classifier = wrap(two, class_names=["low", "high"])
    assert [classifier.class_index(k) for k in ("high", 0, np.int64(1), np.str_("low"))] == [1, 0, 1, 0]
    for wrong in ("hihg", 2, -1, 0.0, None):
        with pytest.raises(UnknownNameError, match="unknown class"):
            classifier.class_index(wrong)
