"""Our own list widgets: they hold any number of rows and repaint the lines that changed."""
