"""Keys of a site, from the distillation node to the application that they are handed to."""
