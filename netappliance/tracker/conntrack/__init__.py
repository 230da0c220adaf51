"""The kernel's connection tracking over ctnetlink: messages, the table, the rule that makes it track, the event log."""
