"""The errors that a user can meet. Each carries one line: what, where, and the remedy."""


class HippoptError(Exception):
    """Base of every expected failure; its text is shown to the user without a traceback."""


class UsageError(HippoptError):
    """A command was called with values that do not fit together."""


class DatasetError(HippoptError):
    """A data set or one of its files is not what it should be."""


class ImageError(DatasetError):
    """One image file cannot be used; the batch may go on without it."""


class PlanError(HippoptError):
    """A plan breaks one of its rules."""


class StaleArtifactError(HippoptError):
    """A record was made from an input that has changed since."""


class WeightsError(HippoptError):
    """Base weights or an adapter cannot be used."""


class TrainingError(HippoptError):
    """A training run cannot start or go on."""


class OutputError(HippoptError):
    """Results cannot be written, or would overwrite others."""


class Interrupted(HippoptError):
    """A signal asked to stop; the state was saved. `exit_code` is 128 + the signal's number."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code
