"""What people look at: short labels, tables, progress and plots, for the command line and the tools alike."""
