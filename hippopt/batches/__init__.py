"""What training sees: patches, augmentation, and scans made from label maps. The only importer of batchgenerators."""
