"""Which cases of a source are taken, and whose scans they are."""

from collections.abc import Sequence
from pathlib import Path

from hippopt.artifacts.case_tables import names_alike, near_names, read_case_list, read_subjects, unknown_cases
from hippopt.console import Console, counted, some_of
from hippopt.errors import DatasetError
from hippopt.sources.source_cases import Source, SourceCase, clashing_ids


def choose_cases(source: Source, given: str | None) -> tuple[list[SourceCase], list[str]]:
    """(cases, faults) of the whole source, or of the list that was given: faults of other cases do not matter then."""
    if given is None:
        return source.cases, [fault for _, fault in source.faults] + clashing_ids(case.id for case in source.cases)
    known = source.case_ids
    wanted = set(read_case_list(given))
    chosen = [case for case in source.cases if case.id in wanted]
    faults = unknown_cases(sorted(wanted), known) + [
        fault for case, fault in source.faults if not case or case in wanted
    ]
    return chosen, faults + clashing_ids(case.id for case in chosen)


def subjects_of(
    source: Source, chosen: Sequence[SourceCase], table: Path | None, console: Console, faults: list[str]
) -> dict[str, str]:
    """{case: subject} of the chosen cases whose subject is known; with a table, of all of them."""
    ids = dict.fromkeys(case.id for case in chosen)
    stated = {case: subject for case, subject in source.description.subjects.items() if case in ids}
    if table is None:
        return stated
    try:
        listed = read_subjects(table)
    except DatasetError as error:
        faults.append(str(error))
        return stated
    known = set(source.case_ids)
    unknown = [case for case in listed if case not in known]
    if len(unknown) == len(listed):
        near = near_names(unknown[0], sorted(known))
        faults.append(
            f"{table}: none of its {len(listed)} cases ({some_of(unknown)}) is in {source.layout} at hand, whose cases"
            f" are {some_of(sorted(known))}{near}; write the ids as they are there (a spreadsheet may have taken zeros"
            " away: format the column as text)"
        )
        return stated
    if unknown:
        console.warn(
            f"{table}: lists {counted(len(unknown), 'case')} ({some_of(unknown)}) beyond {source.layout} at hand; these"
            " rows are not used"
        )
    subjects = {**stated, **{case: subject for case, subject in listed.items() if case in ids}}
    alone = [case for case in ids if case not in subjects]
    if alone:
        console.warn(
            f"{table}: {len(alone)} of {len(ids)} cases ({some_of(alone)}) are not listed; each is taken for a subject"
            " of its own"
        )
    found = {case: subjects.get(case, case) for case in ids}
    for names in names_alike(found.values()):
        console.warn(
            f"{table}: subjects {', '.join(names)} differ in letter case or blanks only, and count as {len(names)}"
            " people; write one alike"
        )
    return found
