"""Networks: loaded, checked and frozen, what is read from them, and how they are prepared for speed."""
