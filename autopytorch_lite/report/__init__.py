"""What a person sees of a run: tables, figures, the page, and progress while it lasts. Reads records only."""
