"""From cameras to identities: decode, detect, track, link, and judge."""
