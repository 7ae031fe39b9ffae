"""Models: bases and their processors; one file a family for what needs torch."""
