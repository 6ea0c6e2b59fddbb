"""Readers of the cold start's corpora: responses of a reasoning teacher, as `ColdStartSample`s."""
