"""The REST service over galleries, its web page, and a client for both ends of the wire."""
