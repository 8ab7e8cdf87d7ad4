"""Pure functions on images and grids. Arrays are (Z, Y, X) or (C, Z, Y, X)."""
