"""One page that shows a run, or several over each other: curves, tables, and rollouts to read."""
