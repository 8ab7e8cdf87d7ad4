"""Mend what libraries read from the environment while they are imported: a user id without a name, a plot backend that
is missing, threads that wait busily.

torch asks for the user's name, which a container's user id may lack; matplotlib stops at a backend of a notebook that
lives in another environment; its threads wait for each other without pause.
"""

import os

SPINS = "10000"  # of GNU OpenMP, whose own number is 300,000; 3,000 cost a tenth of a step on free cores
USER_NAMES = ("LOGNAME", "USER", "LNAME", "USERNAME")  # in the order in which Python's getpass asks


def name_the_user() -> None:
    """Give the user a name in the environment where neither the
    environment nor the system has one: `user12345` of its number.
    """
    if any(os.environ.get(name) for name in USER_NAMES):
        return
    try:
        import pwd

        pwd.getpwuid(os.getuid())
    except ImportError:  # not a POSIX system
        return
    except KeyError:
        os.environ["USER"] = f"user{os.getuid()}"


def wait_briefly() -> None:
    """Let torch's threads sleep soon where they wait for each other, unless the environment says how they are to wait.

    On cores that other work shares they otherwise wait busily, for threads that have no core to run on: a training step
    took 3 to 5 s in place of 1.5, and .3 s on free cores either way (docs/experiments.md).
    """
    if not any(os.environ.get(name) for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")):
        os.environ["GOMP_SPINCOUNT"] = SPINS


def draw_into_files() -> None:
    """Let matplotlib draw into files: commands open no window, whatever backend the environment names."""
    os.environ["MPLBACKEND"] = "agg"
