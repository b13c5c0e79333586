"""Scripts that run in the emulated Python: `python SCRIPT FOLDER`, and import nothing of mmasched."""
