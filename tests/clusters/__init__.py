"""What starts a cluster: manifests, image and scripts, rendered and validated by the real tools."""
