"""DiCE on a table, in a virtual environment of its own: imports pandas, scikit-learn and dice_ml alone.

    PYTHON tests/benchmarks/own/dice_worker.py FOLDER METHOD SECONDS

FOLDER holds settings.json (seed; numbers: names of the number columns; vary: columns that may change, or "all"; rising: those
that may only rise), known.csv (rows to fit the forest to, and to search, with the column `answer`) and asked.csv (rows to
explain). The worker writes METHOD.csv, the first counterfactual of each row or an empty line, and METHOD.json: queries (rows)
and CPU seconds of each, the labels of the asked rows, and errors. Both are written after each row; after SECONDS of CPU time
the worker is killed.
"""

import json
import resource
import sys
import time
import warnings
from pathlib import Path

import dice_ml
import pandas
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler


class Counted:
    """A model that counts the rows that it is asked about."""

    def __init__(self, model, columns):
        self.model, self.columns, self.rows, self.classes_ = model, columns, 0, model.classes_

    def predict_proba(self, rows):
        self.rows += len(rows)
        return self.model.predict_proba(rows[self.columns])

    def predict(self, rows):
        return self.classes_[self.predict_proba(rows).argmax(1)]


def main(folder, method, limit):
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 1))
    settings = json.loads((folder / "settings.json").read_text())
    texts = dict.fromkeys(settings["texts"], str)
    known, asked = (pandas.read_csv(folder / name, dtype=texts, keep_default_na=False) for name in ("known.csv", "asked.csv"))
    columns = list(asked.columns)
    encode = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    steps = make_column_transformer((encode, list(texts)), remainder=StandardScaler())
    model = make_pipeline(steps, RandomForestClassifier(50, random_state=settings["seed"]))
    counted = Counted(model.fit(known[columns], known["answer"]), columns)
    data = dice_ml.Data(dataframe=known, continuous_features=settings["numbers"], outcome_name="answer")
    search = dice_ml.Dice(data, dice_ml.Model(model=counted, backend="sklearn"), method=method)
    labels = [str(label) for label in counted.model.predict(asked[columns])]
    found, queries, seconds, errors = [], [], [], []
    for k in range(len(asked)):
        before, started = counted.rows, time.process_time()
        more = {"random_seed": settings["seed"]} if method == "random" else {}
        more["features_to_vary"] = settings["vary"]
        rising = {name: [asked[name][k].item(), known[name].max().item()] for name in settings["rising"]}
        more["permitted_range"] = rising or None
        try:
            made = search.generate_counterfactuals(
                asked[k : k + 1], total_CFs=1, desired_class="opposite", verbose=False, **more
            ).cf_examples_list[0].final_cfs_df  # fmt: skip
        except Exception as error:
            made = None
            errors.append(f"{type(error).__name__}: {error}"[:200])
        found.append(None if made is None or not len(made) else made[columns].iloc[0].to_dict())
        queries.append(counted.rows - before)
        seconds.append(time.process_time() - started)
        ends = pandas.DataFrame([{} if row is None else row for row in found], columns=columns)
        ends.to_csv(folder / f"{method}.csv", index=False)
        answer = {"queries": queries, "seconds": seconds, "errors": errors, "labels": labels[: k + 1]}
        (folder / f"{method}.json").write_text(json.dumps({**answer, "found": [row is not None for row in found]}))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
