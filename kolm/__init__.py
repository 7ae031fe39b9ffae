"""kolm compiles a vision-language fine-tune into one signed file that a stranger can audit."""
