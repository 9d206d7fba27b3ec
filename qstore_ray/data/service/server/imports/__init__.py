"""Data that the service takes from elsewhere: the hub, Label Studio."""
