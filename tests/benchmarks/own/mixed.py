"""Tables with categories: German credit, Adult as pandas reads it, and columns that are hard to keep as they are."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.harness.splits import ADULT_NAMES, data_folder
from tests.benchmarks.own.cases import Case, Cases, Entry, answers_of, fitted, split

GERMAN_NUMBERS = ("duration", "amount", "rate", "residence", "age", "credits", "dependants")
GERMAN = (
    "status", "duration", "history", "purpose", "amount", "savings", "employment", "rate", "personal", "debtors",
    "residence", "property", "age", "plans", "housing", "credits", "job", "dependants", "phone", "foreign", "class",
)  # fmt: skip
ADULT_ROWS = 8000  # of the training file


def german(categories: bool = False) -> tuple[Any, np.ndarray]:
    """The frame of German credit and its classes (good, bad); its texts as pandas categories on request."""
    import pandas

    file = data_folder("german/german.data") / "german" / "german.data"
    frame = pandas.read_csv(file, sep=r"\s+", names=list(GERMAN))
    classes = np.where(frame.pop("class") == 1, "good", "bad")
    return (frame.astype({name: "category" for name in frame if name not in GERMAN_NUMBERS}) if categories else frame), classes


def adult(rows: int = ADULT_ROWS) -> tuple[Any, np.ndarray]:
    """The frame of Adult as pandas reads it, with a blank before each text, and its classes."""
    import pandas

    file = data_folder("adult/adult.data") / "adult" / "adult.data"
    frame = pandas.read_csv(file, names=ADULT_NAMES, nrows=rows)
    return frame, frame.pop("income").to_numpy().astype(str)


def by_name(frame: Any, last: Any) -> Any:
    """A pipeline that encodes the frame's texts by their column's name."""
    from sklearn.compose import make_column_transformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    texts = [name for name in frame if frame[name].dtype.kind not in "iufb"]
    encode = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return make_pipeline(make_column_transformer((encode, texts), remainder=StandardScaler()), last)


def _logistic() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=2000)


def _forest(seed: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(50, random_state=seed)


def _native(package: str, frame: Any, classes: np.ndarray, seed: int) -> Case:
    """An estimator that takes pandas categories itself."""
    if package == "sklearn":
        from sklearn.ensemble import HistGradientBoostingClassifier

        return fitted(
            HistGradientBoostingClassifier(random_state=seed, categorical_features="from_dtype"), frame, classes, seed
        )
    if package == "lightgbm":
        import lightgbm

        return fitted(lightgbm.LGBMClassifier(n_estimators=60, verbose=-1), frame, classes, seed)
    import xgboost

    model = xgboost.XGBClassifier(n_estimators=60, enable_categorical=True)
    return fitted(model, frame, (classes == "good").astype(int), seed)


def _catboost(seed: int) -> Case:
    import catboost

    frame, classes = german()
    x, held_out, y, _ = split(frame, classes, seed)
    texts = [name for name in frame if name not in GERMAN_NUMBERS]
    model = catboost.CatBoostClassifier(iterations=60, verbose=0, cat_features=texts, allow_writing_files=False).fit(x, y)
    return Case({"data": x, "held_out": held_out, "classifier": model}, held_out, answers_of(model))


def _from_file(frame: Any, classes: np.ndarray, own: bool, seed: int) -> Case:
    """A CSV file; its classifier is fitted by this library, or to what pandas reads from the file."""
    import pandas

    file = Path(tempfile.mkdtemp()) / "people.csv"
    frame.assign(answer=classes).to_csv(file, index=False)
    settings: dict[str, Any] = {"data": str(file), "target_column": "answer"}
    if not own:
        return Case(settings, None, None)
    again = pandas.read_csv(file)
    y = again.pop("answer")
    model = by_name(again, _forest(seed)).fit(again, y)
    return Case(
        {**settings, "classifier": model}, lambda world: again.iloc[list(world.row_labels.held_out)], answers_of(model)
    )


def _odd_columns(seed: int) -> tuple[Any, np.ndarray]:
    """Codes with leading zeros, booleans, a two-valued whole number, missing categories, ten-digit identifiers, two values
    of one category (with and without a blank)."""
    import pandas

    random = np.random.default_rng(seed)
    n = 1200
    frame = pandas.DataFrame(
        {
            "code": random.choice(["00171", "00020", "00007", "01000"], n),
            "member": random.random(n) < 0.4,
            "male": random.integers(0, 2, n),
            "work": random.choice([" Private", "Private", " State", None], n),
            "account": 4_000_000_000 + random.integers(0, 10**9, n),
            "age": random.integers(18, 80, n),
            "income": np.round(np.exp(random.normal(8, 1, n)), 2),
        }
    )
    score = (
        (frame["age"] - 50) / 15 + (frame["code"] == "00171") + frame["member"] - (frame["work"] == "Private") + frame["male"]
    )
    return frame, np.where(score + random.normal(0, 0.3, n) > 0.7, "yes", "no")


def _odd(seed: int) -> Case:
    frame, classes = _odd_columns(seed)
    return fitted(by_name(frame, _forest(seed)), frame, classes, seed)


def _missing_numbers(seed: int, **settings: Any) -> Case:
    """Numbers of which a tenth is missing, for boosting, which takes them as they are. The age, on which the classes depend
    most, is held for its name, unless `settings` free it."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    frame, classes = _odd_columns(seed)
    frame = frame[["age", "income", "male"]].astype(float)
    frame = frame.mask(np.random.default_rng(seed).random(frame.shape) < 0.1)
    return fitted(HistGradientBoostingClassifier(random_state=seed), frame, classes, seed, **settings)


def _dates(seed: int) -> Case:
    """A column of dates, which count as days, for a forest that turns them into numbers itself."""
    import pandas
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    frame, _ = _odd_columns(seed)
    days = np.random.default_rng(seed).integers(0, 4000, len(frame))
    frame = frame[["income", "member"]].assign(since=pandas.Timestamp("2010-01-01") + pandas.to_timedelta(days, unit="D"))
    classes = np.where(days / 1000 + np.log(frame["income"]) > 10, "yes", "no")
    model = make_pipeline(FunctionTransformer(_numbered), _forest(seed))
    return fitted(model, frame, classes, seed, dates={"since": "days"})


def _numbered(frame: Any) -> np.ndarray:
    """The columns of `_dates` as numbers."""
    days = (frame["since"] - np.datetime64("2010-01-01")) / np.timedelta64(1, "D")
    return np.stack([frame["income"], frame["member"].astype(float), days], axis=1)


CASES: Cases = {
    "German, forest by column name": Entry(lambda seed: fitted(by_name(german()[0], _forest(seed)), *german(), seed)),
    "German, logistic by column name": Entry(lambda seed: fitted(by_name(german()[0], _logistic()), *german(), seed)),
    "German, boosting of pandas categories": Entry(lambda seed: _native("sklearn", *german(True), seed)),
    "German, lightgbm of pandas categories": Entry(lambda seed: _native("lightgbm", *german(True), seed), None, "lightgbm"),
    "German, xgboost of pandas categories": Entry(lambda seed: _native("xgboost", *german(True), seed), None, "xgboost"),
    "German, catboost": Entry(_catboost, None, "catboost"),
    "German, file, default classifier": Entry(lambda seed: _from_file(*german(), False, seed)),
    "German, file, forest": Entry(lambda seed: _from_file(*german(), True, seed)),
    "Adult, forest by column name": Entry(lambda seed: fitted(by_name(adult(1)[0], _forest(seed)), *adult(), seed)),
    "Adult, file, default classifier": Entry(lambda seed: _from_file(*adult(), False, seed)),
    "odd columns, forest by column name": Entry(_odd),
    "missing numbers, boosting": Entry(_missing_numbers),
    "missing numbers, boosting, the age is free": Entry(lambda seed: _missing_numbers(seed, free=["age"])),
    "a column of dates in days, forest": Entry(_dates),
}
