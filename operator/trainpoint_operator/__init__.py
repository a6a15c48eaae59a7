"""The operator: records, verifies, retains and deletes checkpoints on a cluster."""
