"""Records, the base classes of stages, and the pipeline that runs them."""
