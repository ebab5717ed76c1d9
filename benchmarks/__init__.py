"""What is asked: suites, and the runner that takes a suite through search and judging."""
