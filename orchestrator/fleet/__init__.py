"""Starting, watching and stopping services."""
