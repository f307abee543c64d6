"""Live doors: what a helpdesk tells by webhook becomes the files of its export, and goes the way files go."""
