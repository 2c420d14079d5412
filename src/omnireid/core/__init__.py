"""Value types, errors, seeds, preprocessing and cards. Imports no torch."""
