"""The record of the warm cluster, its size, and its processes; no Ray is started."""
