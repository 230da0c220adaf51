"""The connections one by one: queries, and the end of one of them."""
