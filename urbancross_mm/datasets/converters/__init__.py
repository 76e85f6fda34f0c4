"""From published layouts to the one annotation format. Modules are imported by name."""
