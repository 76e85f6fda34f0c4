"""What every stage stands on: records, pipeline and report."""
