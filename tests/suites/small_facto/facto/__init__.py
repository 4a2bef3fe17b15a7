"""A spec database with FACTO's interface, small and written for these tests; none of FACTO's code is in it."""
