"""Parts of `volition compare`: what is asked for, and the page that shows what came of it."""
