"""What each command is killed at, and what must hold afterwards.

One campaign kills one command along chains: killed, begun again by the same words, killed, ... until it is left to end.
After every kill all files under final names are whole; at the end they are those of an undisturbed run.
"""

import importlib
import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGTERM

from hippopt.surroundings import draw_into_files
from tests.import_sources import write_pair
from tests.kills.victims import Kill, Outcome, Victim, import_as_victim, quiet, run_victim
from tests.kills.wholeness import broken, differences, digests, unfinished
from tests.label_maps import write_label_maps
from tests.synthetic import TINY, write_dataset, write_scans

RUN = "results/Dataset007_Blob"
STOPPED = {-SIGKILL, -14, -SIGTERM, -SIGINT, 143, 130}  # 14: the timer of a kill that is aimed at a save
CHAIN = 5  # kills along one run, before it is left to end
SHARE_ASKED = 0.2  # of kills: by a signal that the command may answer
SAVES, VALIDATION = (".safetensors",), ("/validation", "metrics.csv", "signals.csv", "summary.json")


@dataclass(frozen=True)
class Campaign:
    """A command and its kills.

    command, arguments: the victim; {work} stands for the folder that it works in, a copy of `template`. again: its
    words after a kill. made: folders whose files are compared. atomic: a folder that is there whole, or as it was
    before, or not at all. said_done: what a refusal says where the work was done. aims: (share, words, delay at most):
    kills aimed at changes of files whose paths hold one of the words; the others come at any time.
    """

    name: str
    command: str
    arguments: tuple[str, ...]
    template: str
    made: tuple[str, ...]
    again: tuple[str, ...] | None = None
    atomic: str | None = None
    said_done: str = "there already"
    aims: tuple[tuple[float, tuple[str, ...], float], ...] = ((0.4, ("",), 0.0),)
    apart: bool = False


@dataclass
class Count:
    """What a campaign counted."""

    kills: int = 0
    asked: int = 0
    aimed: int = 0
    chains: int = 0
    ended_before: int = 0
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)


def campaigns(box: Path) -> list[Campaign]:
    """All of them. Templates are made by `Templates` below `box`."""
    train = ("Blob", "0", "--root", "{work}", "--method", "full", "--steps", "6", "--device", "cpu", "--resume")
    lora = ("Blob", "0", "--root", "{work}", "--base", f"{box}/trained/{RUN}/full/fold_0", "--steps", "6",
            "--device", "cpu", "--allow-seen", "--resume")  # fmt: skip
    everything = ("Blob", "all", "--jobs", "2", *train[2:7], "3", *train[8:])
    pretrain = ("Blob", "--root", "{work}", "--device", "cpu", "--steps", "6", "--name", "blob")
    compare = ("Blob", "--root", "{work}", "--test", "Test", "--methods", "scratch", "--learning-rates", "1e-3",
               "--steps", "2", "--device", "cpu", "--base", "none", "--seeds", "0", "1")  # fmt: skip
    predict = ("-i", f"{box}/scans", "-o", "{work}/out", "--root", "{work}", "--device", "cpu", "--save-uncertainty")
    imported = (f"{box}/source", "--id", "9", "--name", "New", "--root", "{work}", "--jobs", "2")
    install = (f"{box}/model.zip", "--root", "{work}")
    inside = ((0.25, SAVES, 0.004), (0.25, VALIDATION, 0.05))
    return [
        Campaign("train", "train", train, "planned", (RUN,), aims=inside),
        Campaign("train lora-pt", "train", lora, "planned", (RUN,), aims=inside),
        Campaign("plan", "plan", ("--root", "{work}", "--device", "cpu", "--set", *TINY), "raw",
                 ("plans", "preprocessed"), aims=((0.5, ("",), 0.01),)),
        Campaign("predict", "predict", predict, "trained", ("out",), aims=((0.5, ("/out",), 0.01),)),
        Campaign("import", "import_dataset", imported, "raw", ("raw_data",), atomic="raw_data/Dataset009_New",
                 said_done="exists; give --overwrite", aims=((0.6, ("",), 0.002),)),
        Campaign("import --overwrite", "import_dataset", (*imported, "--overwrite"), "imported", ("raw_data",),
                 atomic="raw_data/Dataset009_New", aims=((0.6, ("",), 0.002),)),
        Campaign("install", "install", install, "raw", ("results",), atomic=f"{RUN}/full",
                 aims=((0.6, ("",), 0.002),)),
        Campaign("pretrain", "pretrain", pretrain, "planned", ("results",), again=(*pretrain, "--resume"),
                 said_done="finished", aims=((0.4, SAVES, 0.004),)),
        Campaign("compare", "compare", compare, "tested", ("results",), aims=((0.2, ("",), 0.01),)),
        Campaign("train side by side", "train", everything, "planned", (RUN,), aims=()),
    ]  # fmt: skip


class Templates:
    """The folders that campaigns begin from, each made when it is first asked for."""

    def __init__(self, box: Path) -> None:
        self.box = box

    def folder(self, name: str) -> Path:
        """The template of this name."""
        path = self.box / name
        if not path.exists():
            with quiet():
                getattr(self, f"_make_{name}")(path)
        return path

    def _copy(self, source: str, to: Path) -> None:
        shutil.copytree(self.folder(source), to)

    def _make_raw(self, to: Path) -> None:
        write_dataset(to)

    def _make_planned(self, to: Path) -> None:
        self._copy("raw", to)
        self._run("plan", "--root", to, "--device", "cpu", "--set", *TINY)

    def _make_trained(self, to: Path) -> None:
        self._copy("planned", to)
        for fold in (0, 1):
            self._run("train", "Blob", fold, "--root", to, "--method", "full", "--steps", 4, "--device", "cpu")

    def _make_tested(self, to: Path) -> None:
        self._copy("planned", to)
        write_dataset(to, 2, "Dataset008_Test", first=100)

    def _make_imported(self, to: Path) -> None:
        self._copy("raw", to)
        source = write_pair(self.box / "older", cases=2)
        self._run("import_dataset", source, "--id", 9, "--name", "New", "--root", to)

    def _make_scans(self, to: Path) -> None:
        write_scans(to, *(f"s{number}.nii.gz" for number in range(5)))

    def _make_source(self, to: Path) -> None:
        write_pair(to, cases=8)

    def _make_maps(self, to: Path) -> None:
        write_label_maps(to)

    def _run(self, command: str, *arguments: object) -> None:
        """In a process of its own, so that this one stays free of threads."""
        outcome = run_victim(Victim(command, tuple(map(str, arguments)), self.box), self.box / "log")
        assert outcome.code == 0, outcome.said
        import_as_victim(self.box / "log")

    def prepare(self, campaign: Campaign) -> Path:
        """Make all that a campaign needs; its template is returned."""
        for each in campaign.arguments:
            for name in ("scans", "source", "trained"):
                if each.startswith(f"{self.box}/{name}"):
                    self.folder(name)
        model = self.box / "model.zip"
        if campaign.name == "install" and not model.exists():
            self._run("export", "Blob", model, "--root", self.folder("trained"), "--run", "full")
        return self.folder(campaign.template)


def import_all() -> None:
    """Import what commands import, so that forked victims begin at once."""
    for name in ("plan", "train", "predict", "pretrain", "compare", "import_dataset", "install", "export"):
        importlib.import_module(f"hippopt.cli.{name}")
    for name in ("recipes.training", "recipes.prediction", "recipes.pretraining", "recipes.model_files",
                 "recipes.planning", "comparison.compare"):  # fmt: skip
        importlib.import_module(f"hippopt.{name}")
    importlib.import_module("hippopt.networks.lean_import").import_monai_lean()
    importlib.import_module("monai")
    draw_into_files()
    importlib.import_module("hippopt.stages.train_fold").plot_progress = lambda *_: None  # half of a tiny epoch


class Ground:
    """Where one campaign is fought: chains of kills on copies of its template."""

    def __init__(self, campaign: Campaign, templates: Templates, rng: random.Random, tell: Callable[[str], None]):
        self.campaign, self.rng, self.tell = campaign, rng, tell
        self.templates = templates
        self.work, self.log = templates.box / "work", templates.box / "log"
        self.count = Count()
        self.undisturbed: Outcome | None = None

    def _prepare(self) -> None:
        """The template, what was there before, and what an undisturbed run makes of it."""
        campaign = self.campaign
        self.template = self.templates.prepare(campaign)
        self.before = digests(self.template / campaign.atomic) if campaign.atomic else {}
        self._begin()
        self._run()  # the first one imports what takes long
        import_as_victim(self.log)
        self._begin()
        self.undisturbed = self._run()
        assert self.undisturbed.code == 0, self.undisturbed.said
        self.wanted = self._made()

    def _begin(self) -> None:
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.copytree(self.template, self.work)

    def _run(self, kill: Kill | None = None, again: bool = False) -> Outcome:
        campaign = self.campaign
        words = campaign.again if again and campaign.again is not None else campaign.arguments
        arguments = tuple(each.replace("{work}", str(self.work)) for each in words)
        outcome = run_victim(Victim(campaign.command, arguments, self.work, campaign.apart), self.log, kill)
        self.count.seconds += outcome.seconds
        return outcome

    def _made(self) -> dict[str, str]:
        return {
            f"{made}/{name}": digest
            for made in self.campaign.made
            for name, digest in digests(self.work / made).items()
        }

    def _aim(self) -> Kill:
        """A moment; of kills at any time most lie within what an undisturbed run takes."""
        assert self.undisturbed is not None
        drawn = self.rng.random()
        for share, words, delay in self.campaign.aims:
            drawn -= share
            if drawn < 0:
                fitting = sum(any(word in path for word in words) for path in self.undisturbed.changes)
                event = self.rng.randint(1, max(1, fitting // 2 if fitting > 4 else fitting))
                return Kill(event=event, words=words, delay=self.rng.choice((0.0, self.rng.uniform(0, delay))))
        number = self.rng.choice((SIGTERM, SIGINT)) if self.rng.random() < 2 * SHARE_ASKED else SIGKILL
        return Kill(number, seconds=self.rng.uniform(0.02, 0.9) * self.undisturbed.seconds)

    def chain(self, most: int) -> None:
        """Kill along one run, `most` times or CHAIN times, and let it end; faults stand in the count."""
        if self.undisturbed is None:
            self._prepare()
        self._begin()
        self.count.chains += 1
        history: list[str] = []
        for _ in range(min(CHAIN, most)):
            kill = self._aim()
            history.append(str(kill))
            outcome = self._run(kill, again=len(history) > 1)
            if self._ended(outcome):
                self.count.ended_before += 1
                break
            self._check(outcome, kill, history)
        self._finish(history)

    def _ended(self, outcome: Outcome) -> bool:
        return outcome.code == 0 or (outcome.code == 1 and self.campaign.said_done in outcome.said)

    def _check(self, outcome: Outcome, kill: Kill, history: Sequence[str]) -> None:
        """After a kill."""
        count = self.count
        if outcome.code not in STOPPED:
            if outcome.code == 1 and self._begun_anew(outcome):
                return
            self._fault(history, f"exit code {outcome.code}: {outcome.said[-600:]}")
            return
        count.kills += 1
        count.asked += kill.number != SIGKILL
        count.aimed += not kill.seconds
        if "Traceback" in outcome.said:
            self._fault(history, f"a traceback: {outcome.said[-1500:]}")
        for made in self.campaign.made:
            for what in broken(self.work / made):
                self._fault(history, f"half: {made}/{what}")
        if self.campaign.atomic is not None:
            found = digests(self.work / self.campaign.atomic)
            whole = {name.removeprefix(f"{self.campaign.atomic}/"): digest for name, digest in self.wanted.items()
                     if name.startswith(f"{self.campaign.atomic}/")}  # fmt: skip
            if found not in (self.before, whole, {}):
                self._fault(history, f"{self.campaign.atomic} is neither old nor new")

    def _begun_anew(self, outcome: Outcome) -> bool:
        """Whether there was nothing yet to resume, which a command may say."""
        return "nothing to resume" in outcome.said or "without --resume" in outcome.said

    def _finish(self, history: Sequence[str]) -> None:
        """Left to end: the same words, and what is there is what an undisturbed run leaves."""
        outcome = self._run(again=True)
        if outcome.code == 1 and self._begun_anew(outcome):
            outcome = self._run()
        if not self._ended(outcome):
            self._fault(history, f"did not end well: exit code {outcome.code}: {outcome.said[-1500:]}")
            return
        for what in differences(self._made(), self.wanted):
            self._fault(history, what)
        for made in self.campaign.made:
            for what in unfinished(self.work / made):
                self._fault(history, f"left lying: {made}/{what}")

    def _fault(self, history: Sequence[str], what: str) -> None:
        line = f"{self.campaign.name}: after {'; '.join(history)}: {what}"
        self.count.faults.append(line)
        self.tell(f"FAULT {line}")


def chosen(every: Sequence[Campaign], commands: Sequence[str], names: Sequence[str]) -> list[Campaign]:
    """The campaigns of these commands, or of these names; all where none are given."""
    return [
        each for each in every if not (commands or names) or each.name in names or each.name.split(" ")[0] in commands
    ]


def apart(campaign: Campaign) -> Campaign:
    """The campaign with what its command starts begun as a user's processes are, which is slower."""
    return replace(campaign, apart=True)
