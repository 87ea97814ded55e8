"""The command ``midground``: options, progress bars, messages and exit codes. Commands import the library late."""
