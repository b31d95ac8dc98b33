"""The store on PostgreSQL: many server processes on one database, none of them special."""
