"""What the page shows beside the runs: each file reads one thing and returns it as plain values."""
