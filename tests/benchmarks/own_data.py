"""Own data and own classifiers, from `make_world` to the report: is the user's own classifier asked, and do the ends flip it?

    python -m tests.benchmarks.own_data                          # every case, default budget
    python -m tests.benchmarks.own_data --quick                  # a short training each: does anything break?
    python -m tests.benchmarks.own_data --cases "iris, forest"   # some
    python -m tests.benchmarks.own_data --usual --cases "iris, forest"   # of the list USUAL, 100 rows; added to the page
    python -m tests.benchmarks.own_data --dice-environment DIR   # DiCE, by the Python of that environment; added to the page

Cases whose package is missing (xgboost, lightgbm, catboost, skl2onnx with onnxruntime) are skipped by name. German and Adult
are read from $MANIFOLD_DATA.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from statistics import fmean
from typing import Any

from tests.benchmarks.harness.experiment import Experiment, Options, Record, one_of, render, whole_numbers
from tests.benchmarks.harness.runs import Run
from tests.benchmarks.harness.tables import DASH, known, table
from tests.benchmarks.own import dice, mixed, numeric, pictures, refusals
from tests.benchmarks.own.measured import measured

CASES = {**numeric.CASES, **mixed.CASES, **pictures.CASES, **refusals.CASES}
QUICK = 2048  # steps
USUAL_ITEMS = 100
#: cases of the table of a usual training, chosen before it was measured
USUAL = (
    "breast cancer, forest", "wine, forest, text classes", "iris, forest", "20 classes", "German, forest by column name",
    "German, catboost", "Adult, forest by column name", "log-normal columns", "1 % of one class",
    "odd columns, forest by column name", "missing numbers, boosting", "digits in 0..16, forest",
    "colour, channels last, uint8",
)  # fmt: skip
SOURCES = ("envs/**/*.py", "agents/**/*.py", "tests/benchmarks/own/*.py")
SHORT = (
    "\n\nThis is a short run: its agents are hardly trained, so that their figures say nothing of a usual training. The line "
    "takes the inputs that they miss."
)
LATER = "\n\nMeasured later than the other cases, on newer code: "
AGREE, FLIPS, FOUND, AGENT = 1.0, 0.97, 0.99, 0.90  # the aims


TITLES = (
    "case", "agreement; out of reach", "found: with fall-back, agent, line", "flips of the true row",
    "columns: walk, unlike, put back", "kNN ratio: walk, unlike, put back", "judge: walk, unlike, put back",
    "queries; training CPU-s",
)  # fmt: skip


def run_of(name: str, seed: int, steps: int | None, items: int) -> Run:
    """One case with one seed."""
    key = {"own_data": name, "seed": seed, "steps": steps, "items": items}
    return Run(key, partial(case_figures, name, seed, steps, items), SOURCES, "own-data")


def case_figures(name: str, seed: int, steps: int | None, items: int) -> dict[str, Any]:
    """The figures of a case, by its name: another process can call it."""
    return measured(CASES[name], seed, steps, items)


def measure(options: Options) -> Iterator[Record]:
    """Every case with every seed; a usual training and DiCE are added to the record of the last time."""
    before = {name: value for name, value in options.before.items() if name != "python"}
    if options.dice_environment is not None:
        found = dice.figures(options.dice_environment, options.seeds[0], options.dice_data)
        yield {**before, "dice": {**before.get("dice", {}), **found}, "dice_command": options.command}
        return
    steps, items = (QUICK, 20) if options.quick else (options.steps, options.items)
    if options.usual:
        steps, items = None, USUAL_ITEMS
    settings = {"seeds": options.seeds, "steps": steps, "items": items}
    last = before.get("usual", {}) if options.usual else before if set(options.cases) < set(CASES) else {}
    found = dict(last.get("cases", {})) if all(last.get(name) == value for name, value in settings.items()) else {}
    for name in options.cases:
        if options.usual and name not in USUAL:
            continue
        runs = [run_of(name, seed, steps, items) for seed in options.seeds]
        found[name] = options.runner(runs, name)
        record = {**settings, "cases": {case: found[case] for case in CASES if case in found}}
        if last and not options.usual:
            record |= {"command": last["command"], "later": sorted({*last.get("later", []), *options.cases})}
        kept = {part: before[part] for part in ("usual", "usual_at_random", "dice", "dice_command") if part in before}
        yield {**before, "usual": record} if options.usual else {**record, **kept}


def page(record: Record) -> str:
    """One table of cases, one of refusals, and the aims."""
    record = {**record, "cases": {name: runs for name, runs in record["cases"].items() if name in CASES}}
    explained = {name: runs for name, runs in record["cases"].items() if any("found" in run for run in runs)}
    refused = {name: runs for name, runs in record["cases"].items() if CASES[name].must_refuse is not None}
    broken = [name for name, runs in record["cases"].items() if any("traceback" in run for run in runs)]
    wrongly = [name for name, runs in record["cases"].items() if any("refused" in run and not run["expected"] for run in runs)]
    skipped = [f"{name} ({runs[0]['skipped']})" for name, runs in record["cases"].items() if runs and "skipped" in runs[0]]
    return render(
        "own_data",
        command=record["command"],
        items=record["items"],
        steps="the default number of steps" if record["steps"] is None else f"{record['steps']:,} steps",
        short="" if record["steps"] is None else SHORT,
        later="" if not record.get("later") else LATER + "; ".join(record["later"]) + ".",
        seeds=", ".join(map(str, record["seeds"])),
        table=table(
            TITLES, [[name, *cells_of(runs)] for name, runs in explained.items()]
        ),
        aims="\n".join(aim_lines(explained)),
        usual=usual_of(record),
        dice=dice.part_of(record),
        refusals=table(["case", "refused", "message"], [refusal(name, runs) for name, runs in refused.items()], "ll"),
        broken=", ".join(broken) or "none",
        wrongly=", ".join(wrongly) or "none",
        skipped=", ".join(skipped) or "none",
    )  # fmt: skip


def usual_of(record: Record) -> str:
    """The part on a usual training: the agents are measured here."""
    usual = record.get("usual")
    if not usual:
        return "Not measured."
    explained = {name: runs for name, runs in usual["cases"].items() if any("found" in run for run in runs)}
    below = {name: runs[0] for name, runs in explained.items() if fmean(run["agent_found"] for run in runs) < AGENT}
    behind = [run for run in below.values() if run["trails_the_line"]]
    alike = [name for name, run in below.items() if not run["trails_the_line"]]
    seeds, advised = ", ".join(map(str, usual["seeds"])), sum(run["train_longer"] for run in below.values())
    lengths = sorted({run["train_steps"] for runs in explained.values() for run in runs})
    text = f"""Made with `--usual`: trainings of the default number of steps ({" or ".join(f"{n:,}" for n in lengths)}, whole
rollouts), seeds {seeds}, at most {usual["items"]} held-out rows. The {len(USUAL)} cases were chosen before any of them was
measured."""
    told = f"""- agents below that aim: {len(below)}. {advised} of these trainings end with the advice to train longer.
  {len(behind)} find clearly less than the line, and `explain` lets the line walk; of the others, the line takes what they
  miss: {"; ".join(alike) or "none"}"""
    rows = [[name, *cells_of(runs)] for name, runs in explained.items()]
    lines = [text, "", table(TITLES, rows), "", *aim_lines(explained), told]
    if at_random := record.get("usual_at_random"):
        cases = [
            [name, f"{at_random[name]:.2f}", cells_of(runs)[1].split(", ")[1]]
            for name, runs in explained.items()
            if name in at_random
        ]
        lines += ["", "The agent alone, with the same cases, rows and seeds, before agents of tables began with the line:", "",
                  table(["case", "30,000 steps, begun at random", "now"], cases)]  # fmt: skip
    missing = [name for name in USUAL if name not in explained]
    return "\n".join(lines + ([f"\nNot measured: {'; '.join(missing)}."] if missing else []))


def cells_of(runs: list[dict[str, Any]]) -> list[str]:
    """A line of the table."""

    def of(name: str, digits: int = 2) -> str:
        values = known(run.get(name) for run in runs)
        return f"{fmean(values):,.{digits}f}" if values else DASH

    def of_three(name: str, first: str, digits: int = 2) -> str:
        return ", ".join(of(column, digits) for column in (first, f"unlike_{name}", f"put_back_{name}"))

    return [
        f"{of('agreement', 3)}; {of('out_of_reach')}", f"{of('found')}, {of('agent_found')}, {of('line_found')}", of("flips"),
        of_three("columns", "columns_changed", 1), of_three("knn_ratio", "policy_knn_ratio"),
        of_three("oracle", "policy_oracle"), f"{of('queries', 1)}; {of('train_seconds', 0)}",
    ]  # fmt: skip


def aim_lines(explained: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    """One line for each aim: in how many cases it is reached, and where not."""
    for title, name, aim in (
        ("labels of the asked and the true classifier agree", "agreement", AGREE),
        ("the user's own classifier gives the end another class", "flips", FLIPS),
        ("a path is found, with the line as fall-back", "found", FOUND),
        ("the agent alone finds a path", "agent_found", AGENT),
    ):
        values = {case: known(run.get(name) for run in runs) for case, runs in explained.items()}
        values = {case: numbers for case, numbers in values.items() if numbers}
        missed = [f"{case} ({fmean(numbers):.3f})" for case, numbers in values.items() if fmean(numbers) < aim]
        text = f"- {title}, aim >= {aim:g}: {len(values) - len(missed)} of {len(values)} cases"
        yield text + (f". Missed: {'; '.join(missed)}" if missed else "")


def refusal(name: str, runs: list[dict[str, Any]]) -> list[str]:
    """A line of the table of refusals."""
    said = runs[0].get("refused", "")
    return [name, "yes" if runs[0].get("expected") else "NO", said.replace("|", "/").replace("\n", " ")[:160]]


EXPERIMENT = Experiment(
    "own_data", __doc__, measure, page,
    flags={
        "--seeds": whole_numbers(0),
        "--cases": one_of(list(CASES)),
        "--steps": {"type": int, "default": None, "help": "training steps of an agent (default: the algorithm's)"},
        "--items": {"type": int, "default": 200, "help": "held-out rows that are explained"},
        "--usual": {"action": "store_true", "help": f"the cases of USUAL alone, trained by default, {USUAL_ITEMS} rows"},
        "--dice-environment": {"metavar": "DIR", "help": "measure DiCE alone, by bin/python of this virtual environment"},
        "--dice-data": one_of(dice.DATA),
        "--quick": {"action": "store_true", "help": f"{QUICK} steps and 20 rows a case"},
    },
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main()
