"""UDP session proxy with filter chains (what Quilkin is for)."""
