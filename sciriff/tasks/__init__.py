"""Task files, where their records come from, and how records become template variables."""
