"""What people say of photos: label and rating files, their words, where they come from."""
