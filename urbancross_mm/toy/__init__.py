"""The toy world: generated data that every config runs on."""
