"""The stages in their order: import_dataset, verify_dataset, extract_fingerprint, make_plan, preprocess, train_fold,
predict, evaluate.

A recipe loads inputs and checks that they belong together; a stage computes and writes. Stages never import each other.
What is neither stands in the room that is about it (docs/decisions/0016-rooms-below-an-eighth.md).
"""
