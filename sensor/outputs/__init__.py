"""Where alerts go. Each channel has its own thread and bounded queue: none can hold capture up."""
