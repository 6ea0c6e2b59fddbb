"""Cognitive behaviours in responses (OVR 2, 5.2, C): four of language, four of vision, transfer."""
