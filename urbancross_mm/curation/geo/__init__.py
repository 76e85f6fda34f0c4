"""Where tiles lie and what the map says there."""
