"""hippopt_doctor: look at what hippopt needs (versions, device, memory, folders), and say what is wrong."""

import argparse
import sys

from hippopt.cli.command import make_parser, run
from hippopt.cli.console import TerminalConsole
from hippopt.console import counted
from hippopt.workspace import Workspace


def _parser() -> argparse.ArgumentParser:
    return make_parser(
        "hippopt_doctor",
        "Look at versions, device, cores, memory, folders, shipped bases and optional libraries, and say what is"
        " wrong.",
    )


def _work(options: argparse.Namespace, workspace: Workspace, console: TerminalConsole) -> int:
    from hippopt.installation import examine

    findings = examine(workspace)
    for each in findings:
        console.say(f"{each.what}: {each.found}")
        if each.wrong:
            console.warn(f"{each.what}: {each.wrong}")
    wrong = [each.what for each in findings if each.wrong]
    console.say(f"{counted(len(wrong), 'thing')} to mend: {', '.join(wrong)}" if wrong else "nothing is wrong")
    return 1 if wrong else 0


def main(arguments: list[str] | None = None) -> int:
    """Run the command; see `run` for what it returns."""
    return run(_parser(), _work, arguments)


if __name__ == "__main__":
    sys.exit(main())
