"""Fitting and evaluating decoders offline."""
