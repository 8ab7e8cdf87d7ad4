"""The stages in their order: import_dataset, verify_dataset, extract_fingerprint, make_plan, preprocess, train_fold,
predict, evaluate.

A recipe loads inputs and checks that they belong together; a stage works on scans, arrays and networks, and writes
masks, weights and their cards. What a recipe writes itself is what no single stage knows: the record of what was asked
for and of what it was made with (fingerprint.json, prediction.json, best.json, a model's card), and tables and pages
that join what several stages returned. Stages never import each other.
What is neither stands in the room that is about it (docs/decisions/0016-rooms-below-an-eighth.md).
"""
