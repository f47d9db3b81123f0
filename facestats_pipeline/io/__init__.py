"""Where bytes live: storage paths and IO managers."""
