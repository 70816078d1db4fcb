"""Pure metric functions: a sample's sufficient statistics, and the value of their sum."""
