"""Scans on disk: read, checked and written. The only importer of SimpleITK and nibabel."""
