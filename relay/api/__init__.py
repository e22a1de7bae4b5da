"""`/api/v1`: what the dashboard knows, for programs. A login session or a configured token, always."""
