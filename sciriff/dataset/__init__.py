"""The combined dataset as something to publish: statistics, card, machine-readable description, upload."""
