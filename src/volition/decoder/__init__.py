"""3 Features -> Intent: decoders that run in the loop."""
