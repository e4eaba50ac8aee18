"""ONNX models as classifiers: by file and by session, tables by column or as one tensor, pictures, logits, and their errors."""

from __future__ import annotations

import sys

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from envs import ManifoldError, make_world
from envs.classifiers import adapt
from envs.classifiers.onnx_model import OnnxModel
from envs.modalities.fitting import fit_units

IRIS = load_iris()
X = IRIS.data.astype(np.float32)


def saved(model, path):
    path.write_bytes(model.SerializeToString())
    return str(path)


def linear(shape, classes, *, batch="n", softmax=False):
    """A model by hand: flatten, multiply, and perhaps a softmax."""
    size = int(np.prod(shape))
    weights = np.random.default_rng(0).normal(size=(size, classes)).astype(np.float32)
    nodes = [helper.make_node("Flatten", ["x"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["logits"])]
    nodes += [helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1)] if softmax else []
    last = "probabilities" if softmax else "logits"
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, *shape])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, [batch, classes])],
        [numpy_helper.from_array(weights, "w")],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), weights


def people(n=200):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"age": rng.integers(18, 80, n), "city": rng.choice(["Bonn", "Rome", "Oslo"], n), "income": rng.normal(50, 9, n)}
    )
    return frame, np.where(frame.age + 20 * (frame.city == "Rome") > 50, "yes", "no")


@pytest.mark.parametrize("zipmap", [True, False])
def test_one_tensor_of_numbers_gives_the_models_own_probabilities(zipmap, tmp_path):
    forest = RandomForestClassifier(20, random_state=0).fit(X, IRIS.target)
    path = saved(to_onnx(forest, X[:1], options={"zipmap": zipmap}, target_opset=17), tmp_path / "iris.onnx")
    world = make_world(data=X, classifier=path, progress=False)
    assert world.class_names == ["0", "1", "2"]
    p = world.classifier.predict_proba(*world.units.entered(X[:50]))
    np.testing.assert_allclose(p.numpy(), forest.predict_proba(X[:50]), atol=1e-6)
    assert world.round_trip is not None
    assert world.round_trip.agreement == 1.0


def test_named_classes_come_from_the_model_or_are_asked_for(tmp_path):
    labels = np.array(["setosa", "versicolor", "virginica"])[IRIS.target]
    model = LogisticRegression().fit(X, labels)
    named = saved(to_onnx(model, X[:1], target_opset=17), tmp_path / "named.onnx")
    assert make_world(data=X, classifier=named, progress=False).class_names == list(model.classes_)
    plain = saved(to_onnx(model, X[:1], options={"zipmap": False}, target_opset=17), tmp_path / "plain.onnx")
    with pytest.raises(ManifoldError, match="pass class_names="):
        make_world(data=X, classifier=plain, progress=False)
    assert make_world(data=X, classifier=plain, class_names=list(model.classes_), progress=False).classes == 3


def test_class_names_in_another_order_than_the_scores_are_refused(tmp_path):
    labels = np.array(["setosa", "versicolor", "virginica"])[IRIS.target]
    model = to_onnx(LogisticRegression().fit(X, labels), X[:1], options={"zipmap": False}, target_opset=17)
    path = saved(model, tmp_path / "m.onnx")
    with pytest.raises(ManifoldError, match="in the order of the scores"):
        make_world(data=X, classifier=path, class_names=["virginica", "versicolor", "setosa"], progress=False)


def test_an_input_for_each_column_is_found_by_its_name(tmp_path):
    frame, truth = people()
    encoded = ColumnTransformer([("c", OneHotEncoder(), ["city"]), ("n", StandardScaler(), ["income", "age"])])
    pipeline = make_pipeline(encoded, LogisticRegression()).fit(frame, truth)
    types = [
        ("income", FloatTensorType([None, 1])),
        ("city", StringTensorType([None, 1])),
        ("age", Int64TensorType([None, 1])),
    ]
    path = saved(to_onnx(pipeline, initial_types=types, target_opset=17), tmp_path / "people.onnx")
    world = make_world(data=frame, classifier=path, progress=False)
    assert world.class_names == ["no", "yes"]
    p = world.classifier.predict_proba(*world.units.entered(frame))
    np.testing.assert_allclose(p.numpy(), pipeline.predict_proba(frame), atol=1e-5)
    with pytest.raises(ManifoldError, match=r"lacks \['income'\]"):
        make_world(data=frame.drop(columns="income"), classifier=path, progress=False)


def test_a_live_session_is_accepted(tmp_path):
    model, weights = linear((4,), 3)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    classifier = adapt(session, units=fit_units(X), class_names=IRIS.target_names)
    units = fit_units(X)
    p = classifier.predict_proba(*units.entered(X))
    np.testing.assert_allclose(p.numpy(), torch.from_numpy(X @ weights).softmax(1).numpy(), atol=1e-5)
    assert classifier.outputs == "logits"
    assert classifier.queries == 150


@pytest.mark.parametrize("shape", [(8, 8), (1, 8, 8), (8, 8, 1), (64,)])
@pytest.mark.parametrize("batch", ["n", 1, 7])
def test_pictures_in_the_shape_and_batch_that_the_model_declares(shape, batch):
    model, weights = linear(shape, 5, batch=batch, softmax=True)
    pictures = np.random.default_rng(1).random((23, 8, 8)).astype(np.float32)
    units = fit_units(pictures)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    classifier = adapt(session, units=units, class_names=range(5))
    p = classifier.predict_proba(units.inward(pictures))
    expected = torch.from_numpy(pictures.reshape(23, 64) @ weights).softmax(1)
    torch.testing.assert_close(p, expected, atol=1e-5, rtol=0)


def test_colours_are_moved_to_the_axis_that_the_model_declares():
    pictures = np.random.default_rng(1).integers(0, 256, (9, 6, 5, 3)).astype(np.uint8)
    model, weights = linear((3, 6, 5), 2)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    units = fit_units(pictures, pixel_range=(0, 255))
    p = adapt(session, units=units, class_names=[0, 1]).predict_proba(units.inward(pictures))
    flat = np.moveaxis(pictures, -1, 1).reshape(9, -1).astype(np.float32)
    torch.testing.assert_close(p, torch.from_numpy(flat @ weights).softmax(1), atol=1e-4, rtol=0)


def test_data_of_another_shape_are_refused_with_both_shapes():
    session = onnxruntime.InferenceSession(linear((5,), 3)[0].SerializeToString(), providers=["CPUExecutionProvider"])
    with pytest.raises(ManifoldError, match=r"takes rows of shape \(5\), the data's are \(4,\)"):
        adapt(session, units=fit_units(X))


def test_a_number_that_an_input_would_cut_is_refused():
    frame = pd.DataFrame({"a": [1.5, 2.0, 3.0], "b": [1, 2, 3]})
    part = [helper.make_tensor_value_info(name, TensorProto.INT64, ["n", 1]) for name in "ab"]
    nodes = [
        helper.make_node("Concat", ["a", "b"], ["both"], axis=1),
        helper.make_node("Cast", ["both"], ["scores"], to=TensorProto.FLOAT),
    ]
    graph = helper.make_graph(nodes, "g", part, [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 2])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    with pytest.raises(ManifoldError, match=r"'a' takes whole numbers, and got 1\.5"):
        OnnxModel(session)(frame)
    missing = pd.DataFrame({"a": [None, 2, 3], "b": [1, 2, 3]}, dtype=object)
    with pytest.raises(ManifoldError, match="has no missing value"):
        OnnxModel(session)(missing)


def test_errors_name_the_file_and_the_extra(tmp_path, monkeypatch):
    with pytest.raises(ManifoldError, match=r"no ONNX model .*nowhere\.onnx"):
        make_world(data=X, classifier=str(tmp_path / "nowhere.onnx"), progress=False)
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a model")
    with pytest.raises(ManifoldError, match=r"onnxruntime cannot open .*broken\.onnx"):
        make_world(data=X, classifier=str(broken), progress=False)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ManifoldError, match=r"pip install 'manifold-traversal\[onnx\]'"):
        make_world(data=X, classifier=str(broken), progress=False)


def test_weights_in_another_file_are_not_read(tmp_path):
    model, _ = linear((4,), 3)
    path = tmp_path / "outside.onnx"
    onnx.save(model, str(path), save_as_external_data=True, location="w.bin", size_threshold=0)
    assert (tmp_path / "w.bin").is_file()
    with pytest.raises(ManifoldError, match="save the model in one file"):
        make_world(data=X, classifier=str(path), progress=False)


def test_a_saved_world_notices_another_file(tmp_path):
    from agents.runs.world_record import build_world, describe_world

    path = saved(to_onnx(LogisticRegression().fit(X, IRIS.target), X[:1], target_opset=17), tmp_path / "m.onnx")
    np.savez(tmp_path / "iris.npz", x=X)
    record = describe_world(make_world(data=str(tmp_path / "iris.npz"), classifier=path, manifold="pca", progress=False))
    assert record["classifier_sha256"] == OnnxModel.read(path).sha256
    assert build_world(record).classifier.sha256 == record["classifier_sha256"]
    saved(to_onnx(LogisticRegression(C=0.01).fit(X, IRIS.target), X[:1], target_opset=17), tmp_path / "m.onnx")
    with pytest.raises(ValueError, match="classifier sha256: saved"):
        build_world(record)


def test_a_regressor_has_a_score(tmp_path):
    from sklearn.linear_model import LinearRegression

    model = LinearRegression().fit(X, IRIS.target)
    path = saved(to_onnx(model, X[:1], target_opset=17), tmp_path / "score.onnx")
    world = make_world(data=X, classifier=path, outputs="score", manifold="pca", query={"cache": True}, progress=False)
    outputs = world.classifier.outputs(*world.units.entered(X[:50]))
    np.testing.assert_allclose(outputs[:, 0], model.predict(X[:50]), atol=1e-4)
    assert world.classifier.sha256 is not None
