"""Who may do what: the master key, API keys, organizations, projects and users."""
