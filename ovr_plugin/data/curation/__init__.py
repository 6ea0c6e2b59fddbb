"""Curation (OVR 3.3): each step a named predicate that says why a row goes, all in one report."""
