"""The API: sessions, budgets, wrong input, and what the server refuses."""

from __future__ import annotations

import http.client
import io
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import envs
from agents.app.security import Guard
from agents.explainer import Explainer
from agents.replay import compare
from agents.trajectories.trajectory import Trajectory
from tests.agents.app.conftest import Visitor

LEARN = {"min_pool": 64, "updates": 5}  # so that a short training fits the curiosity's network


def png(*size: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((size[1], size[0]), 128, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def test_a_walk_by_map_keys_and_sliders_is_counted_and_saved(visitor: Visitor, tmp_path: Path) -> None:
    answer = visitor.post("input", kind="row", value=3)
    assert (answer["used"], answer["walk"]["queries"]) == (2, 2)
    visitor.post("move", x=0.4, y=0.6)
    visitor.post("along", right=1, up=0)
    answer = visitor.post("direction", direction=0, value=1.0)
    assert answer["walk"]["by"] == ["", "hand", "hand", "hand"]
    assert answer["used"] == 5
    status, headers, content = visitor.send("POST", "/api/download/npz")
    assert status == 200
    assert 'filename="hand-0003-6-to-1.npz"' in headers["content-disposition"]
    (tmp_path / "path.npz").write_bytes(content)
    path = Trajectory.load(tmp_path / "path.npz")
    assert path.walker == "hand"
    assert compare(path, envs.make_world(data="digits")).reproduced
    for kind, start in (("png", b"\x89PNG"), ("gif", b"GIF"), ("pdf", b"%PDF"), ("json", b"{")):
        assert visitor.send("POST", f"/api/download/{kind}")[2].startswith(start)


def test_a_step_on_the_map_goes_towards_the_place(visitor: Visitor) -> None:
    answer = visitor.post("input", kind="row", value=3)
    x, y = answer["walk"]["places"][0]
    answer = visitor.post("move", x=x / 100 + 0.2, y=y / 100)
    after = answer["walk"]["places"][1]
    assert after[0] > x
    assert abs(after[1] - y) < 0.2 * (after[0] - x)
    answer = visitor.post("along", right=0, up=1)
    assert answer["walk"]["places"][2][1] < after[1]


def test_two_sessions_do_not_mix(served: Callable[..., str]) -> None:
    address = served("digits")
    visitors = [Visitor(address) for _ in range(2)]
    found: dict[int, list[dict[str, Any]]] = {0: [], 1: []}

    def walk(k: int) -> None:
        found[k].append(visitors[k].post("input", kind="row", value=k))
        for _ in range(5):
            found[k].append(visitors[k].post("along", right=1 - 2 * k, up=0))

    threads = [threading.Thread(target=walk, args=(k,)) for k in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k in (0, 1):
        alone = Visitor(address)
        alone.post("input", kind="row", value=k)
        for _ in range(5):
            last = alone.post("along", right=1 - 2 * k, up=0)
        assert found[k][-1]["walk"]["places"] == last["walk"]["places"]
        assert found[k][-1]["used"] == last["used"] == 7


def test_a_budget_ends_with_a_message_and_the_walk_stays(served: Callable[..., str]) -> None:
    visitor = Visitor(served("iris", budget=4))
    visitor.post("input", kind="row", value=3)
    for _ in range(3):
        visitor.post("along", right=1, up=1)
    status, answer = visitor.ask("along", {"right": 1, "up": 1})
    assert status == 429
    assert "0 of the session's 4 are left" in answer["error"]
    assert visitor.post("state")["walk"]["cursor"] == 3
    assert visitor.ask("slice")[0] == 429


def test_wrong_requests_are_refused_with_a_reason_and_change_nothing(visitor: Visitor) -> None:
    before = visitor.post("input", kind="row", value=3)
    for call, body, words in (
        ("input", {"kind": "row", "value": 540}, "from 0 to 539"),
        ("input", {"kind": "row", "value": True}, "from 0 to 539"),
        ("input", {"kind": "sentence", "value": "a film"}, "row, drawing, picture"),
        ("input", {"kind": "drawing", "value": [[0.0] * 8] * 8}, "empty"),
        ("input", {"kind": "drawing", "value": [[0.0], "x"]}, "numbers"),
        ("input", {"kind": "drawing", "value": [[0.5] * 300] * 300}, "at most 256"),
        ("input", {"kind": "data", "value": [0.5]}, "64 numbers"),
        ("input", {"kind": {"a": 1}, "value": 3}, "kind"),
        ("target", {"target": 10}, "target is 10"),
        ("move", {"x": "left", "y": 0}, "x is 'left'"),
        ("move", {"x": 1e9, "y": 0}, "x is"),
        ("along", {"right": 0, "up": 0}, "no direction"),
        ("direction", {"direction": 99, "value": 0}, "direction is 99"),
        ("goto", {"frame": 1}, "frame is 1"),
        ("drive", {"walker": "os:system"}, "those of this page"),
        ("line", {"walker": ["line"]}, "those of this page"),
        ("save", {}, "no run"),
        ("gain", {}, "take 8 more"),
        ("explain", {}, "take a step"),
        ("restore", {"kind": "row", "value": 0, "actions": [["x"]], "by": ["hand"], "cursor": 0}, "damaged"),
        ("restore", {"kind": "row", "value": 0, "actions": [[0.0] * 8], "by": ["eval"], "cursor": 0}, "damaged"),
    ):
        status, answer = visitor.ask(call, body)
        assert status == 400, (call, body, answer)
        assert words in answer["error"], (call, body, answer)
    for content in (b"{", b"[1]", b"\xff", b"[" * 100_000):
        assert visitor.send("POST", "/api/move", content)[0] == 400
    assert visitor.ask("nothing")[0] == 404
    after = visitor.post("state")
    assert (after["used"], after["walk"]) == (before["used"], before["walk"])


def test_pictures_are_resized_and_other_files_are_refused(visitor: Visitor) -> None:
    status, _, content = visitor.send("POST", "/api/picture", png(40, 40))
    answer = json.loads(content)
    assert status == 200
    assert answer["walk"]["note"] == "resized from 40x40 to 8x8"
    assert len(answer["kept"]) == 64
    for wrong, words in (
        (b"GIF89a" + bytes(20), "no PNG"),
        (b"", "no PNG"),
        (png(4, 4)[:30], "no PNG"),
        (png(3000, 3000), "3,000 x 3,000"),
    ):
        status, _, content = visitor.send("POST", "/api/picture", wrong)
        assert status == 400
        assert words in json.loads(content)["error"]
    assert visitor.send("POST", "/api/picture", bytes(9_000_000))[0] == 413
    connection = http.client.HTTPConnection(str(visitor.address.hostname), visitor.address.port or 80, timeout=60)
    chunks = (bytes(1_000_000) for _ in range(9))  # without a length
    connection.request("POST", "/api/picture", chunks, {"X-Session": visitor.token}, encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()


def test_a_drawing_fills_the_picture_as_the_data_do(visitor: Visitor) -> None:
    pixels = np.zeros((56, 56))
    pixels[4:20, 40:44] = 1  # a small stroke in a corner: a one
    answer = visitor.post("input", kind="drawing", value=pixels.tolist())
    drawn = np.array(answer["kept"]).reshape(8, 8)
    rows, columns = np.nonzero(drawn > 0.1)
    assert rows.min() <= 1
    assert rows.max() >= 6
    assert 2 <= columns.mean() <= 5
    assert answer["walk"]["answers"][0] == "1"


def test_what_the_page_kept_is_walked_again_by_another_server(served: Callable[..., str]) -> None:
    visitor = Visitor(served("digits"))
    visitor.post("input", kind="row", value=5)
    for _ in range(3):
        answer = visitor.post("along", right=0, up=1)
    other = Visitor(served("digits", budget=100))
    again = other.post("restore", value=5, **answer["walk"]["record"])
    assert again["walk"]["places"] == answer["walk"]["places"]
    visitor.token = "unknown"
    status, refused = visitor.ask("along", {"right": 0, "up": 1})
    assert (status, refused["gone"]) == (404, True)


def test_regions_lines_and_explanations_cost_what_they_say(visitor: Visitor) -> None:
    visitor.post("input", kind="row", value=3)
    assert visitor.post("map")["map"]["queries"] == 0
    answer = visitor.post("slice")
    assert answer["used"] - 2 == answer["map"]["queries"] == 576
    answer = visitor.post("line", walker="line")
    line = answer["walk"]["lines"][0]
    assert line["success"]
    assert answer["used"] == 578 + line["queries"]
    driven = visitor.post("drive", walker="line")
    assert driven["steps"] == line["steps"]
    visitor.post("goto", frame=driven["steps"])
    used = visitor.post("state")["used"]
    answer = visitor.post("explain")
    explained = answer["explained"]
    assert answer["used"] - used == explained["queries"]
    assert "The prediction becomes" in explained["headline"]
    assert sum(bar["value"] for bar in explained["bars"]) == pytest.approx(explained["end"] - explained["start"], abs=1e-3)
    assert visitor.post("explain")["used"] == answer["used"], "it is kept"


def test_only_its_own_files_and_its_own_page_are_served(visitor: Visitor) -> None:
    status, headers, content = visitor.send("GET", "/")
    assert status == 200
    assert b'<script type="module" src="/static/app.js"></script>' in content
    assert "script-src 'self'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["content-security-policy"].endswith("frame-ancestors http://localhost:* http://127.0.0.1:*")
    alone = dict(Guard(None, "127.0.0.1").headers)  # of the command: no notebook shows it
    assert alone[b"content-security-policy"].endswith(b"frame-ancestors 'none'")
    for place in (
        "/static/../server.py",
        "/static/%2e%2e/server.py",
        "/static/..%2fserver.py",
        "/static//etc/passwd",
        "/etc/passwd",
    ):
        assert visitor.send("GET", place)[0] == 404
    assert visitor.send("GET", "/api/state")[0] == 405
    for headers in ({"Host": "elsewhere.example"}, {"Host": "127.0.0.1.elsewhere.example:80"}, {"Host": "127.0.0.1:x"}):
        assert visitor.send("GET", "/", **headers)[0] == 421
    for origin in ("http://elsewhere.example", "null", "http://127.0.0.1:1"):
        assert visitor.send("POST", "/api/state", b"{}", Origin=origin)[0] == 403


def test_a_classifier_that_fails_is_named_and_the_server_goes_on(served: Callable[..., str]) -> None:
    world = envs.make_world(data="digits")  # a row that does not change costs no query
    visitor = Visitor(served(world))
    visitor.post("input", kind="row", value=3)
    asked = type(world.classifier).predict_proba
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            world.classifier, "predict_proba", lambda *rows: (_ for _ in ()).throw(RuntimeError("the service is down"))
        )
        status, answer = visitor.ask("along", {"right": 1, "up": 0})
    assert status == 500
    assert "RuntimeError: the service is down" in answer["error"]
    assert type(world.classifier).predict_proba is asked
    assert visitor.post("along", right=1, up=0)["walk"]["cursor"] == 1


def test_a_table_s_row_can_be_edited_beside_the_walk(served: Callable[..., str]) -> None:
    visitor = Visitor(served("iris"))
    answer = visitor.post("input", kind="row", value=3)
    row = answer["walk"]["row"]
    assert (
        row["petal length in cm"] == answer["walk"]["view"]["rows"][2]["input"].rstrip("0") or "." in row["petal length in cm"]
    )
    same = visitor.post("what_if", value=row)
    assert same["whatIf"] == pytest.approx(answer["walk"]["prediction"], abs=1e-4)
    other = visitor.post("what_if", value={**row, "petal length in cm": "6.5", "petal width in cm": "2.2"})
    assert np.argmax(other["whatIf"]) == 2
    assert other["walk"] == answer["walk"] | {"queries": other["walk"]["queries"]}
    assert visitor.post("input", kind="form", value={**row, "petal length in cm": "6.5"})["walk"]["input"] == "your row"
    for wrong in (dict.fromkeys(row, ""), {**row, "petal width in cm": "wide"}, {"petal width in cm": "1"}, [1, 2, 3, 4]):
        assert visitor.ask("what_if", {"value": wrong})[0] == 400


def test_a_sentence_is_entered_and_its_new_words_are_marked(served: Callable[..., str]) -> None:
    visitor = Visitor(served("sentences"))
    answer = visitor.post("input", kind="row", value=1)
    text = answer["walk"]["view"]["input"]
    visitor.post("input", kind="sentence", value=text)
    steps = visitor.post("drive", walker="line")["steps"]
    answer = visitor.post("goto", frame=steps)
    assert any(change == "new" for _, change in answer["walk"]["view"]["words"])
    for wrong in ("", " ", "a " * 2000, 5):
        assert visitor.ask("input", {"kind": "sentence", "value": wrong})[0] == 400


def test_other_machines_are_served_by_a_flag_alone_with_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("uvicorn", reason="the extra [app] is not installed")
    from agents.app.serving import start

    page = start(envs.make_world(), host="0.0.0.0")
    page.stop()
    assert "no password and no encryption" in capsys.readouterr().err
    assert Guard(None, "0.0.0.0").serves("192.0.2.7:80")
    assert not Guard(None, "0.0.0.0").serves("elsewhere.example")
    own = Explainer(envs.make_world(), "line").app()
    assert f'src="{own.address}"' in own._repr_html_()
    own.stop()
    assert own.address.startswith("http://127.0.0.1:")
    assert capsys.readouterr().err == ""


@pytest.mark.slow  # fits a VAE of a table
def test_immutable_columns_are_locked_and_stay(served: Callable[..., str], tmp_path: Path) -> None:
    from sklearn.ensemble import RandomForestClassifier

    rng = np.random.default_rng(0)
    age, sex = rng.integers(18, 80, 300), rng.integers(0, 2, 300)
    rows = np.stack([age, rng.normal(50, 9, 300), sex], 1)
    model = RandomForestClassifier(10, random_state=0).fit(rows, (rows[:, 1] > 50).astype(int))
    columns = {"age": {"kind": "number"}, "hours": {"kind": "number"}, "sex": {"kind": "category", "immutable": True}}
    world = envs.make_world(data=rows, classifier=model, columns=columns, manifold="vae", progress=False)
    visitor = Visitor(served(world))
    fields = {field["name"]: field for field in visitor.post("world")["world"]["fields"]}
    assert [field["locked"] for field in fields.values()] == [False, False, True]
    assert len(fields["sex"]["choices"]) == 2
    visitor.post("input", kind="row", value=0)
    for _ in range(6):
        answer = visitor.post("along", right=1, up=1)
    shown = {row["name"]: row for row in answer["walk"]["view"]["rows"]}
    assert shown["sex"]["locked"]
    assert shown["sex"]["move"] is None
    assert shown["sex"]["frame"] == shown["sex"]["input"]
    assert any(row["move"] is not None for row in shown.values())


def test_a_classifier_that_shows_labels_alone_is_walked(served: Callable[..., str]) -> None:
    visitor = Visitor(served(envs.make_world(data="digits", label_only=True)))
    visitor.post("input", kind="row", value=3)
    answer = visitor.post("along", right=1, up=0)
    assert sorted(set(answer["walk"]["prediction"])) == [0.0, 1.0]
    assert visitor.post("explain")["explained"]["headline"].startswith("Predicted 6")
    assert visitor.send("POST", "/api/download/npz")[0] == 200


def test_where_the_curiosity_has_not_been_is_shown_without_a_query(served: Callable[..., str], tmp_path: Path) -> None:
    small = {"n_timesteps": 256, "eval_episodes": 0, "pictures": False, "progress": False, "n_envs": 4}
    trained = Explainer.train(
        data="iris", curiosity="vime", curiosity_kwargs=LEARN, hyperparams={"n_steps": 64}, log_folder=tmp_path, **small
    )
    visitor = Visitor(served(trained.run))
    answer = visitor.post("gain")
    assert answer["used"] == 0
    assert answer["gain"]["image"].startswith("data:image/png")
    assert answer["gain"]["top"] > 0
    assert "the run's curiosity" in answer["gain"]["said"]


def test_without_a_run_a_network_learns_where_the_session_has_not_been(visitor: Visitor) -> None:
    visitor.post("input", kind="row", value=3)
    status, answer = visitor.ask("gain")
    assert status == 400
    assert "take 8 more" in answer["error"]
    for _ in range(8):
        visitor.post("along", right=1, up=0)
    used = visitor.post("state")["used"]
    answer = visitor.post("gain")
    assert answer["used"] == used, "no query"
    assert "learned from your 8 steps" in answer["gain"]["said"]
    assert "not the classifier's uncertainty" in answer["gain"]["said"]
    assert visitor.post("gain")["gain"] == answer["gain"], "it is the same network"
    visitor.post("target", target=3)
    assert "your 8 steps" in visitor.post("gain")["gain"]["said"], "steps count once"


def test_a_network_knows_more_of_where_the_session_has_been() -> None:
    from agents.app import explorer, server

    one = explorer.Explorer(envs.make_world(data="digits"))
    session = server.Sessions(one).new()
    for row in range(12):
        session.enter("row", row)
        for _ in range(8):
            session.move_on_map(0.2, 0.8)
    before, area = session.seen.gains(), one.area
    been = area.places(
        np.concatenate([np.asarray(first[:, :8]) for first, *_ in session.seen.steps]) * one.world.manifold.prior.radius
    )
    cells = np.clip((len(before) * np.stack([1 - been[:, 1], been[:, 0]], 1)).astype(int), 0, len(before) - 1)
    assert before[tuple(cells.T)].mean() < before.mean()


def test_a_classifier_in_use_is_waited_for_and_then_said_to_be_busy(served: Callable[..., str]) -> None:
    from agents.app import explorer, server

    one = explorer.Explorer(envs.make_world())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(explorer, "BUSY_SECONDS", 0.05)
        session = server.Sessions(one).new()
        with one.lock, pytest.raises(explorer.Busy, match="in use by other sessions"):
            session.enter("row", 0)
    session.enter("row", 0)
    assert session.used == 1


def test_the_session_that_was_used_longest_ago_makes_room(served: Callable[..., str]) -> None:
    from agents.app import session as module
    from agents.app.errors import UnknownSession
    from agents.app.explorer import Explorer as Shared

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MOST_SESSIONS", 2)
        sessions = module.Sessions(Shared(envs.make_world()))
        first, second = sessions.new(), sessions.new()
        sessions.find(first.token)
        third = sessions.new()
    assert sessions.find(first.token) is first
    assert sessions.find(third.token) is third
    with pytest.raises(UnknownSession):
        sessions.find(second.token)


def test_the_command_prints_its_address_serves_and_ends(served: Callable[..., str]) -> None:
    command = [sys.executable, "-m", "agents.app", "Manifold/DigitsPCA-v0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stdout.readline()
        assert Visitor(line.split()[2]).post("input", kind="row", value=0)["used"] == 2
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
        assert process.wait(30) in (0, 130, -signal.SIGINT)
    assert "Traceback" not in said


def test_a_run_or_id_and_flags_of_a_world_exclude_each_other(served: Callable[..., str]) -> None:
    from agents.app.command import main
    from agents.errors import UserError

    with pytest.raises(UserError, match="leave out either"):
        main(["latest", "--data", "iris"])
    with pytest.raises(UserError, match="no run"):
        main(["latest", "--log-folder", "/nonexistent"])


@pytest.fixture(scope="module")
def price() -> Any:
    """Rows with a score: ten times the first number, less the second."""
    rows = np.random.default_rng(0).normal(5, 1, (80, 3))
    return envs.make_world(
        data=rows, classifier=lambda x: 10 * x[:, 0] - x[:, 1], outputs="score", manifold="pca", progress=False
    )


def test_a_score_is_aimed_at_in_words_and_shown_in_its_unit(served: Callable[..., str], price: Any, tmp_path: Path) -> None:
    visitor = Visitor(served(price))
    world = visitor.post("world")["world"]
    assert "a score" in world["said"]
    assert world["classes"] == []
    before = visitor.post("input", kind="row", value=3)
    score = float(before["walk"]["shown"]["texts"][0])
    answer = visitor.post("target", target="+10 %")
    walk = answer["walk"]
    assert answer["used"] == before["used"] + 2, "its score, and the input at its goal"
    assert walk["aim"] == walk["record"]["target"] == "+10 %"
    assert walk["shown"]["name"] == "score"
    assert 0 <= walk["shown"]["score"]["input"] < walk["shown"]["score"]["goal"][0] <= walk["shown"]["score"]["goal"][1] <= 1
    visitor.post("along", right=1, up=0)
    steps = visitor.post("drive", walker="line")["steps"]
    walk = visitor.post("goto", frame=1 + steps)["walk"]
    assert walk["arrived"]
    assert float(walk["shown"]["texts"][-1]) >= 1.0999 * score
    assert "(score " in walk["answers"][-1]
    explained = visitor.post("explain")["explained"]
    assert "score" in explained["rise"]
    asked = visitor.post("state")["used"]
    visitor.post("target", target=">= 50")
    assert visitor.post("state")["used"] == asked + len(walk["by"]), "the input and every step"
    visitor.post("target", target="+10 %")
    (tmp_path / "path.npz").write_bytes(visitor.send("POST", "/api/download/npz")[2])
    path = Trajectory.load(tmp_path / "path.npz")
    assert path.requested == "+10 %"
    assert compare(path, price).reproduced
    other = Visitor(served(price))
    kept = visitor.post("state")["walk"]
    assert other.post("restore", value=3, **kept["record"])["walk"]["answers"] == kept["answers"]


def test_targets_in_words_that_make_no_sense_are_refused_and_change_nothing(
    served: Callable[..., str], price: Any, visitor: Visitor
) -> None:
    scored = Visitor(served(price))
    for one, texts in (
        (scored, (">= 1e9", "about 7", "<= 1e9", "", "x" * 300)),
        (visitor, ("any of 3, 11", "any of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9", ">= x", "", "eleven")),
    ):
        before = one.post("input", kind="row", value=3)
        for text in texts:
            status, answer = one.ask("target", {"target": text})
            assert status == 400, (text, answer)
            assert one.post("state")["walk"]["aim"] == before["walk"]["aim"]
    status, answer = visitor.ask("target", {"target": "any of 6, 8"})
    assert "already says" in answer["error"]


def test_any_class_of_a_group_ends_a_walk_which_is_saved_as_one_to_that_class(visitor: Visitor, tmp_path: Path) -> None:
    visitor.post("input", kind="row", value=3)
    visitor.post("along", right=1, up=0)
    used = visitor.post("state")["used"]
    answer = visitor.post("target", target="any of 3, 5")
    assert answer["used"] == used, "what was predicted is known"
    assert (answer["walk"]["aim"], answer["walk"]["shown"]["name"]) == ("any of 3, 5", "p(any of 3, 5)")
    steps = visitor.post("drive", walker="line")["steps"]
    answer = visitor.post("goto", frame=1 + steps)
    assert answer["walk"]["arrived"]
    assert answer["walk"]["answers"][-1] in ("3", "5")
    (tmp_path / "path.npz").write_bytes(visitor.send("POST", "/api/download/npz")[2])
    path = Trajectory.load(tmp_path / "path.npz")
    assert (path.requested, path.class_names[path.target]) == ("any of 3, 5", answer["walk"]["answers"][-1])
    assert compare(path, envs.make_world(data="digits")).reproduced


def test_one_of_several_labels_is_flipped(served: Callable[..., str]) -> None:
    rows = np.random.default_rng(0).normal(0, 1, (80, 2))
    world = envs.make_world(
        data=rows, classifier=lambda x: 1 / (1 + np.exp(-3 * x)), outputs="labels", class_names=["long", "wide"],
        manifold="pca", progress=False,
    )  # fmt: skip
    visitor = Visitor(served(world))
    visitor.post("input", kind="row", value=3)
    walk = visitor.post("target", target="flip wide, hold others")["walk"]
    assert walk["aim"] == "flip wide, hold others"
    assert "others held" in walk["names"][walk["target"]]
    steps = visitor.post("drive", walker="line")["steps"]
    assert visitor.post("goto", frame=steps)["walk"]["arrived"]


def test_a_form_reads_back_dates_and_durations_as_it_shows_them(served: Callable[..., str]) -> None:
    pd = pytest.importorskip("pandas", reason="pandas is not installed")
    rng = np.random.default_rng(0)
    days, hours = rng.integers(0, 1500, 60), rng.integers(1, 300, 60)
    rows = pd.DataFrame(
        {
            "opened": pd.Timestamp("2020-01-01") + pd.to_timedelta(days, "D"),
            "wait": pd.to_timedelta(hours, "h"),
            "income": rng.normal(40, 9, 60),
        }
    )

    def late(frame: Any) -> np.ndarray:
        years = (frame["opened"] - pd.Timestamp("2022-01-01")).dt.days.to_numpy() / 365
        p = 1 / (1 + np.exp(-4 * years))
        return np.stack([1 - p, p], 1)

    world = envs.make_world(
        data=rows, classifier=late, manifold="pca", dates={"opened": "days", "wait": "hours"}, class_names=["no", "yes"],
        columns={"income": {"kind": "number", "unit": "EUR"}}, progress=False,
    )  # fmt: skip
    visitor = Visitor(served(world))
    assert [field["unit"] for field in visitor.post("world")["world"]["fields"]] == ["", "", "EUR"]
    answer = visitor.post("input", kind="row", value=3)
    for _ in range(3):
        found = visitor.post("what_if", value=answer["walk"]["row"])["whatIf"]
        assert found == pytest.approx(answer["walk"]["prediction"], abs=1e-4)
        answer = visitor.post("along", right=1, up=1)


def test_series_have_sliders_for_intervals(served: Callable[..., str]) -> None:
    visitor = Visitor(served("oscillator"))
    names = [one["name"] for one in visitor.post("world")["world"]["directions"] if one["kind"] == "attribute"]
    assert names[0].endswith("points 0-15")
    assert len(names) == 6
    visitor.post("input", kind="row", value=3)
    answer = visitor.post("direction", direction=4, value=1.0)
    assert answer["walk"]["view"]["said"].endswith("of 96 points changed")


def test_goals_of_two_sessions_do_not_mix_and_a_failed_change_of_goal_changes_nothing(
    served: Callable[..., str], price: Any
) -> None:
    high, low = (Visitor(served(price)) for _ in range(2))
    for visitor, target in ((high, "+3"), (low, "-3")):
        visitor.post("input", kind="row", value=3)
        visitor.post("along", right=1, up=0)
        visitor.post("target", target=target)
    before = high.post("along", right=1, up=0)["walk"]
    assert (before["aim"], low.post("along", right=1, up=0)["walk"]["aim"]) == ("+3", "-3")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(price.classifier), "predict_proba", lambda *rows: 1 / 0)
        status, answer = high.ask("target", {"target": "+4"})
    assert status == 500
    assert "ZeroDivisionError" in answer["error"]
    assert high.post("state")["walk"] == before
