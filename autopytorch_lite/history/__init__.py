"""The record of a run: trials, the history file, the files of trials, and what follows from them."""
