"""Where a connection is counted, under which labels, and within which budget."""
