"""Mend what libraries read from the environment while they are imported: a user id without a name, a plot backend that
is missing.

torch asks for the user's name, which a container's user id may lack; matplotlib stops at a backend of a notebook that
lives in another environment.
"""

import os

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


def draw_into_files() -> None:
    """Let matplotlib draw into files: commands open no window, whatever backend the environment names."""
    os.environ["MPLBACKEND"] = "agg"
