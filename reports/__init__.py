"""What is shown: statistics, tables, figures and the HTML page."""
