"""A registered version behind MLflow's scoring server: rasters by path, and plain tiles."""
