"""The stages in their order: import_dataset, verify_dataset, extract_fingerprint, make_plan, preprocess, train_fold, predict, evaluate."""
