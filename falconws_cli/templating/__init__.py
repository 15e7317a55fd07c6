"""From templates to the text of files: where templates are, how they render, what the build makes of them."""
