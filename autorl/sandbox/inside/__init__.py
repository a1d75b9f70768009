"""What runs in the process of a script, before the script: it shuts itself in. Imports the standard library alone."""
