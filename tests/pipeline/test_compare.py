"""hippopt_compare: whole comparisons of tiny networks. The commands run in
this process but for the last tests, which start them as users would.
"""

import importlib
import json
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from hippopt.artifacts.this_host import this_host
from hippopt.jobs.child_processes import Job
from tests.synthetic import Command, write_dataset
from tests.trained import (
    DATASET,
    assert_stopped,
    contents,
    copied,
    edit_json,
    fold_path,
    plan_path,
    run_path,
    running,
)

TEST, CHOOSE = "Dataset008_Test", "Dataset009_Choose"
FIRST = ["--test", "Test", "--choose", "Choose", "--methods", "decoder", "lora", "scratch", "--ranks", 2,
         "--learning-rates", "decoder=1e-3", "lora=1e-4", "lora=1e-2", "scratch=2e-3"]  # fmt: skip


pytestmark = pytest.mark.usefixtures("no_plots")


@pytest.fixture
def root(trained_root: Path, tmp_path: Path) -> Path:
    """A copy of `trained_root` with two more labelled data sets of other people."""
    found = copied(trained_root, tmp_path)
    write_dataset(found, 4, TEST, first=100, per_subject=2)
    write_dataset(found, 2, CHOOSE, first=200)
    return found


class Runner:
    """Runs commands in this process.

    `ran`: their names and runs; `fails`: a part of a command's text that makes it fail.
    """

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.fails: str | None = None

    def __call__(self, jobs: Sequence[Job], at_once: int, signals: Any, on_done: Any) -> None:
        for job in jobs:
            reason = None
            job.log.parent.mkdir(parents=True, exist_ok=True)
            job.log.touch()
            for command in job.commands:
                name, arguments = command[2].split("hippopt.cli.")[1].split(" ")[0], list(command[3:])
                self.ran.append(f"{name} {' '.join(arguments)}")
                if self.fails is not None and self.fails in self.ran[-1]:
                    reason = "a fault"
                elif importlib.import_module(f"hippopt.cli.{name}").main(arguments) != 0:
                    reason = "failed"
                if reason:
                    break
            on_done(job, reason, 1.0)


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> Runner:
    found = Runner()
    monkeypatch.setattr("hippopt.comparison.compare.run_jobs", found)
    return found


def compare(run_command: Command, root: Path, *more: object, steps: int = 2) -> tuple[int, str, str]:
    return run_command(
        "compare", "Blob", "--root", root, "--base", fold_path(root), "--device", "cpu", "--steps", steps, *more
    )


def folder(root: Path, name: str = "compare") -> Path:
    return root / "results" / DATASET / "comparisons" / name


def test_a_comparison_on_a_test_set_and_its_continuation(root: Path, run_command: Command, runner: Runner) -> None:
    code, out, err = compare(run_command, root, *FIRST)
    assert code == 0, err
    trained = [line for line in runner.ran if line.startswith("train")]
    assert len(trained) == 4  # decoder, scratch, and lora with two rates, the chosen one of which is not trained again
    assert sum("--base none" in line for line in trained) == 1 and all("full-data" in line for line in trained)
    choices = pd.read_csv(folder(root) / "choices.csv")
    assert list(choices.rate) == [1e-4, 1e-2] and set(choices["row"]) == {"lora r2"} and set(choices.cases) == {2}
    best = choices.sort_values("dice", kind="stable").iloc[-1] if choices.dice.nunique() > 1 else choices.iloc[0]
    assert choices[choices.chosen].rate.tolist() == [best.rate]
    table = pd.read_csv(folder(root) / "comparison.csv").set_index("row")
    assert list(table.index) == ["decoder", "lora r2", "scratch"] and table.rate["lora r2"] == best.rate
    assert set(table.cases) == {4} and set(table.subjects) == {2}
    assert (
        table.factors["lora r2"] > 0
        and table.factors["decoder"] == 0
        and table.decoder["lora r2"] == table.decoder["decoder"]
    )
    assert (table.peak_memory_mb > 100).all() and (table.seconds_a_step > 0).all() and (table.adapter_mb > 0).all()
    scored = pd.read_csv(folder(root) / "masks" / TEST / "decoder-compare-lr1e-3-s0" / "metrics.csv")
    expected = scored[scored.label == "mean foreground"].groupby("subject").dice.mean().mean()
    assert table.dice["decoder"] == pytest.approx(expected)
    assert "to_decoder" in table.columns and "to_full" not in table.columns
    report = (folder(root) / "comparison.md").read_text()
    assert "chosen on Dataset009_Choose" in report and "reported: Dataset008_Test, 4 cases of 2 subjects" in report
    about = json.loads((folder(root) / "comparison.json").read_text())
    assert about["choosing"]["cases"] == ["case_200", "case_201"] and about["reported"]["dataset"] == TEST
    assert (folder(root) / "comparison.png").stat().st_size > 1000
    assert any(line.startswith("lora r2 ") and f"{table.dice['lora r2']:.4f}" in line for line in out.splitlines())

    # the same command again trains and predicts nothing, writes the same tables, and removes what a killed one left
    before, count = contents(root / "results"), len(runner.ran)
    killed = subprocess.Popen(["true"])
    killed.wait()
    (folder(root) / f".tmp-{killed.pid}.{this_host()}.0a1b2c3d.png").write_bytes(b"half")
    code, out, err = compare(run_command, root, *FIRST)
    assert code == 0 and len(runner.ran) == count, err
    assert contents(root / "results") == before

    # a seed more trains that seed alone, at the chosen rate
    code, _, err = compare(run_command, root, *FIRST, "--seeds", 0, 1)
    assert code == 0, err
    added = [line for line in runner.ran[count:] if line.startswith("train")]
    assert (
        len(added) == 3
        and all("--seed 1" in line for line in added)
        and any(f"--learning-rate {best.rate}" in line for line in added)
    )
    assert set(pd.read_csv(folder(root) / "comparison.csv").seeds) == {2}

    # masks of an adapter that is there no more are made again
    card = run_path(root, "decoder-compare-lr1e-3-s0") / "full_data" / "adapter.json"
    (folder(root) / "masks" / TEST / "decoder-compare-lr1e-3-s0" / "prediction.json").write_text("{}")
    count = len(runner.ran)
    assert compare(run_command, root, *FIRST)[0] == 0
    assert [line.split()[0] for line in runner.ran[count:]] == ["predict"] and card.exists()

    # runs of another length do not pass for these
    assert_stopped(compare(run_command, root, *FIRST, steps=3), "steps 2 -> 3", "--name")


def test_folds_choose_and_folds_are_reported(root: Path, run_command: Command, runner: Runner) -> None:
    arguments = [
        "--folds",
        1,
        2,
        "--choose",
        3,
        4,
        "--methods",
        "decoder",
        "full",
        "--learning-rates",
        "1e-3",
        "1e-2",
        "--allow-seen",
    ]
    code, _, err = compare(run_command, root, *arguments)
    assert code == 0, err
    folds = [(line.split()[2], "1e-3" in line or "0.001" in line) for line in runner.ran]
    assert sorted(fold for fold, _ in folds) == sorted(["3", "4"] * 4 + ["1", "2"] * 2)
    about = json.loads((folder(root) / "comparison.json").read_text())
    assert set(about["choosing"]["cases"]).isdisjoint(about["reported"]["cases"])
    table = pd.read_csv(folder(root) / "comparison.csv").set_index("row")
    cases = pd.read_csv(folder(root) / "cases.csv", dtype=str)
    assert set(cases.case) == set(about["reported"]["cases"]) and set(table.cases) == {len(about["reported"]["cases"])}
    assert "to_full" in table.columns and "validation cases of fold 3 4" in (folder(root) / "comparison.md").read_text()


def test_a_failure_is_listed_and_stops_no_other(root: Path, run_command: Command, runner: Runner) -> None:
    runner.fails = "--method lora "
    code, _, err = compare(run_command, root, *FIRST)
    assert code == 1 and "lora r2, rate 0.01, seed 0, on Dataset009_Choose: a fault" in err and "Traceback" not in err
    table = pd.read_csv(folder(root) / "comparison.csv")
    assert list(table["row"]) == ["decoder", "scratch"]
    failures = pd.read_csv(folder(root) / "failures.csv").set_index("what").reason
    assert failures["lora r2"] == "no learning rate could be chosen" and len(failures) == 3
    runner.fails = None
    count = len(runner.ran)
    assert compare(run_command, root, *FIRST)[0] == 0
    assert all("lora-r2" in line or "--method lora " in line for line in runner.ran[count:])
    assert (
        len(pd.read_csv(folder(root) / "comparison.csv")) == 3 and len(pd.read_csv(folder(root) / "failures.csv")) == 0
    )


def test_what_is_finished_is_reported_without_training(root: Path, run_command: Command, runner: Runner) -> None:
    asked = ["--test", "Test", "--methods", "decoder", "full", "--seeds", 0, 1]
    code, _, err = compare(run_command, root, *asked, "--finished")
    assert code == 1 and not runner.ran and "missing: decoder, rate of the plan, seed 0, on Dataset008_Test" in err
    assert not (folder(root) / "comparison.csv").exists()
    assert compare(run_command, root, *asked[:4], "--seeds", 0)[0] == 0
    count, table = len(runner.ran), pd.read_csv(folder(root) / "comparison.csv")
    # as beside the command that trains the rest, on another machine
    (folder(root) / "lock.json").write_text(json.dumps({"pid": 1, "host": "another-machine"}))
    assert compare(run_command, root, *asked)[0] == 1 and len(runner.ran) == count
    code, out, err = compare(run_command, root, *asked, "--finished")
    assert code == 1 and len(runner.ran) == count and err.count("not finished") == 3 and "decoder " in out
    pd.testing.assert_frame_equal(pd.read_csv(folder(root) / "comparison.csv"), table)
    before = contents(folder(root))
    code, out, err = compare(run_command, root, *asked[:2], "--methods", "bitfit", "--finished")  # mistyped, say
    assert code == 1 and "what lies there stays as it is" in err and "plot" not in out
    assert contents(folder(root)) == before


@pytest.mark.parametrize(
    ("arguments", "words", "code"),
    [
        (["--test", "Test", "--methods", "decoder", "--learning-rates", 1e-3, 1e-2], ["--choose"], 2),
        (["--test", "Test", "--methods", "loraa"], ["loraa", "scratch"], 2),
        (["--test", "Test", "--methods", "lora", "--ranks", 49], ["--rank 49", "from 1 to 48"], 1),
        (
            ["--test", "Test", "--choose", "Test", "--methods", "decoder", "--learning-rates", 1e-3, 1e-2],
            ["Dataset008_Test is named twice"],
            1,
        ),
        (["--test", "Blob", "--methods", "decoder"], ["Dataset007_Blob is named twice"], 1),
        (["--test", "Test", "--folds", 0], ["not allowed with"], 2),
        (
            ["--folds", 0, "--choose", 0, "--methods", "decoder", "--learning-rates", 1e-3, 1e-2],
            ["fold 0 in --folds and --choose"],
            2,
        ),
        (["--test", "Test", "--name", "../x"], ["--name"], 2),
        (["--test", "Test", "--base", "none"], ["lora-pt", "--base FILE"], 2),
        (["--test", "Test", "--jobs", 0], ["--jobs"], 2),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_is_trained(
    root: Path, run_command: Command, runner: Runner, arguments: list[object], words: list[str], code: int
) -> None:
    assert_stopped(compare(run_command, root, *arguments), *words, code=code)
    assert runner.ran == []


def test_data_sets_with_common_scans_or_people_or_other_labels_are_refused(
    root: Path, run_command: Command, runner: Runner
) -> None:
    write_dataset(root, 2, "Dataset010_Same", first=4)
    assert_stopped(
        compare(run_command, root, "--test", "Same"), "Dataset007_Blob and Dataset010_Same share 2 scans", "case_004"
    )
    description = root / "raw_data" / TEST / "dataset.json"
    edit_json(description, lambda data: data["subjects"].update(case_100="S03"))
    assert_stopped(compare(run_command, root, "--test", "Test"), "share 1 subject", "S03")
    edit_json(description, lambda data: {**data, "subjects": {}, "labels": {"background": 0, "front": 2, "back": 1}})
    assert_stopped(compare(run_command, root, "--test", "Test"), TEST, "same labels")
    assert runner.ran == []


def test_a_base_that_has_seen_the_test_scans_is_refused(root: Path, run_command: Command, runner: Runner) -> None:
    assert compare(run_command, root, "--test", "Test", "--methods", "decoder")[0] == 0
    adapter = json.loads((run_path(root, "decoder-compare-s0") / "full_data" / "adapter.json").read_text())
    card = next(
        path
        for path in (root / "results" / "bases").glob("*.json")
        if json.loads(path.read_text())["sha256"] == adapter["base_sha256"]
    )
    from hippopt.comparison.cases import contents_of
    from hippopt.workspace import Workspace

    seen = contents_of(Workspace(root), TEST).images["case_101"]
    edit_json(card, lambda data: data.update(seen_images=[*data["seen_images"], seen]))
    outcome = compare(
        run_command, root, "--test", "Test", "--methods", "decoder", "--base", card.with_suffix(".safetensors")
    )
    assert_stopped(outcome, "was trained on 1 scan of Dataset008_Test", "case_101", "--allow-seen")


def test_as_processes_stopped_by_a_signal_and_continued(root: Path, tmp_path: Path) -> None:
    """Two trainings side by side; Ctrl-C reaches both, and the same command goes on where they stopped."""
    arguments = [
        "Blob",
        "--root",
        root,
        "--base",
        fold_path(root),
        "--device",
        "cpu",
        "--steps",
        120,
        "--folds",
        1,
        "--allow-seen",
        "--jobs",
        2,
        "--methods",
        "decoder",
        "layernorm",
    ]
    edit_json(
        plan_path(root), lambda data: data["schedule"].update(steps_per_epoch=20)
    )  # a learning curve is drawn after each
    texts = [str(argument) for argument in arguments]
    folds = [run_path(root, f"{method}-compare-s0") / "fold_1" for method in ("decoder", "layernorm")]
    with running(tmp_path / "first", "compare", texts) as process:
        process.wait_until(lambda: all((fold / "resume.safetensors").exists() for fold in folds))
        os.kill(process.process.pid, signal.SIGINT)
        code, _, err = process.outcome()
    assert code == 130 and "the same command goes on from there" in err and "Traceback" not in err, err
    assert all((fold / "resume.safetensors").exists() and not (fold / "lock.json").exists() for fold in folds)
    with running(tmp_path / "second", "compare", texts) as process:
        code, out, err = process.outcome()
    assert code == 0, err
    logs = [path.read_text() for path in (folder(root) / "logs").iterdir()]
    assert len(logs) == 2 and all("resumed at step" in log for log in logs)
    assert list(pd.read_csv(folder(root) / "comparison.csv")["row"]) == ["decoder", "layernorm"] and "2 of 2" in out


@pytest.mark.parametrize("reported", [("--test", "Test"), ("--folds", 0)])
def test_an_edited_plan_does_not_enter_a_table(
    root: Path, runner: Runner, run_command: Command, monkeypatch: pytest.MonkeyPatch, reported: tuple[object, ...]
) -> None:
    """The plan is edited between the first training and the second: the second is refused, not put beside the first."""
    original = Runner.__call__

    def call(self: Runner, jobs: Sequence[Job], at_once: int, signals: Any, on_done: Any) -> None:
        for number, job in enumerate(jobs):
            if number:
                edit_json(plan_path(root), lambda plan: plan["augmentation"].update(p_noise=0.5))
            original(self, [job], at_once, signals, on_done)

    monkeypatch.setattr(Runner, "__call__", call)
    code, _, err = compare(run_command, root, *reported, "--methods", "decoder", "full")
    assert code == 1 and "full" in err and "trained otherwise (plan_hash" in err
    assert set(pd.read_csv(root / "results" / DATASET / "comparisons" / "compare" / "cases.csv").row) == {"decoder"}


def test_runs_of_a_comparison_are_no_candidates(
    root: Path, runner: Runner, run_command: Command, tmp_path: Path
) -> None:
    """After a comparison, hippopt_predict still takes the only run that was trained by itself."""
    assert compare(run_command, root, "--test", "Test", "--methods", "decoder")[0] == 0
    assert len([path for path in run_path(root).parent.iterdir() if (path / "plan.json").exists()]) > 1
    scans = root / "raw_data" / TEST / "imagesTr"
    code, _, err = run_command(
        "predict", "-i", scans, "-o", tmp_path / "out", "--root", root, "-d", "Blob", "-f", 0, "--device", "cpu"
    )
    assert code == 0, err
    assert json.loads((tmp_path / "out" / "prediction.json").read_text())["run"] == run_path(root).name
