"""What to look for: words beside the pictures, and what each flag asks a person to check."""

PLANES = {
    "sagittal": "Is the tail cut short? Does the outline leak forward and up, from the head into the amygdala?",
    "coronal": "Does it leak into the dark ventricle at the side, or down into the white matter below?",
    "axial": "Is it one piece from head to tail, without islands beside it?",
}
STRIP = (
    "Five slices from head to tail: in each, the outline should end at the dark ventricle and at the white matter, and"
    " the last should still hold some tail."
)
OVERVIEW = "The whole slice: are the outlines where hippocampi lie, and is left (first colour) on the side marked L?"
FLAGS = {
    "constant image": "The image has one value everywhere: nothing can be seen in it. Look at the scan's file.",
    "not located": "The locator was unsure, so the network looked everywhere. Is this a hippocampus at all?",
    "no left side": "The left side seems to lie beyond the image. Is it really not there?",
    "no right side": "The right side seems to lie beyond the image. Is it really not there?",
    "side in doubt": "The network takes this for the other side. Are left and right swapped in the file's header?",
    "unlike training": (
        "What was found is much brighter or darker than in training scans. Another kind of scan, or contrast agent?"
    ),
    "empty": "A label was not found. Is the structure there?",
    "at edge": "The mask touches the edge of the image. Is the head or the tail cut off?",
    "several parts": "There are separate parts. Look for islands away from the hippocampus.",
    "volume unusual": "The volume is far from those of the training scans. Atrophy, or a wrong outline?",
    "asymmetry unusual": (
        "Left and right differ more than in the training scans. Disease on one side, or a wrong outline?"
    ),
    "correct first": (
        "This is probably one of the worst masks here. Correct it where it is wrong, and bring it back with"
        " hippopt_correct."
    ),
    "seen in training": "The networks were trained on this scan: the mask says nothing of how they do on new ones.",
    "apart from this cohort": "A figure lies beyond this cohort's fences. Is it the person or the outline?",
}
FURTHER = "See docs/confidence.md for this flag."  # of a flag that a later version made


def of_flag(flag: str) -> str:
    """What a flag asks to check."""
    return FLAGS.get(flag, FURTHER)
