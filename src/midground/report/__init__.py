"""What a registration looks like: pictures of two images, and one self-contained HTML page."""
