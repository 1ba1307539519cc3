"""1 who thinks: simulated person, recording, live stream."""
