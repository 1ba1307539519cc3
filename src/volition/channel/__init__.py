"""2 the implant, both ways: electrodes, detection, binning, radio, and the stimulator with its limits."""
