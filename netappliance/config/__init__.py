"""Configuration: ini text to frozen dataclasses, or all errors at once."""
