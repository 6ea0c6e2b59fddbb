"""Data: raw corpora in, one parquet schema out, and the two datasets that veRL's trainers read."""
