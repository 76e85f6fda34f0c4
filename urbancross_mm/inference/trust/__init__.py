"""Did an adaptation help? Measures without pairs, an estimate of the gain, and a verdict."""
