"""What the operator looks at: metrics, pages, logs, manhole."""
