"""What is known of every method before it is imported, a file for each family."""
