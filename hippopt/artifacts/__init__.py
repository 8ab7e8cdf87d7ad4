"""The frozen records that travel between stages, and their JSON codec."""
