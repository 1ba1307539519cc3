"""5 Touch -> Stim: what is written back into somatosensory cortex."""
