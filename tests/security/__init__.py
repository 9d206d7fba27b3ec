"""What docs/security.md promises: listeners, names, files and secrets; the audit of the locks."""
