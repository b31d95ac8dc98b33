"""What is stored and how: the contract, the tables, and the databases behind it."""
