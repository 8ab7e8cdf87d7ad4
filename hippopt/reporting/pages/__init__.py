"""Pages that a person acts on: one HTML file each, without network, made of records and arrays."""
