"""Files through a step: discovery, the manifest of what is done, one picture's way, and the run over a folder."""
