"""What BIDS asks of a folder of masks: its description, and the volumes in a row per participant."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hippopt import __version__
from hippopt.artifacts.codec import write_bytes, write_json
from hippopt.artifacts.plan import Plan
from hippopt.files.bids_layout import SEGMENTATION, bids_description
from hippopt.files.scan_listing import ScanFiles
from hippopt.inference.label_tables import FILES, bids_table, write_label_tables
from hippopt.inference.volume_table import FAILURES, VOLUMES, fields_of, read_volumes

BIDS_VERSION = "1.10.0"
TABLE = "phenotype/hippocampus.tsv"

# columns of volumes.tsv -> (description, unit): of each structure, and of each scan
OF_LABELS = {
    "volume_mm3": ("volume", "mm^3"),
    "volume_low_mm3": ("lower end of the 95 % interval of the true volume", "mm^3"),
    "volume_high_mm3": ("upper end of the 95 % interval of the true volume", "mm^3"),
    "predicted_dice": ("Dice that the mask probably has with a person's outline, from 0 to 1", ""),
    "flag": ("what is odd about the mask, separated by semicolons", ""),
}
OF_SCANS = {
    "head_size_mm3": ("size of the head or of the brain", "mm^3"),
    "head_size_of": ("what head_size_mm3 is the size of", ""),
}

_README = """# Hippocampus segmentations

Made by hippopt {version} (`hippopt_bids`). A segmentation `*_seg-hippopt_dseg.nii.gz` lies in the grid of its scan;
`seg-hippopt_dseg.tsv` names its values. Once the level `group` has run, `phenotype/hippocampus.tsv` has the volumes in
a row per participant, and `volumes.tsv` all that is known in a row per scan and structure; `failures.tsv` lists scans
that could not be segmented; `report.html` shows all of them, the most doubtful first. `labels_itksnap.txt`,
`labels.ctbl` and `labels_freesurfer.txt` hold names and colours for ITK-SNAP, 3D Slicer and freeview.
"""


def write_description(plan: Plan, source: Path, output: Path) -> None:
    """Write what BIDS asks of a derivative data set, and what a viewer needs, beside the masks.

    source: the folder of the scans' data set; output: that of the derivative. Raises OutputError.
    """
    said = bids_description(source)
    where: dict[str, Any] = {"URL": source.resolve().as_uri()}
    if said.get("DatasetDOI"):
        where["DOI"] = said["DatasetDOI"]
    description = {
        "Name": f"Hippocampus segmentations of {said.get('Name', source.resolve().name)}",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "hippopt", "Version": __version__}],
        "SourceDatasets": [where],
    }
    about = {"SpatialReference": "orig", "Manual": False}
    maps = {"SpatialReference": "orig", "Manual": False}
    for name, data in (
        ("dataset_description.json", description),
        (f"seg-{SEGMENTATION}_dseg.json", about),
        (f"seg-{SEGMENTATION}_probseg.json", maps),
    ):
        write_json(output / name, data)
    write_bytes(output / f"seg-{SEGMENTATION}_dseg.tsv", bids_table(plan.labels).encode())
    write_bytes(
        output / ".bidsignore", "".join(f"{name}\n" for name in (*FILES, VOLUMES, FAILURES, "report*")).encode()
    )
    write_bytes(output / "README.md", _README.format(version=__version__).encode())
    write_label_tables(plan.labels, output)


def write_phenotype(volumes: Path, output: Path, scans: Sequence[ScanFiles]) -> None:
    """Write a row per participant, as BIDS asks for; a column begins with the session, run, ... of its scan, where it
    has such. volumes: the table of all scans and labels.
    """
    table = read_volumes(volumes)
    rows: dict[str, dict[str, str]] = {}
    about: dict[str, Any] = {"MeasurementToolMetadata": {"Description": "Volumes of the hippocampus, by hippopt"}}
    for files in scans:
        participant, _, others = files.id.partition("_")
        row = rows.setdefault(participant, {})
        for fields in fields_of(table.get(files.id, ())):
            for kinds, beginning in (
                (OF_SCANS, others),
                (OF_LABELS, "_".join(filter(None, (others, fields["label"])))),
            ):
                for column, (meaning, unit) in kinds.items():
                    name = "_".join(filter(None, (beginning, column)))
                    row[name] = fields[column] if fields[column] not in ("", "-") else "n/a"
                    where = ", ".join(filter(None, (fields["label"] if kinds is OF_LABELS else "", others)))
                    about[name] = {
                        "Description": f"{meaning}{f' ({where})' if where else ''}",
                        **({"Units": unit} if unit else {}),
                    }
    columns = [name for name in about if name != "MeasurementToolMetadata"]
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(["participant_id", *columns])
    writer.writerows(
        [participant, *(row.get(name, "n/a") for name in columns)] for participant, row in sorted(rows.items())
    )
    write_bytes(output / TABLE, text.getvalue().encode())
    write_json(output / Path(TABLE).with_suffix(".json"), about)
