"""The V1 servers: small programs on top of the package, for callers of the old interfaces."""
