"""Tenancy on the wire: who am I, organizations, projects, users, keys."""
