"""Kill commands at random moments, begin them again, and compare with an undisturbed run.

    python -m tests.kills --seed 0                       # 60 kills of training, 20 or more of each other command
    python -m tests.kills --kills 3 --only plan          # the short form of one command

Prints a table, and ends with 1 where anything was wrong; every fault names the kills that led to it.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # victims are forked, and threads do not survive that

from tests.kills.campaigns import Count, Ground, Templates, apart, campaigns, chosen, import_all
from tests.kills.victims import adopt_orphans

KILLS = {"train": 24, "train lora-pt": 20, "train side by side": 8, "import": 12, "import --overwrite": 10}
OTHERWISE = 20


def main() -> int:
    """Return 0 where nothing was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    parser.add_argument("--kills", type=int, help="of each campaign; default: as issue 14 asks")
    parser.add_argument("--only", nargs="+", default=[], metavar="COMMAND", help="these commands only, in all ways")
    parser.add_argument("--exactly", nargs="+", default=[], metavar="NAME", help="some of the table's lines only")
    parser.add_argument("--apart", action="store_true", help="begin what a command starts as a user does: slower")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was counted")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    import_all()
    adopt_orphans()
    with tempfile.TemporaryDirectory() as folder:
        counted = _fight(options, Path(folder).resolve())
    _table(counted)
    return 1 if any(count.faults for count in counted.values()) else 0


def _fight(options: argparse.Namespace, box: Path) -> dict[str, Count]:
    """One chain of kills of each campaign in turn, until each has its kills: stopped early, all have had some."""
    templates, grounds, wanted = Templates(box), [], {}
    every = campaigns(box)
    for campaign in chosen(every, options.only, options.exactly):
        wanted[campaign.name] = options.kills or KILLS.get(campaign.name, OTHERWISE)
        rng = random.Random(1000 * options.seed + every.index(campaign))
        grounds.append(Ground(apart(campaign) if options.apart else campaign, templates, rng, _tell))
    counted = {ground.campaign.name: ground.count for ground in grounds}
    try:
        while left := [ground for ground in grounds if ground.count.kills < wanted[ground.campaign.name]]:
            for ground in left:
                ground.chain(wanted[ground.campaign.name] - ground.count.kills)
                _tell(f"{ground.campaign.name}: {ground.count.kills} of {wanted[ground.campaign.name]} kills")
                if options.json is not None:
                    options.json.write_text(json.dumps(counted, default=vars, indent=1))
    except KeyboardInterrupt:
        _tell("stopped")
    return counted


def _tell(line: str) -> None:
    print(line, flush=True)


def _table(counted: dict[str, Count]) -> None:
    _tell("| command | kills | by a signal that may be answered | aimed at a change of a file | chains | faults |")
    _tell("|---|---|---|---|---|---|")
    for name, count in counted.items():
        _tell(f"| {name} | {count.kills} | {count.asked} | {count.aimed} | {count.chains} | {len(count.faults)} |")


if __name__ == "__main__":
    sys.exit(main())
