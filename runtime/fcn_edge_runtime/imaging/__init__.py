"""Images as arrays and as files, and what is made of them with labels."""
