"""One transaction: what is planned, how it compares with the disk, what becomes of conflicts, and the writing."""
