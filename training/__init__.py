"""Offline: history -> labelled snapshots -> fit -> calibrate -> evaluate -> artefact."""
